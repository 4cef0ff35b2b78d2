-- Alerts on sentiment, and what is sent to whom.

-- What is learnt of each series: what is normal there, and the tests under way. '' where a name is no part of the series.
CREATE TABLE alert_series (
    heard_at timestamptz NOT NULL, -- event time of what was counted last
    level    text        NOT NULL CHECK (level IN ('overall', 'source', 'subject', 'source_subject')),
    source   text        NOT NULL,
    subject  text        NOT NULL,
    payload  bytea       NOT NULL,
    PRIMARY KEY (level, source, subject)
);

-- Counts of steps that are not over yet: with them, a new watcher goes on where another has stopped.
CREATE TABLE alert_cells (
    started timestamptz      NOT NULL,
    score   double precision NOT NULL,
    level   text             NOT NULL,
    source  text             NOT NULL,
    subject text             NOT NULL,
    counts  bigint[]         NOT NULL, -- for each label: messages, distinct texts, distinct authors
    PRIMARY KEY (level, source, subject, started)
);

-- One row for each change of sentiment. Times are event times, but for those of record and acknowledgement.
CREATE TABLE alerts (
    id              text             PRIMARY KEY,
    started         timestamptz      NOT NULL,
    opened_at       timestamptz      NOT NULL,
    updated_at      timestamptz      NOT NULL,
    resolved_at     timestamptz,
    recorded_at     timestamptz      NOT NULL DEFAULT now(),
    acknowledged_at timestamptz,
    normal          double precision NOT NULL,
    share           double precision NOT NULL,
    messages        bigint           NOT NULL,
    rule            text             NOT NULL,
    source          text,
    subject         text,
    label           text             NOT NULL,
    direction       text             NOT NULL,
    acknowledged_by text,
    detail          jsonb            NOT NULL
);

CREATE INDEX alerts_opened_at ON alerts (opened_at);
CREATE INDEX alerts_open ON alerts (opened_at) WHERE resolved_at IS NULL;

-- Whatever somebody is told of. `about` is what it tells of: notices about the same reach a receiver in their order.
CREATE TABLE notices (
    number      bigint      GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    id          text        NOT NULL UNIQUE,
    recorded_at timestamptz NOT NULL DEFAULT now(),
    kind        text        NOT NULL,
    about       text        NOT NULL,
    body        jsonb       NOT NULL
);

-- Who is told, and what has become of it. `sending` stands before the attempt, so whoever finds it after a death knows that
-- the notice may have arrived.
CREATE TABLE deliveries (
    notice     bigint      NOT NULL REFERENCES notices ON DELETE CASCADE,
    due_at     timestamptz NOT NULL DEFAULT now(),
    ended_at   timestamptz,
    attempts   integer     NOT NULL DEFAULT 0,
    receiver   text        NOT NULL,
    state      text        NOT NULL DEFAULT 'waiting'
               CHECK (state IN ('waiting', 'sending', 'delivered', 'in_doubt', 'given_up', 'spared')),
    fault      text,                 -- of the last attempt
    PRIMARY KEY (receiver, notice)
);

CREATE INDEX deliveries_open ON deliveries (receiver, notice) WHERE ended_at IS NULL;

CREATE VIEW v_alerts AS
SELECT id,
       rule,
       source,
       subject,
       label,
       direction,
       started,
       opened_at,
       updated_at,
       resolved_at,
       normal,
       share,
       messages,
       acknowledged_at,
       acknowledged_by,
       recorded_at,
       detail
  FROM alerts;

CREATE VIEW v_deliveries AS
SELECT n.id AS notice,
       n.kind,
       n.about,
       n.recorded_at,
       d.receiver,
       d.state,
       d.attempts,
       d.due_at,
       d.ended_at,
       d.fault
  FROM deliveries d
  JOIN notices n ON n.number = d.notice;
