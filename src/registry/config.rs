//! The `[registry]` section.

use std::collections::BTreeMap;
use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use object_store::aws::AmazonS3ConfigKey;
use secrecy::SecretString;
use serde::{Deserialize, Deserializer};

/// Where bundles are kept, and how one is tried before it is taken in.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RegistryConfig {
    /// A folder, or `s3://bucket/prefix`; empty where there is no registry.
    pub url: String,
    /// The folder for bundles that were fetched from a bucket.
    pub cache: PathBuf,
    /// How long a bundle may take to load and to score a few texts.
    pub probe_seconds: u64,
    /// Options of the client for a bucket, by the names that `object_store` has for them; never logged.
    pub client: ClientOptions,
}

/// Where the bundles of a registry are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Place {
    Folder(PathBuf),
    Bucket { bucket: String, prefix: String },
}

/// Options by name. Their values may be secrets.
#[derive(Clone, Default)]
pub struct ClientOptions(BTreeMap<String, SecretString>);

impl ClientOptions {
    /// Each option with its value.
    pub(super) fn iter(&self) -> impl Iterator<Item = (&str, &SecretString)> {
        self.0.iter().map(|(name, value)| (name.as_str(), value))
    }
}

impl fmt::Debug for ClientOptions {
    /// Without the values.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.0.keys()).finish()
    }
}

impl<'de> Deserialize<'de> for ClientOptions {
    /// Values may be written as texts, numbers and truth values: from the environment they come as what they look like.
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        #[serde(untagged)]
        enum Value {
            Text(String),
            Truth(bool),
            Number(i64),
        }
        let options = BTreeMap::<String, Value>::deserialize(deserializer)?;
        let text = |value| match value {
            Value::Text(text) => text,
            Value::Truth(truth) => truth.to_string(),
            Value::Number(number) => number.to_string(),
        };
        Ok(Self(
            options
                .into_iter()
                .map(|(name, value)| (name, text(value).into()))
                .collect(),
        ))
    }
}

impl RegistryConfig {
    /// Whether there is a registry.
    #[must_use]
    pub fn is_on(&self) -> bool {
        !self.url.is_empty()
    }

    pub(super) fn probe_limit(&self) -> Duration {
        Duration::from_secs(self.probe_seconds)
    }

    /// Says what makes no sense, if anything does.
    pub(crate) fn check(&self) -> Result<(), String> {
        if self.is_on() {
            self.place()?;
        }
        if !(1..=3_600).contains(&self.probe_seconds) {
            return Err("[registry] probe_seconds must be between 1 and 3600".to_owned());
        }
        match self
            .client
            .iter()
            .find(|(name, _)| name.parse::<AmazonS3ConfigKey>().is_err())
        {
            Some((name, _)) => Err(format!(
                "[registry.client] has no option {name}: object_store's documentation lists them (AmazonS3ConfigKey)"
            )),
            None => Ok(()),
        }
    }

    /// What the URL names.
    pub(super) fn place(&self) -> Result<Place, String> {
        let Some((scheme, rest)) = self.url.split_once("://") else {
            return Ok(Place::Folder(self.url.clone().into()));
        };
        if scheme == "file" {
            return Ok(Place::Folder(rest.into()));
        }
        if scheme != "s3" {
            return Err(format!(
                "[registry] url begins with {scheme}://: it must be a folder or s3://bucket/prefix"
            ));
        }
        let (bucket, prefix) = rest.split_once('/').unwrap_or((rest, ""));
        // Anything else in a URL would be a login or an option, which belong into [registry.client].
        if bucket.is_empty() || rest.contains(['@', '?', '#']) {
            return Err(
                "[registry] url is not of the form s3://bucket/prefix; keys and options belong into [registry.client]"
                    .to_owned(),
            );
        }
        if self.cache.as_os_str().is_empty() {
            return Err(
                "[registry] cache is empty: bundles of a bucket need a folder to be fetched to"
                    .to_owned(),
            );
        }
        Ok(Place::Bucket {
            bucket: bucket.to_owned(),
            prefix: prefix.trim_matches('/').to_owned(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config(text: &str) -> RegistryConfig {
        let base = "url = ''\ncache = 'cache'\nprobe_seconds = 60\n";
        let mut table: toml::Table = toml::from_str(&format!("{base}[client]\n")).unwrap();
        table.extend(toml::from_str::<toml::Table>(text).unwrap());
        table.try_into().unwrap()
    }

    #[test]
    fn a_url_is_a_folder_or_a_bucket_with_a_prefix() {
        let place = |url: &str| config(&format!("url = '{url}'")).place();
        assert_eq!(place("a/b").unwrap(), Place::Folder("a/b".into()));
        assert_eq!(place("file:///a/b").unwrap(), Place::Folder("/a/b".into()));
        let bucket = |bucket: &str, prefix: &str| Place::Bucket {
            bucket: bucket.into(),
            prefix: prefix.into(),
        };
        assert_eq!(place("s3://b").unwrap(), bucket("b", ""));
        assert_eq!(place("s3://b/x/y/").unwrap(), bucket("b", "x/y"));
        for wrong in [
            "gs://b",
            "s3://",
            "s3://key:secret@b/x",
            "s3://b/x?region=y",
        ] {
            let said = place(wrong).unwrap_err();
            assert!(
                said.starts_with("[registry") && !said.contains("secret"),
                "{said}"
            );
        }
    }

    #[test]
    fn options_are_those_of_the_client_and_their_values_are_not_shown() {
        let config = config(
            "[client]\nsecret_access_key = 's3cret'\nallow_http = true\nendpoint = 'http://127.0.0.1:9'\ntoken = 12",
        );
        config.check().unwrap();
        let shown = format!("{config:?}");
        assert!(
            shown.contains("secret_access_key") && !shown.contains("s3cret"),
            "{shown}"
        );
        let error = self::config("[client]\nsecret_acess_key = 's3cret'")
            .check()
            .unwrap_err();
        assert!(
            error.contains("secret_acess_key") && !error.contains("s3cret"),
            "{error}"
        );
    }
}
