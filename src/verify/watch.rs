//! How far a check is, for whoever watches.

/// What is being done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Step {
    /// Waiting until the service has nothing left to read.
    Settling,
    Inputs,
    Outcomes,
    Rows,
    Rollups,
    /// Looking again for what each side says of the faults that are shown.
    Details,
    /// Copying outcomes that are to be written to Postgres.
    Copying,
    /// Writing rows.
    Repairing,
}

impl Step {
    /// As a person reads it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Settling => "waiting for the service",
            Self::Inputs => "messages",
            Self::Outcomes => "outcomes in Kafka",
            Self::Rows => "rows in Postgres",
            Self::Rollups => "counts per minute",
            Self::Details => "looking for details",
            Self::Copying => "copying outcomes",
            Self::Repairing => "writing rows",
        }
    }
}

/// How far it is with a step: `done` of about `of`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Progress {
    pub step: Step,
    pub done: u64,
    pub of: u64,
}

/// Often enough for the eye, and seldom enough to cost nothing.
const EVERY: u64 = 4_096;

/// Tells a watcher now and then.
pub struct Watch<'a> {
    tell: &'a mut dyn FnMut(Progress),
    now: Progress,
}

impl<'a> Watch<'a> {
    /// Tells through this function.
    pub fn new(tell: &'a mut dyn FnMut(Progress)) -> Self {
        Self {
            tell,
            now: Progress {
                step: Step::Inputs,
                done: 0,
                of: 0,
            },
        }
    }

    /// Begins a step of about so much work.
    pub fn begin(&mut self, step: Step, of: u64) {
        tracing::debug!(?step, of, "next");
        self.now = Progress { step, done: 0, of };
        (self.tell)(self.now);
    }

    /// Is so far with the step.
    pub fn reach(&mut self, done: u64) {
        self.now.done = done;
        (self.tell)(self.now);
    }

    /// Goes on in the step.
    pub fn advance(&mut self, by: u64) {
        self.now.done += by;
        if self.now.done.is_multiple_of(EVERY) {
            (self.tell)(self.now);
        }
    }
}
