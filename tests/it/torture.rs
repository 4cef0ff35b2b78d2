//! The schedules that `scripts/torture` plays.

#[path = "../torture/draw.rs"]
#[expect(dead_code, reason = "the program uses more of it")]
mod draw;
#[path = "../torture/schedule.rs"]
mod schedule;

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

use draw::{Wish, draw};
use schedule::{CHUNK_POINTS, CLAIM_POINTS, Fault, MOST, Schedule, Start};

fn of_seed(seed: u64) -> Schedule {
    drawn(seed, false)
}

fn drawn(seed: u64, swaps: bool) -> Schedule {
    draw(Wish {
        seed,
        minutes: 30.0,
        every: 8.0,
        quiet: 4.0,
        brokers: 1,
        swaps,
        faults: true,
    })
}

#[test]
fn the_same_seed_gives_the_same_schedule_and_another_seed_another() {
    assert_eq!(of_seed(5), of_seed(5));
    assert_ne!(of_seed(5).events, of_seed(6).events);
}

#[test]
fn a_schedule_is_read_as_it_was_written() {
    let schedule = of_seed(7);
    let mut file = Vec::new();
    schedule.write(&mut file).unwrap();
    assert_eq!(Schedule::read(&*file).unwrap(), schedule);
}

#[test]
fn schedules_are_in_order_end_quietly_and_hold_every_kind_of_fault_in_time() {
    let mut kinds: BTreeMap<&str, usize> = BTreeMap::new();
    for seed in 0..20 {
        let schedule = of_seed(seed);
        let times: Vec<u64> = schedule.events.iter().map(|event| event.at_ms).collect();
        assert!(times.is_sorted(), "seed {seed}");
        assert_eq!(times.last(), Some(&(30 * 60 * 1000)), "seed {seed}");
        assert_eq!(schedule.events.last().unwrap().fault, Fault::Quiet);
        for event in &schedule.events {
            *kinds.entry(event.fault.kind()).or_default() += 1;
        }
    }
    assert_eq!(kinds["quiet"], 20 * 8);
    assert_eq!(kinds.len(), 16, "{kinds:?}");
    // A gap of 8 s on average, and more where a fault lasts: at least one in twenty seconds.
    let faults: usize = kinds.values().sum::<usize>() - kinds["quiet"];
    assert!(faults > 20 * 30 * 60 / 20, "{faults} faults in 20 runs");
}

#[test]
fn where_models_are_swapped_it_is_always_the_other_one_that_is_promoted() {
    let mut swaps = 0;
    for seed in 0..20 {
        let mut champion = 0;
        for event in drawn(seed, true).events {
            if let Fault::Promote { bundle } = event.fault {
                assert_ne!(bundle, champion, "seed {seed}");
                champion = bundle;
                swaps += 1;
            }
        }
    }
    assert!(swaps > 20 * 30, "{swaps} swaps in 20 runs");
}

#[test]
fn only_instances_that_run_are_ended_and_only_those_that_do_not_are_added() {
    for seed in 0..50 {
        let schedule = of_seed(seed);
        let mut running: BTreeSet<usize> = schedule
            .header
            .starts
            .iter()
            .map(|start| start.instance)
            .collect();
        for event in &schedule.events {
            let at = event.at_ms;
            match &event.fault {
                Fault::Add { start } => {
                    assert!(running.insert(start.instance), "seed {seed} at {at}");
                }
                Fault::Remove { instance, .. } => {
                    assert!(running.remove(instance), "seed {seed} at {at}");
                }
                Fault::Kill { starts, .. } => {
                    for start in starts {
                        assert!(running.contains(&start.instance), "seed {seed} at {at}");
                    }
                }
                Fault::Terminate { start, .. } => assert!(running.contains(&start.instance)),
                Fault::Pause { instance, .. } => assert!(running.contains(instance)),
                _ => {}
            }
            // One with the real model, and one to four others.
            assert!(
                (2..=MOST + 1).contains(&running.len()),
                "seed {seed} at {at}"
            );
        }
    }
}

/// Every start of a schedule.
fn starts(schedule: &Schedule) -> Vec<&Start> {
    let later = schedule.events.iter().flat_map(|event| match &event.fault {
        Fault::Kill { starts, .. } => starts.iter().collect(),
        Fault::Terminate { start, .. } | Fault::Add { start } => vec![start],
        _ => Vec::new(),
    });
    schedule.header.starts.iter().chain(later).collect()
}

#[test]
fn instances_are_armed_at_every_point_of_the_code_and_at_no_other() {
    let mut in_code = BTreeSet::new();
    for folder in ["src/pipeline", "src/pipeline/ingest", "src/store"] {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join(folder);
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            let text = fs::read_to_string(path).unwrap_or_default();
            let points = text.split("fault::point(\"").skip(1);
            in_code.extend(points.map(|rest| rest.split('"').next().unwrap().to_owned()));
        }
    }
    let known: BTreeSet<_> = CHUNK_POINTS
        .iter()
        .chain(&CLAIM_POINTS)
        .map(|&point| point.to_owned())
        .collect();
    assert_eq!(in_code, known);
    let schedules: Vec<Schedule> = (0..20).map(of_seed).collect();
    let armed: Vec<_> = schedules
        .iter()
        .flat_map(starts)
        .filter_map(|start| start.armed.as_ref())
        .collect();
    let points: BTreeSet<_> = armed.iter().map(|armed| armed.point.clone()).collect();
    assert_eq!(points, known);
    for action in ["=kill+", "=stop+"] {
        assert!(armed.iter().any(|armed| armed.variable().contains(action)));
    }
}
