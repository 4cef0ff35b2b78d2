//! `tidewatch bench`.

use std::path::PathBuf;

use anyhow::Context;
use clap::Args;

use super::exit::{BadInput, End};
use super::model::model_folder;
use super::{ConfigArgs, signals};
use crate::bench::{Bench, Variant};
use crate::demo::{BrokerChoice, Durability, Feed, Servers};
use crate::log::{self, LogConfig, LogFormat};
use crate::model::manifest::Bundle;
use crate::replay::{Line, Post, ReadOptions, open};

const EXAMPLES: &str = "Examples:
  tidewatch bench
  tidewatch bench --input tweets.tsv --text-field 3 --id-field 1 --messages 20000 --repeat 5
  tidewatch bench --config my.toml --kafka 127.0.0.1:9092 --database-url postgres://me@127.0.0.1/scratch --json";

/// Measure end-to-end throughput beside that of the bare session
///
/// Puts messages into a topic, starts the whole service and takes the time from the first message consumed to the last
/// one committed to Postgres and to Kafka. Before and after each such time the model alone scores the same texts: decoded,
/// tokenised and batched beforehand in chunks as the service takes them from a backlog, in a session with the same
/// threads, with nothing around it. The ratio is the share of the model's own speed that is left end to end: the mean of
/// the two bare sessions beside each time, over that time; the median of --repeat times counts.
///
/// By default a private Apache Kafka (scripts/kafka: one broker, one replica) and a private Postgres with its default
/// durability (fsync and synchronous_commit on) run on this machine for it, and share its processors. Topics have four
/// partitions. Settings of [batch] and [model] come from the config; servers and topics do not.
///
/// Exit codes: 0 measured; 1 something failed; 2 the command line, the config or a file cannot be used; 130 stopped by
/// Ctrl-C.
#[derive(Debug, Args)]
#[command(after_long_help = EXAMPLES)]
pub(super) struct BenchArgs {
    #[command(flatten)]
    config: ConfigArgs,
    /// Messages of each time
    #[arg(long, default_value_t = 8000, value_name = "NUMBER", value_parser = clap::value_parser!(u64).range(1..))]
    messages: u64,
    /// How often the whole service is measured
    #[arg(long, default_value_t = 3, value_name = "NUMBER", value_parser = clap::value_parser!(u32).range(1..))]
    repeat: u32,
    /// Take the messages from this file (from its beginning again where it is too short) instead of the built-in feed
    #[arg(long, value_name = "FILE")]
    input: Option<PathBuf>,
    /// The built-in feed's seed
    #[arg(long, default_value_t = 1, value_name = "NUMBER")]
    seed: u64,
    /// Use a running Kafka, as host:port; topics named tidewatch-bench-… are made there, and stay
    #[arg(long, value_name = "BROKERS")]
    kafka: Option<String>,
    /// Use a running Postgres; its schema is brought up to date, rows stay
    #[arg(long, value_name = "URL")]
    database_url: Option<String>,
    /// The model bundle's folder [default: the config's, or models/default here or in the clone]
    #[arg(long, value_name = "DIR")]
    model: Option<PathBuf>,
    /// Measure each time also without what makes delivery exactly once: rows inserted and records sent, with no fence, no
    /// transaction in Kafka and no offsets
    #[arg(long)]
    unguarded: bool,
    /// Measure each time also without the watch over the feed: no drift, no alerts
    #[arg(long)]
    unwatched: bool,
    /// Measure each time also while a training runs beside: the one whose recipe.toml and files lie in this folder, as in one of
    /// [retrain] folder, by the settings of [retrain.runner]
    #[arg(long, value_name = "DIR")]
    training: Option<PathBuf>,
    /// Measure each time also while this bundle, of a model as fast, and the model take turns as champion, five seconds each. A database
    /// of your own must not be one that a registry is in use in: one of the two stays its champion, and its bundle does not
    #[arg(long, value_name = "DIR")]
    swap: Option<PathBuf>,
    /// Print the report as one JSON line
    #[arg(long)]
    json: bool,

    #[command(flatten, next_help_heading = "Where the input file has its fields")]
    read: ReadOptions,
}

pub(super) fn run(args: BenchArgs) -> anyhow::Result<End> {
    let config = args.config.load()?;
    log::start(&LogConfig {
        // That a stopping service is no longer ready is no news, nor that a new broker is not quite there yet.
        level: "warn,tidewatch::health=error,librdkafka=error".to_owned(),
        format: LogFormat::Auto,
    });
    // A path in a config file means what it says; the default one is looked for.
    let model = match (&args.model, &args.config.config) {
        (None, Some(_)) => config.model.path.clone(),
        (given, _) => model_folder(given.clone()),
    };
    if let Some(other) = &args.swap {
        let version = |folder| Bundle::open(folder).map(|bundle| bundle.version);
        let same = version(&model)
            .and_then(|one| Ok(one == version(other)?))
            .map_err(BadInput::from)?;
        if same {
            return Err(BadInput::from(
                "--swap names the same model: give the folder of another one",
            ));
        }
    }
    let bench = Bench {
        posts: posts(&args)?,
        input: args
            .input
            .as_ref()
            .map_or("the built-in feed".to_owned(), |file| {
                file.display().to_string()
            }),
        repeat: args.repeat,
        model,
        beside: [
            (args.unguarded, Variant::Unguarded),
            (args.unwatched, Variant::Unwatched),
            (args.training.is_some(), Variant::Training),
            (args.swap.is_some(), Variant::Swaps),
        ]
        .into_iter()
        .filter_map(|(asked, variant)| asked.then_some(variant))
        .collect(),
        training: args.training.clone().unwrap_or_default(),
        swap: args.swap.clone().unwrap_or_default(),
    };
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .context("the runtime cannot be started")?;
    let asked = runtime.block_on(async { signals::listen() })?;
    let broker = args
        .kafka
        .clone()
        .map_or(BrokerChoice::Apache, BrokerChoice::Own);
    let servers = Servers::start(&broker, args.database_url.as_deref(), Durability::Full)?;
    let report = runtime.block_on(async {
        tokio::select! {
            report = bench.run(config, &servers, |step| eprintln!("{step}")) => report.map(Some),
            () = asked.end.cancelled() => Ok(None),
        }
    });
    runtime.shutdown_background();
    drop(servers);
    let Some(report) = report? else {
        return Ok(End::Interrupted);
    };
    if args.json {
        println!("{}", report.json());
    } else {
        print!("{}", report.text());
    }
    Ok(End::Done)
}

/// So many posts, of the feed or of the file.
fn posts(args: &BenchArgs) -> anyhow::Result<Vec<Post>> {
    let count = usize::try_from(args.messages)?;
    let Some(file) = &args.input else {
        let mut feed = Feed::new(args.seed);
        return Ok((0..count)
            .map(|_| feed.next_post(chrono::Utc::now()))
            .collect());
    };
    let mut posts = Vec::new();
    for line in open(std::slice::from_ref(file), &args.read)
        .map_err(BadInput::from)?
        .lines
    {
        if let Line::Post(post) = line.map_err(BadInput::from)? {
            posts.push(post);
        }
        if posts.len() == count {
            break;
        }
    }
    if posts.is_empty() {
        return Err(BadInput::from(format!(
            "{} holds no message",
            file.display()
        )));
    }
    Ok(posts.iter().cycle().take(count).cloned().collect())
}
