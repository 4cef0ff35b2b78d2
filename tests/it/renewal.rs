//! `tidewatch retrain`: from labelled messages in a real Postgres to a candidate, by the real `tidewatch-finetune`.

#![expect(
    clippy::unwrap_used,
    reason = "in a test, a panic with its line is the report"
)]

mod interrupted;
mod refusals;
mod trained;

use std::fmt::Write as _;
use std::path::PathBuf;
use std::process::{Command, Output};

use secrecy::SecretString;
use serde_json::{Value, json};
use sqlx::PgPool;
use tidewatch::model::config::{Device, ModelConfig};
use tidewatch::model::manifest::Bundle;
use tidewatch::registry::{Order, Registry};
use tidewatch::store::config::{StoreConfig, TextStorage};
use tidewatch::store::{Alias, Change, Store, TrainingRun};

use crate::finetune::workshop::{RECIPE, Workshop};
use crate::harness::TestDatabase;

/// A deployment with a champion that was trained in the workshop.
pub(crate) struct Fixture {
    pub(crate) workshop: Workshop,
    pub(crate) database: TestDatabase,
    pub(crate) store: Store,
    pool: PgPool,
    pub(crate) registry: Registry,
    /// Version of the champion.
    pub(crate) champion: String,
}

impl Fixture {
    /// The champion's bundle holds its weights, or does not.
    pub(crate) async fn new(with_weights: bool) -> Self {
        let workshop = Workshop::new();
        workshop.write("train.tsv", &base(0..120));
        workshop.write("later.tsv", &base(120..160));
        let output = format!("\n[output]\ntraining_weights = {with_weights}\n");
        workshop.write("recipe.toml", &(RECIPE.to_owned() + &output));
        workshop.succeed(&["--out", "champion", "--epochs", "1"]);
        let database = TestDatabase::new().await;
        let store = Store::connect(&StoreConfig {
            url: SecretString::from(&*database.url),
            max_connections: 4,
            text: TextStorage::Full,
            retention_days: 5,
            rollup_retention_days: 20,
            partitions_ahead: 2,
        })
        .await
        .unwrap();
        store.migrate().await.unwrap();
        let section = json!({
            "url": workshop.path("depot"), "cache": workshop.path("cache"), "probe_seconds": 120, "client": {},
        });
        let model = ModelConfig {
            path: PathBuf::new(),
            device: Device::Cpu,
            device_number: 0,
            threads: 1,
        };
        let section = serde_json::from_value(section).unwrap();
        let registry = Registry::open(&section, &model, store.clone()).unwrap();
        let registry = registry.trying_by(env!("CARGO_BIN_EXE_tidewatch").into());
        let order = Order {
            folder: &workshop.path("champion"),
            expected: None,
            origin: "a test",
            by: "tester",
        };
        let champion = registry.import(&order).await.unwrap().version;
        let change = Change {
            by: "tester",
            reason: "a test",
            detail: json!({}),
            lease: None,
        };
        assert!(registry.promote(&champion, None, &change).await.unwrap());
        Self {
            pool: database.pool().await,
            workshop,
            database,
            store,
            registry,
            champion,
        }
    }

    /// `tidewatch retrain …` with settings for the sections `[retrain]`, `[retrain.base]` and `[retrain.dataset]`.
    fn command(&self, arguments: &[&str], [retrain, base, dataset]: [&str; 3]) -> Command {
        let text = format!(
            "[postgres]\nurl = {:?}\n[model]\ndevice = \"cpu\"\n[registry]\nurl = {:?}\n\
             [retrain]\nfolder = {:?}\n{retrain}\n[retrain.base]\n{base}\n[retrain.dataset]\n{dataset}\n\
             [retrain.runner]\ncommand = [{:?}, \"--recipe\", \"{{recipe}}\", \"--data\", \"{{folder}}\", \"--out\", \"{{bundle}}\", \
             \"--resume\", \"--json\", \"--save-every\", \"0\"]\n",
            self.database.url,
            self.workshop.path("depot"),
            self.workshop.path("trainings"),
            env!("CARGO_BIN_EXE_tidewatch-finetune"),
        );
        self.workshop.write("tidewatch.toml", &text);
        let mut command = Command::new(env!("CARGO_BIN_EXE_tidewatch"));
        command
            .current_dir(self.workshop.path(""))
            .arg("retrain")
            .args(arguments)
            .args(["--config", "tidewatch.toml"]);
        command
    }

