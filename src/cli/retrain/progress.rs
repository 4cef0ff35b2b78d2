//! How far a training is: a bar where a person watches, JSON lines where not.

use std::io::{IsTerminal, Write};

use indicatif::{ProgressBar, ProgressStyle};
use serde_json::{Value, json};

use crate::renewal::News;
use crate::retrain::runner::{Event, Progress};

/// What is shown.
pub(super) enum Display {
    Bar(ProgressBar),
    Lines,
}

impl Display {
    pub(super) fn new(json: bool) -> Self {
        if json || !std::io::stderr().is_terminal() {
            return Self::Lines;
        }
        let template = "{wide_bar} {pos}/{len}  {eta} to go  {msg}";
        let style =
            ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar());
        Self::Bar(ProgressBar::new(0).with_style(style))
    }

    /// A JSON line for a program.
    pub(super) fn line(&self, line: &Value) {
        if matches!(self, Self::Lines) {
            // Whoever no longer reads needs no line, and the training goes on.
            let _ = writeln!(std::io::stdout(), "{line}");
        }
    }

    /// A sentence for a person.
    pub(super) fn say(&self, sentence: &str) {
        if let Self::Bar(bar) = self {
            bar.suspend(|| eprintln!("tidewatch: {sentence}"));
        }
    }

    pub(super) fn tell(&self, news: &News<'_>) {
        match self {
            Self::Lines => self.line(&object(news)),
            Self::Bar(bar) => show(bar, news),
        }
    }

    /// Takes the bar away.
    pub(super) fn finish(&self) {
        if let Self::Bar(bar) = self {
            bar.finish_and_clear();
        }
    }
}

fn object(news: &News<'_>) -> Value {
    match news {
        News::Begun { run, folder } => {
            json!({"event": "begun", "run": run, "folder": folder.path()})
        }
        News::Training(Event::Started { process, attempt }) => {
            json!({"event": "process", "process": process, "attempt": attempt})
        }
        News::Training(Event::Told(progress)) => json!(progress),
    }
}

fn show(bar: &ProgressBar, news: &News<'_>) {
    let say = |sentence: String| bar.suspend(|| eprintln!("tidewatch: {sentence}"));
    match news {
        News::Begun { run, folder } => {
            say(format!("run {run} works in {}", folder.path().display()));
        }
        News::Training(Event::Started { attempt, .. }) if *attempt > 1 => {
            say(format!("the process was killed; attempt {attempt}"));
        }
        News::Training(Event::Told(Progress::Start { steps, .. })) => bar.set_length(*steps),
        News::Training(Event::Told(Progress::Resumed { place })) => {
            bar.set_length(place.steps);
            bar.set_position(place.step);
            bar.reset_eta();
        }
        News::Training(Event::Told(Progress::Step { place, loss, .. })) => {
            bar.set_position(place.step);
            bar.set_message(format!("epoch {}, loss {loss:.3}", place.epoch));
        }
        News::Training(Event::Told(Progress::Validation {
            epoch,
            macro_recall,
            accuracy,
        })) => say(format!(
            "epoch {epoch}: macro recall {macro_recall:.4}, accuracy {accuracy:.4}"
        )),
        News::Training(_) => {}
    }
}
