//! The instances, and the supervisor that starts again what ended by itself.

use std::fs::{self, File};
use std::os::unix::process::ExitStatusExt;
use std::path::PathBuf;
use std::process::{Child, ExitStatus, Stdio};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, TryLockError};
use std::time::{Duration, Instant};

use super::diary::Diary;
use super::pipeline::Pipeline;
use super::process::{is_stopped, signal};
use super::schedule::{MOST, REAL, Start, name};

/// A drain takes no longer, whatever its servers do.
const DRAIN: Duration = Duration::from_secs(60);
const SIGKILL: i32 = 9;
/// Before an instance that ended by itself is started again, as supervisors do.
const AGAIN: Duration = Duration::from_secs(1);

/// Every instance that there may be.
pub struct Fleet {
    slots: Vec<Mutex<Slot>>,
    small: Arc<Pipeline>,
    real: Arc<Pipeline>,
    bundles: [PathBuf; 2],
    real_model: PathBuf,
    logs: PathBuf,
    pids: PathBuf,
    diary: Arc<Diary>,
}

/// What stands for one instance, running or not. Whoever holds it may do with the instance what it likes.
pub struct Slot {
    instance: usize,
    start: Option<Start>,
    child: Option<Child>,
    starts: u32,
    /// When it ended by itself.
    ended: Option<Instant>,
    /// When it stopped at a point that it was armed at.
    stopped: Option<Instant>,
}

impl Fleet {
    pub fn new(
        small: Arc<Pipeline>,
        real: Arc<Pipeline>,
        bundles: [PathBuf; 2],
        real_model: PathBuf,
        logs: PathBuf,
        pids: PathBuf,
        diary: Arc<Diary>,
    ) -> Self {
        let slot = |instance| {
            Mutex::new(Slot {
                instance,
                start: None,
                child: None,
                starts: 0,
                ended: None,
                stopped: None,
            })
        };
        Self {
            slots: (REAL..=MOST).map(slot).collect(),
            small,
            real,
            bundles,
            real_model,
            logs,
            pids,
            diary,
        }
    }

