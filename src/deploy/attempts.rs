//! When a model that could not be loaded is tried again (pure).

/// The first pause in milliseconds; it doubles with each failure, …
const PAUSE: i64 = 2_000;
/// … up to this.
const LONGEST: i64 = 60_000;

/// What is known of failed attempts at one model.
#[derive(Debug, Default)]
pub(super) struct Attempts {
    failed: Option<Failed>,
}

#[derive(Debug)]
struct Failed {
    version: String,
    pause: i64,
    again: i64,
}

impl Attempts {
    /// Whether the model is to be tried at the time `now`, in milliseconds.
    pub(super) fn are_due(&self, version: &str, now: i64) -> bool {
        self.failed
            .as_ref()
            .is_none_or(|failed| failed.version != version || failed.again <= now)
    }

    pub(super) fn failed(&mut self, version: &str, now: i64) {
        let before = self.failed.take();
        let pause = before
            .filter(|failed| failed.version == version)
            .map_or(PAUSE, |failed| (failed.pause * 2).min(LONGEST));
        self.failed = Some(Failed {
            version: version.to_owned(),
            pause,
            again: now + pause,
        });
    }

    pub(super) fn forget(&mut self) {
        self.failed = None;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_model_that_fails_is_tried_again_after_pauses_that_grow_to_a_limit() {
        let mut attempts = Attempts::default();
        let mut now = 0;
        let mut pauses = Vec::new();
        for _ in 0..8 {
            assert!(attempts.are_due("a", now));
            attempts.failed("a", now);
            let begun = now;
            while !attempts.are_due("a", now) {
                now += 1_000;
            }
            pauses.push(now - begun);
        }
        assert_eq!(
            pauses,
            [2_000, 4_000, 8_000, 16_000, 32_000, 60_000, 60_000, 60_000]
        );
    }

    #[test]
    fn another_model_is_tried_at_once() {
        let mut attempts = Attempts::default();
        attempts.failed("a", 0);
        assert!(!attempts.are_due("a", 1) && attempts.are_due("b", 1));
        attempts.failed("b", 1);
        assert!(attempts.are_due("b", 2_001));
        attempts.forget();
        assert!(attempts.are_due("b", 0));
    }
}
