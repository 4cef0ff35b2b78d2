//! Events as JSON lines on standard output, with a sign of life where nothing else is told for a while.

use std::io::Write;
use std::sync::mpsc::{self, RecvTimeoutError, Sender};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use serde_json::Value;

use super::progress::{Event, Place};

/// Steps between two lines about steps.
const EVERY: usize = 25;
/// The longest time between two lines.
const BEAT: Duration = Duration::from_secs(5);

/// Writes a line an event; steps only every so often.
pub struct Lines {
    last: Arc<Mutex<Last>>,
    beat: Duration,
    end: Option<Sender<()>>,
    pulse: Option<JoinHandle<()>>,
}

/// Where lines go, and what was told last.
struct Last {
    out: Box<dyn Write + Send>,
    /// When anything was written.
    written: Instant,
    /// When an event was told, whether it was written or not.
    told: Instant,
    /// The latest event.
    name: String,
    /// How far the training is.
    place: Option<Place>,
}

impl Lines {
    /// Writes to standard output.
    pub fn to_stdout() -> Self {
        Self::new(Box::new(std::io::stdout()), BEAT)
    }

    /// Begins to write, and to give a sign of life after `beat` without another line.
    fn new(out: Box<dyn Write + Send>, beat: Duration) -> Self {
        let now = Instant::now();
        let last = Arc::new(Mutex::new(Last {
            out,
            written: now,
            told: now,
            name: "begin".into(),
            place: None,
        }));
        let (end, ended) = mpsc::channel();
        let shared = last.clone();
        let pulse = std::thread::spawn(move || {
            let mut pause = beat;
            while ended.recv_timeout(pause) == Err(RecvTimeoutError::Timeout) {
                let mut last = lock(&shared);
                if last.written.elapsed() >= beat {
                    let alive = Event::Alive {
                        after: last.name.clone(),
                        seconds: last.told.elapsed().as_secs_f64(),
                        place: last.place,
                    };
                    last.write(&json(&alive));
                }
                pause = beat.saturating_sub(last.written.elapsed());
            }
        });
        Self {
            last,
            beat,
            end: Some(end),
            pulse: Some(pulse),
        }
    }

    /// Tells one event.
    pub fn tell(&mut self, event: &Event) {
        let told = json(event);
        let mut last = lock(&self.last);
        last.told = Instant::now();
        last.name = told["event"].as_str().unwrap_or_default().to_owned();
        if let Event::Step { place, .. } | Event::Resumed { place } = event {
            last.place = Some(*place);
        }
        let skipped = match event {
            Event::Step { place, .. } => {
                place.step % EVERY != 0
                    && place.step != place.steps
                    && last.written.elapsed() < self.beat
            }
            _ => false,
        };
        if !skipped {
            last.write(&told);
        }
    }
}

impl Last {
    fn write(&mut self, line: &Value) {
        // A reader that went away must not stop the training.
        let _ = writeln!(self.out, "{line}").and_then(|()| self.out.flush());
        self.written = Instant::now();
    }
}

fn json(event: &Event) -> Value {
    serde_json::to_value(event).expect("an event has only string keys")
}

impl Drop for Lines {
    fn drop(&mut self) {
        drop(self.end.take());
        if let Some(pulse) = self.pulse.take() {
            // A panic in it has been reported where it happened.
            let _ = pulse.join();
        }
    }
}

fn lock(last: &Mutex<Last>) -> MutexGuard<'_, Last> {
    last.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Sends each line that is written.
    struct Lined(Sender<Value>, Vec<u8>);

    impl Write for Lined {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            self.1.extend_from_slice(bytes);
            while let Some(end) = self.1.iter().position(|byte| *byte == b'\n') {
                let line: Vec<u8> = self.1.drain(..=end).collect();
                let _ = self.0.send(serde_json::from_slice(&line)?);
            }
            Ok(bytes.len())
        }

        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }

    fn step(step: usize) -> Event {
        Event::Step {
            place: Place {
                step,
                steps: 60,
                epoch: 1,
                epochs: 2,
            },
            loss: 1.0,
            gradient_norm: 1.0,
            rate: 1e-3,
            seconds: 1.0,
            seconds_left: 1.0,
        }
    }

    #[test]
    fn a_quiet_run_gives_signs_of_life_that_say_where_it_is() {
        let (sender, lines) = mpsc::channel();
        let out = Box::new(Lined(sender, Vec::new()));
        let mut told = Lines::new(out, Duration::from_millis(1));
        let first = lines.recv().unwrap();
        assert_eq!(
            (&first["event"], &first["after"]),
            (&"alive".into(), &"begin".into())
        );
        assert_eq!(first.get("step"), None);
        told.tell(&step(7));
        let alive = lines.iter().find(|line| line["after"] == "step").unwrap();
        assert_eq!((&alive["step"], &alive["epochs"]), (&7.into(), &2.into()));
        drop(told);
        // The writer is gone with it: nothing comes after the end.
        assert_eq!(
            lines
                .iter()
                .filter(|line| line["event"] != "alive" && line["event"] != "step")
                .count(),
            0
        );
    }

    #[test]
    fn of_quick_steps_every_25th_and_the_last_are_told() {
        let (sender, lines) = mpsc::channel();
        let out = Box::new(Lined(sender, Vec::new()));
        let mut told = Lines::new(out, Duration::from_secs(3600));
        (1..=60).for_each(|number| told.tell(&step(number)));
        drop(told);
        let steps: Vec<u64> = lines
            .iter()
            .map(|line| line["step"].as_u64().unwrap())
            .collect();
        assert_eq!(steps, [25, 50, 60]);
    }
}
