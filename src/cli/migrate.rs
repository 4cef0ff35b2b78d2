//! `tidewatch migrate`.

use anyhow::Context;
use chrono::Utc;
use clap::Args;

use super::ConfigArgs;
use super::exit::End;
use super::model::log_sparingly;
use crate::store::Store;

/// Bring the database's schema up to date
///
/// Creates what is missing, keeps what is there, and makes the daily partitions. Safe to run again, from several places at
/// once, and beside running instances. The role of [postgres] url must be allowed to create tables, and owns them from then
/// on.
#[derive(Debug, Args)]
pub(super) struct MigrateArgs {
    #[command(flatten)]
    config: ConfigArgs,
}

pub(super) fn run(args: MigrateArgs) -> anyhow::Result<End> {
    let config = args.config.load()?;
    log_sparingly();
    let runtime = tokio::runtime::Runtime::new().context("the runtime cannot be started")?;
    runtime.block_on(async {
        let store = Store::connect(&config.postgres).await?;
        store.migrate().await?;
        let done = store.maintain(Utc::now()).await?;
        println!(
            "{}: the schema is up to date ({} daily partitions made, {} dropped)",
            store.target(),
            done.partitions_made,
            done.partitions_dropped
        );
        store.close().await;
        Ok(End::Done)
    })
}
