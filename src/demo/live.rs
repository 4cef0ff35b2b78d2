//! What is looked at while the demo runs, and what is waited for at its end.

use std::sync::mpsc::Receiver;
use std::time::{Duration, Instant};

use prometheus::core::Collector;
use prometheus::proto::MetricFamily;

use super::display::{Display, Moment, REFRESH};
use super::error::DemoError;
use super::figures::grouped;
use super::news::News;
use super::reader::Reader;
use crate::app::{AppError, Service};
use crate::metrics::Metrics;
use crate::replay::Deliveries;
use crate::store::Store;

/// Without a single new outcome for so long, the rest is not waited for.
const PATIENCE: Duration = Duration::from_secs(60);
/// How long the watch may take to count the last messages.
const WATCH_PATIENCE: Duration = Duration::from_secs(10);

/// What is looked at while the demo runs.
pub(super) struct Live {
    pub display: Display,
    pub metrics: Metrics,
    pub reader: Reader,
    pub began: Instant,
    /// What happens in the feed.
    pub told: Receiver<String>,
    /// What the watch finds.
    pub news: News,
    /// When the watch was asked last.
    pub asked: Instant,
}

impl Live {
    /// Tells what happens in the feed and, where it was asked so long ago, what the watch has found.
    pub async fn tell_news(&mut self, every: Duration) -> Result<(), DemoError> {
        let elapsed = self.began.elapsed();
        while let Ok(line) = self.told.try_recv() {
            self.display.tell(elapsed, &format!("feed   {line}"));
        }
        if self.asked.elapsed() >= every {
            self.asked = Instant::now();
            loop {
                let news = self.news.poll().await?;
                if news.is_empty() {
                    break;
                }
                for line in news {
                    self.display.tell(elapsed, &format!("watch  {line}"));
                }
            }
        }
        Ok(())
    }

    /// Waits a while until the watch has counted everything.
    pub async fn await_watch(&mut self, store: &Store) -> Result<(), DemoError> {
        let begun = Instant::now();
        while store.uncounted_panes().await? > 0 && begun.elapsed() < WATCH_PATIENCE {
            tokio::time::sleep(REFRESH).await;
        }
        self.tell_news(Duration::ZERO).await
    }

    /// Says lines that stay.
    pub fn tell(&self, lines: &[String]) {
        for line in lines {
            self.display.tell(self.began.elapsed(), line);
        }
    }

    /// Brings the display up to date.
    pub fn show(&mut self, deliveries: &Deliveries) {
        let tally = self.reader.tally();
        let moment = Moment {
            elapsed: self.began.elapsed(),
            sent: deliveries.sent,
            scored: self.metrics.batch_rows.get_sample_sum() as u64 + tally.dead_letters(),
            committed: tally.committed(),
        };
        self.display.show(moment, &tally);
    }

    /// Waits until everything delivered has its outcome; `Some` where the service ended before.
    pub async fn await_outcomes(
        &mut self,
        deliveries: &Deliveries,
        service: &mut Service,
    ) -> Option<DemoError> {
        let mut before = 0;
        let mut moved = Instant::now();
        loop {
            let committed = self.reader.tally().committed();
            if committed >= deliveries.delivered {
                return None;
            }
            if committed > before {
                (before, moved) = (committed, Instant::now());
            } else if moved.elapsed() > PATIENCE {
                eprintln!(
                    "{} messages have had no outcome for {} s: they are not waited for any longer",
                    grouped(deliveries.delivered - committed),
                    PATIENCE.as_secs()
                );
                return None;
            }
            self.show(deliveries);
            tokio::select! {
                () = tokio::time::sleep(REFRESH) => {}
                ended = service.stopped() => return Some(by_itself(ended)),
            }
        }
    }

    /// Takes the display away; returns when the first and the last outcome were read.
    pub fn finish(self) -> Option<(Instant, Instant)> {
        let tally = self.reader.tally().clone();
        self.display.finish(&tally);
        self.reader.times()
    }
}

/// Windows that were judged.
pub(super) fn windows(metrics: &Metrics) -> u64 {
    let families = metrics.drift_windows.collect();
    let metrics = families.iter().flat_map(MetricFamily::get_metric);
    metrics
        .map(|metric| metric.get_counter().get_value() as u64)
        .sum()
}

/// Why the service ended, without being asked to.
pub(super) fn by_itself(ended: Result<(), AppError>) -> DemoError {
    match ended {
        Ok(()) => DemoError::Ended,
        Err(error) => error.into(),
    }
}
