//! Drawing a schedule from a seed.

use std::collections::{BTreeMap, BTreeSet};

use rand::rngs::ChaCha8Rng;
use rand::seq::{IndexedRandom, SliceRandom};
use rand::{Rng, RngExt, SeedableRng};

use super::schedule::{
    Armed, CHUNK_POINTS, CLAIM_POINTS, End, Event, Fault, Header, MOST, MOST_PARTITIONS, REAL,
    Schedule, Start,
};

/// How likely a fault begins while another lasts.
const OVERLAP: f64 = 0.15;
/// What a start takes on top of a fault's length, roughly: it keeps faults from overlapping by accident.
const START_MS: u64 = 6_000;
/// How many starts are armed to die or stop at a point of the code.
const ARMED: f64 = 0.35;
/// Between the end of one fault and the begin of the next, at least, where they do not overlap.
const REST_MS: u64 = 1_000;
/// Nothing new begins so shortly before a quiet point.
const CALM_MS: u64 = 2_000;

/// Kinds of faults with their weights.
const KINDS: [(Kind, u32); 16] = [
    (Kind::Kill, 20),
    (Kind::KillTwo, 7),
    (Kind::Terminate, 11),
    (Kind::PauseShort, 7),
    (Kind::PauseLong, 9),
    (Kind::Resize, 12),
    (Kind::BrokerKill, 7),
    (Kind::BrokerPause, 7),
    (Kind::PostgresCrash, 7),
    (Kind::PostgresPause, 6),
    (Kind::PostgresCut, 8),
    (Kind::PostgresReadOnly, 5),
    (Kind::EpochLock, 4),
    (Kind::EpochDeadlock, 3),
    (Kind::AddPartitions, 1),
    // Last, so that without it the others are drawn as if it were not there.
    (Kind::Promote, 40),
];

#[derive(Debug, Clone, Copy)]
enum Kind {
    Kill,
    KillTwo,
    Terminate,
    PauseShort,
    PauseLong,
    Resize,
    BrokerKill,
    BrokerPause,
    PostgresCrash,
    PostgresPause,
    PostgresCut,
    PostgresReadOnly,
    EpochLock,
    EpochDeadlock,
    AddPartitions,
    Promote,
}

/// What a fault happens to: one at a time to each.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Target {
    Instance(usize),
    Broker,
    Postgres,
}

/// What is asked of a schedule.
#[derive(Debug, Clone, Copy)]
pub struct Wish {
    pub seed: u64,
    pub minutes: f64,
    pub every: f64,
    pub quiet: f64,
    pub brokers: u32,
    pub swaps: bool,
    pub faults: bool,
}

struct Draw {
    rng: ChaCha8Rng,
    running: BTreeSet<usize>,
    brokers: u32,
    swaps: bool,
    /// Which bundle is champion.
    champion: usize,
    partitions: i32,
    /// Until when each target has a fault.
    busy: BTreeMap<Target, u64>,
}

/// The schedule of this seed.
pub fn draw(wish: Wish) -> Schedule {
    let mut rng = ChaCha8Rng::seed_from_u64(wish.seed);
    let count = rng.random_range(1..=MOST);
    let header = Header {
        seed: wish.seed,
        minutes: wish.minutes,
        every: wish.every,
        quiet: wish.quiet,
        brokers: wish.brokers,
        partitions: 6,
        strategy: (*["cooperative-sticky", "range", "roundrobin"]
            .choose(&mut rng)
            .expect("there are strategies"))
        .to_owned(),
        static_membership: rng.random_bool(0.3),
        swaps: wish.swaps,
        starts: (REAL..=count)
            .map(|instance| start(&mut rng, instance))
            .collect(),
    };
    let mut draw = Draw {
        running: (1..=count).collect(),
        brokers: wish.brokers,
        swaps: wish.swaps,
        champion: 0,
        partitions: header.partitions,
        busy: BTreeMap::new(),
        rng,
    };
    let mut events = Vec::new();
    let end = millis(wish.minutes * 60.0);
    let parts = (wish.minutes / wish.quiet).ceil().max(1.0) as u64;
    let mut now = millis(wish.every / 2.0);
    for part in 1..=parts {
        let quiet = end * part / parts;
        while now + CALM_MS < quiet && wish.faults {
            now += draw.gap(wish.every);
            let busy = draw.busy.values().copied().max().unwrap_or(0);
            if now < busy + REST_MS && !draw.rng.random_bool(OVERLAP) {
                now = busy + REST_MS;
            }
            if now + CALM_MS >= quiet {
                break;
            }
            let Some(fault) = draw.fault(now) else {
                continue;
            };
            events.push(Event { at_ms: now, fault });
        }
        // Whatever lasts is healed here.
        draw.busy.clear();
        now = quiet;
        events.push(Event {
            at_ms: quiet,
            fault: Fault::Quiet,
        });
    }
    Schedule { header, events }
}

