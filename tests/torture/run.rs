//! A whole run, from its servers to its sum.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use chrono::{DateTime, Utc};
use tidewatch::train::export::ExportOptions;

use super::args::Args;
use super::check::{self, Verdict};
use super::diary::Diary;
use super::draw::stream;
use super::faults::{Patience, World};
use super::feed::{self, Feed, Pace};
use super::fleet::Fleet;
use super::harness::{SmallBundle, default_model};
use super::pipeline::Pipeline;
use super::schedule::{Event, Fault, Schedule};
use super::servers::{Broker, Postgres, Problem};
use super::summary::Summary;

const TICK: Duration = Duration::from_millis(100);
/// What the real model may be behind with: a quiet point waits for it.
const REAL_BACKLOG: u64 = 400;
/// Between two lines that say how far it is.
const REPORT: Duration = Duration::from_secs(15);

/// A run that goes on.
pub struct Run {
    /// What is kept when it fails.
    folder: PathBuf,
    schedule: Schedule,
    world: Arc<World>,
    feeds: [Feed; 2],
    _bundles: [SmallBundle; 2],
    faults: Vec<JoinHandle<()>>,
    /// Time under load, quiet points left out.
    loaded: Duration,
    quiets: u32,
    /// When the messages since the last quiet point began.
    since: Option<DateTime<Utc>>,
    reported: Instant,
    verdicts: Option<[Verdict; 2]>,
}

impl Run {
    /// Brings up everything and begins to feed.
    pub fn start(args: &Args, folder: &Path, schedule: Schedule) -> Result<Self, Problem> {
        let text = |error: std::io::Error| error.to_string();
        let logs = folder.join("logs");
        let pids = args.work.join("pids");
        fs::create_dir_all(&logs).map_err(text)?;
        fs::create_dir_all(&pids).map_err(text)?;
        schedule
            .write(File::create(folder.join("schedule.jsonl")).map_err(text)?)
            .map_err(text)?;
        let diary = Arc::new(Diary::open(folder).map_err(text)?);
        let header = &schedule.header;

        diary.note(&format!(
            "seed {}, {} min, {} broker(s), {}{}; starting Kafka and Postgres",
            header.seed,
            header.minutes,
            header.brokers,
            header.strategy,
            if header.static_membership {
                " with static members"
            } else {
                ""
            },
        ));
        let broker = Broker::start(&args.work, &logs, header.brokers)?;
        let postgres = match Postgres::start(&args.work, &logs) {
            Ok(postgres) => postgres,
            Err(problem) => {
                broker.stop(false);
                return Err(problem);
            }
        };
        // A copy, so that whoever builds meanwhile changes nothing.
        let program = args.work.join("tidewatch");
        fs::copy(env!("CARGO_BIN_EXE_tidewatch"), &program).map_err(text)?;
        // Of the same network; only what the probabilities are sharpened with differs, and with it the version.
        let bundles = [1.25, 0.8].map(|temperature| {
            SmallBundle::written(ExportOptions::default(), |manifest| {
                manifest.temperature = temperature;
            })
        });
        let models = [bundles[0].path(), bundles[1].path()];
        let real_model = default_model();
        let create = |name, models: &[PathBuf]| {
            let database = postgres.create(name)?;
            let bootstrap = &*broker.bootstrap;
            let pipeline =
                Pipeline::create(name, &program, bootstrap, database, header, folder, models)?;
            Ok::<_, Problem>(Arc::new(pipeline))
        };
        let (small, real) = (
            create("small", &models)?,
            create("real", std::slice::from_ref(&real_model))?,
        );
        let fleet = Fleet::new(
            Arc::clone(&small),
            Arc::clone(&real),
            models,
            real_model,
            logs,
            pids,
            Arc::clone(&diary),
        );
        let seed = header.seed;
        let feeds = [
            Feed::start(
                Arc::clone(&small),
                Pace {
                    backlog: args.backlog,
                    rate: None,
                },
                feed::short(stream(seed, 1)),
            )?,
            Feed::start(
                Arc::clone(&real),
                Pace {
                    backlog: REAL_BACKLOG,
                    rate: Some(args.real_rate),
                },
                feed::real(seed),
            )?,
        ];
        let world = Arc::new(World {
            fleet,
            broker: Mutex::new(broker),
            postgres: Mutex::new(postgres),
            pipelines: [small, real],
            patience: Patience::default(),
            diary,
        });
        for start in &header.starts {
            world.begin(start.clone());
        }
        Ok(Self {
            folder: folder.to_owned(),
            schedule,
            world,
            feeds,
            _bundles: bundles,
            faults: Vec::new(),
            loaded: Duration::ZERO,
            quiets: 0,
            since: None,
            reported: Instant::now(),
            verdicts: None,
        })
    }

    /// Plays the schedule to its end, to the first failure or until it is interrupted.
    pub fn play(&mut self, interrupted: &AtomicBool) {
        let events = self.schedule.events.clone();
        let last = events.len().saturating_sub(1);
        self.resume();
        for (index, Event { at_ms, fault }) in events.iter().enumerate() {
            let in_order = self.wait_until(Duration::from_millis(*at_ms), interrupted);
            if interrupted.load(Ordering::SeqCst) {
                return;
            }
            if !in_order || *fault == Fault::Quiet {
                // After a failure there is no next part: everything is looked at.
                let whole = !in_order || index == last;
                if !self.quiet(whole) || !in_order {
                    return;
                }
                if !whole {
                    self.resume();
                }
                continue;
            }
            let (world, fault) = (Arc::clone(&self.world), fault.clone());
            self.faults
                .push(std::thread::spawn(move || world.perform(&fault)));
        }
    }

