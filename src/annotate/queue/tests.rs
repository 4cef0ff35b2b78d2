//! What is picked, and with what probability it says it was.

use proptest::prelude::*;

use super::*;
use crate::annotate::synthetic::{messages, origin, picked};
use crate::drift::reading::Fingerprint;

fn config() -> AnnotateConfig {
    AnnotateConfig {
        salt: "test".to_owned(),
        ..AnnotateConfig::default()
    }
}

fn candidate(origin: &Origin, near: u64) -> Candidate<'_> {
    Candidate {
        origin,
        print: Fingerprint { exact: near, near },
        author: None,
        words: 10,
        language: None,
        margin: 0.1,
    }
}

#[test]
fn the_random_slice_is_the_same_for_every_instance_and_order_and_salts_differ() {
    let made = messages(3_000, 1);
    let random = |config: &AnnotateConfig, reverse: bool| -> Vec<i64> {
        let mut queue = Queue::new(config.clone(), 0);
        let numbers: Vec<usize> = if reverse {
            (0..3_000).rev().collect()
        } else {
            (0..3_000).collect()
        };
        for number in numbers {
            let origin = origin(number);
            queue.offer(&candidate(&origin, 7), 0.05).unwrap();
        }
        queue
            .close(0)
            .iter()
            .map(|pick| pick.origin.offset)
            .collect()
    };
    let one = random(&config(), false);
    assert_eq!(
        one,
        random(&config(), true),
        "copies or not, in whatever order"
    );
    assert!(
        (100..=200).contains(&one.len()),
        "{} of 3,000 at 0.05",
        one.len()
    );
    let others = AnnotateConfig {
        salt: "other".to_owned(),
        ..config()
    };
    assert_ne!(one, random(&others, false));
    assert_eq!(picked(&made, &config(), 1.0, 0).len(), 3_000);
}

#[test]
fn uncertain_messages_are_preferred_and_sure_ones_have_a_chance() {
    let made = messages(4_000, 2);
    let picks = picked(&made, &config(), 0.0, 200);
    assert_eq!(picks.len(), 200);
    assert!(
        picks
            .iter()
            .all(|pick| pick.sampling == Sampling::Uncertain && pick.chance.random == 0.0)
    );
    let mean = |margins: &mut dyn Iterator<Item = f64>| {
        let margins: Vec<f64> = margins.collect();
        margins.iter().sum::<f64>() / margins.len() as f64
    };
    let (of_picks, of_all) = (
        mean(&mut picks.iter().map(|pick| pick.margin)),
        mean(&mut made.iter().map(|made| made.margin)),
    );
    assert!(of_picks < of_all - 0.15, "{of_picks} {of_all}");
    assert!(picks.iter().any(|pick| pick.margin > 0.9));
    let close_by =
        |pick: &&Pick| (0.0..1.0).contains(&pick.chance.uncertain) && pick.chance.uncertain > 0.0;
    assert!(picks.iter().all(|pick| close_by(&pick)));
}

#[test]
fn what_is_clipped_is_picked_by_chance_only() {
    let config = AnnotateConfig {
        languages: vec!["en".to_owned()],
        ..config()
    };
    let mut queue = Queue::new(config, 100);
    let origins: Vec<Origin> = (0..9).map(origin).collect();
    let base = |number: usize| candidate(&origins[number], number as u64);
    let offered = [
        Candidate {
            words: 2,
            ..base(0)
        },
        Candidate {
            words: 81,
            ..base(1)
        },
        Candidate {
            language: Some("fr"),
            ..base(2)
        },
        Candidate {
            language: Some("EN-gb"),
            ..base(3)
        },
        base(4),
        Candidate {
            print: Fingerprint { exact: 5, near: 4 },
            ..base(5)
        },
        Candidate {
            author: Some(1),
            ..base(6)
        },
        Candidate {
            author: Some(1),
            ..base(7)
        },
        Candidate {
            author: Some(1),
            ..base(8)
        },
    ];
    for candidate in &offered {
        queue.offer(candidate, 1e-9).unwrap();
    }
    let picks = queue.close(100);
    let numbers: Vec<i64> = picks.iter().map(|pick| pick.origin.offset).collect();
    assert_eq!(numbers[..2], [3, 4]);
    assert_eq!(numbers.len(), 4, "two of the author's three: {numbers:?}");
    // Later copies of what was picked are not asked for again, but by chance.
    queue
        .offer(
            &Candidate {
                origin: &origin(40),
                ..base(4)
            },
            0.0,
        )
        .unwrap();
    assert_eq!(queue.close(100), []);
    queue
        .offer(
            &Candidate {
                origin: &origin(41),
                ..base(4)
            },
            1.0,
        )
        .unwrap();
    let by_chance = queue.close(0);
    assert_eq!(
        (by_chance[0].chance.random, by_chance[0].chance.uncertain),
        (1.0, 0.0)
    );
}

