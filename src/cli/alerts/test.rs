//! `tidewatch alerts test`.

use std::io::Write;

use clap::Args;
use serde_json::json;

use crate::alerts::sample;
use crate::cli::ConfigArgs;
use crate::cli::exit::{BadInput, End};
use crate::cli::model::log_sparingly;
use crate::notify;

/// Send a made-up alert to every receiver, and say whether it has arrived
///
/// It is sent once, without retries, and marked as a test. Neither Postgres nor a running service is needed.
///
/// Exit codes: 0 all have taken it; 1 at least one has not; 2 nobody is configured.
#[derive(Debug, Args)]
pub(in crate::cli) struct TestArgs {
    #[command(flatten)]
    config: ConfigArgs,
    /// Only this webhook
    #[arg(long, value_name = "NAME")]
    webhook: Option<String>,
    /// A JSON line for each receiver: `receiver`, `ok`, `fault`
    #[arg(long)]
    json: bool,
}

pub(super) fn run(args: &TestArgs) -> anyhow::Result<End> {
    let config = args.config.load()?;
    log_sparingly();
    let mut webhooks = config.webhook;
    let mut topic = config.alerts.topic;
    if let Some(name) = &args.webhook {
        webhooks.retain(|webhook| webhook.name == *name);
        topic.clear();
        if webhooks.is_empty() {
            return Err(BadInput::from(format!(
                "there is no [[webhook]] called {name} in the config"
            )));
        }
    }
    if webhooks.is_empty() && topic.is_empty() {
        return Err(BadInput::from(
            "nobody is told of alerts: add a [[webhook]] or set [alerts] topic",
        ));
    }
    let now = chrono::Utc::now().timestamp_millis();
    let runtime = tokio::runtime::Runtime::new()?;
    let told = runtime.block_on(notify::tell_once(
        &config.kafka,
        &topic,
        &webhooks,
        sample(now),
    ));
    let mut out = std::io::stdout().lock();
    for (receiver, outcome) in &told {
        let fault = outcome.as_ref().err();
        if args.json {
            let line = json!({"receiver": receiver, "ok": outcome.is_ok(), "fault": fault});
            writeln!(out, "{line}")?;
        } else {
            match fault {
                None => writeln!(out, "ok     {receiver}")?,
                Some(fault) => writeln!(out, "FAULT  {receiver}: {fault}")?,
            }
        }
    }
    Ok(if told.iter().all(|(_, outcome)| outcome.is_ok()) {
        End::Done
    } else {
        End::Failed
    })
}
