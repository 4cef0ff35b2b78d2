//! Which model is to be tried beside the champion, and on which messages. Pure.

use crate::rollout::policy::Stage;
use crate::rollout::share::{Division, SplitError};
use crate::store::Rollout;

/// The model that a rollout wants beside the champion.
#[derive(Debug, PartialEq)]
pub(super) struct Beside<'a> {
    pub version: &'a str,
    pub rollout: &'a Rollout,
    /// The part of the feed that it serves.
    pub share: f64,
    /// The part of the rest that it scores too.
    pub shadow_share: f64,
}

impl<'a> Beside<'a> {
    /// What a rollout wants beside this champion; nothing where the champion is neither of its models, since then it is about
    /// something else.
    ///
    /// Before its promotion that is the candidate. Afterwards it is the champion from before, which is kept ready and scores
    /// nothing. A candidate that is not the champion at the last stage has been taken back, and scores nothing either.
    pub(super) fn of(champion: &str, rollout: &'a Rollout) -> Option<Self> {
        let (share, shadow_share) = match rollout.state.stage {
            Stage::Shadow => (0.0, rollout.shadow_share),
            Stage::Canary { share } => (share, rollout.shadow_share),
            Stage::Full => (0.0, 0.0),
        };
        if champion == rollout.champion {
            return Some(Self {
                version: &rollout.candidate,
                rollout,
                share,
                shadow_share,
            });
        }
        (champion == rollout.candidate).then_some(Self {
            version: &rollout.champion,
            rollout,
            share: 0.0,
            shadow_share: 0.0,
        })
    }

    /// Which messages it scores.
    pub(super) fn division(&self) -> Result<Division, SplitError> {
        let rollout = self.rollout;
        Division::new(
            &rollout.salt,
            self.share,
            self.shadow_share,
            rollout.keep_together,
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_candidate_serves_its_share_until_it_is_the_champion_and_then_the_one_before_is_kept_ready()
     {
        let canary = Stage::Canary { share: 0.25 };
        let cases = [
            ("old", Stage::Shadow, Some(("new", 0.0, 0.5))),
            ("old", canary, Some(("new", 0.25, 0.5))),
            // Promoted, and its step is not written yet.
            ("new", canary, Some(("old", 0.0, 0.0))),
            ("new", Stage::Full, Some(("old", 0.0, 0.0))),
            // Taken back, and its end is not written yet.
            ("old", Stage::Full, Some(("new", 0.0, 0.0))),
            ("another", canary, None),
        ];
        for (champion, stage, expected) in cases {
            let rollout = Rollout::at(stage);
            let found = Beside::of(champion, &rollout);
            let found = found.map(|beside| (beside.version, beside.share, beside.shadow_share));
            assert_eq!(found, expected, "{champion} at {stage:?}");
        }
    }
}
