//! The configuration: built-in defaults, then a file, then the environment. Each section's type lives beside the code it
//! configures.

use std::path::{Path, PathBuf};

use figment::Figment;
use figment::providers::{Env, Format, Toml};
use serde::Deserialize;

use crate::alerts::config::AlertsConfig;
use crate::annotate::config::AnnotateConfig;
use crate::compare::config::HeldOutConfig;
use crate::drift::config::DriftConfig;
use crate::gate::config::GateConfig;
use crate::http::config::HttpConfig;
use crate::labels::config::LabelsConfig;
use crate::log::LogConfig;
use crate::model::config::ModelConfig;
use crate::notify::config::{self as notify, Webhook};
use crate::pipeline::config::{BatchConfig, InputConfig, KafkaConfig, OutputConfig};
use crate::registry::config::RegistryConfig;
use crate::retrain::config::RetrainConfig;
use crate::rollout::config::RolloutConfig;
use crate::store::config::StoreConfig;

/// All defaults, commented: the text of `config/default.toml`.
pub const DEFAULTS: &str = include_str!("../config/default.toml");

/// Variables of the environment begin with this; two underscores lead into a section.
const ENV_PREFIX: &str = "TIDEWATCH__";

/// Settings whose values are never shown.
const SECRET: [&str; 5] = [
    "kafka.client",
    "postgres.url",
    "registry.client",
    "webhook",
    "http.token",
];

/// The whole configuration.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    pub kafka: KafkaConfig,
    pub input: Vec<InputConfig>,
    pub output: OutputConfig,
    pub batch: BatchConfig,
    pub model: ModelConfig,
    pub registry: RegistryConfig,
    pub postgres: StoreConfig,
    pub drift: DriftConfig,
    pub alerts: AlertsConfig,
    #[serde(default)]
    pub webhook: Vec<Webhook>,
    pub labels: LabelsConfig,
    pub gate: GateConfig,
    pub held_out: HeldOutConfig,
    pub annotate: AnnotateConfig,
    pub retrain: RetrainConfig,
    pub rollout: RolloutConfig,
    pub http: HttpConfig,
    pub log: LogConfig,
}

/// Why there is no usable configuration.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    #[error("the config file {path} cannot be read ({source}); check the path given with --config")]
    Read {
        path: PathBuf,
        source: std::io::Error,
    },
    #[error("the config cannot be used: {0}; config/default.toml explains every setting")]
    Invalid(String),
}

impl Config {
    /// Merges the defaults, the file, if one is given, and the environment, and checks the result.
    ///
    /// # Errors
    ///
    /// The file cannot be read, a setting is unknown or of the wrong type, or a value makes no sense.
    pub fn load(file: Option<&Path>) -> Result<Self, ConfigError> {
        let mut layers = Figment::from(Toml::string(DEFAULTS));
        if let Some(path) = file {
            let text = std::fs::read_to_string(path).map_err(|source| ConfigError::Read {
                path: path.to_owned(),
                source,
            })?;
            let name = path.display().to_string();
            layers = layers.merge(NamedToml { text, name });
        }
        layers = layers.merge(Env::prefixed(ENV_PREFIX).split("__"));
        let config: Self = layers
            .extract()
            .map_err(|errors| ConfigError::Invalid(sentences(&errors)))?;
        config.check().map_err(ConfigError::Invalid)?;
        Ok(config)
    }

