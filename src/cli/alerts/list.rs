//! `tidewatch alerts list`.

use std::io::Write;

use chrono::{DateTime, SecondsFormat, Utc};
use clap::Args;
use serde_json::json;

use crate::alerts::Event;
use crate::alerts::payload::headline;
use crate::cli::ConfigArgs;
use crate::cli::exit::End;
use crate::cli::model::log_sparingly;
use crate::store::{PastAlert, Store};

/// List alerts, the latest first
#[derive(Debug, Args)]
pub(in crate::cli) struct ListArgs {
    #[command(flatten)]
    config: ConfigArgs,
    /// Only those that are not resolved
    #[arg(long)]
    open: bool,
    /// How many
    #[arg(long, value_name = "N", default_value = "50")]
    limit: u32,
    /// A JSON line for each alert
    #[arg(long)]
    json: bool,
}

pub(super) fn run(args: &ListArgs) -> anyhow::Result<End> {
    let config = args.config.load()?;
    log_sparingly();
    let runtime = tokio::runtime::Runtime::new()?;
    let alerts = runtime.block_on(async {
        let store = Store::connect(&config.postgres).await?;
        store.require_schema().await?;
        store.past_alerts(args.open, args.limit).await
    })?;
    let mut out = std::io::stdout().lock();
    for alert in &alerts {
        if args.json {
            let line = json!({
                "id": alert.id, "opened": alert.opened, "resolved": alert.resolved,
                "acknowledged": alert.acknowledged, "acknowledged_by": alert.acknowledged_by,
                "alert": alert.detail["alert"],
            });
            writeln!(out, "{line}")?;
        } else {
            writeln!(out, "{}", describe(alert))?;
        }
    }
    if alerts.is_empty() && !args.json {
        writeln!(out, "there are no alerts")?;
    }
    Ok(End::Done)
}

/// An alert in three lines.
fn describe(alert: &PastAlert) -> String {
    let state = match (alert.resolved, alert.acknowledged) {
        (Some(resolved), _) => format!("resolved {}", time(resolved)),
        (None, Some(_)) => format!(
            "open, {} looks after it",
            alert.acknowledged_by.as_deref().unwrap_or("somebody")
        ),
        (None, None) => "open".to_owned(),
    };
    let said = serde_json::from_value::<Event>(alert.detail.clone()).map_or_else(
        |_| "(written by another version)".to_owned(),
        |event| headline(&event.alert),
    );
    format!(
        "{}  {state}\n    {said}\n    opened {}",
        alert.id,
        time(alert.opened)
    )
}

fn time(time: DateTime<Utc>) -> String {
    time.to_rfc3339_opts(SecondsFormat::Secs, true)
}
