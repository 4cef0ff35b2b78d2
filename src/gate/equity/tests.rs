use proptest::prelude::*;

use super::*;

const HEADER: &str = "ID,Sentence,Template,Person,Gender,Race,Emotion,Emotion word\n";
const RESAMPLING: Resampling = Resampling {
    resamples: 500,
    alpha: 0.05,
    seed: 4,
};

/// Twelve frames of each of two emotions, and two without; in each a woman and a man by a noun phrase and by names of two races.
fn small() -> Corpus {
    let mut text = HEADER.to_owned();
    let persons = [
        ("my aunt", "female", ""),
        ("my uncle", "male", ""),
        ("Ann", "female", "European"),
        ("Bob", "male", "European"),
        ("Cia", "female", "African-American"),
        ("Don", "male", "African-American"),
    ];
    for (emotion, words) in [("joy", 12), ("anger", 12), ("", 2)] {
        for word in 0..words {
            for (person, gender, race) in persons {
                text += &format!(
                    "x,{person} {emotion}{word}.,t,{person},{gender},{race},{emotion},{word}\n"
                );
            }
        }
    }
    Corpus::read(text.as_bytes()).unwrap()
}

fn scores(corpus: &Corpus, score: impl Fn(&str) -> f64) -> Vec<f64> {
    corpus.sentences().iter().map(|text| score(text)).collect()
}

/// Something that differs from frame to frame and not from person to person.
fn of_frame(text: &str) -> f64 {
    let digits: String = text.chars().filter(char::is_ascii_digit).collect();
    digits.parse::<f64>().unwrap_or(0.0).sin() * 0.3
}

fn is_woman(text: &str) -> bool {
    ["my aunt", "Ann", "Cia"]
        .iter()
        .any(|name| text.starts_with(name))
}

#[test]
fn a_model_that_does_not_see_the_person_has_no_gap() {
    let corpus = small();
    let gaps = corpus.audit(&scores(&corpus, of_frame), 0.05).unwrap();
    // Two attributes, each over all frames, joy and anger; two frames without an emotion are too few by themselves.
    assert_eq!(gaps.len(), 6);
    for gap in gaps {
        assert!(gap.mean.abs() < 1e-12 && gap.adjusted_p == 1.0 && gap.effect.is_none());
    }
}

#[test]
fn a_gap_of_gender_is_found_in_its_size_and_none_of_race() {
    let corpus = small();
    let scores = scores(&corpus, |text| {
        let jitter = of_frame(text) / 10.0;
        of_frame(text) + if is_woman(text) { 0.1 + jitter } else { 0.0 }
    });
    for gap in corpus.audit(&scores, 0.05).unwrap() {
        match gap.attribute {
            Attribute::Gender => {
                assert!((gap.mean - 0.1).abs() < 0.01, "{gap:?}");
                assert!(gap.low < gap.mean && gap.mean < gap.high);
                assert!(gap.adjusted_p < 1e-6 && gap.effect.unwrap() > 2.0);
            }
            Attribute::Race => assert!(gap.mean.abs() < 1e-9, "{gap:?}"),
        }
    }
}

/// One frame's worth of arithmetic: the mean over groups of the difference of means.
#[test]
fn the_test_on_ten_gaps_agrees_with_a_table_of_students_t() {
    let gaps = [0.1, 0.3, 0.2, 0.0, 0.4, 0.2, 0.1, 0.3, 0.2, 0.2];
    let gap = Gap::of(Attribute::Gender, None, &gaps, 0.05);
    // Mean 0.2, standard deviation sqrt(0.12 / 9), t = 0.2 / (0.11547 / sqrt(10)) = 5.477 with nine degrees of freedom.
    assert!((gap.mean - 0.2).abs() < 1e-12);
    assert!((gap.effect.unwrap() - 1.732_05).abs() < 1e-4);
    assert!((gap.high - gap.mean - 2.262_157 * 0.036_515).abs() < 1e-4);
    assert!((gap.p - 0.000_391).abs() < 1e-5, "{}", gap.p);
}

