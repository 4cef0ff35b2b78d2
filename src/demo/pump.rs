//! The thread that feeds the input topic: when posts are due, and no more than there is room for.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::Sender;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use chrono::Utc;

use super::error::DemoError;
use super::feed::{Feed, Mood, Scene};
use super::story::Story;
use super::window::{Window, cost};
use crate::drift::reading::Fingerprint;
use crate::replay::{Deliveries, Feeder, Line, ReplayError, Schedule};

/// How often a waiting feed looks whether it should stop.
const TICK: Duration = Duration::from_millis(50);
/// How long the broker may take to acknowledge the last posts.
const FLUSH_TIMEOUT: Duration = Duration::from_secs(60);

/// Hears of what happens in the feed.
pub type Tell = Box<dyn Fn(String) + Send>;

/// Where posts come from.
pub enum Posts {
    /// The built-in feed, without end, and what happens in it by the number of messages.
    Feed(Box<Feed>, Story),
    /// A file, in its order or by event time.
    File(Box<dyn Iterator<Item = Result<Line, ReplayError>> + Send>),
}

/// What only its author knows of a post that was sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Told {
    pub id: String,
    pub mood: Mood,
    pub scene: Scene,
    /// Equal for copies of a text.
    pub near: u64,
}

/// Who hears of what happens in the feed.
pub struct Ears {
    pub tell: Tell,
    /// Hears of each generated post.
    pub witness: Option<Sender<Told>>,
}

/// When the feed ends by itself.
#[derive(Debug, Clone, Copy, Default)]
pub struct Limits {
    pub messages: Option<u64>,
    pub time: Option<Duration>,
}

/// What was fed.
#[derive(Debug, Clone, Default)]
pub struct Fed {
    pub deliveries: Deliveries,
    /// Lines of a file that give no post.
    pub malformed: u64,
}

/// A running feed; dropping it stops and joins it.
pub struct Pump {
    stop: Arc<AtomicBool>,
    feeder: Arc<Feeder>,
    thread: Option<JoinHandle<Result<u64, ReplayError>>>,
}

impl Pump {
    /// Begins to send.
    ///
    /// # Errors
    ///
    /// The thread cannot be started.
    pub fn start(
        posts: Posts,
        schedule: Schedule,
        limits: Limits,
        feeder: Feeder,
        window: Arc<Window>,
        ears: Ears,
    ) -> Result<Self, DemoError> {
        let feeder = Arc::new(feeder);
        let stop = Arc::new(AtomicBool::new(false));
        let run = Run {
            posts,
            schedule,
            limits,
            feeder: Arc::clone(&feeder),
            window,
            stop: Arc::clone(&stop),
            scene: None,
            ears,
        };
        let thread = std::thread::Builder::new()
            .name("demo-feed".into())
            .spawn(move || run.run())
            .map_err(|source| DemoError::Thread { source })?;
        Ok(Self {
            stop,
            feeder,
            thread: Some(thread),
        })
    }

    /// What was sent so far.
    #[must_use]
    pub fn deliveries(&self) -> Deliveries {
        self.feeder.deliveries()
    }

    /// Whether the feed has ended: its limit or its file's end is reached, or it was stopped.
    #[must_use]
    pub fn is_finished(&self) -> bool {
        self.thread.as_ref().is_none_or(JoinHandle::is_finished)
    }

    /// Asks the feed to end.
    pub fn stop(&self) {
        self.stop.store(true, Ordering::Relaxed);
    }

    /// Ends the feed and waits until everything sent is acknowledged.
    ///
    /// # Errors
    ///
    /// The file could not be read to its end.
    pub fn finish(mut self) -> Result<Fed, DemoError> {
        self.stop();
        let malformed = match self.thread.take() {
            Some(thread) => thread
                .join()
                .unwrap_or_else(|panic| std::panic::resume_unwind(panic))?,
            None => 0,
        };
        Ok(Fed {
            deliveries: self.feeder.deliveries(),
            malformed,
        })
    }
}

impl Drop for Pump {
    fn drop(&mut self) {
        self.stop();
        if let Some(thread) = self.thread.take()
            && thread.join().is_err()
        {
            tracing::warn!("the feed's thread had ended by a panic");
        }
    }
}

struct Run {
    posts: Posts,
    schedule: Schedule,
    limits: Limits,
    feeder: Arc<Feeder>,
    window: Arc<Window>,
    stop: Arc<AtomicBool>,
    /// What goes on in the feed.
    scene: Option<Scene>,
    /// Hear of each scene that begins, and of posts.
    ears: Ears,
}

impl Run {
    /// Sends until the end; returns how many lines were malformed.
    fn run(mut self) -> Result<u64, ReplayError> {
        let start = Instant::now();
        let mut malformed = 0;
        let mut sent = 0;
        while !self.ended(start) && self.limits.messages.is_none_or(|limit| sent < limit) {
            match self.next_post(sent) {
                None => break,
                Some(Err(error)) => return Err(error),
                Some(Ok((Line::Malformed(fault), _))) => {
                    malformed += 1;
                    tracing::warn!("malformed line: {fault}");
                }
                Some(Ok((Line::Post(post), told))) => {
                    let due = start + self.schedule.due(post.event_time);
                    let cost = cost(&post);
                    if !self.wait_until(due, start) || !self.wait_for_room(cost, start) {
                        break;
                    }
                    // Before its answer can be heard.
                    if let (Some(witness), Some(told)) = (&self.ears.witness, told) {
                        // Whoever listens may have ended.
                        let _ = witness.send(told);
                    }
                    self.feeder.send(&post, cost);
                    sent += 1;
                }
            }
        }
        if self.feeder.flush(FLUSH_TIMEOUT).is_err() {
            tracing::warn!(
                "the broker has not acknowledged every post within {} s",
                FLUSH_TIMEOUT.as_secs()
            );
        }
        Ok(malformed)
    }

