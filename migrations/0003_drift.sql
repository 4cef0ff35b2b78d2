-- The watch over the feed: what instances leave for it, what the watcher remembers, what it has found.

-- Duties that one instance has for all. Whoever takes a lease raises its token, and every transaction of the duty checks that
-- the token is still its own: one that had stood still and wakes late changes nothing.
CREATE TABLE leases (
    duty       text        PRIMARY KEY,
    holder     text        NOT NULL,
    token      bigint      NOT NULL,
    expires_at timestamptz NOT NULL
);

-- A chunk's readings in one partition, until the watcher has counted them. Written and replaced with the chunk's rows, so
-- what lies below the committed offset is counted once, whatever was delivered again.
CREATE TABLE drift_panes (
    first_offset bigint  NOT NULL,
    next_offset  bigint  NOT NULL,
    "partition"  integer NOT NULL,
    model        integer NOT NULL,
    topic        text    NOT NULL,
    payload      bytea   NOT NULL,
    PRIMARY KEY (topic, "partition", first_offset)
);

-- Up to where each partition has been counted.
CREATE TABLE drift_positions (
    topic       text    NOT NULL,
    "partition" integer NOT NULL,
    next_offset bigint  NOT NULL,
    PRIMARY KEY (topic, "partition")
);

-- What each model's messages are compared with: the baseline.json that an instance has loaded with its model, so that whichever
-- instance watches can judge the messages of all.
CREATE TABLE drift_baselines (
    model     integer     PRIMARY KEY,
    stored_at timestamptz NOT NULL DEFAULT now(),
    baseline  bytea       NOT NULL
);

-- What the watcher remembers of each model: the window that is open, and the alarm that is.
CREATE TABLE drift_state (
    model   integer PRIMARY KEY,
    payload bytea   NOT NULL
);

-- One row for each window that is closed.
CREATE TABLE drift_windows (
    number     bigint           NOT NULL,
    started    timestamptz      NOT NULL, -- the earliest and the latest event time in it
    ended      timestamptz      NOT NULL,
    closed_at  timestamptz      NOT NULL DEFAULT now(),
    messages   bigint           NOT NULL,
    distinct_messages bigint    NOT NULL, -- near copies counted once: what the statistics are of
    late       bigint           NOT NULL,
    p          double precision,          -- null: too little data to say
    model      integer          NOT NULL,
    verdict    text             NOT NULL CHECK (verdict IN ('ok', 'unknown', 'drift')),
    foremost   text,                      -- the statistic furthest from what is normal
    detail     jsonb            NOT NULL,
    counts     bytea            NOT NULL, -- the window's counters, compressed
    PRIMARY KEY (model, number)
);

CREATE INDEX drift_windows_ended ON drift_windows (ended);

-- One row for each time an alarm was opened or resolved.
CREATE TABLE drift_reports (
    id         text        PRIMARY KEY,
    reported_at timestamptz NOT NULL DEFAULT now(),
    sent_at    timestamptz,               -- when it had reached Kafka
    number     bigint      NOT NULL,      -- the window that decided it
    model      integer     NOT NULL,
    change     text        NOT NULL CHECK (change IN ('opened', 'resolved')),
    report     jsonb       NOT NULL
);

CREATE INDEX drift_reports_unsent ON drift_reports (reported_at) WHERE sent_at IS NULL;

CREATE VIEW v_drift_windows AS
SELECT m.version AS model,
       w.number,
       w.started,
       w.ended,
       w.messages,
       w.distinct_messages,
       w.late,
       w.verdict,
       w.p,
       w.foremost,
       w.detail,
       w.closed_at
  FROM drift_windows w
  LEFT JOIN models m ON m.id = w.model;

CREATE VIEW v_drift_reports AS
SELECT r.id,
       m.version AS model,
       r.number,
       r.change,
       r.reported_at,
       r.sent_at,
       r.report
  FROM drift_reports r
  LEFT JOIN models m ON m.id = r.model;
