use std::path::Path;

use super::*;
use crate::model::backend::Backend;
use crate::model::inference::Inference;
use crate::model::manifest::Bundle;
use crate::model::tokenizer::Tokenizer;
use crate::record::{Assignment, Batch, Chunk, Message, Offsets, Origin, Problem, RawMessage};
use crate::rollout::share::{Division, KeepTogether, Place};

fn raw(offset: i64) -> RawMessage {
    RawMessage {
        origin: Origin {
            topic: Arc::from("posts"),
            partition: 0,
            offset,
        },
        kafka_time: chrono::DateTime::UNIX_EPOCH,
        key: None,
        headers: Vec::new(),
        payload: None,
    }
}

fn message(offset: i64) -> Decoded {
    Decoded::Message(Message {
        raw: raw(offset),
        id: None,
        text: "x".into(),
        author: None,
        source: None,
        subject: None,
        language: None,
        event_time: chrono::DateTime::UNIX_EPOCH,
    })
}

#[test]
fn every_item_keeps_its_place_and_gets_its_own_outcome() {
    let items = vec![
        message(0),
        Decoded::Dead(DeadLetter {
            raw: raw(1),
            reason: DeadReason::NoText,
            detail: String::new(),
        }),
        message(2),
        message(3),
    ];
    let answer = |by, tokens: usize, said, shadow| Answer {
        by,
        encoded: Encoded {
            ids: vec![1; tokens],
            truncated: tokens > 3,
        },
        said,
        shadow,
    };
    let good = |label| Prediction {
        label,
        probabilities: vec![0.5, 0.5],
    };
    let failed = Err(InferError {
        rows: 1,
        width: 3,
        reason: "not a number".into(),
    });
    let [champion, second] = ["one", "two"].map(|version| {
        Arc::new(ModelVersion {
            version: version.to_owned(),
            labels: vec!["bad".into(), "good".into()],
            problem: Problem::SingleLabel,
        })
    });
    let answers = vec![
        answer(Voice::Champion, 2, Ok(good(0)), Some(good(1))),
        answer(Voice::Champion, 3, failed, None),
        answer(Voice::Second, 4, Ok(good(1)), None),
    ];
    let beside = Beside {
        model: &second,
        rollout: 7,
    };
    let outcomes = outcomes(items, answers, &champion, Some(beside));
    let seen: Vec<_> = outcomes
        .iter()
        .map(|outcome| match outcome {
            Outcome::Scored(scored) => (
                outcome.raw().origin.offset,
                format!(
                    "{} of {} by {}, {:?}",
                    scored.prediction.label,
                    scored.tokens,
                    scored.model.version,
                    scored.shadow.as_ref().map(|shadow| {
                        (
                            &*shadow.model.version,
                            shadow.rollout,
                            shadow.prediction.label,
                        )
                    })
                ),
            ),
            Outcome::Dead(letter) => (outcome.raw().origin.offset, letter.reason.to_string()),
        })
        .collect();
    let expected = [
        (0, "0 of 2 by one, Some((\"two\", 7, 1))"),
        (1, "no_text"),
        (2, "model_failed"),
        (3, "1 of 4 by two, None"),
    ];
    assert_eq!(
        seen,
        expected.map(|(offset, what)| (offset, what.to_owned()))
    );
}

/// What a made-up model does with every batch.
#[derive(Clone, Copy)]
enum Manner {
    /// It prefers this label.
    Prefers(usize),
    Fails,
    Panics,
}

struct Fake(Manner);

impl Backend for Fake {
    fn infer(&mut self, batch: &Batch) -> Result<Vec<f32>, InferError> {
        let label = match self.0 {
            Manner::Prefers(label) => label,
            Manner::Fails => {
                return Err(InferError {
                    rows: batch.rows,
                    width: batch.width,
                    reason: "the device is gone".into(),
                });
            }
            Manner::Panics => panic!("a fault of its own"),
        };
        let row = |_| (0..3).map(move |class| if class == label { 5.0 } else { 0.0 });
        Ok((0..batch.rows).flat_map(row).collect())
    }

    fn labels(&self) -> usize {
        3
    }

    fn device(&self) -> &'static str {
        "fake"
    }
}

/// The tokenizer of the model that ships, with a made-up model.
fn loaded(version: &str, manner: Manner) -> Arc<Loaded> {
    let bundle =
        Bundle::open(Path::new(env!("CARGO_MANIFEST_DIR")).join("models/default")).unwrap();
    let tokenizer = Tokenizer::open(&bundle).unwrap();
    let named = Arc::new(ModelVersion {
        version: version.to_owned(),
        ..bundle.model_version()
    });
    let inference = Inference::new(Box::new(Fake(manner)), named, &bundle.manifest);
    Arc::new(Loaded::of(Arc::new(tokenizer), inference))
}

