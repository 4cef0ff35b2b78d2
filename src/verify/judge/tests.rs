use super::*;
use crate::verify::book::Topic;

/// What one side says of a message: `r` and `R` are two different results, `d` is a dead letter, two letters are two of them.
fn say(cell: &mut Cell, said: &str) {
    for one in said.chars() {
        match one {
            'r' => cell.say(Kind::Result, 0xaaaa_0000),
            'R' => cell.say(Kind::Result, 0xbbbb_0000),
            'd' => cell.say(Kind::Dead, 0xcccc_0000),
            other => panic!("{other}"),
        }
    }
}

/// A partition that begins at offset 10 with one message for each pair of what Kafka and what Postgres say.
fn partition(committed: Option<i64>, messages: &[(&str, &str, Age)]) -> Partition {
    let end = 10 + messages.len() as i64;
    let mut partition = Partition::new(0, 10..end, false, committed);
    for (offset, (kafka, postgres, age)) in (10..).zip(messages) {
        partition.add(offset, 0, *age);
        let rank = partition.rank(offset).unwrap();
        say(partition.kafka_mut(rank), kafka);
        say(partition.postgres_mut(rank), postgres);
    }
    partition
}

fn judged(partition: Partition, start: Start) -> Judgement {
    let book = Book::new(vec![Topic {
        name: Arc::from("posts"),
        partitions: vec![partition],
    }]);
    judge(&book, start, false)
}

fn faults(judgement: &Judgement) -> [u64; 4] {
    let counts = &judgement.counts;
    [
        counts.lost,
        counts.doubled,
        counts.disagreeing,
        counts.uncommitted,
    ]
}

#[test]
fn each_combination_of_what_both_sides_say_has_its_name() {
    // Kafka, Postgres, whether committed; lost, doubled, disagreeing, uncommitted.
    let cases = [
        ("r", "r", true, [0, 0, 0, 0]),
        ("d", "d", true, [0, 0, 0, 0]),
        ("", "", true, [1, 0, 0, 0]),
        ("r", "", true, [1, 0, 0, 0]),
        ("", "d", true, [1, 0, 0, 0]),
        ("r", "R", true, [0, 0, 1, 0]),
        ("r", "d", true, [0, 0, 1, 0]),
        ("d", "r", true, [0, 0, 1, 0]),
        ("rr", "r", true, [0, 1, 0, 0]),
        ("rd", "r", true, [0, 1, 0, 0]),
        ("r", "rr", true, [0, 1, 0, 0]),
        ("r", "rd", true, [0, 1, 0, 0]),
        ("rr", "", true, [1, 1, 0, 0]),
        ("", "", false, [0, 0, 0, 0]),
        ("", "r", false, [0, 0, 0, 0]),
        ("", "rr", false, [0, 1, 0, 0]),
        ("r", "r", false, [0, 0, 0, 1]),
        ("r", "", false, [1, 0, 0, 1]),
        ("r", "R", false, [0, 0, 1, 1]),
    ];
    for (kafka, postgres, committed, expected) in cases {
        let committed = committed.then_some(11);
        let judgement = judged(
            partition(committed, &[(kafka, postgres, Age::Kept)]),
            Start::Earliest,
        );
        let case = format!("Kafka {kafka:?}, Postgres {postgres:?}, committed {committed:?}");
        assert_eq!(faults(&judgement), expected, "{case}");
        assert_eq!(
            judgement.places.len() as u64,
            expected.iter().sum::<u64>(),
            "{case}"
        );
        let counts = judgement.counts;
        let lost_in_kafka = u64::from(committed.is_some() && kafka.is_empty());
        assert_eq!(
            counts.messages,
            counts.scored + counts.dead + counts.unread + lost_in_kafka,
            "{case}"
        );
    }
}

#[test]
fn an_outcome_that_was_committed_while_we_looked_is_in_order() {
    let mut partition = partition(Some(10), &[("r", "r", Age::Kept), ("", "r", Age::Kept)]);
    partition.committed_later = Some(11);
    let judgement = judged(partition, Start::Earliest);
    assert_eq!(faults(&judgement), [0, 0, 0, 0]);
    let counts = judgement.counts;
    assert_eq!((counts.scored, counts.unread, counts.ahead), (1, 1, 1));
}

#[test]
fn what_retention_may_have_taken_is_told_and_is_no_fault() {
    let messages = [
        ("", "", Age::Old),
        ("", "r", Age::Kept),
        ("r", "", Age::Old),
        ("r", "", Age::Wild),
        ("r", "", Age::Kept),
        ("", "r", Age::Kept),
        ("r", "R", Age::Old),
    ];
    let mut partition = partition(Some(17), &messages);
    partition.outcomes_from = 12;
    let judgement = judged(partition, Start::Earliest);
    assert_eq!(faults(&judgement), [2, 0, 1, 0]);
    let counts = judgement.counts;
    assert_eq!((counts.outcomes_gone, counts.rows_gone), (2, 3));
}

#[test]
fn a_group_that_began_with_the_latest_owes_nothing_for_what_came_before() {
    let messages = [("", "", Age::Kept); 3]
        .into_iter()
        .chain([
            ("r", "r", Age::Kept),
            ("", "", Age::Kept),
            ("", "", Age::Kept),
        ])
        .collect::<Vec<_>>();
    let judgement = judged(partition(Some(15), &messages), Start::Latest);
    let counts = judgement.counts;
    assert_eq!(
        (counts.before_start, counts.messages, counts.unread),
        (3, 3, 1)
    );
    assert_eq!(faults(&judgement), [1, 0, 0, 0]);
    let judgement = judged(partition(Some(15), &messages), Start::Earliest);
    assert_eq!(faults(&judgement), [4, 0, 0, 0]);
    // Before its first outcome, all that is committed came before.
    let judgement = judged(partition(Some(12), &messages[..3]), Start::Latest);
    let counts = judgement.counts;
    assert_eq!((counts.before_start, counts.unread), (2, 1));
}

#[test]
fn only_the_first_places_of_each_fault_are_kept() {
    let judgement = judged(
        partition(Some(30), &[("", "", Age::Kept); 20]),
        Start::Earliest,
    );
    assert_eq!(judgement.counts.lost, 20);
    let shown: Vec<String> = judgement
        .places
        .iter()
        .map(|(fault, place)| format!("{} {place}", fault.name()))
        .collect();
    assert_eq!(shown.len(), SHOWN);
    assert_eq!(shown[0], "lost posts[0]@10");
}
