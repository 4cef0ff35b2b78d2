//! `tidewatch demo`.

mod normal;

use std::fs::File;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use anyhow::Context;
use clap::{Args, ValueEnum};
use tempfile::NamedTempFile;

use super::exit::{BadInput, End};
use super::model::model_folder;
use super::pace::{PaceArgs, positive};
use super::signals::{self, Asked};
use crate::config::Config;
use crate::demo::{
    BrokerChoice, Demo, Durability, Ended, Feed, Limits, Posts, Servers, Story, Summary,
};
use crate::log::{self, LogConfig};
use crate::replay::{Pace, ReadOptions, by_event_time, open};

/// Posts a second, where the feed changes: two busy cores have time left to train beside it.
const CHANGE_RATE: f64 = 40.0;
/// For how long such a feed goes on at most.
const CHANGE_TIME: Duration = Duration::from_secs(780);

const EXAMPLES: &str = "Examples:
  tidewatch demo
  tidewatch demo --drift
  tidewatch demo --broker apache --rate 200 --keep
  tidewatch demo --input tweets.tsv --text-field 3 --id-field 1 --by-time --time-from-id
  tidewatch demo --kafka 127.0.0.1:9092 --database-url postgres://me@127.0.0.1/scratch";

/// Show the whole service at work on this machine
///
/// Starts a broker inside this process and a private Postgres, sends generated posts and reviews (or a file) through
/// them, shows what the model makes of them, and counts at the end: every message sent stands once in Postgres and once in
/// the output topics, as a result or as a dead letter. The generated posts tell a story by their number, so it is the same on
/// every machine: an alert opens and is resolved, and then the feed drifts. It ends when the story is told, at a limit of yours,
/// or on Ctrl-C, and leaves nothing behind. What the service logs (warnings; RUST_LOG for more) goes to standard error, or to a file where a person watches.
///
/// The embedded broker is for looking only: it keeps 5 MiB a partition, and its transactions prove nothing. With
/// --broker apache a private Apache Kafka takes its place.
///
/// Exit codes: 0 it adds up; 1 it does not, something failed, or --drift has not shown all within --seconds (780); 2 the command line or a file cannot be used; 130 ended at
/// once by a second Ctrl-C, without counting.
#[derive(Debug, Args)]
#[command(after_long_help = EXAMPLES)]
pub(super) struct DemoArgs {
    /// Stop sending after so many seconds
    #[arg(long, value_name = "NUMBER", value_parser = positive)]
    seconds: Option<f64>,
    /// Stop sending after so many messages
    #[arg(long, value_name = "NUMBER")]
    messages: Option<u64>,
    /// Send this file (- for standard input) instead of the built-in feed
    #[arg(long, value_name = "FILE")]
    input: Option<PathBuf>,
    #[command(flatten)]
    pace: PaceArgs,
    /// The built-in feed's seed: the same one gives the same posts
    #[arg(long, default_value_t = 1, value_name = "NUMBER")]
    seed: u64,

    /// Show the closed loop: the feed changes midway, the watch fires, people label, a training runs, the gate judges, and the new
    /// model takes over
    #[arg(long, conflicts_with_all = ["input", "messages"])]
    drift: bool,

    /// The Kafka broker to bring along
    #[arg(long, value_enum, default_value = "embedded")]
    broker: Broker,
    /// Use a running Kafka, as host:port; topics named tidewatch-demo-… are made there, and stay
    #[arg(long, value_name = "BROKERS", conflicts_with = "broker")]
    kafka: Option<String>,
    /// Use a running Postgres, postgres://user:password@host:port/database; its schema is brought up to date, rows stay
    #[arg(
        long,
        value_name = "URL",
        env = "TIDEWATCH_DEMO_DATABASE_URL",
        hide_env_values = true
    )]
    database_url: Option<String>,
    /// The model bundle's folder [default: models/default here or in the clone]
    #[arg(long, value_name = "DIR")]
    model: Option<PathBuf>,
    /// Leave the private servers running after the count, until Ctrl-C, to look at what they hold
    #[arg(long)]
    keep: bool,
    /// Print the sum as one JSON line: sent, rows, results, dead_letters and more
    #[arg(long)]
    json: bool,

    #[command(flatten, next_help_heading = "Where the input file has its fields")]
    read: ReadOptions,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Broker {
    /// librdkafka's own mock cluster, inside this process: for looking only
    Embedded,
    /// A private Apache Kafka, which needs a clone's scripts/kafka
    Apache,
}