/// A chunk of as many messages as places, with the model beside the champion.
fn taken(places: &[Place], champion: &Arc<Loaded>, second: &Arc<Loaded>) -> (Taken, Arc<Arm>) {
    let items: Vec<Decoded> = (0..).take(places.len()).map(message).collect();
    let mut offsets = Offsets::default();
    items
        .iter()
        .for_each(|item| offsets.include(&item.raw().origin));
    let encoded = |model: &Loaded, not: Place| {
        let placed = places.iter().filter(|place| **place != not);
        placed.map(|_| model.tokenizer().encode("x")).collect()
    };
    let division = Division::new("s", 0.5, 1.0, KeepTogether::Author).unwrap();
    let arm = Arc::new(Arm::new(Arc::clone(second), 7, division));
    let chunk = Chunk {
        items,
        offsets,
        assignment: Assignment::default(),
        started: Instant::now(),
    };
    let taken = Taken {
        chunk: EncodedChunk {
            chunk,
            encoded: encoded(champion, Place::Candidate),
        },
        champion: Arc::clone(champion),
        second: Some(Second {
            arm: Arc::clone(&arm),
            places: places.to_vec(),
            encoded: encoded(second, Place::Champion),
        }),
    };
    (taken, arm)
}

const PLACES: [Place; 5] = [
    Place::Candidate,
    Place::Champion,
    Place::Shadow,
    Place::Candidate,
    Place::Shadow,
];

/// Version, label and label in shadow of each message.
fn said(chunk: &ScoredChunk) -> Vec<(String, usize, Option<usize>)> {
    let outcomes = chunk.outcomes.iter().map(|outcome| match outcome {
        Outcome::Scored(scored) => (
            scored.model.version.clone(),
            scored.prediction.label,
            scored.shadow.as_ref().map(|shadow| shadow.prediction.label),
        ),
        Outcome::Dead(letter) => panic!("{letter:?}"),
    });
    outcomes.collect()
}

fn infer(metrics: &Metrics) -> Infer {
    Infer::new(2048, true, Arc::new(Flight::new()), metrics.clone())
}

#[test]
fn each_message_is_scored_by_the_model_of_its_place() {
    let metrics = Metrics::new();
    let (champion, second) = (
        loaded("one", Manner::Prefers(0)),
        loaded("two", Manner::Prefers(2)),
    );
    let (taken, arm) = taken(&PLACES, &champion, &second);
    let chunk = infer(&metrics).score(taken, Instant::now()).unwrap();
    let (one, two) = ("one".to_owned(), "two".to_owned());
    let expected = [
        (two.clone(), 2, None),
        (one.clone(), 0, None),
        (one.clone(), 0, Some(2)),
        (two, 2, None),
        (one, 0, Some(2)),
    ];
    assert_eq!(said(&chunk), expected);
    assert!(!arm.is_given_up());
    let panes: Vec<_> = chunk
        .panes
        .iter()
        .map(|pane| &*pane.model.version)
        .collect();
    assert_eq!(panes, ["one", "two"]);
    for (role, messages) in [
        (ArmRole::Champion, 3),
        (ArmRole::Candidate, 2),
        (ArmRole::Shadow, 2),
    ] {
        assert_eq!(metrics.arm_messages.of(role).get(), messages, "{role:?}");
    }
}

#[test]
fn a_second_model_that_breaks_or_panics_is_given_up_and_the_champion_serves_everything() {
    for manner in [Manner::Fails, Manner::Panics] {
        let metrics = Metrics::new();
        let (champion, second) = (loaded("one", Manner::Prefers(1)), loaded("two", manner));
        let (taken, arm) = taken(&PLACES, &champion, &second);
        let chunk = infer(&metrics).score(taken, Instant::now()).unwrap();
        assert_eq!(said(&chunk), vec![("one".to_owned(), 1, None); 5]);
        assert!(arm.is_given_up());
        assert_eq!(metrics.arms_given_up.get(), 1);
        assert_eq!(metrics.arm_failures.get(), 4);
        let readings: Vec<_> = chunk
            .panes
            .iter()
            .map(|pane| &*pane.model.version)
            .collect();
        assert_eq!(readings, ["one"]);
    }
}
