//! `tidewatch check`.

mod kafka;
mod report;

use anyhow::Context;
use clap::Args;
use tokio::task::spawn_blocking;

use self::report::{Line, Report};
use super::ConfigArgs;
use super::exit::End;
use super::model::log_sparingly;
use crate::alerts::AlertsConfig;
use crate::config::Config;
use crate::model::config::ModelConfig;
use crate::model::scorer::Scorer;
use crate::registry;
use crate::registry::config::RegistryConfig;
use crate::store::Store;
use crate::store::config::StoreConfig;

/// Check config, connections, topics, permissions, schema and model without consuming anything
///
/// Says of each part whether the service can work with it, and of each fault what to do. It reads no message, commits
/// nothing, and disturbs no instance that runs: it never joins the group, and opens its transaction under an id of its own.
/// Whether a topic may be written is not asked, since only writing would tell.
///
/// Exit codes: 0 no fault (warnings do not count); 1 at least one fault.
#[derive(Debug, Args)]
pub(super) struct CheckArgs {
    #[command(flatten)]
    config: ConfigArgs,
    /// Print one JSON line: `ok`, and `checks` with `part`, `state` (ok, warning, fault) and `text`
    #[arg(long)]
    json: bool,
}

pub(super) fn run(args: CheckArgs) -> anyhow::Result<End> {
    log_sparingly();
    let mut report = Report::default();
    match args.config.load() {
        Ok(config) => {
            report.add([Line::ok("config", "every setting is known and makes sense")]);
            let runtime =
                tokio::runtime::Runtime::new().context("the runtime cannot be started")?;
            runtime.block_on(ask(config, &mut report))?;
        }
        Err(error) => report.add([Line::fault("config", error)]),
    }
    report.print(args.json);
    Ok(if report.is_ok() {
        End::Done
    } else {
        End::Failed
    })
}

/// Asks all parts at once, since each may keep us waiting until its time is up.
async fn ask(config: Config, report: &mut Report) -> anyhow::Result<()> {
    let model = {
        let (model, alerts) = (config.model.clone(), config.alerts.clone());
        spawn_blocking(move || check_model(&model, &alerts))
    };
    let postgres = {
        let postgres = config.postgres.clone();
        tokio::spawn(async move { check_postgres(&postgres).await })
    };
    let depot = {
        let registry = config.registry.clone();
        tokio::spawn(async move { check_registry(&registry).await })
    };
    let kafka = spawn_blocking(move || kafka::check(&config));
    report.add(model.await.context("the model's check panicked")?);
    report.add(depot.await.context("the registry's check panicked")?);
    report.add(kafka.await.context("Kafka's check panicked")?);
    report.add(postgres.await.context("Postgres's check panicked")?);
    Ok(())
}

/// Loads the model as the service would, and scores a text.
fn check_model(config: &ModelConfig, alerts: &AlertsConfig) -> Vec<Line> {
    let mut scorer = match Scorer::open(&config.path, config) {
        Ok(scorer) => scorer,
        Err(error) => return vec![Line::fault("model", error)],
    };
    let mut lines = vec![score_once(&mut scorer, config)];
    let labels = &scorer.version().labels;
    let unfit = alerts
        .rule
        .iter()
        .filter_map(|rule| rule.fits(labels).err());
    if alerts.enabled {
        lines.extend(unfit.map(|unfit| Line::warning("alerts", unfit)));
    }
    lines
}

fn score_once(scorer: &mut Scorer, config: &ModelConfig) -> Line {
    let scored = scorer.score(&["so good"], 64);
    let version = scorer.version();
    match scored.map(|mut results| results.pop().map(|(_, prediction)| prediction)) {
        Ok(Some(Ok(_))) => Line::ok(
            "model",
            format!(
                "{}: {} on {}, labels {}",
                config.path.display(),
                &version.version[..version.version.len().min(12)],
                scorer.device(),
                version.labels.join(", ")
            ),
        ),
        Ok(Some(Err(error))) => {
            Line::fault("model", format!("the model fails on a plain text: {error}"))
        }
        Ok(None) => Line::fault("model", "the model gives no result"),
        Err(error) => Line::fault("model", error),
    }
}

/// Looks into the depot, where there is one. Whether it may be written is not asked, since only writing would tell.
async fn check_registry(config: &RegistryConfig) -> Option<Line> {
    if !config.is_on() {
        return None;
    }
    let part = "registry";
    Some(match registry::look(config).await {
        Ok((address, bundles)) => Line::ok(part, format!("{address}: {bundles} bundles")),
        Err(error) => Line::fault(part, error),
    })
}

async fn check_postgres(config: &StoreConfig) -> Vec<Line> {
    let part = "postgres";
    let store = match Store::connect(config).await {
        Ok(store) => store,
        Err(error) => return vec![Line::fault(part, error)],
    };
    let found = match store.check().await {
        Ok(found) => found,
        Err(error) => return vec![Line::fault(part, error)],
    };
    store.close().await;
    let mut lines: Vec<Line> = Vec::new();
    if found.faults.is_empty() {
        lines.push(Line::ok(
            part,
            format!(
                "{}: the schema is this version's, and the role has every right it needs",
                store.target()
            ),
        ));
    }
    lines.extend(
        found
            .faults
            .into_iter()
            .map(|fault| Line::fault(part, fault)),
    );
    lines.extend(
        found
            .warnings
            .into_iter()
            .map(|warning| Line::warning(part, warning)),
    );
    lines
}
