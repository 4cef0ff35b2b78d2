//! A span of Postgres's history as readings: what the model said then, and the texts tokenised again.

use std::path::PathBuf;

use chrono::{DateTime, Utc};
use clap::Args;
use rayon::prelude::*;

use super::posts::PostArgs;
use super::scored::{Labelled, Opened};
use crate::cli::exit::BadInput;
use crate::cli::model::{DeviceArgs, model_folder};
use crate::cli::{ConfigArgs, time};
use crate::drift::reading::{Described, Reading};
use crate::drift::timeline::axis::moment;
use crate::record::Prediction;
use crate::store::{PastMessage, SpanModel, Store};

/// Messages read at once.
const PAGE: u32 = 5_000;

/// A span of the history, instead of files.
#[derive(Debug, Args)]
pub(in crate::cli) struct SpanArgs {
    /// Take the messages of Postgres from this event time on instead of files (2026-11-24T08:00:00Z, or so long ago: 2h, 7d)
    #[arg(long, value_name = "TIME", value_parser = time::parse, conflicts_with = "files")]
    from: Option<DateTime<Utc>>,
    /// And before this event time [default: now]
    #[arg(long, value_name = "TIME", value_parser = time::parse, requires = "from")]
    to: Option<DateTime<Utc>>,
    #[command(flatten)]
    config: ConfigArgs,
}

/// What is compared, or what a baseline is made of.
pub(in crate::cli) struct Gathered {
    pub opened: Opened,
    /// In the order of their times.
    pub readings: Vec<Labelled>,
    /// Lines or messages that could not be used.
    pub unusable: usize,
    /// Where they come from, in words.
    pub name: String,
    /// The baseline that the configuration names; empty where it names none or was not asked.
    pub baseline: PathBuf,
}

/// Reads files and scores them, or a span of Postgres, where nothing needs to be scored.
pub(in crate::cli) fn gather(
    posts: &PostArgs,
    span: &SpanArgs,
    model: Option<PathBuf>,
    device: &DeviceArgs,
) -> anyhow::Result<Gathered> {
    if let Some(from) = span.from {
        return span.read(from, model);
    }
    let folder = model_folder(model);
    let opened = Opened::open(&folder)?;
    let loaded = posts.load()?;
    Ok(Gathered {
        readings: opened.score(loaded.posts, &device.config(&folder))?,
        opened,
        unusable: loaded.malformed,
        name: posts.name(),
        baseline: PathBuf::new(),
    })
}

impl SpanArgs {
    fn read(&self, from: DateTime<Utc>, model: Option<PathBuf>) -> anyhow::Result<Gathered> {
        let config = self.config.load()?;
        let to = self.to.unwrap_or_else(Utc::now);
        let name = format!(
            "{} to {}",
            moment(from.timestamp_millis()),
            moment(to.timestamp_millis())
        );
        let opened = Opened::open(&model.unwrap_or(config.model.path))?;
        // The scorer would do it, but none is opened.
        opened.bundle.verify().map_err(BadInput::from)?;
        let version = &opened.bundle.version;
        let runtime = tokio::runtime::Runtime::new()?;
        let (readings, unusable) = runtime.block_on(async {
            let store = Store::connect(&config.postgres).await?;
            store.require_schema().await?;
            let models = store.models_between(from, to).await?;
            let skipped = usable(&models, version, &name)?;
            let mut readings = Vec::new();
            let mut last: Option<PastMessage> = None;
            loop {
                let page = store
                    .scored_between(version, from, to, last.as_ref(), PAGE)
                    .await?;
                readings.extend(read(&opened, &page));
                last = match page.last() {
                    Some(message) => Some(message.clone()),
                    None => break,
                };
            }
            anyhow::Ok((readings, skipped))
        })?;
        Ok(Gathered {
            opened,
            readings,
            unusable,
            name,
            baseline: config.drift.baseline,
        })
    }
}

/// How many messages of a span cannot be used, or why none can.
fn usable(models: &[SpanModel], version: &str, span: &str) -> anyhow::Result<usize> {
    let Some(own) = models.iter().find(|model| model.version == version) else {
        let others: Vec<&str> = models.iter().map(|model| &*model.version).collect();
        return Err(BadInput::from(if others.is_empty() {
            format!(
                "Postgres holds no prediction with an event time from {span}; `SELECT min(event_time) FROM v_predictions` says how far it goes back"
            )
        } else {
            format!(
                "the messages from {span} were not scored by {version} but by {}; name the bundle of one of these with --model",
                others.join(", ")
            )
        }));
    };
    if own.texts == 0 {
        return Err(BadInput::from(format!(
            "Postgres keeps {} of the messages from {span} ([postgres] text), and without texts their words cannot be compared: replay them from files, or keep texts with text = \"full\"",
            if own.hashes > 0 {
                "only hashes"
            } else {
                "no texts"
            }
        )));
    }
    let all: i64 = models.iter().map(|model| model.messages).sum();
    Ok(usize::try_from(all - own.texts).unwrap_or(0))
}

fn read(opened: &Opened, page: &[PastMessage]) -> Vec<Labelled> {
    let special = opened.tokenizer.special_tokens();
    let reading = |message: &PastMessage| {
        let described = Described {
            author: None,
            text: &message.text,
            time: message.time.timestamp_millis(),
            source: message.source.as_deref(),
            subject: message.subject.as_deref(),
        };
        let prediction = Prediction {
            label: opened.label(&message.predicted)?,
            probabilities: message.probabilities.clone(),
        };
        let encoded = opened.tokenizer.encode(&message.text);
        let reading = Reading::of(described, &encoded, &prediction, &special);
        let truth = message.label.as_deref();
        Some((reading, truth.and_then(|label| opened.label(label))))
    };
    page.par_iter().filter_map(reading).collect()
}
