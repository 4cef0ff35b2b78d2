-- The read-only contract for dashboards (docs/dashboards.md). Views run with their owner's rights, so a role that may
-- read them needs none on the tables; columns are added at the end and never change their meaning.

CREATE VIEW v_predictions AS
SELECT p.topic,
       p."partition",
       p."offset",
       p.kafka_time,
       p.event_time,
       p.scored_at,
       p.message_id,
       p.source,
       p.subject,
       p.author,
       p.language,
       p.text,
       encode(p.text_sha256, 'hex') AS text_sha256,
       p.label,
       p.confidence,
       (SELECT jsonb_object_agg(named.label, named.probability)
          FROM unnest(m.labels, p.probabilities) AS named (label, probability)) AS probabilities,
       p.tokens,
       p.truncated,
       m.version AS model
  FROM predictions p
  LEFT JOIN models m ON m.id = p.model;

CREATE VIEW v_sentiment_minute AS
SELECT minute,
       nullif(source, '')  AS source,
       nullif(subject, '') AS subject,
       label,
       messages
  FROM sentiment_minute;

CREATE VIEW v_dead_letters AS
SELECT topic,
       "partition",
       "offset",
       kafka_time,
       dead_at,
       reason,
       detail,
       key,
       payload,
       payload_bytes,
       encode(payload_sha256, 'hex') AS payload_sha256
  FROM dead_letters;

CREATE VIEW v_models AS
SELECT version AS model,
       labels,
       problem,
       first_seen
  FROM models;

CREATE VIEW v_partitions AS
SELECT topic,
       "partition",
       epoch,
       next_offset,
       claimed_by,
       claimed_at
  FROM partition_epochs;