    fn next_post(&mut self, sent: u64) -> Option<Result<(Line, Option<Told>), ReplayError>> {
        match &mut self.posts {
            Posts::Feed(feed, story) => {
                let scene = story.scene(sent);
                if self.scene != Some(scene) {
                    feed.set_scene(scene);
                    (self.ears.tell)(story.announce(self.scene, scene));
                    self.scene = Some(scene);
                }
                let written = feed.next_written(story.time(sent, Utc::now()));
                let told = self.ears.witness.is_some().then(|| Told {
                    near: Fingerprint::of(&written.text).near,
                    id: written.id,
                    mood: written.mood,
                    scene,
                });
                Some(Ok((Line::Post(written.post), told)))
            }
            Posts::File(lines) => Some(lines.next()?.map(|line| (line, None))),
        }
    }

    fn ended(&self, start: Instant) -> bool {
        self.stop.load(Ordering::Relaxed)
            || self
                .limits
                .time
                .is_some_and(|limit| start.elapsed() >= limit)
    }

    fn wait_until(&self, due: Instant, start: Instant) -> bool {
        loop {
            if self.ended(start) {
                return false;
            }
            let left = due.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return true;
            }
            std::thread::sleep(left.min(TICK));
        }
    }

    fn wait_for_room(&self, cost: usize, start: Instant) -> bool {
        while !self.ended(start) {
            if self.window.enter(cost, TICK) {
                return true;
            }
        }
        false
    }
}

#[cfg(test)]
mod tests {
    use rdkafka::config::ClientConfig;
    use rdkafka::consumer::{BaseConsumer, Consumer};
    use rdkafka::{Offset, TopicPartitionList};

    use super::super::{EmbeddedBroker, WINDOW_BYTES};
    use super::*;
    use crate::replay::Pace;

    fn start(broker: &EmbeddedBroker, limits: Limits) -> Pump {
        let mut client = ClientConfig::new();
        client.set("bootstrap.servers", broker.bootstrap());
        let window = Arc::new(Window::new(WINDOW_BYTES));
        let on_delivery = {
            let window = Arc::clone(&window);
            Box::new(move |partition, offset, cost| window.delivered(partition, offset, cost))
        };
        let feeder =
            Feeder::new(client, "posts", Some(on_delivery)).expect("the settings are right");
        let posts = Posts::Feed(Box::new(Feed::new(1)), Story::of_days());
        Pump::start(
            posts,
            Schedule::new(Pace::Unlimited),
            limits,
            feeder,
            window,
            Ears {
                tell: Box::new(|_| ()),
                witness: None,
            },
        )
        .expect("the feed starts")
    }

    /// How many messages of the only partition can be read, from the beginning.
    fn readable(broker: &EmbeddedBroker) -> (i64, i64, u64) {
        let consumer: BaseConsumer = ClientConfig::new()
            .set("bootstrap.servers", broker.bootstrap())
            .set("group.id", "count")
            .set("enable.partition.eof", "true")
            .create()
            .expect("the settings are right");
        let (low, high) = consumer
            .fetch_watermarks("posts", 0, Duration::from_secs(10))
            .expect("the broker answers");
        let mut partitions = TopicPartitionList::new();
        partitions
            .add_partition_offset("posts", 0, Offset::Beginning)
            .expect("the beginning is an offset");
        consumer
            .assign(&partitions)
            .expect("the partition can be assigned");
        let mut count = 0;
        while let Some(Ok(_)) = consumer.poll(Duration::from_secs(10)) {
            count += 1;
        }
        (low, high, count)
    }

    #[test]
    fn an_unread_feed_stops_before_the_embedded_broker_would_drop_anything() {
        let broker = EmbeddedBroker::start().expect("the broker starts");
        // One partition: the worst case, since everything falls into it.
        broker.create_topic("posts", 1).expect("the topic is new");
        let pump = start(&broker, Limits::default());
        let mut before = 0;
        // Full when a second brings nothing more.
        loop {
            std::thread::sleep(Duration::from_secs(1));
            let sent = pump.deliveries().sent;
            if sent > 0 && sent == before {
                break;
            }
            before = sent;
        }
        assert!(!pump.is_finished(), "it waits for room");
        let fed = pump.finish().expect("the feed reads no file");
        assert!(fed.deliveries.complete(), "{:?}", fed.deliveries);
        let sent = fed.deliveries.sent;
        assert!(sent > 500, "only {sent} messages fit");
        let (low, high, count) = readable(&broker);
        assert_eq!((low, high.unsigned_abs(), count), (0, sent, sent));
    }

    #[test]
    fn a_feed_ends_after_so_many_messages() {
        let broker = EmbeddedBroker::start().expect("the broker starts");
        broker.create_topic("posts", 1).expect("the topic is new");
        let limits = Limits {
            messages: Some(42),
            time: None,
        };
        let pump = start(&broker, limits);
        let deadline = Instant::now() + Duration::from_secs(30);
        while !pump.is_finished() && Instant::now() < deadline {
            std::thread::sleep(TICK);
        }
        assert!(pump.is_finished());
        let fed = pump.finish().expect("the feed reads no file");
        assert_eq!((fed.deliveries.sent, fed.deliveries.delivered), (42, 42));
        assert_eq!(readable(&broker).2, 42);
    }
}