    /// A training with the workshop's recipe and data as the base.
    fn training(&self, arguments: &[&str], epochs: u32) -> Command {
        let epochs = format!("epochs = {epochs}");
        let base = "recipe = \"recipe.toml\"";
        let arguments = [&["run", "--by", "ann"], arguments].concat();
        self.command(&arguments, ["min_rows = 20", base, &epochs])
    }

    /// Messages with their ids from this span, labelled by one annotator.
    pub(crate) async fn label(&self, ids: std::ops::Range<usize>) {
        for id in ids {
            let (text, label) = (text("feed", id), LABELS[id % 2]);
            self.put(id, &text, &[("ann", label)]).await;
        }
    }

    /// A labelled message as the watch leaves it.
    pub(crate) async fn put(&self, id: usize, text: &str, votes: &[(&str, &str)]) {
        let offset = i64::try_from(id).unwrap();
        let mut first = None;
        for (annotator, label) in votes {
            let number: i64 = sqlx::query_scalar(
                "INSERT INTO labels (topic, \"partition\", \"offset\", matched, label, annotator, sampling, given_at)
                 VALUES ('posts', 0, $1, true, $2, $3, 'random', now()) RETURNING id",
            )
            .bind(offset)
            .bind(label)
            .bind(annotator)
            .fetch_one(&self.pool)
            .await
            .unwrap();
            first.get_or_insert(number);
        }
        sqlx::query(
            "INSERT INTO labelled_messages (topic, \"partition\", \"offset\", first_label, event_time, labelled_at, model,
                                            annotators, confidence, predicted, probabilities, sampling, message_id, label, text)
             VALUES ('posts', 0, $1, $2, '2026-11-20T00:00:00Z'::timestamptz + make_interval(mins => $1::integer), now(), 1,
                     1, 0.5, 'positive', '{0.5,0.5}', 'random', $3, $4, $5)",
        )
        .bind(offset)
        .bind(first)
        .bind(format!("id-{id}"))
        .bind(votes[0].1)
        .bind(text)
        .execute(&self.pool)
        .await
        .unwrap();
    }

    pub(crate) async fn runs(&self) -> Vec<TrainingRun> {
        self.store.trainings().await.unwrap()
    }

    pub(crate) async fn candidate(&self) -> Option<String> {
        let aliases = self.store.aliases().await.unwrap();
        let holder = aliases.into_iter().find(|of| of.alias == Alias::Candidate);
        holder.map(|of| of.version)
    }

    /// The folder of the only training.
    fn folder(&self) -> PathBuf {
        let mut entries = std::fs::read_dir(self.workshop.path("trainings")).unwrap();
        let folder = entries.next().unwrap().unwrap().path();
        assert!(entries.next().is_none());
        folder
    }

    /// What `tidewatch-finetune` makes of that folder in one go.
    fn in_one_go(&self) -> String {
        let folder = self.folder();
        let whole = self.workshop.path("whole");
        let output = Command::new(env!("CARGO_BIN_EXE_tidewatch-finetune"))
            .args(["--recipe".into(), folder.join("recipe.toml")])
            .args(["--data".into(), folder])
            .args(["--out".into(), whole.clone()])
            .output()
            .unwrap();
        assert!(output.status.success(), "{}", said(&output));
        Bundle::open(whole).unwrap().version
    }
}

pub(crate) const LABELS: [&str; 2] = ["negative", "positive"];

/// A text unlike all others, whose label says whether it holds "good" or "bad".
pub(crate) fn text(kind: &str, id: usize) -> String {
    let word = ["bad", "good"][id % 2];
    let letter = |place: u32| char::from(b'a' + (id / 26_usize.pow(place) % 26) as u8);
    let name: String = (0..3).map(letter).collect();
    format!("the {kind}{name} film was so {word}")
}

fn base(ids: std::ops::Range<usize>) -> String {
    let mut lines = String::new();
    for id in ids {
        let _ = writeln!(lines, "{id}\t{}\t{}", id % 2, text("base", id));
    }
    lines
}

fn lines(bytes: &[u8]) -> Vec<Value> {
    let text = String::from_utf8(bytes.to_vec()).unwrap();
    text.lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect()
}

fn event<'a>(events: &'a [Value], name: &str) -> &'a Value {
    let found = events.iter().rfind(|event| event["event"] == name);
    found.unwrap_or_else(|| panic!("no event {name} among {events:#?}"))
}

fn said(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}