    /// Says which values make no sense, if any do.
    fn check(&self) -> Result<(), String> {
        self.kafka.check()?;
        self.output.check()?;
        self.batch.check()?;
        self.registry.check()?;
        self.postgres.check()?;
        self.drift.check()?;
        self.alerts.check()?;
        notify::check(&self.webhook)?;
        self.labels.check()?;
        self.gate.check().map_err(|error| error.to_string())?;
        self.held_out.check()?;
        self.annotate.check()?;
        self.http.check()?;
        self.retrain.check()?;
        if self.retrain.trigger.enabled && !self.registry.is_on() {
            return Err("[retrain.trigger] enabled needs a registry for the models that come of it: set [registry] url".to_owned());
        }
        self.rollout.check()?;
        self.log.check()?;
        if self.input.is_empty() {
            return Err("there is no [[input]]: name at least one topic to read".to_owned());
        }
        let written = [
            &self.output.results,
            &self.output.dead_letters,
            &self.drift.reports,
            &self.alerts.topic,
        ];
        for (index, input) in self.input.iter().enumerate() {
            input.check()?;
            if self.input[..index]
                .iter()
                .any(|other| other.topic == input.topic)
            {
                return Err(format!("[[input]] names the topic {} twice", input.topic));
            }
            if written.contains(&&input.topic) {
                return Err(format!(
                    "the topic {} is both an [[input]] and an output: the service would read what it writes",
                    input.topic
                ));
            }
        }
        let inputs = self.input.iter().map(|input| &input.topic);
        let mut others = inputs.chain(written);
        if !self.labels.topic.is_empty() && others.any(|topic| *topic == self.labels.topic) {
            return Err(format!(
                "[labels] topic is {}, which is an [[input]] or an [output]: labels need a topic of their own",
                self.labels.topic
            ));
        }
        if !self.labels.topic.is_empty() && !self.drift.enabled {
            return Err(
                "[labels] topic is given and [drift] enabled is false: labels are read by the watch over the feed".to_owned(),
            );
        }
        Ok(())
    }
}

/// A TOML text that errors call by its file's name.
struct NamedToml {
    text: String,
    name: String,
}

impl figment::Provider for NamedToml {
    fn metadata(&self) -> figment::Metadata {
        figment::Metadata::named(format!("the file {}", self.name))
    }

    fn data(&self) -> figment::Result<figment::value::Map<figment::Profile, figment::value::Dict>> {
        Toml::string(&self.text).data()
    }
}

/// Every fault in one line, with the setting's name and where it came from.
fn sentences(errors: &figment::Error) -> String {
    let one = |error: figment::Error| {
        let setting = error.path.join(".");
        let place = error
            .metadata
            .as_ref()
            .map(|metadata| format!(" (in {})", metadata.name))
            .unwrap_or_default();
        let fault = if SECRET.iter().any(|secret| setting.starts_with(secret)) {
            "it has the wrong form (and is not shown: it may hold a secret)".to_owned()
        } else {
            // A line that cannot be parsed is shown by its number only: it may hold a secret.
            let said = error.kind.to_string();
            let lines: Vec<&str> = said.lines().filter(|line| !is_excerpt(line)).collect();
            lines.join(" ")
        };
        if setting.is_empty() {
            format!("{fault}{place}")
        } else {
            format!("{setting}: {fault}{place}")
        }
    };
    errors
        .clone()
        .into_iter()
        .map(one)
        .collect::<Vec<_>>()
        .join("; ")
}

/// Whether a line of an error shows the text of the file: ` 3 | url = …`, `   |   ^`.
fn is_excerpt(line: &str) -> bool {
    line.trim_start_matches(|c: char| c.is_ascii_digit() || c == ' ')
        .starts_with('|')
}

#[cfg(test)]
mod tests {
    use super::*;