    /// The instance, for whoever does something to it; waits until nobody else does.
    pub fn slot(&self, instance: usize) -> MutexGuard<'_, Slot> {
        self.slots[instance]
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }

    /// Starts an instance that does not run.
    pub fn start(&self, slot: &mut Slot, start: Start) {
        slot.starts += 1;
        let name = name(slot.instance);
        let log = self.log(slot);
        let (pipeline, model) = if slot.instance == REAL {
            (&self.real, &self.real_model)
        } else {
            (&self.small, &self.bundles[start.bundle])
        };
        let log = File::create(log).expect("a log can be created");
        let mut command = pipeline.command("run");
        if let Some(armed) = &start.armed {
            command.env("TIDEWATCH_FAULT", armed.variable());
        }
        let child = command
            .env("TIDEWATCH__KAFKA__INSTANCE", &name)
            .env("TIDEWATCH__MODEL__PATH", model)
            .env(
                "TIDEWATCH__BATCH__MAX_MESSAGES",
                start.max_messages.to_string(),
            )
            .env(
                "TIDEWATCH__BATCH__MAX_DELAY_MS",
                start.max_delay_ms.to_string(),
            )
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(log)
            .spawn()
            .expect("tidewatch can be started");
        // For scripts/torture, should this process be killed.
        let _ = fs::write(self.pids.join(&name), child.id().to_string());
        slot.child = Some(child);
        slot.start = Some(start);
        slot.ended = None;
    }

    fn log(&self, slot: &Slot) -> PathBuf {
        self.logs
            .join(format!("{}-{:03}.log", name(slot.instance), slot.starts))
    }

    /// SIGKILL.
    pub fn kill(&self, slot: &mut Slot) {
        self.look(slot);
        self.goes_on(slot);
        if let Some(mut child) = slot.child.take() {
            let _ = child.kill();
            let _ = child.wait();
        }
        slot.start = None;
    }

    /// SIGTERM, and waits for the end.
    pub fn terminate(&self, slot: &mut Slot) {
        self.signal(slot, "TERM");
        self.await_end(slot);
    }

    /// Waits for the end of an instance that was asked for it.
    fn await_end(&self, slot: &mut Slot) {
        if let Some(mut child) = slot.child.take() {
            let begun = Instant::now();
            let status = loop {
                match child.try_wait() {
                    Ok(Some(status)) => break Some(status),
                    _ if begun.elapsed() >= DRAIN => break None,
                    // One that is stopped, or stops on its way out, does not end.
                    _ if is_stopped(child.id()) => signal("CONT", child.id()),
                    _ => std::thread::sleep(Duration::from_millis(20)),
                }
            };
            self.goes_on(slot);
            match status {
                Some(status) if status.success() => {}
                Some(status) => self.judge(slot, status),
                None => {
                    let name = name(slot.instance);
                    let limit = DRAIN.as_secs();
                    self.diary
                        .fail(&format!("{name} does not end within {limit} s of SIGTERM"));
                    let _ = child.kill();
                    let _ = child.wait();
                }
            }
        }
        slot.start = None;
    }

    /// SIGSTOP or SIGCONT.
    pub fn signal(&self, slot: &Slot, name: &str) {
        if let Some(child) = &slot.child {
            signal(name, child.id());
        }
    }

    /// How many run or are about to be started again.
    pub fn running(&self) -> usize {
        // One that is locked has a fault, so it is there.
        let wanted = |slot: &Mutex<Slot>| slot.try_lock().map_or(true, |slot| slot.start.is_some());
        self.slots
            .iter()
            .skip(1)
            .filter(|slot| wanted(slot))
            .count()
    }

    /// Looks after every instance that no fault is being done to. `patient` leaves one that has stopped itself alone for
    /// as long as the schedule says.
    pub fn supervise(&self, patient: bool) {
        for slot in &self.slots {
            let mut slot = match slot.try_lock() {
                Ok(slot) => slot,
                Err(TryLockError::Poisoned(slot)) => slot.into_inner(),
                Err(TryLockError::WouldBlock) => continue,
            };
            self.look(&mut slot);
            self.look_at_stop(&mut slot, patient);
            if slot.ended.is_some_and(|ended| ended.elapsed() >= AGAIN)
                && let Some(mut start) = slot.start.clone()
            {
                start.armed = None;
                self.start(&mut slot, start);
                self.diary.restarted();
            }
        }
    }

    /// Whether it has ended by itself.
    fn look(&self, slot: &mut Slot) {
        let Some(child) = &mut slot.child else {
            return;
        };
        if let Ok(Some(status)) = child.try_wait() {
            slot.child = None;
            slot.ended = Some(Instant::now());
            self.goes_on(slot);
            self.judge(slot, status);
        }
    }

    /// Whether it has stopped itself, and should go on.
    fn look_at_stop(&self, slot: &mut Slot, patient: bool) {
        let Some(pid) = slot.child.as_ref().map(Child::id) else {
            return;
        };
        let Some(armed) = slot.start.as_ref().and_then(|start| start.armed.as_ref()) else {
            return;
        };
        let Some(stop_ms) = armed.stop_ms.filter(|_| is_stopped(pid)) else {
            self.goes_on(slot);
            return;
        };
        if slot.stopped.is_none() {
            let (name, variable) = (name(slot.instance), armed.variable());
            self.diary.fault_begins(
                "stop_at_point",
                &format!(
                    "{name} stops at {variable} for {:.1} s",
                    stop_ms as f64 / 1e3
                ),
            );
        }
        let since = *slot.stopped.get_or_insert_with(Instant::now);
        if !patient || since.elapsed() >= Duration::from_millis(stop_ms) {
            signal("CONT", pid);
        }
    }

    fn goes_on(&self, slot: &mut Slot) {
        if slot.stopped.take().is_some() {
            self.diary.fault_ends();
        }
    }

    /// An end that was armed is a fault like others. An error near a fault is counted, any other is a failure; so is an end
    /// that no program chooses.
    fn judge(&self, slot: &Slot, status: ExitStatus) {
        let (name, log) = (name(slot.instance), self.log(slot));
        let armed = slot.start.as_ref().and_then(|start| start.armed.as_ref());
        if let Some(armed) = armed
            && armed.stop_ms.is_none()
            && status.signal() == Some(SIGKILL)
        {
            let what = format!("{name} is killed at {}", armed.variable());
            self.diary.fault_begins("kill_at_point", &what);
            self.diary.fault_ends();
            return;
        }
        let said = last_words(&log);
        let log = log.file_name().unwrap_or_default().to_string_lossy();
        let what = format!("{name} ended by itself ({status}): {said} ({log})");
        let crashed = status.signal().is_some() || status.code() == Some(101);
        if crashed || !self.diary.is_near_fault() {
            self.diary.fail(&what);
        } else {
            self.diary.note(&what);
            self.diary.ended(&said);
        }
    }

    /// Ends whatever runs.
    pub fn stop(&self) {
        let mut slots: Vec<_> = (REAL..=MOST).map(|instance| self.slot(instance)).collect();
        for slot in &slots {
            self.signal(slot, "CONT");
            self.signal(slot, "TERM");
        }
        for slot in &mut slots {
            self.await_end(slot);
        }
    }
}

/// The last line of a log that is no event: what the program said on its way out.
fn last_words(log: &PathBuf) -> String {
    let text = fs::read(log).unwrap_or_default();
    let text = String::from_utf8_lossy(&text);
    let last = text
        .lines()
        .rev()
        .find(|line| !line.starts_with('{') && !line.trim().is_empty());
    last.unwrap_or("it said nothing").trim().to_owned()
}
