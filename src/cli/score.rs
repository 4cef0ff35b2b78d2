//! `tidewatch score`.

mod input;
mod output;

use std::fs::File;
use std::io::{self, BufWriter, IsTerminal, Read, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, sync_channel};

use anyhow::Context;
use clap::{Args, ValueEnum};
use indicatif::{ProgressBar, ProgressStyle};

use self::input::{Block, Content, Reader};
use super::exit::{BadInput, End};
use super::model::{DeviceArgs, log_sparingly, model_folder};
use crate::model::inference::Inference;
use crate::model::scorer::Scorer;

const EXAMPLES: &str = "Examples:
  echo 'what a great day' | tidewatch score
  tidewatch score --model models/default reviews.txt > scored.jsonl
  tidewatch score posts.jsonl --text-field body.text | jq -r .label | sort | uniq -c";

/// Score texts from a file or standard input, without Kafka
///
/// Writes one JSON line for each line of the input, in the same order: the input's fields, then `label`, `probabilities` by
/// label, `model` (the bundle's version) and, where the model did not read the whole text, `truncated`. A field of the input
/// that has one of these names is kept as `input_NAME`.
///
/// A line that cannot be scored (no text, broken UTF-8 or JSON, more than 16 MiB) becomes a JSON line with `line`, its
/// number, and `error` in its place. The exit code is then 1, and standard error says how many there were.
#[derive(Debug, Args)]
#[command(after_long_help = EXAMPLES)]
pub(super) struct ScoreArgs {
    /// The texts; standard input where this is left out or `-`
    file: Option<PathBuf>,
    /// The model bundle's folder [default: models/default here or in the clone]
    #[arg(long, value_name = "DIR")]
    model: Option<PathBuf>,
    /// What a line of the input is; told by the file's name (.txt, .jsonl, .ndjson) or else by the first line
    #[arg(long, value_enum)]
    format: Option<LineFormat>,
    /// In JSON, the text's field, or a path to it such as `post.body`; implies --format jsonl [default: text]
    #[arg(long, value_name = "FIELD")]
    text_field: Option<String>,
    /// Most tokens in one batch, padding included
    #[arg(long, value_name = "N", default_value = "2048")]
    max_tokens: usize,
    #[command(flatten)]
    device: DeviceArgs,
}

/// What a line of the input is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum LineFormat {
    /// A text
    Lines,
    /// A JSON object
    Jsonl,
}

/// Blocks that were read and tokenised and wait to be scored.
const WAITING: usize = 2;

pub(super) fn run(args: ScoreArgs) -> anyhow::Result<End> {
    log_sparingly();
    let (input, bar) = open(args.file.as_deref())?;
    let folder = model_folder(args.model);
    let config = args.device.config(&folder);
    let scorer = Scorer::open(&folder, &config).map_err(BadInput::from)?;
    let (tokenizer, mut inference) = scorer.split();

    let format = args.format.or_else(|| {
        args.text_field.as_ref().map_or_else(
            || args.file.as_deref().and_then(format_of),
            |_| Some(LineFormat::Jsonl),
        )
    });
    let field = args.text_field.unwrap_or_else(|| "text".to_owned());
    let (sender, blocks) = sync_channel(WAITING);
    // Reading and tokenising go on beside inference. Where nobody wants the results any more, the thread is left behind, as
    // it may be waiting for input that never comes.
    std::thread::spawn(move || {
        let mut reader = Reader::new(input, format, field);
        loop {
            let block = reader.next_block(|text| tokenizer.encode(text));
            let last = !matches!(&block, Ok(Some(_)));
            if sender.send(block).is_err() || last {
                return;
            }
        }
    });

    let outcome = score(&blocks, &mut inference, args.max_tokens, &bar);
    bar.finish_and_clear();
    let counts = outcome?;
    if counts.failed == 0 {
        return Ok(End::Done);
    }
    eprintln!(
        "tidewatch: {} of {} lines could not be scored; the output says why in their place, under `error`",
        counts.failed, counts.lines
    );
    Ok(End::Failed)
}

/// The input, and a bar for a person who watches it being worked through.
fn open(file: Option<&Path>) -> anyhow::Result<(Box<dyn Read + Send>, ProgressBar)> {
    let Some(path) = file.filter(|path| *path != Path::new("-")) else {
        return Ok((Box::new(io::stdin()), ProgressBar::hidden()));
    };
    let unreadable = |error| {
        BadInput::from(format!(
            "{} cannot be read ({error}); check the path",
            path.display()
        ))
    };
    let file = File::open(path).map_err(unreadable)?;
    let size = file.metadata().map_err(unreadable)?.len();
    // On a terminal that shows the results, a bar would stand between them.
    let watched = io::stderr().is_terminal() && !io::stdout().is_terminal();
    let bar = if watched && size > 0 {
        let style = "{bar:30} {percent:>3} %  {binary_bytes_per_sec}, {eta} left";
        ProgressBar::new(size)
            .with_style(ProgressStyle::with_template(style).expect("the template is well-formed"))
    } else {
        ProgressBar::hidden()
    };
    Ok((Box::new(file), bar))
}

fn format_of(path: &Path) -> Option<LineFormat> {
    match path.extension()?.to_str()? {
        "txt" => Some(LineFormat::Lines),
        "jsonl" | "ndjson" => Some(LineFormat::Jsonl),
        _ => None,
    }
}

#[derive(Debug, Default)]
struct Counts {
    lines: u64,
    failed: u64,
}

/// Scores block after block and writes the results; ends early and content where nobody reads them any more.
fn score(
    blocks: &Receiver<io::Result<Option<Block>>>,
    inference: &mut Inference,
    max_tokens: usize,
    bar: &ProgressBar,
) -> anyhow::Result<Counts> {
    let version = Arc::clone(inference.version());
    let mut out = BufWriter::new(io::stdout().lock());
    let mut counts = Counts::default();
    loop {
        let block = blocks
            .recv()
            .context("the thread that reads the input has ended unexpectedly")?
            .context("the input cannot be read further")?;
        let Some(block) = block else {
            return Ok(counts);
        };
        let results = inference
            .infer(&block.encoded, max_tokens, || false)
            .map_err(anyhow::Error::msg)?;
        let mut results = block.encoded.iter().zip(results);
        for line in &block.lines {
            counts.lines += 1;
            let result = match &line.content {
                Content::Unusable { reason } => Err(reason.clone()),
                Content::Text => {
                    let (text, result) =
                        results.next().expect("each text was encoded and inferred");
                    result
                        .map(|prediction| (prediction, text.truncated))
                        .map_err(|error| error.to_string())
                }
            };
            counts.failed += u64::from(result.is_err());
            let written = output::write(&mut out, line, result, &version);
            if gone(&written) {
                return Ok(Counts::default());
            }
            written?;
        }
        // Whoever follows a slow input sees each result as soon as it is there.
        let written = out.flush();
        if gone(&written) {
            return Ok(Counts::default());
        }
        written?;
        bar.inc(block.bytes);
    }
}

/// The reader of the results has gone, as `head` does when it has enough.
fn gone(written: &io::Result<()>) -> bool {
    matches!(written, Err(error) if error.kind() == io::ErrorKind::BrokenPipe)
}
