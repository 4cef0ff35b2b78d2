//! What can be asked for.

use std::path::PathBuf;

use clap::Parser;

/// Random faults on a private Kafka and Postgres, and on instances of the real `tidewatch run`, under load, with the checker
/// at quiet points and at the end
///
/// The same seed gives the same schedule. When something does not add up, the schedule, what happened and every log are kept,
/// and `--replay` plays the schedule again.
#[derive(Debug, Parser)]
#[command(name = "scripts/torture", version)]
pub struct Args {
    /// Minutes of load and faults; checking comes on top
    #[arg(long, default_value_t = 5.0, value_parser = positive)]
    pub minutes: f64,

    /// What the schedule and the messages are drawn from [default: a random one, which is said]
    #[arg(long)]
    pub seed: Option<u64>,

    /// Mean seconds from one fault to the next
    #[arg(long, default_value_t = 8.0, value_parser = positive)]
    pub every: f64,

    /// Minutes from one quiet point to the next
    #[arg(long, default_value_t = 4.0, value_parser = positive)]
    pub quiet: f64,

    /// Brokers: 1, or a cluster of 3 of which one at a time is killed or paused
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=5))]
    pub brokers: u32,

    /// The instances of the small model follow a registry, and the other of its two models is promoted now and then
    #[arg(long)]
    pub swaps: bool,

    /// Load only: how fast it goes without faults
    #[arg(long)]
    pub without_faults: bool,

    /// Plays the schedule in this file (`schedule.jsonl` of an earlier run) instead of drawing one
    #[arg(long, value_name = "FILE", conflicts_with_all = ["minutes", "every", "quiet", "seed", "brokers", "swaps", "without_faults"])]
    pub replay: Option<PathBuf>,

    /// Most messages sent and not yet committed
    #[arg(long, default_value_t = 50_000)]
    pub backlog: u64,

    /// Messages a second for the real model
    #[arg(long, default_value_t = 20.0, value_parser = positive)]
    pub real_rate: f64,

    /// One line of JSON at the end
    #[arg(long)]
    pub json: bool,

    /// Where logs are kept when the run fails
    #[arg(long, value_name = "DIR", default_value = "target/torture")]
    pub logs: PathBuf,

    /// Keep the logs of a good run too, and of a failed one also what Kafka and Postgres hold
    #[arg(long)]
    pub keep: bool,

    /// An empty folder for everything the run needs; scripts/torture makes it and removes it
    #[arg(long, hide = true, env = "TIDEWATCH_TORTURE_DIR")]
    pub work: PathBuf,
}

fn positive(text: &str) -> Result<f64, String> {
    match text.parse() {
        Ok(value) if f64::is_finite(value) && value > 0.0 => Ok(value),
        _ => Err("a number above 0 is wanted".into()),
    }
}