fn millis(seconds: f64) -> u64 {
    (seconds * 1000.0) as u64
}

fn start(rng: &mut ChaCha8Rng, instance: usize) -> Start {
    let sizes: [u32; 4] = if instance == REAL {
        [8, 16, 32, 64]
    } else {
        [300, 2_000, 3_000, 4_000]
    };
    Start {
        instance,
        bundle: rng.random_range(0..2),
        max_messages: *sizes.choose(rng).expect("there are sizes"),
        max_delay_ms: rng.random_range(5..100),
        armed: None,
    }
}

/// The same, in a run under way: some are armed.
fn again(rng: &mut ChaCha8Rng, instance: usize) -> Start {
    let mut start = start(rng, instance);
    if rng.random_bool(ARMED) {
        let (points, most): (&[&str], u32) = if rng.random_bool(0.15) {
            (&CLAIM_POINTS, 2)
        } else {
            (&CHUNK_POINTS, 60)
        };
        start.armed = Some(Armed {
            point: (*points.choose(rng).expect("there are points")).to_owned(),
            count: rng.random_range(1..=most),
            delay_us: if rng.random_bool(0.6) {
                0
            } else {
                rng.random_range(1..5_000)
            },
            // Longer than the session (6 s), and now and then than a transaction may take (15 s).
            stop_ms: rng.random_bool(0.4).then(|| rng.random_range(500..20_000)),
        });
    }
    start
}

impl Draw {
    /// Exponential, as of things that happen independently, cut off where it would only waste time.
    fn gap(&mut self, mean: f64) -> u64 {
        let uniform: f64 = self.rng.random_range(f64::EPSILON..1.0);
        millis((-uniform.ln()).min(4.0) * mean).max(1)
    }

    /// A fault at this time, whose targets have no other; nothing where what was drawn is not possible now.
    fn fault(&mut self, now: u64) -> Option<Fault> {
        let kinds = if self.swaps {
            &KINDS[..]
        } else {
            &KINDS[..KINDS.len() - 1]
        };
        let (kind, _) = *kinds
            .choose_weighted(&mut self.rng, |(_, weight)| *weight)
            .expect("the weights are positive");
        let (fault, targets) = self.of_kind(kind, now)?;
        if targets.iter().any(|target| self.is_busy(*target, now)) {
            return None;
        }
        let restarts = matches!(
            fault,
            Fault::Kill { .. }
                | Fault::Terminate { .. }
                | Fault::BrokerKill { .. }
                | Fault::PostgresCrash { .. }
        );
        let length = u64::try_from(fault.length().as_millis()).unwrap_or(u64::MAX);
        let until = now + length + if restarts { START_MS } else { 0 };
        for target in targets {
            self.busy.insert(target, until);
        }
        match &fault {
            Fault::Add { start } => {
                self.running.insert(start.instance);
            }
            Fault::Remove { instance, .. } => {
                self.running.remove(instance);
            }
            Fault::AddPartitions { to } => self.partitions = *to,
            Fault::Promote { bundle } => self.champion = *bundle,
            _ => {}
        }
        Some(fault)
    }

