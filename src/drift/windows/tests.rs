use std::sync::Arc;

use proptest::prelude::*;

use super::super::reading::Fingerprint;
use super::*;

const SETTINGS: WindowSettings = WindowSettings {
    messages: 10,
    time: None,
    lateness: 50,
    idle: 1_000,
};

fn message(partition: i32, offset: i64, time: i64) -> (Origin, Reading) {
    let origin = Origin {
        topic: Arc::from("posts"),
        partition,
        offset,
    };
    let reading = Reading {
        time,
        print: Fingerprint { exact: 0, near: 0 },
        author: None,
        source: "".into(),
        subject: "".into(),
        label: 0,
        probabilities: vec![1.0],
        tokens: Vec::new(),
        words: 0,
        truncated: false,
    };
    (origin, reading)
}

/// A message for each partition and event time.
fn at(times: &[(i32, i64)]) -> Vec<(Origin, Reading)> {
    let messages = (0..).zip(times);
    messages
        .map(|(offset, (partition, time))| message(*partition, offset, *time))
        .collect()
}

fn partition(number: i32) -> TopicPartition {
    message(number, 0, 0).0.topic_partition()
}

fn times(window: &Window) -> Vec<i64> {
    window.readings.iter().map(|reading| reading.time).collect()
}

fn assembly(settings: WindowSettings) -> Assembly {
    Assembly::new(settings, Snapshot::default(), 0)
}

/// All windows of what is pushed, in this order, with a look after each.
fn windows(mut assembly: Assembly, messages: &[(Origin, Reading)]) -> Vec<Window> {
    let mut closed = Vec::new();
    for (origin, reading) in messages {
        assembly.push(origin.clone(), reading.clone(), 0);
        closed.extend(assembly.close(0));
    }
    closed.extend(assembly.close(SETTINGS.idle));
    closed.extend(assembly.retire());
    closed
}

proptest! {
    #[test]
    fn windows_do_not_depend_on_who_reads_which_partition_how_fast(
        times in prop::collection::vec((0_i32..3, 0_i64..40), 1..120),
        mixing in prop::collection::vec(0_usize..3, 0..400),
    ) {
        let mut now = 0;
        let mut queues = vec![Vec::new(); 3];
        for (index, (partition, step)) in times.iter().enumerate() {
            now += step;
            queues[*partition as usize].push(message(*partition, index as i64, now));
        }
        let start = || {
            let mut assembly = assembly(SETTINGS);
            (0..3).for_each(|number| assembly.expect(&partition(number), 0));
            assembly
        };
        let mut in_order: Vec<_> = queues.concat();
        in_order.sort_by_key(|(_, reading)| reading.time);
        let mut mixed = Vec::new();
        let mut left: Vec<_> = queues.into_iter().map(Vec::into_iter).collect();
        for choice in mixing {
            mixed.extend(left[choice].next());
        }
        left.into_iter().for_each(|rest| mixed.extend(rest));
        prop_assert_eq!(windows(start(), &mixed), windows(start(), &in_order));
    }

    #[test]
    fn every_message_is_in_one_window_however_late_it_comes(
        times in prop::collection::vec((0_i32..3, 0_i64..2_000), 1..100),
    ) {
        let closed = windows(assembly(SETTINGS), &at(&times));
        let mut offsets: Vec<_> = closed.iter().flat_map(|window| &window.origins).map(|origin| origin.offset).collect();
        offsets.sort_unstable();
        prop_assert_eq!(offsets, (0..times.len() as i64).collect::<Vec<_>>());
        let numbers: Vec<_> = closed.iter().map(|window| window.number).collect();
        prop_assert_eq!(numbers, (0..closed.len() as u64).collect::<Vec<_>>());
        prop_assert!(closed.iter().rev().skip(1).all(|window| window.readings.len() == 10));
    }

    #[test]
    fn a_watcher_that_begins_anew_makes_the_same_windows(
        times in prop::collection::vec((0_i32..3, 0_i64..500), 1..100),
        restarts in prop::collection::vec(0_usize..100, 1..4),
        time in prop::option::of(50_i64..300),
    ) {
        let settings = WindowSettings { time, ..SETTINGS };
        let messages = at(&times);
        let mut assembly = assembly(settings);
        let mut closed = Vec::new();
        for (index, (origin, reading)) in messages.iter().enumerate() {
            if restarts.contains(&index) {
                let before = assembly.waiting();
                assembly = Assembly::new(settings, assembly.snapshot(), 0);
                for (origin, reading) in &messages[..index] {
                    assembly.restore(origin.clone(), reading.clone());
                }
                prop_assert_eq!(assembly.waiting(), before);
            }
            assembly.push(origin.clone(), reading.clone(), 0);
            closed.extend(assembly.close(0));
        }
        closed.extend(assembly.close(SETTINGS.idle));
        closed.extend(assembly.retire());
        prop_assert_eq!(closed, windows(self::assembly(settings), &messages));
    }
}

