//! `tidewatch alerts replay`.

use std::collections::BTreeSet;
use std::io::Write;
use std::path::PathBuf;
use std::sync::Arc;

use chrono::SecondsFormat;
use clap::{Args, ValueEnum};
use serde_json::json;

use crate::alerts::gather::{Gathering, Post};
use crate::alerts::payload::headline;
use crate::alerts::{Book, Event, SeriesKey, Standing, position, score};
use crate::cli::ConfigArgs;
use crate::cli::drift::posts::PostArgs;
use crate::cli::drift::scored::Opened;
use crate::cli::exit::{BadInput, End};
use crate::cli::model::{DeviceArgs, log_sparingly, model_folder};
use crate::drift::reading::Reading;
use crate::record::TopicPartition;
use crate::watermark::Watermark;

const EXAMPLES: &str = "Examples:
  tidewatch alerts replay posts.jsonl
  tidewatch alerts replay --labels given --label-field airline_sentiment --text-field text --time-field tweet_created \\
    --subject-field airline --author-field name tweets.csv";

/// Whose labels are counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Labels {
    /// The model's
    Model,
    /// Those in the file
    Given,
}

/// Run the rules over a file of posts, as they would have watched them
///
/// Counts the posts in the order of their times, by the [alerts] section of the config, and prints each alert that is opened,
/// updated or resolved. Nothing is written to Kafka or Postgres, and nobody is told.
#[derive(Debug, Args)]
#[command(after_long_help = EXAMPLES)]
pub(in crate::cli) struct ReplayArgs {
    #[command(flatten)]
    posts: PostArgs,
    #[command(flatten)]
    config: ConfigArgs,
    /// Whose labels to count; with `given` nothing is scored
    #[arg(long, value_enum, default_value = "model")]
    labels: Labels,
    /// The model bundle's folder [default: models/default here or in the clone]
    #[arg(long, value_name = "DIR")]
    model: Option<PathBuf>,
    /// A JSON line for each event, one for each series with what is normal there at the end, and last `messages`, `series`,
    /// `opened` and `resolved`
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    device: DeviceArgs,
}

/// What was read of a post.
struct Said {
    reading: Reading,
    label: usize,
    score: f64,
}

pub(super) fn run(args: ReplayArgs) -> anyhow::Result<End> {
    log_sparingly();
    let config = args.config.load()?;
    let folder = model_folder(args.model);
    let opened = Opened::open(&folder)?;
    let labels: Vec<Arc<str>> = opened
        .labels()
        .iter()
        .map(|label| Arc::from(&**label))
        .collect();
    let mut book = Book::new(&config.alerts, &labels).map_err(BadInput::from)?;
    let posts = args.posts.load()?.posts;
    if posts.iter().any(|post| post.event_time.is_none()) {
        return Err(BadInput::from(
            "not every post has a time, and what is normal depends on it; --time-field says where it stands",
        ));
    }
    let said = match args.labels {
        Labels::Given => given(&opened, posts)?,
        Labels::Model => opened
            .score(posts, &args.device.config(&folder))?
            .into_iter()
            .map(|(reading, _)| Said {
                label: reading.label,
                score: score(&reading.probabilities),
                reading,
            })
            .collect(),
    };

    // They are in the order of their times: nothing is late.
    let mut gathering = Gathering::new(
        config.alerts.levels(),
        labels.len(),
        config.alerts.step(),
        Watermark::new(0, i64::MAX),
    );
    let partition = TopicPartition {
        topic: Arc::from("file"),
        partition: 0,
    };
    let mut known: BTreeSet<SeriesKey> = BTreeSet::new();
    let mut events: Vec<Event> = Vec::new();
    let mut last = 0;
    for said in &said {
        let reading = &said.reading;
        let post = Post {
            time: reading.time,
            source: &reading.source,
            subject: &reading.subject,
            print: reading.print.near,
            author: reading.author,
            label: said.label,
            score: said.score,
        };
        last = reading.time;
        gathering.push(&partition, post, 0);
        for cell in gathering.close(0) {
            events.extend(book.observe(&cell));
            known.insert(cell.key);
        }
        events.extend(book.advance(reading.time));
    }
    for cell in gathering.end() {
        events.extend(book.observe(&cell));
        known.insert(cell.key);
    }
    events.extend(book.advance(last));

    let mut out = std::io::stdout().lock();
    for event in &events {
        if args.json {
            writeln!(out, "{}", json!(event))?;
        } else {
            writeln!(out, "{}", sentence(event))?;
        }
    }
    for key in &known {
        for standing in book.standing(key) {
            if args.json {
                let line = json!({"series": key, "standing": standing});
                writeln!(out, "{line}")?;
            } else if standing.normal.is_none() {
                writeln!(out, "{}", too_new(key, &standing))?;
            }
        }
    }
    let count = |status: &str| {
        events
            .iter()
            .filter(|event| event.status.as_str() == status)
            .count()
    };
    if args.json {
        let sum = json!({
            "messages": said.len(), "series": known.len(), "opened": count("opened"), "resolved": count("resolved"),
        });
        writeln!(out, "{sum}")?;
    } else {
        writeln!(
            out,
            "{} messages, {} series: {} alerts opened, {} resolved",
            said.len(),
            known.len(),
            count("opened"),
            count("resolved")
        )?;
    }
    Ok(End::Done)
}

/// Posts with the labels that stand beside them.
fn given(opened: &Opened, posts: Vec<crate::posts::Post>) -> anyhow::Result<Vec<Said>> {
    let labels = opened.labels().len();
    let said: Vec<Said> = posts
        .into_iter()
        .filter_map(|post| {
            let label = opened.label(post.label.as_deref()?)?;
            let reading = opened.unscored(&post);
            Some(Said {
                reading,
                label,
                score: position(label, labels),
            })
        })
        .collect();
    if said.is_empty() {
        return Err(BadInput::from(format!(
            "no post has a label of the model ({}); --label-field says where it stands",
            opened.labels().join(", ")
        )));
    }
    Ok(said)
}

fn sentence(event: &Event) -> String {
    let at = chrono::DateTime::from_timestamp_millis(event.at)
        .unwrap_or_default()
        .to_rfc3339_opts(SecondsFormat::Secs, true);
    format!(
        "{at}  {:8}  {} ({} messages, {} distinct texts)",
        event.status.as_str(),
        headline(&event.alert),
        event.alert.messages,
        event.alert.texts
    )
}

fn too_new(key: &SeriesKey, standing: &Standing) -> String {
    let name = key
        .subject
        .as_deref()
        .or(key.source.as_deref())
        .unwrap_or("the whole feed");
    format!(
        "{name}: no normal yet for the rule {} ({:.1} days of history, {:.0} needed)",
        standing.rule, standing.history_days, standing.history_needed
    )
}
