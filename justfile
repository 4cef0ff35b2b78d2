# The common commands: `just` lists them. Each is a script that works without just as well.

_list:
    @just --list --unsorted

# Get what the demo and the tests need (idempotent)
setup *ARGS:
    scripts/setup {{ARGS}}

# The main job on an embedded default: `just demo`
demo *ARGS:
    scripts/demo {{ARGS}}

# Every test, against real Kafka and Postgres: `just test --test it`
test *ARGS:
    scripts/test {{ARGS}}

# Type-check everything
check:
    SQLX_OFFLINE=true cargo check --locked --all-targets

# Format, then lint as CI does
lint:
    cargo fmt --all
    SQLX_OFFLINE=true cargo clippy --locked --all-targets -- -D warnings

# Record the checked SQL queries after a change of one, or of a migration
sqlx:
    scripts/sqlx-prepare

# All that CI runs
ci:
    .ci/run