    fn load(text: &str) -> Result<Config, ConfigError> {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), text).unwrap();
        Config::load(Some(file.path()))
    }

    #[test]
    fn the_defaults_are_a_valid_configuration() {
        let config = Config::load(None).unwrap();
        assert_eq!(config.input.len(), 1);
        assert_eq!(config.batch.max_delay_ms, 50);
    }

    #[test]
    fn a_file_overrides_what_it_names_and_its_inputs_replace_the_default_one() {
        let config = load("[kafka]\ngroup = 'other'\n[[input]]\ntopic = 'a'\n[[input]]\ntopic = 'b'\ndecoder = 'text'").unwrap();
        assert_eq!(config.kafka.group, "other");
        assert_eq!(config.kafka.bootstrap_servers, "127.0.0.1:9092");
        let topics: Vec<&str> = config.input.iter().map(|input| &*input.topic).collect();
        assert_eq!(topics, ["a", "b"]);
    }

    #[test]
    fn every_senseless_setting_is_named_with_its_section() {
        let faults = [
            ("[kafka]\ngruop = 'x'", "gruop"),
            ("[batch]\nmax_messages = 'many'", "batch.max_messages"),
            ("[batch]\nmax_messages = 0", "max_messages"),
            ("[kafka]\nbootstrap_servers = ''", "bootstrap_servers"),
            (
                "[[input]]\ntopic = 'sentiment'",
                "both an [[input]] and an output",
            ),
            ("[[input]]\ntopic = 'a'\n[[input]]\ntopic = 'a'", "twice"),
            ("input = []", "[[input]]"),
            ("[log]\nformat = 'xml'", "format"),
            ("[labels]\ntopic = 'sentiment'", "a topic of their own"),
            (
                "[labels]\ntopic = 'labels'\n[drift]\nenabled = false",
                "by the watch",
            ),
            ("[labels.fields]\nid = ''\noffset = ''", "names its message"),
            ("[registry]\nurl = 'gs://bucket'", "[registry] url"),
            ("[registry.client]\nregoin = 'x'", "regoin"),
            ("[gate]\naccuracy_margin = 2.0", "accuracy_margin is 2"),
            ("[gate]\nfew_recent = 'pass'", "few_recent"),
            ("[held_out]\nformat = 'xlsx'", "[held_out] format"),
            ("[annotate]\nexploration = 0.0", "exploration"),
            ("[http]\ntoken = 'short'", "16 characters"),
            ("[retrain]\nmin_rows = 0", "min_rows"),
            ("[retrain.runner]\ncommand = []", "names no program"),
            ("[retrain.dataset]\nheld_out = 0.7", "held_out"),
            ("[retrain.trigger]\nenabled = true", "[registry] url"),
            ("[retrain.kubernetes]\nimage = ''", "[retrain.kubernetes]"),
            ("[[retrain.base.data]]\npath = 'x'", "format"),
            ("[rollout]\nshares = [0.5, 0.1]", "[rollout] shares"),
            ("[rollout]\nshadow_share = 1.5", "shadow_share"),
            ("not toml", "TOML"),
        ];
        for (text, words) in faults {
            let error = load(text).unwrap_err().to_string();
            assert!(error.contains(words), "{text:?}: {error}");
            assert!(!error.contains('\n'), "one line: {error}");
        }
    }

    #[test]
    fn client_options_that_would_break_a_guarantee_are_refused_by_name() {
        for option in [
            "enable.auto.commit",
            "isolation.level",
            "enable.idempotence",
            "transactional.id",
            "group.id",
        ] {
            let error = load(&format!("[kafka.client]\n\"{option}\" = 'x'"))
                .unwrap_err()
                .to_string();
            assert!(error.contains(option), "{error}");
        }
        let config = load("[kafka.client]\n\"security.protocol\" = 'ssl'").unwrap();
        assert_eq!(config.kafka.client["security.protocol"], "ssl");
    }

    #[test]
    fn no_secret_is_shown() {
        let config = load("[postgres]\nurl = 'postgres://me:s3cret@host/db'").unwrap();
        assert!(!format!("{config:?}").contains("s3cret"));
        let config = load("[kafka.client]\n'sasl.password' = 's3cret'").unwrap();
        assert!(!format!("{config:?}").contains("s3cret"));
        for wrong in [
            "[kafka]\nclient = '{sasl.password=s3cret}'",
            "[postgres]\nurl = ['postgres://me:s3cret@host/db']",
            "[[webhook]]\nname = 'a'\nurl = ['https://x/s3cret']",
            "[registry.client]\nsecret_access_key = ['s3cret']",
            "[http]\ntoken = ['s3cret']",
        ] {
            let error = load(wrong).unwrap_err().to_string();
            assert!(
                !error.contains("s3cret") && error.contains("not shown"),
                "{error}"
            );
        }
        let error = load("[[webhook]]\nurl = https://x/s3cret")
            .unwrap_err()
            .to_string();
        assert!(
            !error.contains("s3cret") && error.contains("line 2"),
            "{error}"
        );
    }
}
