//! The demo, from its feed to its sum.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use rdkafka::ClientConfig;
use tokio_util::sync::CancellationToken;

use super::change::{Change, LABEL_PARTITIONS};
use super::display::{Display, REFRESH};
use super::error::DemoError;
use super::live::{Live, by_itself, windows};
use super::news::News;
use super::pump::{Ears, Fed, Limits, Posts, Pump};
use super::reader::{OutcomeTopics, Reader, recount};
use super::servers::Servers;
use super::setting::{PARTITIONS, adapt, introduce};
use super::summary::{Summary, Watched};
use super::tally::Tally;
use super::window::Window;
use crate::app::{Promise, Service};
use crate::config::Config;
use crate::monitor::Counted;
use crate::pipeline::client;
use crate::replay::{Feeder, Pace, Schedule};
use crate::store::{Counts, Store};

/// How often the watch is asked for news.
const NEWS_EVERY: Duration = Duration::from_secs(1);

/// What may be on its way at once, by [`super::cost`]: some 700 posts, enough for chunks of a useful size, and scored within
/// seconds once the feed has ended. Well below [`super::WINDOW_BYTES`], beyond which the embedded broker would drop some.
const BACKLOG_BYTES: usize = super::WINDOW_BYTES / 4;

/// What is to be shown.
pub struct Demo {
    pub posts: Posts,
    pub pace: Pace,
    pub limits: Limits,
    /// The model bundle's folder.
    pub model: PathBuf,
    /// The seed of a first model, and of who labels, where the demo is about a feed that changes: then the model serves only
    /// to have its tokenizer.
    pub change: Option<u64>,
    /// When the program started.
    pub started: Instant,
    /// Asks the feed to end; what was sent is still scored and counted.
    pub end: CancellationToken,
    /// Asks for the end of everything, uncounted.
    pub at_once: CancellationToken,
}

/// How a demo ended.
#[derive(Debug)]
pub enum Ended {
    /// What was sent and where it stands; why the service ended by itself, if it did.
    Counted(Box<Summary>, Option<DemoError>),
    /// Before it could be counted.
    AtOnce,
}

impl Demo {
    /// Feeds until a limit is reached or the end is asked for, waits for the last outcomes, and counts.
    ///
    /// # Errors
    ///
    /// A part cannot be started, or a server no longer answers.
    pub async fn run(self, mut config: Config, servers: &Servers) -> Result<Ended, DemoError> {
        let at_once = self.at_once.clone();
        adapt(&mut config, servers, &self.model);
        tokio::select! {
            ended = Box::pin(self.run_with(config, servers)) => ended,
            () = at_once.cancelled() => Ok(Ended::AtOnce),
        }
    }

