//! Models that take over from each other while messages flow.

#![expect(
    clippy::unwrap_used,
    reason = "in a test, a panic with its line is the report"
)]

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::process::{Command, Output};
use std::time::Duration;

use tempfile::TempDir;
use tidewatch::model::manifest::Bundle;

use crate::harness::{
    Entry, Kafka, Ledger, Service, ServiceConfig, SmallBundle, TestDatabase, eventually,
};
use crate::recovery::{assert_rollups, posts, wait_committed};

/// Room for a slow machine; nothing waits for it to pass.
pub(crate) const LONG: Duration = Duration::from_secs(300);
/// So that the group notices a killed member soon, and chunks are many.
const MORE: &str = "[kafka.client]\n\"session.timeout.ms\" = \"6000\"\n\"heartbeat.interval.ms\" = \"500\"\n\
                    [batch]\nmax_messages = 16\nmax_delay_ms = 5\n";

/// A deployment with a registry, and two models for it that differ in their temperature.
pub(crate) struct Fixture {
    pub(crate) kafka: Kafka,
    pub(crate) database: TestDatabase,
    pub(crate) config: ServiceConfig,
    pub(crate) first: SmallBundle,
    pub(crate) second: SmallBundle,
    /// Holds the depot.
    folder: TempDir,
}

impl Fixture {
    async fn new() -> Self {
        Self::with("").await
    }

    /// With further settings.
    pub(crate) async fn with(more: &str) -> Self {
        let (kafka, database) = (Kafka::new(2).await, TestDatabase::new().await);
        let folder = tempfile::tempdir().unwrap();
        let [first, second] = [1.5, 2.5].map(|temperature| {
            SmallBundle::written(Default::default(), |manifest| {
                manifest.temperature = temperature;
            })
        });
        let depot = folder.path().join("depot");
        let more = format!("{MORE}[registry]\nurl = \"{}\"\n{more}", depot.display());
        let config = ServiceConfig::with_model(&kafka, &database, &first.path(), "", &more);
        config.migrate();
        Self {
            kafka,
            database,
            config,
            first,
            second,
            folder,
        }
    }

    /// Runs `tidewatch model …`, which must end well.
    pub(crate) fn model(&self, arguments: &[&str]) {
        self.command("model", arguments);
    }

    /// Runs a command with its subcommand, which must end well; what it says.
    pub(crate) fn command(&self, command: &str, arguments: &[&str]) -> String {
        let output = self.run(command, arguments);
        assert!(
            output.status.success(),
            "{command} {arguments:?}: {}",
            String::from_utf8_lossy(&output.stderr)
        );
        String::from_utf8(output.stdout).unwrap()
    }

    /// The same, however it ends.
    pub(crate) fn run(&self, command: &str, arguments: &[&str]) -> Output {
        Command::new(env!("CARGO_BIN_EXE_tidewatch"))
            .arg(command)
            .args(arguments)
            .arg("--config")
            .arg(self.config.path())
            .output()
            .unwrap()
    }

    pub(crate) fn import(&self, bundle: &SmallBundle) -> String {
        self.model(&["import", bundle.path().to_str().unwrap()]);
        version(&bundle.path())
    }
}

pub(crate) fn version(folder: &Path) -> String {
    Bundle::open(folder).unwrap().version
}

/// How many swaps there are. More than in every run of the tests show whether memory comes back:
/// `TIDEWATCH_SWAPS=100 scripts/test --test it models_take_over -- --nocapture`.
fn swaps() -> usize {
    std::env::var("TIDEWATCH_SWAPS").map_or(6, |swaps| swaps.parse().unwrap())
}

/// Waits until the service says that this model serves.
pub(crate) fn wait_serving(service: &Service, version: &str) {
    eventually("the model to serve", LONG, || {
        let (_, metrics) = service.get("/metrics")?;
        let line = metrics
            .lines()
            .find(|line| line.starts_with("tidewatch_model_info{"))?;
        line.contains(version).then_some(())
    });
}

