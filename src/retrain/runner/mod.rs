//! Runs a training as a process of its own, and tells how it went.
//!
//! [`RunnerConfig`] says what is started: `tidewatch-finetune`, or another command that takes a recipe, writes a bundle
//! and tells its progress as JSON lines. A [`Job`] is one such command with its limits. [`run`] starts it once,
//! [`persist`] again where it was killed, so that it goes on from what it kept. Both block; the process dies with the
//! thread that runs them.
//!
//! The process has a group of its own, which is ended as a whole; a niceness; bounds on processors, memory, time and
//! silence; and an environment that holds nothing of the service's secrets.
//!
//! The module `kubernetes` (of the feature of that name) runs the same job as a Job of a cluster; [`carry_out`] chooses.

mod child;
mod cluster;
mod config;
mod end;
mod job;
#[cfg(feature = "kubernetes")]
pub mod kubernetes;
mod leftover;
mod output;
mod progress;

use std::sync::mpsc::{self, Receiver, RecvTimeoutError};
use std::time::{Duration, Instant};

pub use cluster::KubernetesConfig;
pub use config::RunnerConfig;
pub use end::{End, Refusal};
pub use job::{Job, Limits, Task};
pub use progress::{Place, Progress};

use output::{Heard, LastWords};

/// How often a run looks at its process, its limits and whether it is to stop.
const TICK: Duration = Duration::from_millis(50);
/// How long the output of a process that has ended is waited for; others may hold on to it.
const LAST_WORDS: Duration = Duration::from_secs(2);

/// What happens in a run.
#[derive(Debug, Clone, PartialEq)]
pub enum Event {
    /// The process was started.
    Started {
        /// Its number, which is its group's too; of a Job in Kubernetes, the pod's name.
        process: String,
        /// Which attempt it is, from 1.
        attempt: u32,
    },
    /// The process told something.
    Told(Progress),
}

/// Starts the job's process, goes along until its end, and says how it ended.
///
/// `stop` is asked all the while; once it is true, the process is asked to end, and ended where it does not.
pub fn run(job: &Job, on_event: &mut dyn FnMut(&Event), stop: &dyn Fn() -> bool) -> End {
    attempt(job, 1, job.limits.time, on_event, stop)
}

/// As [`run`], and starts the process again where it was killed by others, up to `attempts` times in all. The job's
/// time is for all attempts together.
pub fn persist(
    job: &Job,
    attempts: u32,
    on_event: &mut dyn FnMut(&Event),
    stop: &dyn Fn() -> bool,
) -> End {
    let began = Instant::now();
    for number in 1.. {
        let left = job.limits.time.saturating_sub(began.elapsed());
        let end = attempt(job, number, left, on_event, stop);
        if !matches!(end, End::Killed { .. }) || number >= attempts || stop() {
            return end;
        }
    }
    unreachable!("an attempt that is the last one returns")
}

/// As [`persist`], in a cluster where one is named.
pub fn carry_out(
    cluster: Option<&KubernetesConfig>,
    job: &Job,
    attempts: u32,
    on_event: &mut dyn FnMut(&Event),
    stop: &dyn Fn() -> bool,
) -> End {
    match cluster {
        None => persist(job, attempts, on_event, stop),
        #[cfg(feature = "kubernetes")]
        Some(cluster) => kubernetes::persist(cluster, job, attempts, on_event, stop),
        // The configuration is refused before.
        #[cfg(not(feature = "kubernetes"))]
        Some(cluster) => End::NotStarted {
            reason: cluster.check().err().unwrap_or_default(),
        },
    }
}

/// Why a process is being ended.
#[derive(Debug, Clone, Copy)]
enum Because {
    Stopped,
    TimedOut,
    Silent,
}

fn attempt(
    job: &Job,
    number: u32,
    time: Duration,
    on_event: &mut dyn FnMut(&Event),
    stop: &dyn Fn() -> bool,
) -> End {
    let last_words = Vec::new();
    if stop() {
        return End::Stopped { last_words };
    }
    if time.is_zero() {
        return End::TimedOut { last_words };
    }
    let started = leftover::end(&job.folder).and_then(|()| child::start(job));
    let mut running = match started {
        Ok(running) => running,
        Err(error) => {
            let program = job.program.display();
            let reason = format!(
                "{program} cannot be started ({error}); check the command of [retrain.runner]"
            );
            return End::NotStarted { reason };
        }
    };
    on_event(&Event::Started {
        process: running.id().to_string(),
        attempt: number,
    });
    let words = LastWords::new(job.secret_values());
    let (sender, heard) = mpsc::sync_channel(256);
    output::listen(&mut running, sender, words.clone());

    let (began, mut last_heard) = (Instant::now(), Instant::now());
    let mut ending: Option<(Because, Instant)> = None;
    let status = loop {
        if hear(&heard, TICK, on_event) {
            last_heard = Instant::now();
        }
        match running.ended() {
            Ok(None) => {}
            Ok(Some(status)) => break status,
            Err(error) => {
                running.kill();
                let reason = format!("the training's process was lost ({error}); start it again");
                return End::NotStarted { reason };
            }
        }
        match ending {
            None => {
                let because = if stop() {
                    Because::Stopped
                } else if began.elapsed() >= time {
                    Because::TimedOut
                } else if last_heard.elapsed() >= job.limits.silence {
                    Because::Silent
                } else {
                    continue;
                };
                running.terminate();
                ending = Some((because, Instant::now()));
            }
            Some((_, since)) if since.elapsed() >= job.limits.grace => running.kill(),
            Some(_) => {}
        }
    };
    // Whatever it has started ends with it, also what has left its group.
    running.kill();
    if let Err(error) = leftover::end(&job.folder) {
        words.push(&error.to_string());
    }
    let ended = Instant::now();
    while ended.elapsed() < LAST_WORDS && !words.are_complete() {
        hear(&heard, TICK, on_event);
    }
    while hear(&heard, Duration::ZERO, on_event) {}
    let because = ending.map(|(because, _)| because);
    end::of(job, status.into(), because, &words)
}

/// Passes on what was told within this time; whether anything was.
fn hear(heard: &Receiver<Heard>, within: Duration, on_event: &mut dyn FnMut(&Event)) -> bool {
    match heard.recv_timeout(within) {
        Ok(Heard::Line(line)) => on_event(&Event::Told(Progress::parse(&line))),
        Ok(Heard::Murmur) => {}
        Err(RecvTimeoutError::Timeout) => return false,
        Err(RecvTimeoutError::Disconnected) => {
            std::thread::sleep(within);
            return false;
        }
    }
    true
}