    async fn run_with(self, mut config: Config, servers: &Servers) -> Result<Ended, DemoError> {
        let client = client::base(&config.kafka);
        let topics = Topics::of(&config);
        servers
            .create_topics(&client, &topics.all(), PARTITIONS)
            .await?;
        let store = Store::connect(&config.postgres).await?;
        store.migrate().await?;
        let mut change = match self.change {
            Some(seed) => Some(Change::begin(&mut config, &store, seed, &self.end).await?),
            None => None,
        };
        let (mut witness, mut listener) = (None, None);
        if let Some(change) = &mut change {
            let labels = [change.topic()];
            servers
                .create_topics(&client, &labels, LABEL_PARTITIONS)
                .await?;
            change.open(&client)?;
            let (told, scored) = change.listeners();
            (witness, listener) = (Some(told), Some(scored));
        }
        let promise = Promise {
            counted: if servers.is_embedded() {
                Counted::Written
            } else {
                Counted::Committed
            },
            ..Promise::default()
        };
        let news = News::new(store.clone()).await?;
        let mut service = Service::start_with(config.clone(), promise).await?;
        introduce(&config, servers, service.address());

        let window = Arc::new(Window::new(BACKLOG_BYTES));
        let reader = Reader::start(&client, topics.outcomes(), Arc::clone(&window), listener)?;
        let feeder = feeder(&client, &topics.input, &window)?;
        let story = match &self.posts {
            Posts::Feed(_, story) => Some(*story),
            Posts::File(_) => None,
        };
        let began = Instant::now();
        let schedule = Schedule::new(self.pace);
        let (teller, told) = std::sync::mpsc::channel();
        let tell = Box::new(move |line| {
            // Whoever listens may have ended.
            let _ = teller.send(line);
        });
        let ears = Ears { tell, witness };
        let pump = Pump::start(self.posts, schedule, self.limits, feeder, window, ears)?;
        let mut live = Live {
            display: Display::new(),
            metrics: service.metrics().clone(),
            reader,
            began,
            told,
            news,
            asked: began,
        };

        let mut fault = None;
        while !pump.is_finished() {
            live.show(&pump.deliveries());
            live.tell_news(NEWS_EVERY).await?;
            if let Some(change) = &mut change {
                live.tell(&change.look(&store, live.news.drift_alarms).await?);
                if change.is_over() {
                    break;
                }
            }
            tokio::select! {
                () = tokio::time::sleep(REFRESH) => {}
                () = self.end.cancelled() => break,
                ended = service.stopped() => {
                    fault = Some(by_itself(ended));
                    break;
                }
            }
        }
        pump.stop();
        let fed = tokio::task::spawn_blocking(move || pump.finish())
            .await
            .unwrap_or_else(|error| std::panic::resume_unwind(error.into_panic()))?;
        if fault.is_none() {
            fault = live.await_outcomes(&fed.deliveries, &mut service).await;
        }
        if fault.is_none() {
            live.await_watch(&store).await?;
        }
        let windows = windows(service.metrics());
        if let Err(error) = service.stop().await
            && fault.is_none()
        {
            fault = Some(error.into());
        }
        let counts = store.counts(&topics.input).await?;
        store.close().await;
        // What is counted must not depend on how well the live reader kept up, wherever the broker still has everything.
        let tally = if servers.is_embedded() {
            live.reader.tally().clone()
        } else {
            let (client, topics) = (client.clone(), topics.outcomes());
            tokio::task::spawn_blocking(move || recount(&client, &topics))
                .await
                .unwrap_or_else(|error| std::panic::resume_unwind(error.into_panic()))?
        };
        let watched = Watched {
            drift_windows: windows,
            drift_alarms: live.news.drift_alarms,
            alerts_opened: live.news.alerts_opened,
            alerts_resolved: live.news.alerts_resolved,
        };
        let times = live.finish();
        let mut summary = sum(&fed, counts, tally, servers, times, self.started, began);
        summary.watched = watched;
        summary.changed = change.map(|change| change.changed());
        summary.story_left = story.map_or(0, |story| story.left(fed.deliveries.sent));
        Ok(Ended::Counted(Box::new(summary), fault))
    }
}

/// Names of the topics in use.
struct Topics {
    input: String,
    results: String,
    dead_letters: String,
}

impl Topics {
    fn of(config: &Config) -> Self {
        Self {
            input: config.input[0].topic.clone(),
            results: config.output.results.clone(),
            dead_letters: config.output.dead_letters.clone(),
        }
    }

    fn all(&self) -> [&str; 3] {
        [&self.input, &self.results, &self.dead_letters]
    }

    fn outcomes(&self) -> OutcomeTopics {
        OutcomeTopics {
            results: self.results.clone(),
            dead_letters: self.dead_letters.clone(),
            partitions: PARTITIONS,
        }
    }
}

fn feeder(client: &ClientConfig, topic: &str, window: &Arc<Window>) -> Result<Feeder, DemoError> {
    let window = Arc::clone(window);
    let on_delivery =
        Box::new(move |partition, offset, cost| window.delivered(partition, offset, cost));
    Ok(Feeder::new(client.clone(), topic, Some(on_delivery))?)
}

fn sum(
    fed: &Fed,
    counts: Counts,
    tally: Tally,
    servers: &Servers,
    times: Option<(Instant, Instant)>,
    started: Instant,
    began: Instant,
) -> Summary {
    let (first, last) = times.unwrap_or((started, began));
    let seconds = last.saturating_duration_since(began).as_secs_f64();
    Summary {
        sent: fed.deliveries.delivered,
        rows: counts.predictions,
        results: tally.results(),
        dead_letters: tally.dead_letters(),
        dead_letter_rows: counts.dead_letters,
        undelivered: fed.deliveries.sent - fed.deliveries.delivered,
        repeated: tally.repeated,
        unreadable: tally.unreadable,
        malformed: fed.malformed,
        first_outcome_seconds: first.saturating_duration_since(started).as_secs_f64(),
        per_second: if seconds > 0.0 {
            tally.committed() as f64 / seconds
        } else {
            0.0
        },
        seconds,
        labels: tally.labels,
        reasons: tally.reasons,
        embedded: servers.is_embedded(),
        watched: Watched::default(),
        changed: None,
        story_left: 0,
    }
}
