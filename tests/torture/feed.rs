//! The load: posts into an input, as fast as they are taken or at a rate, with a bounded backlog.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, PoisonError, RwLock, RwLockWriteGuard};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use chrono::Utc;
use rand::RngExt;
use rand::rngs::ChaCha8Rng;
use rdkafka::consumer::BaseConsumer;
use tidewatch::demo;
use tidewatch::replay::{Feeder, Post};

use super::pipeline::Pipeline;
use super::servers::Problem;

/// Between two looks at the committed offsets.
const LOOK: Duration = Duration::from_millis(200);
/// Between two looks at whether there is room.
const WAIT: Duration = Duration::from_millis(5);
/// Posts between two such looks.
const BLOCK: u64 = 200;
/// A broker that is killed and one that is paused come back; what is on its way to it must not be given up meanwhile.
const PATIENCE: &str = "3600000";
/// How long the broker may take to acknowledge everything once it is well.
const FLUSH: Duration = Duration::from_secs(120);

/// A producer that delivers nothing for so long may have forgotten its brokers.
const SILENCE: Duration = Duration::from_secs(5);

/// How much is sent.
#[derive(Debug, Clone, Copy)]
pub struct Pace {
    /// Most posts sent and not committed.
    pub backlog: u64,
    /// Most posts a second; as many as there is room for without it.
    pub rate: Option<f64>,
}

/// A running feed.
pub struct Feed {
    shared: Arc<Shared>,
    threads: Vec<JoinHandle<()>>,
}

struct Shared {
    pipeline: Arc<Pipeline>,
    feeder: RwLock<Feeder>,
    /// Posts that earlier producers have sent.
    sent_before: AtomicU64,
    progress: Progress,
    held: AtomicBool,
    idle: AtomicBool,
    stop: AtomicBool,
}

#[derive(Default)]
struct Progress {
    committed: AtomicU64,
    longest_ms: AtomicU64,
}

impl Progress {
    fn committed(&self) -> u64 {
        self.committed.load(Ordering::Relaxed)
    }
}

impl Feed {
    /// Begins to send, held at first.
    pub fn start(
        pipeline: Arc<Pipeline>,
        pace: Pace,
        posts: impl FnMut() -> Post + Send + 'static,
    ) -> Result<Self, Problem> {
        let feeder = RwLock::new(feeder(&pipeline)?);
        let asker = pipeline.asker(false)?;
        let shared = Arc::new(Shared {
            pipeline,
            feeder,
            sent_before: AtomicU64::new(0),
            progress: Progress::default(),
            held: AtomicBool::new(true),
            idle: AtomicBool::new(true),
            stop: AtomicBool::new(false),
        });
        let (sender, watcher) = (Arc::clone(&shared), Arc::clone(&shared));
        let threads = vec![
            std::thread::spawn(move || sender.send(pace, posts)),
            std::thread::spawn(move || watcher.watch(&asker)),
        ];
        Ok(Self { shared, threads })
    }

    pub fn resume(&self) {
        self.shared.held.store(false, Ordering::SeqCst);
    }

    /// Stops sending, and waits until everything that was sent is stored.
    ///
    /// A producer that does not come to that within its time is given up: what counts is what the topic holds. Then this
    /// says so.
    pub fn hold(&self) -> Result<Option<String>, Problem> {
        self.shared.held.store(true, Ordering::SeqCst);
        while !self.shared.idle.load(Ordering::SeqCst) {
            std::thread::sleep(WAIT);
        }
        let mut feeder = write(&self.shared.feeder);
        let flushed = feeder.flush(FLUSH);
        if flushed.is_ok() && feeder.deliveries().complete() {
            return Ok(None);
        }
        self.shared.give_up(&mut feeder).map(Some)
    }

    /// Posts sent, and messages before the committed offsets.
    pub fn counts(&self) -> (u64, u64) {
        (self.shared.sent(), self.shared.progress.committed())
    }

    /// The longest time under load in which nothing was committed.
    pub fn longest_standstill(&self) -> Duration {
        Duration::from_millis(self.shared.progress.longest_ms.load(Ordering::Relaxed))
    }
}

impl Drop for Feed {
    fn drop(&mut self) {
        self.shared.stop.store(true, Ordering::SeqCst);
        for thread in self.threads.drain(..) {
            let _ = thread.join();
        }
    }
}

/// A producer that never gives up by itself.
fn feeder(pipeline: &Pipeline) -> Result<Feeder, Problem> {
    let mut client = pipeline.client();
    client
        .set("message.timeout.ms", PATIENCE)
        .set("linger.ms", "20")
        .set("batch.size", "262144")
        .set("compression.type", "lz4")
        .set("queue.buffering.max.messages", "100000")
        // Little, and what is asked for when it does not go on.
        .set("debug", "eos");
    Feeder::new(client, &pipeline.input, None).map_err(|error| error.to_string())
}

fn write<T>(lock: &RwLock<T>) -> RwLockWriteGuard<'_, T> {
    lock.write().unwrap_or_else(PoisonError::into_inner)
}

