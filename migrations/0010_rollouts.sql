-- Rollouts: who is scored by which model while one takes over from another, and how that went.

-- One row for each rollout that was ever begun, of which at most one is under way; none is removed.
CREATE TABLE rollouts (
    id            bigint           GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    begun         timestamptz      NOT NULL DEFAULT now(),
    entered_at    timestamptz      NOT NULL, -- when the present stage began
    ended         timestamptz,
    training      bigint           REFERENCES training_runs,
    share         double precision NOT NULL CHECK (share BETWEEN 0 AND 1),        -- of the feed, that the candidate serves
    shadow_share  double precision NOT NULL CHECK (shadow_share BETWEEN 0 AND 1), -- of what the one serves, the other scores too
    champion      integer          NOT NULL REFERENCES models, -- when it was begun
    candidate     integer          NOT NULL REFERENCES models,
    passed        boolean          NOT NULL, -- whether the gate has passed the candidate, rather than left it open
    kind          text             NOT NULL CHECK (kind IN ('rollout', 'ab')),
    stage         text             NOT NULL CHECK (stage IN ('shadow', 'canary', 'full')),
    keep_together text             NOT NULL CHECK (keep_together IN ('author', 'subject')),
    salt          text             NOT NULL,
    outcome       text             CHECK (outcome IN ('promoted_and_kept', 'halted', 'rolled_back', 'cancelled')),
    reason        text             NOT NULL, -- the last sentence
    by_whom       text             NOT NULL,
    detail        jsonb            NOT NULL,
    CHECK (champion <> candidate),
    CHECK ((ended IS NULL) = (outcome IS NULL))
);

CREATE UNIQUE INDEX rollouts_under_way ON rollouts ((true)) WHERE ended IS NULL;

-- Each step of each rollout; rows are only added.
CREATE TABLE rollout_steps (
    number   bigint           GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    at       timestamptz      NOT NULL DEFAULT now(),
    rollout  bigint           NOT NULL REFERENCES rollouts,
    share    double precision NOT NULL,
    step     text             NOT NULL CHECK (step IN ('begin', 'advance', 'promote', 'halt', 'roll_back', 'finish', 'cancel')),
    stage    text             NOT NULL,
    reason   text             NOT NULL,
    evidence jsonb            NOT NULL
);

CREATE INDEX rollout_steps_rollout ON rollout_steps (rollout, number);

-- What the model that does not serve a message says of it; written and replaced with the message's row. Beside it stands what was
-- served, so that both can be compared without the row. Without foreign keys, as predictions are.
CREATE TABLE shadow_predictions (
    "offset"          bigint      NOT NULL,
    scored_at         timestamptz NOT NULL DEFAULT now(),
    rollout           bigint      NOT NULL,
    "partition"       integer     NOT NULL,
    model             integer     NOT NULL,
    confidence        real        NOT NULL,
    served            integer     NOT NULL, -- the model that serves the message
    served_confidence real        NOT NULL,
    topic             text        NOT NULL,
    label             text        NOT NULL,
    served_label      text        NOT NULL,
    probabilities     real[]      NOT NULL, -- in the order of models.labels
    PRIMARY KEY (topic, "partition", "offset")
);

-- For counting a stage's rows, and for removing old ones.
CREATE INDEX shadow_predictions_scored_at ON shadow_predictions (scored_at);

-- Rows are written in the order of this time, so a few pages of index find those of a stage.
CREATE INDEX predictions_by_time_scored ON predictions USING brin (scored_at);

-- A chunk leaves a pane for each model that has scored some of its messages in a partition.
ALTER TABLE drift_panes DROP CONSTRAINT drift_panes_pkey, ADD PRIMARY KEY (topic, "partition", first_offset, model);
ALTER TABLE drift_held DROP CONSTRAINT drift_held_pkey, ADD PRIMARY KEY (topic, "partition", first_offset, model);

-- Which rollout an instance follows, and which part of the messages it has the model score for those who read the results.
ALTER TABLE serving
    ADD COLUMN rollout bigint,
    ADD COLUMN share   double precision NOT NULL DEFAULT 1;

CREATE OR REPLACE VIEW v_serving AS
SELECT s.instance,
       m.version AS model,
       s.since,
       s.heard_at,
       s.rollout,
       s.share
  FROM serving s
  JOIN models m ON m.id = s.model;

CREATE VIEW v_rollouts AS
SELECT r.id,
       r.kind,
       r.stage,
       r.share,
       r.shadow_share,
       r.begun,
       r.entered_at,
       r.ended,
       r.outcome,
       r.reason,
       r.by_whom,
       champion.version AS champion,
       candidate.version AS candidate,
       r.passed,
       r.keep_together,
       r.training,
       r.detail
  FROM rollouts r
  JOIN models champion ON champion.id = r.champion
  JOIN models candidate ON candidate.id = r.candidate;

CREATE VIEW v_rollout_steps AS
SELECT rollout,
       number,
       at,
       step,
       stage,
       share,
       reason,
       evidence
  FROM rollout_steps;

CREATE VIEW v_shadow_predictions AS
SELECT s.topic,
       s."partition",
       s."offset",
       s.scored_at,
       s.rollout,
       m.version AS model,
       s.label,
       s.confidence,
       (SELECT jsonb_object_agg(named.label, named.probability)
          FROM unnest(m.labels, s.probabilities) AS named (label, probability)) AS probabilities,
       v.version AS served,
       s.served_label,
       s.served_confidence,
       s.label = s.served_label AS agrees
  FROM shadow_predictions s
  LEFT JOIN models m ON m.id = s.model
  LEFT JOIN models v ON v.id = s.served;
