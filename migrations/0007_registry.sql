-- The registry: which models there are, which of them serves, and how that came about.

-- A row is made by an import or by the first message that a model scores; columns of the one stay empty for the other.
ALTER TABLE models
    ALTER COLUMN first_seen DROP NOT NULL, -- imported, and nothing scored yet
    ADD COLUMN bytes        bigint,
    ADD COLUMN imported_at  timestamptz,
    ADD COLUMN removed_at   timestamptz,   -- its bundle was deleted by `tidewatch model gc`
    ADD COLUMN name         text,
    ADD COLUMN parent       text,          -- version of the bundle that it was trained from
    ADD COLUMN code_version text,
    ADD COLUMN origin       text,          -- where it was imported from
    ADD COLUMN imported_by  text,
    ADD COLUMN manifest     jsonb,
    ADD CONSTRAINT models_imported_whole CHECK (
        imported_at IS NULL
        OR (bytes IS NOT NULL AND name IS NOT NULL AND code_version IS NOT NULL AND origin IS NOT NULL
            AND imported_by IS NOT NULL AND manifest IS NOT NULL));

-- What a model is to the service. Whoever changes a row locks the table, so that two never see the same state and both win.
CREATE TABLE model_aliases (
    since   timestamptz NOT NULL DEFAULT now(),
    model   integer     NOT NULL REFERENCES models,
    alias   text        PRIMARY KEY CHECK (alias IN ('champion', 'candidate', 'shadow', 'previous')),
    by_whom text        NOT NULL,
    reason  text        NOT NULL
);

-- Everything that was ever done with models; rows are only added.
CREATE TABLE deployments (
    number  bigint      GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    at      timestamptz NOT NULL DEFAULT now(),
    model   integer     NOT NULL REFERENCES models,
    before  integer     REFERENCES models, -- who had the alias until then
    what    text        NOT NULL CHECK (what IN ('import', 'promote', 'rollback', 'alias', 'unalias', 'remove')),
    alias   text,
    by_whom text        NOT NULL,
    reason  text        NOT NULL,
    detail  jsonb       NOT NULL
);

CREATE INDEX deployments_model ON deployments (model, number);

-- Which instance has which model loaded, as the instances say again and again.
CREATE TABLE serving (
    since    timestamptz NOT NULL DEFAULT now(),
    heard_at timestamptz NOT NULL DEFAULT now(),
    model    integer     NOT NULL REFERENCES models,
    instance text        NOT NULL,
    PRIMARY KEY (instance, model)
);

CREATE OR REPLACE VIEW v_models AS
SELECT m.version AS model,
       m.labels,
       m.problem,
       m.first_seen,
       m.name,
       m.parent,
       m.code_version,
       m.bytes,
       m.imported_at,
       m.imported_by,
       m.origin,
       m.removed_at,
       ARRAY(SELECT a.alias FROM model_aliases a WHERE a.model = m.id ORDER BY a.alias) AS aliases,
       m.manifest->'metrics' AS metrics
  FROM models m;

CREATE VIEW v_deployments AS
SELECT d.number,
       d.at,
       d.what,
       d.alias,
       m.version AS model,
       b.version AS before,
       d.by_whom,
       d.reason,
       d.detail
  FROM deployments d
  JOIN models m ON m.id = d.model
  LEFT JOIN models b ON b.id = d.before;

CREATE VIEW v_serving AS
SELECT s.instance,
       m.version AS model,
       s.since,
       s.heard_at
  FROM serving s
  JOIN models m ON m.id = s.model;
