use std::sync::Mutex;

use proptest::prelude::*;

use super::*;
use crate::record::Problem;

/// Token ids at which [`Fake`] fails.
const FAILS: u32 = 900;
const NOT_A_NUMBER: u32 = 901;
/// From this id on, it fails for good.
const BREAKS: u32 = 902;

/// Its first logit is the sum of a row's ids, its second is zero.
#[derive(Default)]
struct Fake {
    broken: bool,
}

impl Backend for Fake {
    fn infer(&mut self, batch: &Batch) -> Result<Vec<f32>, InferError> {
        self.broken |= batch.ids.contains(&BREAKS.into());
        if self.broken || batch.ids.contains(&FAILS.into()) {
            return Err(InferError {
                rows: batch.rows,
                width: batch.width,
                reason: "made to fail".into(),
            });
        }
        let rows = batch
            .ids
            .chunks(batch.width)
            .zip(batch.mask.chunks(batch.width));
        let logits = rows.flat_map(|(ids, mask)| {
            let sum: i64 = ids.iter().zip(mask).map(|(id, seen)| id * seen).sum();
            let first = if ids.contains(&NOT_A_NUMBER.into()) {
                f32::NAN
            } else {
                sum as f32
            };
            [first, 0.0]
        });
        Ok(logits.collect())
    }

    fn labels(&self) -> usize {
        2
    }

    fn device(&self) -> &'static str {
        "fake"
    }
}

fn inference() -> Inference {
    Inference {
        backend: Box::new(Fake::default()),
        version: Arc::new(ModelVersion {
            version: "fake".into(),
            labels: vec!["one".into(), "other".into()],
            problem: Problem::MultiLabel,
        }),
        calibrated: Calibrated::at(10.0, Problem::SingleLabel),
        pad: 500,
        longest: 20,
        observer: Box::new(|_| {}),
    }
}

#[test]
fn a_model_is_warmed_with_full_batches_of_every_width_up_to_its_longest_text() {
    let seen: Arc<Mutex<Vec<(usize, usize)>>> = Arc::default();
    struct Watched(Arc<Mutex<Vec<(usize, usize)>>>);
    impl Backend for Watched {
        fn infer(&mut self, batch: &Batch) -> Result<Vec<f32>, InferError> {
            self.0.lock().unwrap().push((batch.rows, batch.width));
            Ok(vec![0.0; batch.rows * 2])
        }

        fn labels(&self) -> usize {
            2
        }

        fn device(&self) -> &'static str {
            "watched"
        }
    }
    let mut inference = Inference {
        backend: Box::new(Watched(Arc::clone(&seen))),
        ..inference()
    };
    inference.warm(64).unwrap();
    assert_eq!(*seen.lock().unwrap(), [(8, 8), (4, 16), (3, 20)]);
    assert!(
        Inference {
            backend: Box::new(Fake { broken: true }),
            ..self::inference()
        }
        .warm(64)
        .is_err()
    );
}

fn encoded(texts: &[&[u32]]) -> Vec<Encoded> {
    texts
        .iter()
        .map(|ids| Encoded {
            ids: ids.to_vec(),
            truncated: false,
        })
        .collect()
}

fn first(result: &Result<Prediction, InferError>) -> Option<f32> {
    result
        .as_ref()
        .ok()
        .map(|prediction| prediction.probabilities[0])
}

fn sigmoid(logit: f32) -> f32 {
    1.0 / (1.0 + (-logit / 10.0).exp())
}

proptest! {
    #[test]
    fn every_text_gets_its_own_answer_in_its_own_place_whichever_others_fail(
        texts in prop::collection::vec(prop::collection::vec(
            prop_oneof![30 => 1_u32..9, 1 => Just(FAILS), 1 => Just(NOT_A_NUMBER)], 0..12), 0..40),
        budget in 1_usize..200,
    ) {
        let texts: Vec<&[u32]> = texts.iter().map(Vec::as_slice).collect();
        let results = inference().infer(&encoded(&texts), budget, || false).unwrap();
        prop_assert_eq!(results.len(), texts.len());
        for (text, result) in texts.iter().zip(&results) {
            let guilty = text.is_empty() || text.contains(&FAILS) || text.contains(&NOT_A_NUMBER);
            let expected = (!guilty).then(|| sigmoid(text.iter().sum::<u32>() as f32));
            match (first(result), expected) {
                (Some(is), Some(expected)) => prop_assert!((is - expected).abs() < 1e-6),
                (is, expected) => prop_assert_eq!(is, expected),
            }
        }
    }
}

#[test]
fn a_backend_that_fails_on_everything_is_blamed_instead_of_the_texts() {
    let texts = encoded(&[&[1], &[BREAKS], &[2, 3]]);
    let error = inference().infer(&texts, 100, || false).unwrap_err();
    assert!(matches!(error, Interrupted::Broken(_)), "{error}");
}

#[test]
fn who_asks_to_stop_is_heard_before_the_next_batch() {
    let texts = encoded(&[&[1; 8], &[2; 8], &[3; 8]]);
    let mut asked = 0;
    let mut inference = inference();
    let error = inference.infer(&texts, 8, || {
        asked += 1;
        asked == 3
    });
    assert!(matches!(error, Err(Interrupted::Stopped)));
    assert_eq!(asked, 3);
    assert!(inference.infer(&texts, 8, || false).is_ok());
}

#[test]
fn every_batch_is_reported_with_its_padding() {
    let runs = Arc::new(Mutex::new(Vec::new()));
    let mut inference = inference();
    let seen = Arc::clone(&runs);
    inference.observe(move |run| seen.lock().unwrap().push((run.rows, run.width, run.tokens)));
    let texts = encoded(&[&[1], &[1; 4], &[1; 3], &[1; 2]]);
    inference.infer(&texts, 64, || false).unwrap();
    assert_eq!(*runs.lock().unwrap(), [(2, 4, 7), (2, 2, 3)]);
}
