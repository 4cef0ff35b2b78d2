-- What the controller has decided and done: when to train, and what the gate said of the model that came of it.

-- Somebody wants a training. Answered by the decision that considered it, whatever that was.
CREATE TABLE training_requests (
    id          bigint      GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    asked_at    timestamptz NOT NULL DEFAULT now(),
    answered_at timestamptz,
    decision    bigint,               -- that answered it
    forced      boolean     NOT NULL, -- neither cool-down nor breaker shall stop it
    by_whom     text        NOT NULL,
    reason      text        NOT NULL
);

CREATE INDEX training_requests_open ON training_requests (id) WHERE answered_at IS NULL;

-- Every decision that said something new; rows are only added, and `outcome` is filled in once.
CREATE TABLE training_decisions (
    id          bigint      GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    at          timestamptz NOT NULL DEFAULT now(),
    dry_run     boolean     NOT NULL,
    action      text        NOT NULL CHECK (action IN ('launch', 'remedy', 'wait')),
    champion    text        NOT NULL, -- version of the model that served; empty: none
    fingerprint text,                 -- of what is launched or applied, or was stopped by a limit
    by_whom     text        NOT NULL, -- the instance
    outcome     text,                 -- of a launch or a remedy: what came of it, as a sentence
    refused     boolean     NOT NULL DEFAULT false, -- nothing came of it
    cause       jsonb       NOT NULL,
    reasons     jsonb       NOT NULL, -- as records
    sentences   jsonb       NOT NULL, -- the same for people
    situation   jsonb       NOT NULL  -- what was known
);

ALTER TABLE training_requests ADD FOREIGN KEY (decision) REFERENCES training_decisions;

CREATE INDEX training_decisions_fingerprint ON training_decisions (fingerprint) WHERE action <> 'wait';

ALTER TABLE training_runs
    ADD COLUMN decision   bigint REFERENCES training_decisions, -- by which it was launched; null: by hand on the command line
    ADD COLUMN label_mark bigint NOT NULL DEFAULT 0,            -- the latest label that was there when it was chosen what to train on
    ADD COLUMN gated_at   timestamptz,
    ADD COLUMN verdict    text CHECK (verdict IN ('pass', 'fail', 'inconclusive')), -- of the gate on its candidate
    ADD COLUMN gate       jsonb;                                -- everything that was compared

CREATE INDEX training_runs_ungated ON training_runs (id) WHERE state = 'done' AND verdict IS NULL AND decision IS NOT NULL;

CREATE VIEW v_training_decisions AS
SELECT id,
       at,
       action,
       dry_run,
       cause->>'cause' AS cause,
       sentences,
       outcome,
       refused,
       champion,
       fingerprint,
       by_whom,
       reasons,
       situation
  FROM training_decisions;

CREATE VIEW v_training_requests AS
SELECT id,
       asked_at,
       by_whom,
       reason,
       forced,
       answered_at,
       decision
  FROM training_requests;

CREATE OR REPLACE VIEW v_training_runs AS
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
       fingerprint,
       decision,
       verdict,
       gated_at,
       gate
  FROM training_runs;
