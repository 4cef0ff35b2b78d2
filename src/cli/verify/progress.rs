//! How far a check is: a bar where a person watches.

use std::io::IsTerminal;

use indicatif::{ProgressBar, ProgressStyle};

use crate::verify::{Progress, Step};

pub(super) struct Bar {
    bar: Option<ProgressBar>,
    step: Option<Step>,
}

impl Bar {
    pub(super) fn new() -> Self {
        let bar = std::io::stderr().is_terminal().then(|| {
            let template = "{msg:<24} {wide_bar} {human_pos} of about {human_len}  {per_sec}";
            let style = ProgressStyle::with_template(template)
                .unwrap_or_else(|_| ProgressStyle::default_bar());
            ProgressBar::new(0).with_style(style)
        });
        Self { bar, step: None }
    }

    pub(super) fn tell(&mut self, progress: Progress) {
        let Some(bar) = &self.bar else { return };
        if self.step != Some(progress.step) {
            self.step = Some(progress.step);
            bar.reset();
            bar.set_message(progress.step.name());
        }
        bar.set_length(progress.of);
        bar.set_position(progress.done);
    }

    /// Takes the bar away.
    pub(super) fn finish(&self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
    }
}