#[test]
fn a_full_period_says_so_and_goes_on_after_its_end() {
    let mut queue = Queue::new(
        AnnotateConfig {
            period_texts: 5,
            ..config()
        },
        2,
    );
    for number in 0..5 {
        queue
            .offer(&candidate(&origin(number), number as u64), 0.0)
            .unwrap();
    }
    let next = origin(5);
    assert_eq!(queue.offer(&candidate(&next, 5), 0.0), Err(Full));
    assert_eq!(queue.close(1).len(), 2);
    queue.offer(&candidate(&next, 5), 0.0).unwrap();
    assert_eq!(queue.close(1).len(), 1);
}

#[test]
fn a_message_that_is_delivered_twice_is_picked_once() {
    let once = picked(&messages(300, 6), &config(), 0.3, 20);
    let mut queue = Queue::new(config(), 20);
    for _ in 0..2 {
        for (number, made) in messages(300, 6).iter().enumerate() {
            let origin = origin(number);
            let again = Candidate {
                margin: made.margin,
                author: Some(made.author),
                ..candidate(&origin, number as u64)
            };
            queue.offer(&again, 0.3).unwrap();
        }
    }
    assert_eq!(queue.close(0), once);
}

#[test]
fn what_is_remembered_is_bounded() {
    let mut remembered = Remembered::default();
    (0..REMEMBERED as u64 + 10).for_each(|near| remembered.add(near));
    assert_eq!(
        (remembered.order.len(), remembered.prints.len()),
        (REMEMBERED, REMEMBERED)
    );
    assert!(!remembered.prints.contains(&9) && remembered.prints.contains(&10));
}

#[test]
fn the_settings_that_ship_make_sense_and_others_are_refused() {
    assert_eq!(AnnotateConfig::default().check(), Ok(()));
    for (text, said) in [
        ("least_probability = 0.0", "least_probability"),
        ("exploration = 0.0", "exploration"),
        ("sharpness = nan", "sharpness"),
        ("min_words = 90", "min_words"),
        ("period_texts = 10", "period_texts"),
        ("uncertain_per_day = 20000", "uncertain_per_day"),
    ] {
        let refusal = toml::from_str::<AnnotateConfig>(text)
            .unwrap()
            .check()
            .unwrap_err();
        assert!(refusal.contains(said), "{refusal}");
    }
}

/// Over many salts each message must be picked as often as its probability says.
#[test]
fn messages_are_picked_as_often_as_they_say() {
    const ROUNDS: usize = 1_500;
    let made = messages(300, 4);
    let mut weighed = [0.0; 3];
    for round in 0..ROUNDS {
        let config = AnnotateConfig {
            salt: round.to_string(),
            ..config()
        };
        let picks = picked(&made, &config, 0.05, 20);
        for pick in &picks {
            let third = pick.origin.offset as usize / 100;
            weighed[third] += 1.0 / pick.chance.inclusion() / ROUNDS as f64;
        }
    }
    // The number of messages in each third, from what was picked alone.
    assert!(
        weighed.iter().all(|count| (count - 100.0).abs() < 4.0),
        "{weighed:?}"
    );
}

proptest! {
    #[test]
    fn the_same_messages_again_give_the_same_picks(seed in any::<u64>(), random in 0.0_f64..0.3, uncertain in 0_u32..30) {
        let made = messages(200, seed);
        let config = AnnotateConfig { salt: seed.to_string(), ..config() };
        let one = picked(&made, &config, random, uncertain);
        prop_assert_eq!(&one, &picked(&made, &config, random, uncertain));
        prop_assert!(one.windows(2).all(|pair| pair[0].origin < pair[1].origin), "each once");
        prop_assert!(one.iter().all(|pick| pick.chance.inclusion() > 0.0 && pick.chance.inclusion() <= 1.0));
    }
}