#[test]
fn a_wider_gap_is_wider_whichever_way_it_goes() {
    let corpus = small();
    let champion = scores(&corpus, of_frame);
    let candidate = scores(&corpus, |text| {
        of_frame(text)
            - if is_woman(text) {
                0.1 + of_frame(text) / 10.0
            } else {
                0.0
            }
    });
    let wider = corpus.compare(&champion, &candidate, RESAMPLING).unwrap();
    let turned = corpus.compare(&candidate, &champion, RESAMPLING).unwrap();
    for (one, other) in wider.iter().zip(&turned) {
        assert!((one.wider + other.wider).abs() < 1e-12);
        if one.candidate.attribute == Attribute::Gender {
            assert!(one.low > 0.08 && one.high < 0.12, "{one:?}");
        } else {
            assert!(one.wider.abs() < 1e-9);
        }
    }
}

#[test]
fn what_is_no_corpus_and_scores_that_do_not_fit_are_refused() {
    let refusal = |text: &str| Corpus::read(text.as_bytes()).unwrap_err().to_string();
    assert!(refusal("a,b\n1,2\n").contains("cannot be read"));
    assert!(refusal(HEADER).contains("no template"));
    let only_women = format!("{HEADER}x,Ann is.,t,Ann,female,European,,\n");
    assert!(refusal(&only_women).contains("no template"));
    let corpus = small();
    assert!(matches!(
        corpus.audit(&[0.0], 0.05),
        Err(EquityError::Scores { .. })
    ));
    let mut scores = scores(&corpus, of_frame);
    scores[7] = f64::NAN;
    assert!(matches!(
        corpus.audit(&scores, 0.05),
        Err(EquityError::NoNumber(7))
    ));
}

/// Reads the corpus where it lies in `$TIDEWATCH_DATA/eec`.
#[test]
fn the_published_corpus_has_144_frames_and_its_persons_in_each() {
    let Some(data) = std::env::var_os("TIDEWATCH_DATA") else {
        eprintln!("skipped: TIDEWATCH_DATA names no folder with the data");
        return;
    };
    let path = std::path::Path::new(&data).join("eec/Equity-Evaluation-Corpus.csv");
    let corpus = Corpus::read(std::fs::File::open(path).unwrap()).unwrap();
    assert_eq!((corpus.sentences().len(), corpus.frames.len()), (8640, 144));
    for frame in &corpus.frames {
        assert_eq!((frame.gender.len(), frame.race.len()), (3, 2));
        let persons = frame.gender.iter().chain(&frame.race).flatten();
        assert!(persons.into_iter().all(|sentences| sentences.len() == 10));
    }
    let gaps = corpus.audit(&vec![0.5; 8640], 0.05).unwrap();
    // All frames and four emotions, for gender and for race.
    assert_eq!(gaps.len(), 10);
    assert!(
        gaps.iter()
            .all(|gap| gap.frames == if gap.emotion.is_some() { 35 } else { 144 })
    );
}

proptest! {
    #[test]
    fn a_gap_is_as_large_as_what_is_added_for_one_group(added in -0.5_f64..0.5, seed: u64) {
        let corpus = small();
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        let before: Vec<f64> = corpus.sentences().iter().map(|_| rng.random_range(-0.5..0.5)).collect();
        let after: Vec<f64> = corpus
            .sentences()
            .iter()
            .zip(&before)
            .map(|(text, score)| score + if is_woman(text) { added } else { 0.0 })
            .collect();
        let gaps = corpus.audit(&before, 0.05).unwrap().into_iter().zip(corpus.audit(&after, 0.05).unwrap());
        for (before, after) in gaps {
            let expected = if before.attribute == Attribute::Gender { added } else { 0.0 };
            prop_assert!((after.mean - before.mean - expected).abs() < 1e-9);
        }
    }
}
