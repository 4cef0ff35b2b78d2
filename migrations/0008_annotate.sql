-- Messages that people are asked to label, and with what probability each was picked.
CREATE TABLE annotation_queue (
    "offset"      bigint           NOT NULL,
    picked_at     timestamptz      NOT NULL DEFAULT now(),
    random        double precision NOT NULL,        -- the chance to be picked by the coin of the random slice
    uncertain     double precision NOT NULL,        -- the chance to be picked for its uncertainty
    margin        double precision NOT NULL,        -- between the two likeliest labels
    claimed_until timestamptz,                      -- until then nobody else is given it
    settled_at    timestamptz,                      -- when it was labelled or skipped
    "partition"   integer          NOT NULL,
    model         integer          NOT NULL,
    topic         text             NOT NULL,
    sampling      text             NOT NULL CHECK (sampling IN ('random', 'uncertain')),
    state         text             NOT NULL DEFAULT 'open' CHECK (state IN ('open', 'labelled', 'skipped')),
    claimed_by    text,                             -- '' stands for "not given"
    PRIMARY KEY (topic, "partition", "offset")
);

CREATE INDEX annotation_queue_open ON annotation_queue (picked_at, topic, "partition", "offset") WHERE state = 'open';
CREATE INDEX annotation_queue_picked_at ON annotation_queue (picked_at);

-- How many are to be picked, and how many were; one row.
CREATE TABLE annotation_pace (
    single  boolean PRIMARY KEY DEFAULT true CHECK (single),
    payload jsonb   NOT NULL
);

-- The probability with which the message was picked to be labelled; null where it was not picked. The author by its hash, so
-- that messages of one author can be kept together.
ALTER TABLE labelled_messages
    ADD COLUMN inclusion     double precision,
    ADD COLUMN author_sha256 bytea;

-- So that a label is seen to be a duplicate of one that waits.
CREATE INDEX labels_waiting_place ON labels (topic, "partition", "offset") WHERE NOT matched;
CREATE INDEX labels_waiting_id ON labels (message_id) WHERE NOT matched AND message_id IS NOT NULL;

CREATE VIEW v_annotations AS
SELECT q.topic,
       q."partition",
       q."offset",
       q.picked_at,
       q.sampling,
       q.random,
       q.uncertain,
       1 - (1 - q.random) * (1 - q.uncertain) AS inclusion,
       q.margin,
       CASE WHEN q.state = 'open' AND q.claimed_until > now() THEN 'claimed' ELSE q.state END AS state,
       nullif(q.claimed_by, '') AS claimed_by,
       q.claimed_until,
       q.settled_at,
       m.version AS model
  FROM annotation_queue q
  LEFT JOIN models m ON m.id = q.model;

CREATE OR REPLACE VIEW v_labelled_messages AS
SELECT m.topic,
       m."partition",
       m."offset",
       m.event_time,
       m.labelled_at,
       m.message_id,
       m.source,
       m.subject,
       m.language,
       m.text,
       m.label,
       m.annotators,
       m.sampling,
       m.predicted,
       m.confidence,
       m.label = m.predicted AS correct,
       v.version AS model,
       m.inclusion
  FROM labelled_messages m
  LEFT JOIN models v ON v.id = m.model;