#[test]
fn a_snapshot_holds_only_the_readings_that_cannot_be_restored() {
    let mut assembly = assembly(SETTINGS);
    for (origin, reading) in (0..15).map(|offset| message(0, offset, 1_000 + offset * 10)) {
        assembly.push(origin, reading, 0);
    }
    assert_eq!(assembly.close(0).len(), 1);
    assert_eq!(
        (assembly.snapshot().open, assembly.snapshot().pending),
        (vec![], vec![])
    );
    let late = message(0, 15, 5);
    assembly.push(late.0.clone(), late.1.clone(), 0);
    assembly.close(0);
    assert_eq!(assembly.snapshot().open, [late]);
}

#[test]
fn a_window_waits_for_a_partition_that_lags_and_not_for_one_that_is_silent() {
    let mut assembly = assembly(SETTINGS);
    assembly.expect(&partition(1), 0);
    for offset in 0..20 {
        let (origin, reading) = message(0, offset, offset * 10);
        assembly.push(origin, reading, 500);
    }
    assert_eq!(assembly.close(600), []);
    let closed = assembly.close(1_000);
    assert_eq!(closed.len(), 1);
    assert_eq!(
        times(&closed[0]),
        (0..10).map(|i| i * 10).collect::<Vec<_>>()
    );
}

#[test]
fn a_late_message_belongs_to_the_window_that_is_open_and_is_counted_as_late() {
    let mut assembly = assembly(SETTINGS);
    for offset in 0..15 {
        let (origin, reading) = message(0, offset, 1_000 + offset * 10);
        assembly.push(origin, reading, 0);
    }
    assert_eq!(assembly.close(0).len(), 1);
    let (origin, reading) = message(0, 15, 5);
    assembly.push(origin, reading, 0);
    assembly.close(0);
    let closed = assembly.retire();
    assert_eq!((closed[0].late, closed[0].readings.len()), (1, 6));
    assert_eq!((closed[0].start, closed[0].end), (1_100, 1_140));
}

#[test]
fn a_window_of_time_ends_where_its_multiple_does_even_with_few_messages() {
    let mut assembly = assembly(WindowSettings {
        time: Some(100),
        ..SETTINGS
    });
    for (offset, time) in [10, 95, 100, 150, 420, 600].into_iter().enumerate() {
        let (origin, reading) = message(0, offset as i64, time);
        assembly.push(origin, reading, 0);
    }
    let closed: Vec<_> = assembly.close(0).iter().map(times).collect();
    assert_eq!(closed, [vec![10, 95], vec![100, 150]]);
    let rest: Vec<_> = assembly.retire().iter().map(times).collect();
    assert_eq!(rest, [[420], [600]]);
}

#[test]
fn a_late_message_ends_no_window_of_time() {
    let mut assembly = assembly(WindowSettings {
        time: Some(1_000),
        ..SETTINGS
    });
    let mut closed = Vec::new();
    // Every third one comes from a stretch that is long over.
    for (offset, time) in (0..).zip([5_100, 5_200, 80, 5_300, 5_400, 90, 5_500, 6_100]) {
        let (origin, reading) = message(0, offset, time);
        assembly.push(origin, reading, 0);
        closed.extend(assembly.close(0));
    }
    closed.extend(assembly.retire());
    let sizes: Vec<usize> = closed.iter().map(|window| window.readings.len()).collect();
    assert_eq!(sizes, [7, 1]);
    assert_eq!(closed[0].late, 2);
}

#[test]
fn a_jump_of_event_time_neither_holds_messages_up_nor_loses_them() {
    let mut assembly = assembly(SETTINGS);
    let jump = 400 * 86_400_000;
    for offset in 0..30 {
        let time = if offset < 10 {
            offset
        } else {
            jump + offset * 10
        };
        let (origin, reading) = message(0, offset, time);
        assembly.push(origin, reading, 0);
    }
    let closed = assembly.close(0);
    assert_eq!(closed.len(), 2);
    assert_eq!((closed[0].end, closed[1].start), (9, jump + 100));
    // And back: a feed of old messages goes on to be counted.
    for offset in 30..45 {
        let (origin, reading) = message(0, offset, offset);
        assembly.push(origin, reading, 0);
    }
    assert!(!assembly.close(0).is_empty());
}