    /// Waits under load until the schedule's clock stands at `at`; false where something has failed before.
    fn wait_until(&mut self, at: Duration, interrupted: &AtomicBool) -> bool {
        let begun = Instant::now();
        let base = self.loaded;
        let mut good = true;
        while base + begun.elapsed() < at {
            std::thread::sleep(TICK.min(at.saturating_sub(base + begun.elapsed())));
            self.world.fleet.supervise(true);
            if self.reported.elapsed() >= REPORT {
                self.reported = Instant::now();
                self.report();
            }
            if self.world.diary.has_failed() || interrupted.load(Ordering::SeqCst) {
                good = false;
                break;
            }
        }
        self.loaded = base + begun.elapsed();
        good
    }

    fn report(&self) {
        let [(sent, committed), (real_sent, real_committed)] =
            [self.feeds[0].counts(), self.feeds[1].counts()];
        self.world.diary.note(&format!(
            "  {sent} sent, {committed} committed; real {real_sent}, {real_committed}; {} instances",
            self.world.fleet.running()
        ));
    }

    fn resume(&mut self) {
        self.world.patience.set_over(false);
        self.since = (self.quiets > 0).then(Utc::now);
        for feed in &self.feeds {
            feed.resume();
        }
    }

    /// Heals everything, waits until all is committed, and lets the checker look at what came since the last time, or at
    /// the whole; tells whether all adds up.
    fn quiet(&mut self, whole: bool) -> bool {
        let diary = Arc::clone(&self.world.diary);
        diary.note("quiet point: healing, draining, checking");
        self.world.patience.set_over(true);
        for fault in self.faults.drain(..) {
            if fault.join().is_err() {
                diary.fail("a fault ended in a panic");
            }
        }
        self.quiets += 1;
        let mut verdicts = [Verdict::default(), Verdict::default()];
        for ((pipeline, feed), verdict) in self
            .world
            .pipelines
            .iter()
            .zip(&self.feeds)
            .zip(&mut verdicts)
        {
            let checked = feed
                .hold()
                .and_then(|given_up| {
                    if let Some(said) = given_up {
                        diary.note(&said);
                    }
                    check::drain(pipeline, || self.world.fleet.supervise(false))
                })
                .and_then(|stored| self.verify(pipeline, whole, stored));
            match checked {
                Ok(found) => *verdict = found,
                Err(problem) => diary.fail(&problem),
            }
        }
        if whole {
            self.verdicts = Some(verdicts);
        }
        !diary.has_failed()
    }

    fn verify(&self, pipeline: &Pipeline, whole: bool, stored: u64) -> Result<Verdict, Problem> {
        let begun = Instant::now();
        let name = format!("verify-{}-{}", self.quiets, pipeline.name);
        let from = if whole { None } else { self.since };
        let log = self.folder.join("logs").join(format!("{name}.log"));
        let supervise = || self.world.fleet.supervise(false);
        let verdict = check::verify(pipeline, from, &log, supervise)?;
        let text = serde_json::to_string(&verdict).map_err(|error| error.to_string())?;
        fs::write(self.folder.join(format!("{name}.json")), &text)
            .map_err(|error| error.to_string())?;
        if from.is_none() && verdict.messages != stored {
            return Err(format!(
                "{}: the checker saw {} messages of {stored}",
                pipeline.name, verdict.messages
            ));
        }
        if !verdict.adds_up() {
            return Err(format!("{} does not add up: {text}", pipeline.name));
        }
        self.world.diary.note(&format!(
            "{}: {} messages{} add up (checked in {:.1} s)",
            pipeline.name,
            verdict.messages,
            if from.is_some() {
                " since the last quiet point"
            } else {
                ""
            },
            begun.elapsed().as_secs_f64()
        ));
        Ok(verdict)
    }

    /// Ends everything and sums up.
    pub fn finish(self, keep_data: bool) -> Summary {
        let diary = Arc::clone(&self.world.diary);
        self.world.patience.set_over(true);
        for fault in self.faults {
            let _ = fault.join();
        }
        let standstill = self.feeds[0].longest_standstill();
        // Without the servers the last offsets could not be asked for any more.
        drop(self.feeds);
        self.world.fleet.stop();
        let keep = keep_data && diary.has_failed();
        for stopping in [
            self.world
                .postgres
                .lock()
                .map(|server| server.stop(keep))
                .is_ok(),
            self.world
                .broker
                .lock()
                .map(|server| server.stop(keep))
                .is_ok(),
        ] {
            if !stopping {
                diary.fail("a server could not be stopped");
            }
        }
        Summary {
            header: self.schedule.header,
            tally: diary.tally(),
            verdicts: self.verdicts,
            quiets: self.quiets,
            loaded: self.loaded,
            standstill,
            elapsed: diary.elapsed(),
        }
    }
}

/// Bytes free where a folder lies.
pub fn free_bytes(folder: &Path) -> Option<u64> {
    let output = Command::new("df")
        .args(["--output=avail", "--block-size=1"])
        .arg(folder)
        .output()
        .ok()?;
    String::from_utf8_lossy(&output.stdout)
        .lines()
        .nth(1)?
        .trim()
        .parse()
        .ok()
}
