//! The service's configuration in a demo, and what a person is told at its start.

use std::net::SocketAddr;
use std::path::Path;

use super::servers::Servers;
use crate::config::Config;
use crate::pipeline::config::Start;

/// Of each topic; enough to see that there are several.
pub(super) const PARTITIONS: i32 = 4;

/// Messages in a chunk at most, so that there is something to see every moment also on a slow machine.
const CHUNK_MESSAGES: usize = 128;

/// Messages in a window of the watch.
const WINDOW: usize = 300;

/// Points the configuration at the demo's servers and at topics and a group of its own.
pub(super) fn adapt(config: &mut Config, servers: &Servers, model: &Path) {
    // On a broker where others are, neither topics nor the group nor the transactional id may be theirs.
    let run = format!("tidewatch-demo-{:08x}", rand::random::<u32>());
    config.kafka.bootstrap_servers = servers.bootstrap();
    config.kafka.group.clone_from(&run);
    config.kafka.instance.clone_from(&run);
    config.kafka.start = Start::Earliest;
    config.input.truncate(1);
    if servers.is_own_broker() {
        config.input[0].topic = format!("{run}.posts");
        config.output.results = format!("{run}.sentiment");
        config.output.dead_letters = format!("{run}.sentiment-dead-letters");
    }
    shorten(config);
    config.batch.max_messages = config.batch.max_messages.min(CHUNK_MESSAGES);
    config.postgres.url = servers.database_url().into();
    config.model.path = model.to_owned();
    config.http.listen = SocketAddr::from(([127, 0, 0, 1], 0));
}

/// Fits the watch to days that pass in seconds: hours are a short while, and a window is what comes in a moment.
pub(super) fn shorten(config: &mut Config) {
    config.drift.window_messages = WINDOW;
    config.drift.window_hours = 0;
    config.drift.lateness_seconds = 3_600;
    // On a busy machine seconds pass between two commits.
    config.drift.idle_seconds = 10;
    config.alerts.step_minutes = 60;
}

/// Says where everything is.
pub(super) fn introduce(config: &Config, servers: &Servers, metrics: SocketAddr) {
    for line in servers.describe() {
        eprintln!("{line}");
    }
    eprintln!(
        "Topics    {} -> {}, {}",
        config.input[0].topic, config.output.results, config.output.dead_letters
    );
    let here = std::env::current_dir().unwrap_or_default();
    let model = config.model.path.strip_prefix(&here);
    eprintln!(
        "Model     {}",
        model.unwrap_or(&config.model.path).display()
    );
    eprintln!("Metrics   http://{metrics}/metrics");
    eprintln!(
        "Results   psql {} -c 'SELECT source, label, confidence, text FROM v_predictions LIMIT 20'",
        servers.psql_address()
    );
    eprintln!();
}