impl Shared {
    /// Replaces a producer that does not go on; says what it has left. What counts is what the topic holds.
    fn give_up(&self, feeder: &mut Feeder) -> Result<String, Problem> {
        let deliveries = feeder.deliveries();
        let open = deliveries.sent - deliveries.delivered;
        let why = deliveries.first_error.unwrap_or_else(|| "no error".into());
        self.sent_before
            .fetch_add(deliveries.delivered, Ordering::SeqCst);
        *feeder = self::feeder(&self.pipeline)?;
        let name = self.pipeline.name;
        Ok(format!(
            "the producer of {name} is given up with {open} posts not acknowledged ({why})"
        ))
    }

    fn sent(&self) -> u64 {
        let feeder = self.feeder.read().unwrap_or_else(PoisonError::into_inner);
        self.sent_before.load(Ordering::SeqCst) + feeder.deliveries().sent
    }

    fn send(&self, pace: Pace, mut posts: impl FnMut() -> Post) {
        let mut due = Instant::now();
        let mut delivered = (0, Instant::now());
        while !self.stop.load(Ordering::SeqCst) {
            // Idle before it looks: whoever holds the feed and sees it idle knows that nothing more comes.
            self.idle.store(true, Ordering::SeqCst);
            let committed = self.progress.committed();
            let behind = self.sent().saturating_sub(committed);
            let block = match pace.rate {
                _ if behind >= pace.backlog => 0,
                None => BLOCK,
                Some(rate) => {
                    let now = Instant::now();
                    // What was missed is not made up for.
                    due = due.max(now - Duration::from_secs(1));
                    if due <= now {
                        due += Duration::from_secs_f64(1.0 / rate);
                        1
                    } else {
                        0
                    }
                }
            };
            self.idle.store(false, Ordering::SeqCst);
            if block == 0 {
                self.mind_the_producer(&mut delivered);
            }
            if block == 0 || self.held.load(Ordering::SeqCst) {
                self.idle.store(true, Ordering::SeqCst);
                std::thread::sleep(WAIT);
                continue;
            }
            let feeder = self.feeder.read().unwrap_or_else(PoisonError::into_inner);
            for _ in 0..block {
                feeder.send(&posts(), 0);
            }
        }
        self.idle.store(true, Ordering::SeqCst);
    }

    /// Reminds a producer that has posts and delivers none of them: without a feed, nothing is tortured.
    fn mind_the_producer(&self, delivered: &mut (u64, Instant)) {
        let feeder = self.feeder.read().unwrap_or_else(PoisonError::into_inner);
        let now = feeder.deliveries();
        if now.delivered != delivered.0 || now.delivered + now.failed >= now.sent {
            *delivered = (now.delivered, Instant::now());
        }
        if delivered.1.elapsed() >= SILENCE {
            feeder.remind();
        }
    }

    fn watch(&self, asker: &BaseConsumer) {
        let mut moved = Instant::now();
        while !self.stop.load(Ordering::SeqCst) {
            let committed = self.pipeline.committed(asker).unwrap_or(0);
            let before = self
                .progress
                .committed
                .fetch_max(committed, Ordering::Relaxed);
            if committed > before || self.held.load(Ordering::SeqCst) {
                moved = Instant::now();
            }
            let still = u64::try_from(moved.elapsed().as_millis()).unwrap_or(u64::MAX);
            self.progress.longest_ms.fetch_max(still, Ordering::Relaxed);
            std::thread::sleep(LOOK);
        }
    }
}

const OPENINGS: [&str; 8] = [
    "ok so",
    "honestly",
    "well,",
    "update:",
    "not gonna lie,",
    "day 3 and",
    "again:",
    "hm,",
];
const SUBJECTS: [&str; 6] = ["film", "phone", "train", "coffee", "match", "app"];
const VERDICTS: [&str; 8] = [
    "was good",
    "was very bad",
    "is not the best",
    "made my day",
    "broke down twice",
    "is fine I guess",
    "was worth it",
    "is late again",
];
const SOURCES: [&str; 3] = ["twitter", "reddit", "reviews"];

/// Short posts, one in fifty of them bad.
pub fn short(mut rng: ChaCha8Rng) -> impl FnMut() -> Post + Send {
    let mut count = 0_u64;
    move || {
        count += 1;
        let mut pick = |list: &[&'static str]| list[rng.random_range(0..list.len())];
        let (opening, subject, verdict) = (pick(&OPENINGS), pick(&SUBJECTS), pick(&VERDICTS));
        let source = pick(&SOURCES);
        let text = format!("{opening} the {subject} {verdict} {count}");
        let value = match rng.random_range(0..150) {
            0 => Some(format!(r#"{{"id":"{count}","text":"{text}"#)),
            1 => Some(format!(r#"{{"id":"{count}","source":"{source}"}}"#)),
            2 => None,
            _ => Some(format!(
                r#"{{"id":"{count}","text":"{text}","source":"{source}","subject":"{subject}"}}"#
            )),
        };
        Post {
            key: Some(format!("user{}", rng.random_range(0..10_000)).into_bytes()),
            value: value.map(String::into_bytes),
            event_time: None,
        }
    }
}

/// The demo's posts: of real length, in several languages, broken in every way it knows.
pub fn real(seed: u64) -> impl FnMut() -> Post + Send {
    let mut feed = demo::Feed::new(seed);
    move || feed.next_post(Utc::now())
}
