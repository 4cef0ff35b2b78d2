//! How far a training is: steps counted, the loss smoothed, the time left estimated.

use std::time::Instant;

use super::progress::{Event, Place};
use super::trainer::StepReport;

/// Counts the steps of a training.
pub struct Meter {
    started: Instant,
    /// Steps that this process did not do itself.
    before: usize,
    done: usize,
    steps: usize,
    epochs: usize,
    loss: Option<f64>,
}

impl Meter {
    /// For a training of so many steps and epochs, of which none is done.
    pub fn new(steps: usize, epochs: usize) -> Self {
        Self {
            started: Instant::now(),
            before: 0,
            done: 0,
            steps,
            epochs,
            loss: None,
        }
    }

    /// Goes on after `done` steps, with the smoothed loss that there was then.
    pub fn resume(&mut self, done: usize, loss: Option<f64>) {
        (self.before, self.done, self.loss) = (done, done, loss);
    }

    /// Steps done.
    pub fn done(&self) -> usize {
        self.done
    }

    /// Whether all steps are done.
    pub fn is_complete(&self) -> bool {
        self.done == self.steps
    }

    /// The loss, averaged over recent steps, once there was one.
    pub fn loss(&self) -> Option<f64> {
        self.loss
    }

    /// How far the training is, in the epoch of this number, from 1.
    pub fn place(&self, epoch: usize) -> Place {
        Place {
            step: self.done,
            steps: self.steps,
            epoch,
            epochs: self.epochs,
        }
    }

    /// Counts a step of this epoch at this learning rate.
    pub fn step(&mut self, epoch: usize, report: StepReport, rate: f64) -> Event {
        self.done += 1;
        let loss = report.loss;
        let smooth = self.loss.map_or(loss, |mean| 0.97 * mean + 0.03 * loss);
        self.loss = Some(smooth);
        let seconds = self.started.elapsed().as_secs_f64();
        let each = seconds / (self.done - self.before) as f64;
        Event::Step {
            place: self.place(epoch),
            loss: smooth,
            gradient_norm: report.gradient_norm,
            rate,
            seconds,
            seconds_left: each * (self.steps - self.done) as f64,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const REPORT: StepReport = StepReport {
        loss: 1.0,
        gradient_norm: 1.0,
    };

    #[test]
    fn a_resumed_training_counts_on_and_smooths_on() {
        let mut meter = Meter::new(10, 2);
        meter.resume(4, Some(2.0));
        let Event::Step { place, loss, .. } = meter.step(1, REPORT, 1e-3) else {
            panic!("a step gives another event");
        };
        let at = Place {
            step: 5,
            steps: 10,
            epoch: 1,
            epochs: 2,
        };
        assert_eq!((place, loss), (at, 0.97 * 2.0 + 0.03));
        (0..5).for_each(|_| drop(meter.step(2, REPORT, 1e-3)));
        assert!(meter.is_complete());
    }
}