/// How many messages each model has scored, by both sides, which agree.
fn by_model(ledger: &Ledger) -> BTreeMap<String, usize> {
    let mut models = BTreeMap::new();
    for entry in ledger.postgres.values() {
        if let Entry::Scored { model, .. } = entry {
            *models.entry(model.clone()).or_default() += 1;
        }
    }
    models
}

#[tokio::test(flavor = "multi_thread")]
async fn models_take_over_from_each_other_under_load_and_kills_and_each_message_names_the_one_that_scored_it()
 {
    let fixture = Fixture::new().await;
    let kafka = &fixture.kafka;
    let mut services = [fixture.config.start("one"), fixture.config.start("two")];
    services.iter_mut().for_each(Service::wait_ready);
    let versions = [
        version(&fixture.first.path()),
        fixture.import(&fixture.second),
    ];
    wait_serving(&services[0], &versions[0]);
    let mut sent = 0;
    let swaps = swaps();
    for swap in 1..=swaps {
        // The load is under way when the other model takes over, and when a service dies.
        sent += kafka.send(posts(400));
        let next = &versions[swap % 2];
        fixture.model(&["promote", next, "--reason", "a test"]);
        if swap % 2 == 0 {
            services[1].kill();
            services[1] = fixture.config.start("two");
        }
        for service in &mut services {
            service.wait_ready();
            wait_serving(service, next);
        }
        sent += kafka.send(posts(100));
        wait_committed(kafka, i64::try_from(sent).unwrap());
        if swap % 10 == 0 {
            let mebibytes = services[0].resident_bytes() >> 20;
            eprintln!("{swap} swaps: the instance that lives on has {mebibytes} MiB");
        }
    }
    let ledger = Ledger::read(kafka, &fixture.database).await;
    ledger.assert_balanced(sent);
    assert_rollups(&fixture.database).await;
    let scored = by_model(&ledger);
    let models: BTreeSet<&String> = scored.keys().collect();
    assert_eq!(models, versions.iter().collect(), "{scored:?}");
    // After each swap at least these 100 less the unusable ones were scored by the new one.
    assert!(
        scored.values().all(|&messages| messages >= swaps / 2 * 95),
        "{scored:?}"
    );
    assert!(
        services
            .iter_mut()
            .all(|service| service.terminate().success())
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_champion_that_cannot_be_loaded_changes_nothing_until_it_can() {
    let fixture = Fixture::new().await;
    let mut service = fixture.config.start("one");
    service.wait_ready();
    let first = version(&fixture.first.path());
    let second = fixture.import(&fixture.second);
    let depot = fixture.folder.path().join("depot").join(&second);
    let (file, aside) = (
        depot.join("model.onnx"),
        fixture.folder.path().join("aside"),
    );
    // Promoted whole, and damaged before this instance has taken it: only so can a damaged one be the champion.
    service.signal("STOP");
    fixture.model(&["promote", &second]);
    std::fs::rename(&file, &aside).unwrap();
    service.signal("CONT");
    let failed = || {
        service.get("/metrics")?.1.lines().find_map(|line| {
            let count = line.strip_prefix("tidewatch_model_swaps_total{end=\"failed\"} ")?;
            (count != "0").then_some(())
        })
    };
    eventually("the swap to fail", LONG, failed);
    wait_serving(&service, &first);
    let sent = fixture.kafka.send(posts(100));
    wait_committed(&fixture.kafka, 100);
    assert!(
        service
            .log()
            .contains("cannot serve here, and what serves goes on")
    );
    std::fs::rename(&aside, &file).unwrap();
    wait_serving(&service, &second);
    let ledger = Ledger::read(&fixture.kafka, &fixture.database).await;
    ledger.assert_balanced(sent);
    assert_eq!(by_model(&ledger).into_keys().collect::<Vec<_>>(), [first]);
    assert!(service.terminate().success());
}
