//! Structured logs on standard error: for people on a terminal, JSON lines for programs.

use std::fs::File;
use std::io::IsTerminal;
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use tracing_subscriber::EnvFilter;
use tracing_subscriber::fmt::MakeWriter;

/// The `[log]` section.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LogConfig {
    /// Which events, as `tracing`'s filter directives; `RUST_LOG` overrides it.
    pub level: String,
    pub format: LogFormat,
}

/// How events are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum LogFormat {
    /// Pretty on a terminal, JSON otherwise.
    Auto,
    Pretty,
    Json,
}

impl LogConfig {
    /// Says what makes no sense, if anything does.
    pub(crate) fn check(&self) -> Result<(), String> {
        EnvFilter::try_new(&self.level)
            .map(drop)
            .map_err(|error| format!("[log] level = {:?} is not a filter: {error}", self.level))
    }
}

/// Starts logging; a second call changes nothing.
pub fn start(config: &LogConfig) {
    let terminal = std::io::stderr().is_terminal();
    let colours = terminal && std::env::var_os("NO_COLOR").is_none();
    start_with(config, terminal, colours, std::io::stderr);
}

/// As [`start`], but into a file, for a program that shows something else on the terminal.
pub fn start_in_file(config: &LogConfig, file: File) {
    start_with(config, true, false, Arc::new(file));
}

fn start_with<W>(config: &LogConfig, person: bool, colours: bool, writer: W)
where
    W: for<'a> MakeWriter<'a> + Send + Sync + 'static,
{
    let filter =
        EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new(&config.level));
    // Below this, the client of webhooks logs their addresses, which may be secret.
    let filter = ["ureq=info", "ureq_proto=info"]
        .iter()
        .filter_map(|directive| directive.parse().ok())
        .fold(filter, EnvFilter::add_directive);
    let json = match config.format {
        LogFormat::Auto => !person,
        LogFormat::Pretty => false,
        LogFormat::Json => true,
    };
    let builder = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(writer);
    // It fails only where a subscriber is set already, which then stays.
    let _ = if json {
        builder.json().try_init()
    } else {
        builder.with_ansi(colours).try_init()
    };
}