    fn of_kind(&mut self, kind: Kind, now: u64) -> Option<(Fault, Vec<Target>)> {
        use Target::{Broker, Instance, Postgres};
        Some(match kind {
            Kind::Kill => {
                let start = self.restart(now)?;
                let down_ms = self.down();
                let instance = Instance(start.instance);
                let starts = vec![start];
                (Fault::Kill { starts, down_ms }, vec![instance])
            }
            Kind::KillTwo => {
                let mut instances: Vec<usize> = self.running.iter().copied().collect();
                instances.shuffle(&mut self.rng);
                let mut two = [*instances.first()?, *instances.get(1)?];
                two.sort_unstable();
                let starts = two.map(|instance| again(&mut self.rng, instance)).to_vec();
                let down_ms = self.down();
                (Fault::Kill { starts, down_ms }, two.map(Instance).to_vec())
            }
            Kind::Terminate => {
                let start = self.restart(now)?;
                let down_ms = self.down();
                let instance = Instance(start.instance);
                (Fault::Terminate { start, down_ms }, vec![instance])
            }
            Kind::PauseShort | Kind::PauseLong => {
                let instance = self.restart(now)?.instance;
                // The session's time-out is 6 s.
                let for_ms = match kind {
                    Kind::PauseShort => self.rng.random_range(200..5_000),
                    _ => self.rng.random_range(7_000..20_000),
                };
                (Fault::Pause { instance, for_ms }, vec![Instance(instance)])
            }
            Kind::Resize => {
                let more = self.rng.random_bool(0.5);
                let missing: Vec<usize> =
                    (1..=MOST).filter(|n| !self.running.contains(n)).collect();
                let running: Vec<usize> = self.running.iter().copied().collect();
                if (more || running.len() == 1) && !missing.is_empty() {
                    let instance = *missing.choose(&mut self.rng)?;
                    let start = again(&mut self.rng, instance);
                    (Fault::Add { start }, vec![Instance(instance)])
                } else {
                    let instance = *running.choose(&mut self.rng)?;
                    let by = *[End::Kill, End::Terminate].choose(&mut self.rng)?;
                    (Fault::Remove { instance, by }, vec![Instance(instance)])
                }
            }
            Kind::BrokerKill => {
                let (node, down_ms) = (self.node(), self.down());
                (Fault::BrokerKill { node, down_ms }, vec![Broker])
            }
            Kind::BrokerPause => {
                // One in five lasts longer than a transaction may (15 s) and a client's request does (10 s).
                let for_ms = if self.rng.random_bool(0.2) {
                    self.rng.random_range(20_000..40_000)
                } else {
                    self.rng.random_range(3_000..20_000)
                };
                let node = self.node();
                (Fault::BrokerPause { node, for_ms }, vec![Broker])
            }
            Kind::PostgresCrash => {
                let down_ms = self.down();
                (Fault::PostgresCrash { down_ms }, vec![Postgres])
            }
            Kind::PostgresPause => {
                let for_ms = self.rng.random_range(1_000..20_000);
                (Fault::PostgresPause { for_ms }, vec![Postgres])
            }
            Kind::PostgresCut => (Fault::PostgresCut, vec![Postgres]),
            Kind::PostgresReadOnly => {
                let for_ms = self.rng.random_range(2_000..12_000);
                (Fault::PostgresReadOnly { for_ms }, vec![Postgres])
            }
            Kind::EpochLock => {
                // One in six lasts longer than the service waits for a lock (30 s).
                let for_ms = if self.rng.random_bool(1.0 / 6.0) {
                    self.rng.random_range(31_000..36_000)
                } else {
                    self.rng.random_range(1_000..12_000)
                };
                (Fault::EpochLock { for_ms }, vec![Postgres])
            }
            Kind::EpochDeadlock => {
                let for_ms = self.rng.random_range(2_000..8_000);
                (Fault::EpochDeadlock { for_ms }, vec![Postgres])
            }
            Kind::Promote => {
                let bundle = 1 - self.champion;
                (Fault::Promote { bundle }, vec![Postgres])
            }
            Kind::AddPartitions => {
                if self.partitions >= MOST_PARTITIONS {
                    return None;
                }
                let to = (self.partitions + self.rng.random_range(1..=3)).min(MOST_PARTITIONS);
                (Fault::AddPartitions { to }, vec![Broker])
            }
        })
    }

    /// A running instance without a fault, and how it is started again; each fifth time the one with the real model.
    fn restart(&mut self, now: u64) -> Option<Start> {
        let free: Vec<usize> = self
            .running
            .iter()
            .copied()
            .filter(|&number| !self.is_busy(Target::Instance(number), now))
            .collect();
        let instance = if self.rng.random_bool(0.2) {
            REAL
        } else {
            *free.choose(&mut self.rng)?
        };
        Some(again(&mut self.rng, instance))
    }

    fn node(&mut self) -> u32 {
        self.rng.random_range(1..=self.brokers)
    }

    /// How long something that was ended stays down: often not at all.
    fn down(&mut self) -> u64 {
        if self.rng.random_bool(0.4) {
            0
        } else {
            self.rng.random_range(300..9_000)
        }
    }

    fn is_busy(&self, target: Target, now: u64) -> bool {
        self.busy.get(&target).is_some_and(|&until| now < until)
    }
}

/// A generator of its own for each use, so that one does not depend on how much another draws.
pub fn stream(seed: u64, number: u64) -> ChaCha8Rng {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    rng.set_stream(number);
    // The first word of a stream is not used for anything else.
    let _ = rng.next_u32();
    rng
}
