//! How far a replay is: a bar where a person watches, log events where not.

use std::io::IsTerminal;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressStyle};

use crate::replay::Event;

/// Malformed lines shown to a person; the rest is only counted. A log gets them all.
const SHOWN: u64 = 20;
/// How often a log says how far it is.
const LOG_EVERY: Duration = Duration::from_secs(10);

/// What a bar's whole length is.
pub(super) enum Extent {
    /// Bytes of files, and those read so far.
    Bytes(u64, Arc<AtomicU64>),
    /// Lines that were read before the first is sent.
    Lines(u64),
    Unknown,
}

pub(super) struct Progress {
    kind: Kind,
    extent: Extent,
    malformed: u64,
}

enum Kind {
    Bar(ProgressBar),
    Log { last: Instant },
}

impl Progress {
    pub(super) fn new(extent: Extent) -> Self {
        let kind = if std::io::stderr().is_terminal() {
            let (bar, template) = match extent {
                Extent::Bytes(length, _) | Extent::Lines(length) => (
                    ProgressBar::new(length),
                    "{wide_bar} {percent:>3} %  {eta} to go  {msg}",
                ),
                Extent::Unknown => (ProgressBar::new_spinner(), "{spinner} {elapsed}  {msg}"),
            };
            let style = ProgressStyle::with_template(template)
                .unwrap_or_else(|_| ProgressStyle::default_bar());
            Kind::Bar(bar.with_style(style))
        } else {
            Kind::Log {
                last: Instant::now(),
            }
        };
        Self {
            kind,
            extent,
            malformed: 0,
        }
    }

    pub(super) fn tell(&mut self, event: &Event<'_>) {
        match event {
            Event::Malformed(fault) => {
                self.malformed += 1;
                match &self.kind {
                    Kind::Bar(bar) if self.malformed <= SHOWN => bar.suspend(|| {
                        eprintln!("{fault}");
                        if self.malformed == SHOWN {
                            eprintln!("further malformed lines are counted and not shown");
                        }
                    }),
                    Kind::Bar(_) => {}
                    Kind::Log { .. } => tracing::warn!("malformed line: {fault}"),
                }
            }
            Event::Progress(now) => match &mut self.kind {
                Kind::Bar(bar) => {
                    match &self.extent {
                        Extent::Bytes(_, read) => bar.set_position(read.load(Ordering::Relaxed)),
                        Extent::Lines(_) => bar.set_position(now.sent + self.malformed),
                        Extent::Unknown => bar.tick(),
                    }
                    bar.set_message(format!(
                        "{} sent  {} delivered  {} malformed",
                        now.sent, now.delivered, self.malformed
                    ));
                }
                Kind::Log { last } => {
                    if last.elapsed() >= LOG_EVERY {
                        *last = Instant::now();
                        tracing::info!(
                            sent = now.sent,
                            delivered = now.delivered,
                            failed = now.failed,
                            malformed = self.malformed,
                            "replaying"
                        );
                    }
                }
            },
        }
    }

    /// Takes the bar away.
    pub(super) fn finish(&self) {
        if let Kind::Bar(bar) = &self.kind {
            bar.finish_and_clear();
        }
    }
}
