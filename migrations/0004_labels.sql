-- Labels that people give to messages, and what they say of the model.

-- So that a label finds the message that it names by its id.
CREATE INDEX predictions_message_id ON predictions (message_id) WHERE message_id IS NOT NULL;

-- One row for each label: of an annotator's labels of one message the latest. The id is the order of arrival. Until its message
-- has been found (`matched`) a label waits: it may come before its message is scored.
CREATE TABLE labels (
    id          bigint      GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    received_at timestamptz NOT NULL DEFAULT now(),
    given_at    timestamptz NOT NULL,
    tried_at    timestamptz,                        -- when its message was looked for last
    "offset"    bigint,                             -- its message: as the label gives it, or as it was found by its id
    "partition" integer,
    matched     boolean     NOT NULL DEFAULT false,
    topic       text,
    message_id  text,
    annotator   text        NOT NULL,               -- '' stands for "not given"
    label       text        NOT NULL,
    sampling    text        NOT NULL CHECK (sampling IN ('random', 'uncertain')),
    CHECK (message_id IS NOT NULL OR (topic IS NOT NULL AND "partition" IS NOT NULL AND "offset" IS NOT NULL))
);

CREATE INDEX labels_waiting ON labels (tried_at NULLS FIRST, id) WHERE NOT matched;
CREATE INDEX labels_message ON labels (topic, "partition", "offset") WHERE matched;
CREATE INDEX labels_received_at ON labels (received_at);

-- One row for each message that has a label, with the prediction that was found for it: it stays when the prediction goes.
CREATE TABLE labelled_messages (
    "offset"      bigint      NOT NULL,
    first_label   bigint      NOT NULL,             -- the order of arrival: the id of the first label
    event_time    timestamptz NOT NULL,             -- as windows go by it, in whole milliseconds
    labelled_at   timestamptz NOT NULL,             -- when the latest label was given
    "partition"   integer     NOT NULL,
    model         integer     NOT NULL,
    annotators    integer     NOT NULL,
    confidence    real        NOT NULL,
    pending       boolean     NOT NULL DEFAULT true,  -- has changed since it was reckoned into what is measured
    counted       boolean     NOT NULL DEFAULT false, -- is in the sequential test, which takes each message once
    topic         text        NOT NULL,
    label         text,                             -- that most annotators gave; null: as many gave another
    predicted     text        NOT NULL,
    probabilities real[]      NOT NULL,
    sampling      text        NOT NULL CHECK (sampling IN ('random', 'uncertain')),
    message_id    text,
    source        text,
    subject       text,
    language      text,
    text          text,
    PRIMARY KEY (topic, "partition", "offset")
);

CREATE INDEX labelled_messages_pending ON labelled_messages (first_label) WHERE pending;
CREATE INDEX labelled_messages_time ON labelled_messages (model, event_time);
CREATE INDEX labelled_messages_labelled_at ON labelled_messages (labelled_at);

-- Records that are no labels, and labels that the model does not have.
CREATE TABLE rejected_labels (
    id          bigint      GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    rejected_at timestamptz NOT NULL DEFAULT now(),
    reason      text        NOT NULL,
    detail      text        NOT NULL,
    payload     bytea                               -- the beginning of the record
);

CREATE INDEX rejected_labels_rejected_at ON rejected_labels (rejected_at);

-- What the labels of a window's messages say, as they come in.
ALTER TABLE drift_windows
    ADD COLUMN labelled      bigint NOT NULL DEFAULT 0,
    ADD COLUMN correct       bigint NOT NULL DEFAULT 0,
    ADD COLUMN accuracy_low  double precision,
    ADD COLUMN accuracy_high double precision,
    ADD COLUMN agreement     text;

-- An alarm is reported again once labels tell what it means.
ALTER TABLE drift_reports DROP CONSTRAINT drift_reports_change_check;
ALTER TABLE drift_reports ADD CONSTRAINT drift_reports_change_check CHECK (change IN ('opened', 'updated', 'resolved'));

CREATE VIEW v_labels AS
SELECT l.received_at,
       l.given_at,
       nullif(l.annotator, '') AS annotator,
       l.label,
       l.sampling,
       coalesce(l.message_id, m.message_id) AS message_id,
       l.topic,
       l."partition",
       l."offset",
       m.predicted,
       m.confidence,
       l.label = m.predicted AS correct,
       m.label AS agreed,
       v.version AS model
  FROM labels l
  LEFT JOIN labelled_messages m
    ON l.matched AND m.topic = l.topic AND m."partition" = l."partition" AND m."offset" = l."offset"
  LEFT JOIN models v ON v.id = m.model;

CREATE VIEW v_labelled_messages AS
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
       v.version AS model
  FROM labelled_messages m
  LEFT JOIN models v ON v.id = m.model;

CREATE VIEW v_rejected_labels AS
SELECT rejected_at,
       reason,
       detail,
       payload
  FROM rejected_labels;

CREATE OR REPLACE VIEW v_drift_windows AS
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
       w.closed_at,
       w.labelled,
       CASE WHEN w.labelled > 0 THEN w.correct::double precision / w.labelled END AS accuracy,
       w.accuracy_low,
       w.accuracy_high,
       w.agreement
  FROM drift_windows w
  LEFT JOIN models m ON m.id = w.model;

-- Each window's sources by themselves. '' stands for "not given".
CREATE VIEW v_drift_sources AS
SELECT m.version AS model,
       w.number,
       w.started,
       w.ended,
       nullif(found.source, '') AS source,
       (found.said->>'messages')::bigint AS messages,
       (found.said->>'distinct')::bigint AS distinct_messages,
       found.said->>'verdict' AS verdict,
       (found.said->>'adjusted')::double precision AS p,
       found.said->>'foremost' AS foremost,
       found.said->>'against' AS against,
       found.said AS detail
  FROM drift_windows w
  LEFT JOIN models m ON m.id = w.model
 CROSS JOIN LATERAL jsonb_each(w.detail->'by_source') AS found (source, said);
