//! The registry of models: against a real Postgres, in a folder and over HTTP in a stand-in for S3.

#![expect(
    clippy::unwrap_used,
    reason = "in a test, a panic with its line is the report"
)]

mod aliasing;
mod commands;
#[cfg(feature = "failpoints")]
mod crashing;
mod deriving;
mod importing;
mod measured;
mod recalibrating;
mod remote;
mod s3;
mod sweeping;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use secrecy::SecretString;
use serde_json::{Value, json};
use sqlx::PgPool;
use tempfile::TempDir;
use tidewatch::model::config::{Device, ModelConfig};
use tidewatch::model::manifest::{Bundle, MANIFEST_FILE, Manifest, sha256_of};
use tidewatch::registry::{Order, Registry, RegistryError, Taken};
use tidewatch::store::config::{StoreConfig, TextStorage};
use tidewatch::store::{Alias, Change, Loaded, Store};

use crate::harness::{SmallBundle, TestDatabase};

/// A registry over a database and a folder of its own.
struct Fixture {
    database: TestDatabase,
    store: Store,
    pool: PgPool,
    folder: TempDir,
    registry: Registry,
    /// The `[registry]` section.
    section: Value,
}

impl Fixture {
    /// With the depot in a folder.
    async fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let url = folder.path().join("depot");
        Self::with(folder, json!({"url": url})).await
    }

    /// With settings of its own.
    async fn with(folder: TempDir, settings: Value) -> Self {
        let database = TestDatabase::new().await;
        let store = Store::connect(&store_config(&database.url)).await.unwrap();
        store.migrate().await.unwrap();
        let cache = folder.path().join("cache");
        let mut section = json!({"url": "", "cache": cache, "probe_seconds": 120, "client": {}});
        for (name, value) in settings.as_object().unwrap() {
            section[name] = value.clone();
        }
        let registry = open(&section, &store).unwrap();
        Self {
            pool: database.pool().await,
            store,
            database,
            folder,
            registry,
            section,
        }
    }

    /// An instance says that it serves everything by a model.
    async fn loaded(&self, instance: &str, model: i32) {
        let loaded = Loaded {
            model,
            rollout: None,
            share: 1.0,
        };
        self.store.serving(instance, &[loaded]).await.unwrap();
    }

    fn depot(&self) -> PathBuf {
        self.folder.path().join("depot")
    }

    fn cache(&self) -> PathBuf {
        self.folder.path().join("cache")
    }

    /// What stands in the depot's folder.
    fn in_depot(&self) -> Vec<String> {
        names(&self.depot())
    }

    async fn import(&self, folder: &Path) -> Result<Taken, RegistryError> {
        let order = Order {
            folder,
            expected: None,
            origin: "a test",
            by: "tester",
        };
        self.registry.import(&order).await
    }

    /// Imports a bundle that differs from all with another temperature, and returns its version.
    async fn imported(&self, temperature: f64) -> String {
        let bundle = bundle(temperature);
        self.import(&bundle.path()).await.unwrap().version
    }

    async fn promote(&self, version: &str) -> Result<bool, RegistryError> {
        let seen = self.registry.champion().await?;
        self.registry
            .promote(version, seen.as_deref(), &by_test())
            .await
    }

    async fn holder(&self, alias: Alias) -> Option<String> {
        let aliases = self.store.aliases().await.unwrap();
        let holder = aliases.into_iter().find(|of| of.alias == alias);
        holder.map(|of| of.version)
    }

    /// Runs `tidewatch model …` with this registry's config.
    fn model(&self, arguments: &[&str]) -> Output {
        self.command(arguments).output().unwrap()
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let path = self.folder.path().join("tidewatch.toml");
        let registry: toml::Table = serde_json::from_value(self.section.clone()).unwrap();
        let text = format!(
            "[postgres]\nurl = \"{}\"\n[model]\ndevice = \"cpu\"\n{}",
            self.database.url,
            toml::to_string(&toml::Table::from_iter([(
                "registry".to_owned(),
                registry.into()
            )]))
            .unwrap(),
        );
        fs::write(&path, text).unwrap();
        let mut command = Command::new(env!("CARGO_BIN_EXE_tidewatch"));
        command
            .arg("model")
            .args(arguments)
            .arg("--config")
            .arg(path);
        command
    }
}

fn open(section: &Value, store: &Store) -> Result<Registry, RegistryError> {
    let config = serde_json::from_value(section.clone()).unwrap();
    let model = ModelConfig {
        path: PathBuf::new(),
        device: Device::Cpu,
        device_number: 0,
        threads: 1,
    };
    let registry = Registry::open(&config, &model, store.clone())?;
    Ok(registry.trying_by(env!("CARGO_BIN_EXE_tidewatch").into()))
}

fn store_config(url: &str) -> StoreConfig {
    StoreConfig {
        url: SecretString::from(url),
        max_connections: 4,
        text: TextStorage::Full,
        retention_days: 5,
        rollup_retention_days: 20,
        partitions_ahead: 2,
    }
}

fn by_test() -> Change<'static> {
    Change {
        by: "tester",
        reason: "a test",
        detail: json!({}),
        lease: None,
    }
}

fn bundle(temperature: f64) -> SmallBundle {
    SmallBundle::written(Default::default(), |manifest| {
        manifest.temperature = temperature;
    })
}

/// Changes the manifest of a bundle that stands there, so that it has another version.
fn rewrite(folder: &Path, change: impl FnOnce(&mut Manifest)) -> String {
    let mut manifest = Bundle::open(folder).unwrap().manifest;
    change(&mut manifest);
    fs::write(
        folder.join(MANIFEST_FILE),
        serde_json::to_vec(&manifest).unwrap(),
    )
    .unwrap();
    sha256_of(&folder.join(MANIFEST_FILE)).unwrap()
}

/// Puts a file into a bundle, named by its manifest with the right hash.
fn put_file(folder: &Path, name: &str, contents: &[u8]) -> String {
    fs::write(folder.join(name), contents).unwrap();
    let sha256 = sha256_of(&folder.join(name)).unwrap();
    rewrite(folder, |manifest| {
        manifest.files.insert(name.to_owned(), sha256);
    })
}

/// The names in a folder, sorted; none where there is no folder.
fn names(folder: &Path) -> Vec<String> {
    let mut names: Vec<String> = fs::read_dir(folder)
        .into_iter()
        .flatten()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    names
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).unwrap()
}
