//! What is remembered of a message for one side, in eight bytes.

use super::age::Age;
use super::outcome::Kind;

const RESULT: u64 = 1;
const DEAD: u64 = 2;
const KIND: u64 = 3;
const DOUBLED: u64 = 4;
const AGE_SHIFT: u32 = 3;
const AGE: u64 = 3 << AGE_SHIFT;
const FLAGS: u64 = KIND | DOUBLED | AGE;

/// Kind, digest and flags of what one side says of a message; nothing, to begin with.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Cell(u64);

impl Cell {
    /// Of a message that nothing is known of yet but its time.
    pub(super) fn new(seed: u64, age: Age) -> Self {
        Self(seed & !FLAGS | (age as u64) << AGE_SHIFT)
    }

    /// Adds what a side says; a second time is only noted.
    pub(super) fn say(&mut self, kind: Kind, digest: u64) {
        if self.kind().is_some() {
            self.0 |= DOUBLED;
            return;
        }
        self.0 ^= digest & !FLAGS;
        self.0 |= match kind {
            Kind::Result => RESULT,
            Kind::Dead => DEAD,
        };
    }

    pub(super) fn kind(self) -> Option<Kind> {
        match self.0 & KIND {
            RESULT => Some(Kind::Result),
            DEAD => Some(Kind::Dead),
            _ => None,
        }
    }

    pub(super) fn is_doubled(self) -> bool {
        self.0 & DOUBLED != 0
    }

    pub(super) fn age(self) -> Age {
        Age::ALL[((self.0 & AGE) >> AGE_SHIFT) as usize]
    }

    pub(super) fn set_age(&mut self, age: Age) {
        self.0 = self.0 & !AGE | (age as u64) << AGE_SHIFT;
    }

    /// Whether both sides say the same of a message, doubles and ages left aside.
    pub(super) fn agrees(self, other: Self) -> bool {
        const LEFT_ASIDE: u64 = DOUBLED | AGE;
        self.0 & !LEFT_ASIDE == other.0 & !LEFT_ASIDE
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sides_agree_where_they_began_alike_and_said_the_same_once() {
        let begun = |age| Cell::new(0x1234_5678_9abc_def0, age);
        let (mut kafka, mut postgres) = (begun(Age::Kept), begun(Age::Wild));
        assert_eq!((postgres.age(), postgres.kind()), (Age::Wild, None));
        kafka.say(Kind::Result, u64::MAX);
        assert!(!kafka.agrees(postgres));
        postgres.say(Kind::Result, u64::MAX);
        assert!(kafka.agrees(postgres));
        assert_eq!(
            (postgres.age(), postgres.kind()),
            (Age::Wild, Some(Kind::Result))
        );

        let mut dead = begun(Age::Kept);
        dead.say(Kind::Dead, u64::MAX);
        assert!(!dead.agrees(kafka), "another kind");
        let mut other = begun(Age::Kept);
        other.say(Kind::Result, u64::MAX << 8);
        assert!(!other.agrees(kafka), "another digest");
        let mut later = Cell::new(0x1234_5678_9abc_dfff, Age::Kept);
        later.say(Kind::Result, u64::MAX);
        assert!(!later.agrees(kafka), "another time");

        assert!(!kafka.is_doubled());
        kafka.say(Kind::Dead, 5);
        assert!(
            kafka.is_doubled() && kafka.agrees(postgres),
            "the first counts"
        );
        postgres.set_age(Age::Kept);
        assert_eq!(postgres.age(), Age::Kept);
        assert!(kafka.agrees(postgres));
    }
}
