//! `tidewatch replay`.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use clap::Args;
use rdkafka::ClientConfig;
use serde_json::json;
use tokio::runtime;

use super::ConfigArgs;
use super::client_option::ClientOption;
use super::exit::{BadInput, End};
use super::pace::PaceArgs;
use super::replay_progress::{Extent, Progress};
use super::signals;
use crate::config::Config;
use crate::log;
use crate::replay::{Feeder, ReadOptions, Replayed, Schedule, by_event_time, open, replay};

const EXAMPLES: &str = "Examples:
  tidewatch replay --kafka 127.0.0.1:9092 --topic posts --text-field 3 --id-field 1 tweets.tsv
  tidewatch replay --config my.toml --by-time --speed 60 --source reviews reviews.jsonl
  zcat posts.jsonl.gz | tidewatch replay --config my.toml --format jsonl";

/// Feed files into a topic
///
/// Reads TSV, CSV, JSON lines or plain lines, makes one JSON message of each (fields id, text, author, source, subject,
/// language, label, event_time, as far as the file has them) and sends it with the id as its key, so that posts of one id
/// stay in order. What cannot be read is counted and named, and ends nothing. Ends with the counts of what was sent and of
/// what the broker has acknowledged.
///
/// Exit codes: 0 everything read was delivered; 1 something was not; 2 a file, a setting or the command line cannot be
/// used; 130 stopped by Ctrl-C, after what was sent had been acknowledged (a second Ctrl-C does not wait for that).
#[derive(Debug, Args)]
#[command(after_long_help = EXAMPLES)]
pub(super) struct ReplayArgs {
    /// Files to send, one after the other; none, or -, is standard input
    #[arg(value_name = "FILE")]
    files: Vec<PathBuf>,

    #[command(flatten)]
    config: ConfigArgs,
    /// Brokers, as host:port,host:port [default: the config's]
    #[arg(long, value_name = "BROKERS")]
    kafka: Option<String>,
    /// The topic [default: the config's first input]
    #[arg(long)]
    topic: Option<String>,
    /// Any option of librdkafka, over the config's [kafka.client]; repeat it for several
    #[arg(short = 'X', value_name = "NAME=VALUE")]
    client: Vec<ClientOption>,

    #[command(flatten)]
    pace: PaceArgs,
    /// Print the counts as one JSON line
    #[arg(long)]
    json: bool,

    #[command(flatten, next_help_heading = "Where a file has its fields")]
    read: ReadOptions,
}

pub(super) fn run(args: ReplayArgs) -> anyhow::Result<End> {
    let config = args.config.load()?;
    log::start(&config.log);
    let read = ReadOptions {
        timed: args.pace.needs_times(),
        ..args.read.clone()
    };
    let opened = open(&args.files, &read).map_err(BadInput::from)?;
    let feeder = feeder(&args, &config)?;
    feeder.check()?;
    let (lines, extent) = if args.pace.by_time {
        let lines = by_event_time(opened.lines);
        let extent = Extent::Lines(lines.size_hint().0 as u64);
        (lines, extent)
    } else {
        let extent = match opened.bytes {
            Some(bytes) => Extent::Bytes(bytes, opened.read),
            None => Extent::Unknown,
        };
        (opened.lines, extent)
    };
    let mut progress = Progress::new(extent);
    let schedule = Schedule::new(args.pace.pace());

    let stop = Arc::new(AtomicBool::new(false));
    let runtime = runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    let outcome = runtime.block_on(async {
        let asked = signals::listen()?;
        let mut work = tokio::task::spawn_blocking({
            let stop = Arc::clone(&stop);
            move || {
                let replayed = replay(lines, schedule, &feeder, &stop, |event| {
                    progress.tell(&event)
                });
                progress.finish();
                replayed
            }
        });
        tokio::select! {
            replayed = &mut work => return Ok(Some(replayed?)),
            () = asked.end.cancelled() => stop.store(true, Ordering::Relaxed),
        }
        tokio::select! {
            replayed = &mut work => Ok(Some(replayed?)),
            () = asked.at_once.cancelled() => anyhow::Ok(None),
        }
    });
    // After a second Ctrl-C the thread may still wait for the broker, or for standard input.
    runtime.shutdown_background();
    match outcome? {
        Some(replayed) => end(replayed, args.json, stop.load(Ordering::Relaxed)),
        None => Ok(End::Interrupted),
    }
}

fn feeder(args: &ReplayArgs, config: &Config) -> anyhow::Result<Feeder> {
    let bootstrap = args
        .kafka
        .as_ref()
        .unwrap_or(&config.kafka.bootstrap_servers);
    let topic = args.topic.as_ref().unwrap_or(&config.input[0].topic);
    let mut client = ClientConfig::new();
    client.set("bootstrap.servers", bootstrap);
    for (name, value) in &config.kafka.client {
        client.set(name, value);
    }
    for option in &args.client {
        client.set(&option.name, &option.value);
    }
    Feeder::new(client, topic, None).map_err(BadInput::from)
}

/// The counts on standard output, the faults as an error.
fn end(replayed: Replayed, json: bool, interrupted: bool) -> anyhow::Result<End> {
    let Replayed {
        deliveries,
        malformed,
        fault,
    } = replayed;
    if json {
        let line = json!({
            "sent": deliveries.sent,
            "delivered": deliveries.delivered,
            "failed": deliveries.failed,
            "malformed": malformed,
        });
        println!("{line}");
    } else {
        println!(
            "{} sent, {} delivered, {} failed, {malformed} lines malformed",
            deliveries.sent, deliveries.delivered, deliveries.failed
        );
    }
    if let Some(fault) = fault {
        return Err(BadInput::from(fault));
    }
    if let Some(error) = &deliveries.first_error {
        eprintln!("tidewatch: the first message that was not delivered: {error}");
    }
    Ok(if interrupted {
        End::Interrupted
    } else if deliveries.complete() {
        End::Done
    } else {
        End::Failed
    })
}
