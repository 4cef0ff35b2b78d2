-- What Tidewatch keeps in Postgres. Dashboards read the views of 0002, not these tables.

-- Each model that has scored something. `version` is the hash of the model bundle's manifest.
-- Predictions refer to it without a foreign key: a row here is never removed, and the check would cost
-- more than the insert.
CREATE TABLE models (
    id         integer GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    version    text NOT NULL UNIQUE,
    labels     text[] NOT NULL,
    problem    text NOT NULL CHECK (problem IN ('single_label', 'multi_label')),
    first_seen timestamptz NOT NULL DEFAULT now()
);

-- The fence. Whoever is assigned a partition raises its epoch first; a chunk is written under a lock on the
-- rows of its partitions, and only if they still hold the epochs that its writer was given.
-- `next_offset`: every offset ever written here is below it, so a chunk that begins at or above it replaces nothing.
-- Room is left in each page because the row is updated with every chunk.
CREATE TABLE partition_epochs (
    topic       text    NOT NULL,
    "partition" integer NOT NULL,
    epoch       bigint  NOT NULL,
    next_offset bigint  NOT NULL DEFAULT 0,
    claimed_by  text    NOT NULL,
    claimed_at  timestamptz NOT NULL,
    PRIMARY KEY (topic, "partition")
) WITH (fillfactor = 20);

-- One row for each scored message. Partitioned by Kafka's own timestamp of the message, which cannot change when
-- it is delivered again; the partition key must be part of the primary key. Columns are ordered by alignment.
CREATE TABLE predictions (
    "offset"      bigint      NOT NULL,
    kafka_time    timestamptz NOT NULL,
    event_time    timestamptz NOT NULL,
    scored_at     timestamptz NOT NULL DEFAULT now(),
    "partition"   integer     NOT NULL,
    model         integer     NOT NULL,
    tokens        integer     NOT NULL,
    confidence    real        NOT NULL,
    truncated     boolean     NOT NULL,
    topic         text        NOT NULL,
    label         text        NOT NULL,
    probabilities real[]      NOT NULL, -- in the order of models.labels
    message_id    text,
    source        text,
    subject       text,
    author        text,
    language      text,
    text          text,                 -- with text = "full"
    text_sha256   bytea,                -- with text = "hash"
    PRIMARY KEY (topic, "partition", "offset", kafka_time)
) PARTITION BY RANGE (kafka_time);

CREATE INDEX predictions_event_time ON predictions (event_time);

-- Whatever lies outside the kept window: a wild timestamp must not create a table.
-- Its rows go by when they were written, since their own time says nothing.
CREATE TABLE predictions_default PARTITION OF predictions DEFAULT;
CREATE INDEX predictions_default_scored_at ON predictions_default (scored_at);

-- One row for each message that could not be scored.
CREATE TABLE dead_letters (
    "offset"       bigint      NOT NULL,
    kafka_time     timestamptz NOT NULL,
    dead_at        timestamptz NOT NULL DEFAULT now(),
    payload_bytes  bigint      NOT NULL, -- length of the original value; 0 for a tombstone
    "partition"    integer     NOT NULL,
    topic          text        NOT NULL,
    reason         text        NOT NULL,
    detail         text        NOT NULL,
    key            bytea,
    payload        bytea,                -- the original value, or its beginning; only with text = "full"
    payload_sha256 bytea,                -- of the whole value; with text = "full" or "hash"
    PRIMARY KEY (topic, "partition", "offset", kafka_time)
) PARTITION BY RANGE (kafka_time);

CREATE TABLE dead_letters_default PARTITION OF dead_letters DEFAULT;
CREATE INDEX dead_letters_default_dead_at ON dead_letters_default (dead_at);

-- Predictions per minute of event time; kept exact when a message is delivered again. '' stands for "not given".
CREATE TABLE sentiment_minute (
    minute     timestamptz NOT NULL,
    messages   bigint      NOT NULL,
    updated_at timestamptz NOT NULL DEFAULT now(),
    source     text        NOT NULL,
    subject    text        NOT NULL,
    label      text        NOT NULL,
    PRIMARY KEY (minute, source, subject, label)
) WITH (fillfactor = 80);
