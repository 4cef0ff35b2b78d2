//! `tidewatch drift replay`.

use std::io::{IsTerminal, Write};
use std::path::PathBuf;
use std::sync::Arc;

use anyhow::Context;
use clap::Args;
use serde_json::{Map, Value, json};

use super::past::{SpanArgs, gather};
use super::posts::PostArgs;
use super::scored::answer;
use crate::cli::exit::{BadInput, End};
use crate::cli::model::{DeviceArgs, log_sparingly};
use crate::drift::errors::{ErrorChange, ErrorWatch, Stretch};
use crate::drift::judge::{Evidence, Judge, Judged};
use crate::drift::measured::Answer;
use crate::drift::reading::Reading;
use crate::drift::rule::{Change, Watch};
use crate::drift::timeline::axis::moment;
use crate::drift::timeline::{Legend, Point, svg, terminal};
use crate::drift::windows::{Assembly, Snapshot, Window, WindowSettings};
use crate::monitor::of_bundle;
use crate::record::Origin;

const EXAMPLES: &str = "Examples:
  tidewatch drift replay posts.jsonl
  tidewatch drift replay --json --window 200 tweets.csv | jq 'select(.verdict == \"drift\")'
  tidewatch drift replay --config my.toml --from 7d --svg last-week.svg
  tidewatch drift replay --svg drift.svg --text-field 3 --id-field 1 --time-from-id semeval-tweets/*.tsv";

/// Columns of the picture where there is no terminal to ask.
const WIDTH: usize = 100;

/// Run the detector over a file of posts or over Postgres's history, as it would have watched them
///
/// Scores the posts (with --from, takes what was scored then and tokenises the texts again), puts them into windows in the order of their times (or of the file, where they have none), compares each
/// with the model's baseline and draws the timeline. Nothing is written to Kafka or Postgres.
#[derive(Debug, Args)]
#[command(after_long_help = EXAMPLES)]
pub(in crate::cli) struct ReplayArgs {
    #[command(flatten)]
    posts: PostArgs,
    #[command(flatten)]
    span: SpanArgs,
    /// The model bundle's folder [default: models/default here or in the clone; with --from that of the config]
    #[arg(long, value_name = "DIR")]
    model: Option<PathBuf>,
    /// The baseline to compare with [default: with --from that of the config; the bundle's]
    #[arg(long, value_name = "FILE")]
    baseline: Option<PathBuf>,
    /// Messages in a window
    #[arg(long, value_name = "N", default_value = "1000")]
    window: usize,
    /// The false-alarm budget: at most one in so many windows where nothing changes
    #[arg(long, value_name = "WINDOWS", default_value = "1000")]
    budget: u32,
    /// The same for the test on labels, where the posts have some: at most one in so many labelled posts
    #[arg(long, value_name = "LABELS", default_value = "10000")]
    label_budget: u32,
    /// Write the timeline as a picture
    #[arg(long, value_name = "FILE")]
    svg: Option<PathBuf>,
    /// A JSON line for each window with `start`, `messages`, `verdict` and the statistics, and last `windows` and `alarms`
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    device: DeviceArgs,
}

pub(super) fn run(args: ReplayArgs) -> anyhow::Result<End> {
    log_sparingly();
    if args.window == 0 {
        return Err(BadInput::from("--window must be 1 or more"));
    }
    let gathered = gather(&args.posts, &args.span, args.model, &args.device)?;
    let opened = &gathered.opened;
    let given = args.baseline.as_ref().unwrap_or(&gathered.baseline);
    let Some(baseline) = of_bundle(&opened.bundle, given).map_err(BadInput::from)? else {
        return Err(BadInput::from(format!(
            "the bundle {} has no baseline; make one with `tidewatch baseline`, from texts like those the model was calibrated on",
            opened.bundle.dir.display()
        )));
    };
    let answers: Vec<Option<Answer>> = gathered.readings.iter().map(answer).collect();
    let windows = windows(
        gathered.readings.into_iter().map(|(reading, _)| reading),
        args.window,
    );

    let judge = Judge::new(&baseline, args.budget);
    let labels = opened.labels();
    let token = |id| opened.tokenizer.token(id);
    let mut watch = Watch::default();
    let mut errors = baseline
        .labelled
        .as_ref()
        .map(|labelled| ErrorWatch::new(labelled.most_errors(), f64::from(args.label_budget)));
    let mut out = std::io::stdout().lock();
    let (mut points, mut alarms) = (Vec::new(), 0);
    for window in windows {
        let labelled = answered(&window, &answers);
        let changes = errors
            .as_mut()
            .map_or_else(Vec::new, |errors| observe(errors, &labelled));
        let answers: Vec<Answer> = labelled.into_iter().map(|(_, answer)| answer).collect();
        let evidence = Evidence {
            answers: &answers,
            errors_risen: errors.as_ref().is_some_and(ErrorWatch::is_open),
        };
        let judged = judge.judge(&window.readings, evidence, &mut watch);
        alarms += u64::from(judged.change == Change::Opened);
        if args.json {
            let mut line = line(&window, &judged, labels, &token);
            if let Some((change, _)) = changes.last() {
                line["errors"] = json!(change);
            }
            writeln!(out, "{line}")?;
        } else {
            if let Some(alarm) = &judged.alarm {
                tell(&mut out, &window, alarm, &token)?;
            }
            for (change, since) in &changes {
                tell_errors(&mut out, &window, change, since)?;
            }
        }
        points.push(point(&window, &judged));
    }
    let legend = Legend {
        title: &format!("Drift of {}", gathered.name),
        labels,
        alarm: judge.rule().single,
    };
    if let Some(path) = args.svg {
        std::fs::write(&path, svg::draw(&points, &legend))
            .with_context(|| format!("{} cannot be written", path.display()))?;
    }
    if args.json {
        let end = json!({
            "windows": points.len(), "alarms": alarms, "error_alarms": errors.map_or(0, |errors| errors.opened()),
            "malformed": gathered.unusable,
        });
        writeln!(out, "{end}")?;
    } else {
        let colour = std::io::stdout().is_terminal();
        for line in terminal::draw(&points, &legend, WIDTH, colour) {
            writeln!(out, "{line}")?;
        }
        writeln!(
            out,
            "{} windows, {alarms} alarms ({} lines or messages could not be used)",
            points.len(),
            gathered.unusable
        )?;
    }
    Ok(End::Done)
}

/// The readings as windows of so many; the last may hold fewer.
fn windows(readings: impl Iterator<Item = Reading>, messages: usize) -> Vec<Window> {
    let settings = WindowSettings {
        messages,
        time: None,
        lateness: 0,
        idle: i64::MAX,
    };
    let mut assembly = Assembly::new(settings, Snapshot::default(), 0);
    let topic: Arc<str> = Arc::from("replay");
    for (offset, reading) in (0..).zip(readings) {
        let origin = Origin {
            topic: Arc::clone(&topic),
            partition: 0,
            offset,
        };
        assembly.push(origin, reading, 0);
    }
    assembly.retire()
}

/// The labelled messages of a window, each with its time.
fn answered(window: &Window, answers: &[Option<Answer>]) -> Vec<(i64, Answer)> {
    let answer = |(origin, reading): (&Origin, &Reading)| {
        let index = usize::try_from(origin.offset).ok()?;
        Some((reading.time, (*answers.get(index)?)?))
    };
    let messages = window.origins.iter().zip(&window.readings);
    messages.filter_map(answer).collect()
}

/// Puts answers into the test on errors; what that changed.
fn observe(errors: &mut ErrorWatch, answers: &[(i64, Answer)]) -> Vec<(&'static str, Stretch)> {
    let mut changes = Vec::new();
    for (time, answer) in answers {
        match errors.observe(!answer.right, *time) {
            ErrorChange::None => {}
            ErrorChange::Opened(risen) => changes.push(("opened", risen.since)),
            ErrorChange::Resolved(risen) => changes.push(("resolved", risen.since)),
        }
    }
    changes
}

fn tell_errors(
    out: &mut impl Write,
    window: &Window,
    change: &str,
    since: &Stretch,
) -> std::io::Result<()> {
    let accuracy = since.measured().accuracy;
    writeln!(
        out,
        "alarm of labels {change} in window {} ({}): since {} the model was right in {:.1} % of {} labelled messages",
        window.number,
        moment(window.start),
        moment(since.begun),
        100.0 * accuracy.value,
        accuracy.messages,
    )
}

fn point(window: &Window, judged: &Judged) -> Point {
    let total = judged.counts.messages.max(1) as f64;
    Point {
        start: window.start,
        end: window.end,
        messages: judged.finding.messages,
        p: judged.finding.p,
        verdict: judged.verdict,
        shares: judged
            .counts
            .classes
            .iter()
            .map(|&count| count as f64 / total)
            .collect(),
        alarm_opened: judged.change == Change::Opened,
    }
}

/// A window as a line for programs.
fn line(
    window: &Window,
    judged: &Judged,
    labels: &[String],
    token: &impl Fn(u32) -> Option<String>,
) -> Value {
    let mut line = json!({
        "start": moment(window.start),
        "end": moment(window.end),
    });
    let described = crate::drift::judge::describe(judged, labels, token);
    if let (Some(line), Value::Object(described)) = (line.as_object_mut(), described) {
        line.extend::<Map<_, _>>(described);
    }
    line
}

/// An alarm, for a person.
fn tell(
    out: &mut impl Write,
    window: &Window,
    alarm: &crate::drift::judge::Alarm,
    token: &impl Fn(u32) -> Option<String>,
) -> std::io::Result<()> {
    let tokens: Vec<String> = alarm
        .explanation
        .tokens
        .iter()
        .take(8)
        .filter_map(|moved| {
            let sign = if moved.contribution > 0.0 { '+' } else { '-' };
            Some(format!("{sign}{}", token(moved.token)?))
        })
        .collect();
    writeln!(
        out,
        "alarm in window {} ({}): {:?} severity, {:?}: {} Words that moved: {}",
        window.number,
        moment(window.start),
        alarm.decision.severity,
        alarm.decision.remedy,
        alarm.decision.reason,
        tokens.join(" "),
    )
}
