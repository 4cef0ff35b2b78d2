//! The `[[webhook]]` sections.

use secrecy::{ExposeSecret, SecretString};
use serde::{Deserialize, Serialize};

/// What a notice tells of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// A sentiment alert was opened, updated or resolved.
    Alert,
    /// A drift alarm was opened or resolved, or labels tell more of it.
    Drift,
    /// A model was trained, judged, rolled out, promoted or taken back.
    Model,
}

impl Kind {
    /// As it stands in the tables.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Alert => "alert",
            Self::Drift => "drift",
            Self::Model => "model",
        }
    }
}

/// What a webhook's receiver understands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Format {
    /// The notice as JSON.
    Generic,
    /// Slack's incoming webhooks, and what is compatible with them.
    Slack,
    /// Alertmanager's API v2.
    Alertmanager,
}

/// Whom to tell by HTTP.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Webhook {
    /// Unique; what is still to be delivered is known by it.
    pub name: String,
    /// Often a secret by itself, so it is never shown. Empty: there is a command.
    #[serde(default)]
    pub url: SecretString,
    /// A program and its arguments, to be run with the notice on its standard input instead of sending it anywhere.
    #[serde(default)]
    pub command: Vec<String>,
    #[serde(default = "generic")]
    pub format: Format,
    /// What it is told of.
    #[serde(default = "everything")]
    pub events: Vec<Kind>,
    /// The key of the signature; empty signs nothing.
    #[serde(default)]
    pub secret: SecretString,
    /// How long an answer may take.
    #[serde(default = "timeout_seconds")]
    pub timeout_seconds: u32,
    /// For how long it is tried.
    #[serde(default = "give_up_hours")]
    pub give_up_hours: u32,
    /// Whether an attempt whose outcome is not known is repeated: then the receiver may hear of one change twice.
    #[serde(default)]
    pub repeat_in_doubt: bool,
}

fn generic() -> Format {
    Format::Generic
}

fn everything() -> Vec<Kind> {
    vec![Kind::Alert, Kind::Drift, Kind::Model]
}

fn timeout_seconds() -> u32 {
    10
}

fn give_up_hours() -> u32 {
    24
}

impl Webhook {
    /// As it is called in the tables.
    #[must_use]
    pub fn receiver(&self) -> String {
        format!("webhook {}", self.name)
    }

    /// Says which values make no sense. The URL is not part of it.
    ///
    /// # Errors
    ///
    /// One sentence about the first of them.
    pub fn check(&self) -> Result<(), String> {
        let name = &self.name;
        if name.is_empty() || name.chars().count() > 100 {
            return Err("each [[webhook]] needs a name of at most 100 characters".to_owned());
        }
        let url = self.url.expose_secret();
        if !self.command.is_empty() {
            return self.check_command();
        }
        let is_web = ["http://", "https://"]
            .iter()
            .any(|scheme| url.len() > scheme.len() && url.starts_with(scheme));
        if !is_web {
            return Err(format!(
                "the url of the [[webhook]] {name} must begin with http:// or https://; or name a command"
            ));
        }
        self.check_rest()
    }

    fn check_command(&self) -> Result<(), String> {
        let name = &self.name;
        if !self.url.expose_secret().is_empty() || self.format != Format::Generic {
            return Err(format!(
                "the [[webhook]] {name} has a command: leave out its url and its format"
            ));
        }
        self.check_rest()
    }

    fn check_rest(&self) -> Result<(), String> {
        let name = &self.name;
        if self.events.is_empty() {
            return Err(format!(
                "the [[webhook]] {name} is told of nothing: name \"alert\", \"drift\" or \"model\" in its events, or leave them out"
            ));
        }
        if !(1..=60).contains(&self.timeout_seconds) {
            return Err(format!(
                "timeout_seconds of the [[webhook]] {name} must be from 1 to 60"
            ));
        }
        if self.give_up_hours == 0 {
            return Err(format!(
                "give_up_hours of the [[webhook]] {name} must be 1 or more"
            ));
        }
        Ok(())
    }
}

/// Says which webhooks make no sense.
///
/// # Errors
///
/// One sentence about the first fault.
pub fn check(webhooks: &[Webhook]) -> Result<(), String> {
    for (index, webhook) in webhooks.iter().enumerate() {
        webhook.check()?;
        if webhooks[..index]
            .iter()
            .any(|other| other.name == webhook.name)
        {
            return Err(format!("two [[webhook]] are called {}", webhook.name));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Webhook {
        toml::from_str(text).unwrap()
    }

    #[test]
    fn a_webhook_needs_only_a_name_and_a_url_and_shows_neither_url_nor_secret() {
        let hook = parse("name = 'pager'\nurl = 'https://pager.example/x'\nsecret = 's3cret'");
        assert_eq!(hook.check(), Ok(()));
        assert_eq!(
            (hook.format, hook.timeout_seconds, hook.give_up_hours),
            (Format::Generic, 10, 24)
        );
        assert_eq!(hook.events, [Kind::Alert, Kind::Drift, Kind::Model]);
        let shown = format!("{hook:?}");
        assert!(
            !shown.contains("pager.example") && !shown.contains("s3cret"),
            "{shown}"
        );
    }

    #[test]
    fn what_makes_no_sense_is_refused_by_name() {
        for (text, part) in [
            ("name = ''\nurl = 'http://x'", "needs a name"),
            ("name = 'w'\nurl = 'ftp://x'", "https://"),
            ("name = 'w'", "name a command"),
            (
                "name = 'w'\nurl = 'http://x'\ncommand = ['mail']",
                "leave out its url",
            ),
            (
                "name = 'w'\ncommand = ['mail']\nevents = []",
                "told of nothing",
            ),
            (
                "name = 'w'\nurl = 'http://x'\nevents = []",
                "told of nothing",
            ),
            (
                "name = 'w'\nurl = 'http://x'\ntimeout_seconds = 0",
                "timeout_seconds",
            ),
            (
                "name = 'w'\nurl = 'http://x'\ngive_up_hours = 0",
                "give_up_hours",
            ),
        ] {
            let error = parse(text).check().unwrap_err();
            assert!(error.contains(part) && !error.contains("://x"), "{error}");
        }
        let hook = parse("name = 'w'\nurl = 'http://x'");
        assert!(
            check(&[hook.clone(), hook])
                .unwrap_err()
                .contains("two [[webhook]]")
        );
    }
}
