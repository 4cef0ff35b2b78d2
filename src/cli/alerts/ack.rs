//! `tidewatch alerts ack`.

use clap::Args;

use crate::cli::ConfigArgs;
use crate::cli::exit::{BadInput, End};
use crate::cli::model::log_sparingly;
use crate::store::Store;

/// Say that somebody looks after an alert
///
/// Receivers are told no more updates of it then; that it is resolved they still hear. Acknowledging twice changes nothing.
#[derive(Debug, Args)]
pub(in crate::cli) struct AckArgs {
    /// The alert's id, as `tidewatch alerts list` shows it
    #[arg(value_name = "ID")]
    id: String,
    /// Who looks after it
    #[arg(long, value_name = "NAME", env = "USER", default_value = "unknown")]
    by: String,
    #[command(flatten)]
    config: ConfigArgs,
}

pub(super) fn run(args: &AckArgs) -> anyhow::Result<End> {
    let config = args.config.load()?;
    log_sparingly();
    let runtime = tokio::runtime::Runtime::new()?;
    let is_known = runtime.block_on(async {
        let store = Store::connect(&config.postgres).await?;
        store.require_schema().await?;
        store.acknowledge(&args.id, &args.by).await
    })?;
    if is_known {
        Ok(End::Done)
    } else {
        Err(BadInput::from(format!(
            "there is no alert {}: `tidewatch alerts list` shows those there are",
            args.id
        )))
    }
}