pub(super) fn run(args: DemoArgs) -> anyhow::Result<End> {
    let started = Instant::now();
    let model = model(args.model.clone())?;
    let posts = posts(&args)?;
    let mut config = Config::load(None)?;
    let log = start_log(args.kafka.is_none() && args.broker == Broker::Embedded)?;

    // Held until the end: the service reads it when it starts.
    let baseline = match posts {
        // Its first model brings a baseline of its own.
        Posts::Feed(..) if args.drift => None,
        Posts::Feed(..) => Some(normal::baseline(&model, &config.model, args.seed)?),
        Posts::File(_) => None,
    };
    if let Some(file) = &baseline {
        config.drift.baseline = file.path().to_owned();
    }

    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .context("the runtime cannot be started")?;
    let asked = runtime.block_on(async { signals::listen() })?;
    let broker = match (&args.kafka, args.broker) {
        (Some(address), _) => BrokerChoice::Own(address.clone()),
        (None, Broker::Embedded) => BrokerChoice::Embedded,
        (None, Broker::Apache) => BrokerChoice::Apache,
    };
    // The embedded broker stays on this thread, so the servers do.
    let servers = Servers::start(&broker, args.database_url.as_deref(), Durability::Throwaway)?;
    let limits = limits(&args, &posts);
    let pace = match args.pace.pace() {
        Pace::Unlimited if args.drift => Pace::Rate(CHANGE_RATE),
        pace => pace,
    };
    let demo = Demo {
        posts,
        pace,
        limits,
        model,
        change: args.drift.then_some(args.seed),
        started,
        end: asked.end.clone(),
        at_once: asked.at_once.clone(),
    };
    let end = match runtime.block_on(demo.run(config, &servers)) {
        Ok(Ended::Counted(summary, fault)) => {
            print(&summary, args.json);
            if args.keep && servers.brought_along() {
                eprintln!("the servers stay until Ctrl-C");
                runtime.block_on(once_more(&asked));
            }
            match fault {
                Some(fault) => Err(fault.into()),
                None if summary.adds_up() && summary.is_shown() => Ok(End::Done),
                None => Ok(End::Failed),
            }
        }
        Ok(Ended::AtOnce) => Ok(End::Interrupted),
        Err(fault) => Err(fault.into()),
    };
    // What still waits (for a broker, say) must not keep the servers from being stopped.
    runtime.shutdown_background();
    drop(servers);
    keep_log(log);
    end
}

fn model(given: Option<PathBuf>) -> anyhow::Result<PathBuf> {
    let folder = model_folder(given);
    if folder.is_dir() {
        return Ok(folder);
    }
    Err(BadInput::from(format!(
        "there is no model at {}: run the demo inside a clone, or name a bundle's folder with --model",
        folder.display()
    )))
}

fn posts(args: &DemoArgs) -> anyhow::Result<Posts> {
    let Some(file) = &args.input else {
        let feed = Box::new(Feed::new(args.seed));
        let story = if args.drift {
            Story::of_change()
        } else {
            Story::of_days()
        };
        return Ok(Posts::Feed(feed, story));
    };
    let read = ReadOptions {
        timed: args.pace.needs_times(),
        ..args.read.clone()
    };
    let lines = open(std::slice::from_ref(file), &read)
        .map_err(BadInput::from)?
        .lines;
    Ok(Posts::File(if args.pace.by_time {
        by_event_time(lines)
    } else {
        lines
    }))
}

/// Those of the command line; without any the feed ends when its story is told.
fn limits(args: &DemoArgs, posts: &Posts) -> Limits {
    let seconds = args.seconds.map(Duration::from_secs_f64);
    if args.drift {
        return Limits {
            messages: None,
            time: Some(seconds.unwrap_or(CHANGE_TIME)),
        };
    }
    let told = match posts {
        Posts::Feed(_, story) if seconds.is_none() => Some(story.messages()),
        _ => None,
    };
    Limits {
        messages: args.messages.or(told),
        time: seconds,
    }
}

/// Where a person watches the display, the log goes to a file, which is returned.
fn start_log(embedded: bool) -> anyhow::Result<Option<NamedTempFile>> {
    use std::io::IsTerminal;
    // That a stopping service is no longer ready is no news, nor that a new broker is not quite there yet.
    // What the watch finds is told anyway, and that a busy machine's database is slow is seen.
    let mut level =
        "warn,tidewatch::health=error,tidewatch::monitor=error,librdkafka=error,sqlx=error"
            .to_owned();
    if embedded {
        // Its topics have no limits to be asked for.
        level.push_str(",tidewatch::limits=error");
    }
    let config = LogConfig {
        level,
        format: log::LogFormat::Auto,
    };
    if !std::io::stderr().is_terminal() {
        log::start(&config);
        return Ok(None);
    }
    let file = tempfile::Builder::new()
        .prefix("tidewatch-demo-")
        .suffix(".log")
        .tempfile()
        .context("the log cannot be created in the folder for temporary files")?;
    log::start_in_file(&config, file.reopen()?);
    Ok(Some(file))
}

/// The log stays only where it says something.
fn keep_log(log: Option<NamedTempFile>) {
    let Some(log) = log else { return };
    let empty = File::metadata(log.as_file()).is_ok_and(|metadata| metadata.len() == 0);
    if !empty && let Ok((_, path)) = log.keep() {
        eprintln!("the service has logged warnings to {}", path.display());
    }
}

/// Waits for the next signal after those that ended the feed.
async fn once_more(asked: &Asked) {
    if asked.end.is_cancelled() {
        asked.at_once.cancelled().await;
    } else {
        asked.end.cancelled().await;
    }
}

fn print(summary: &Summary, json: bool) {
    for fault in summary.faults() {
        eprintln!("{fault}");
    }
    if let Some(cut) = summary.cut() {
        eprintln!("{cut}");
    }
    for missing in summary.changed.iter().flat_map(|changed| &changed.missing) {
        eprintln!("not shown: {missing}");
    }
    if json {
        match serde_json::to_string(summary) {
            Ok(line) => println!("{line}"),
            Err(error) => eprintln!("the sum cannot be written as JSON: {error}"),
        }
    } else {
        println!(
            "first outcome after {:.1} s; {:.0} messages a second over {:.1} s",
            summary.first_outcome_seconds, summary.per_second, summary.seconds
        );
        println!("{}", summary.line());
        if let Some(watched) = summary.watched.line() {
            println!("{watched}");
        }
        if let Some(changed) = &summary.changed {
            println!("{}", changed.table());
        }
    }
}
