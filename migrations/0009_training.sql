-- Trainings: which ran, which one runs, and how they ended.

-- One row for each training that was ever begun; none is removed, so that none is run twice. While one runs, whoever runs it
-- has an advisory lock: a row that says "running" without it is of a process that has died.
CREATE TABLE training_runs (
    id          bigint      GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    started     timestamptz NOT NULL DEFAULT now(),
    heard       timestamptz NOT NULL DEFAULT now(), -- when whoever runs it last said so
    ended       timestamptz,
    attempt     integer     NOT NULL DEFAULT 1,     -- rises with each resumption: the fencing token
    state       text        NOT NULL DEFAULT 'running' CHECK (state IN ('running', 'stopped', 'failed', 'done')),
    fingerprint text        NOT NULL UNIQUE,        -- of what it is trained on, and why
    champion    text,                               -- version of the champion at that time
    candidate   text,                               -- version of the model that came of it
    by_whom     text        NOT NULL,
    cause       jsonb       NOT NULL,
    reasons     jsonb       NOT NULL,               -- why it was begun, as sentences
    dataset     jsonb       NOT NULL,               -- what was chosen to train on, and what was left out
    progress    jsonb       NOT NULL DEFAULT '{}',
    outcome     jsonb,
    CHECK ((state = 'running') = (ended IS NULL)),
    CHECK ((state = 'done') = (candidate IS NOT NULL))
);

-- Never two at a time.
CREATE UNIQUE INDEX training_runs_running ON training_runs ((true)) WHERE state = 'running';

-- All labelled messages in the order of their first labels, as a training reads them.
CREATE INDEX labelled_messages_first_label ON labelled_messages (first_label);

CREATE VIEW v_training_runs AS
SELECT id,
       state,
       started,
       heard,
       ended,
       attempt,
       cause->>'cause' AS cause,
       by_whom,
       champion,
       candidate,
       (progress->>'step')::bigint AS step,
       (progress->>'steps')::bigint AS steps,
       reasons,
       dataset,
       progress,
       outcome,
       fingerprint
  FROM training_runs;
