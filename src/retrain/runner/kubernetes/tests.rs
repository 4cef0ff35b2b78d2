//! The Job against a stand-in of the cluster's API.

mod stand_in;

use std::cell::Cell;
use std::path::Path;

use serde_json::json;

use super::super::Refusal;
use super::*;
use stand_in::{Script, StandIn, pod};

fn started(events: &[Event]) -> Vec<(&str, u32)> {
    let started = events.iter().filter_map(|event| match event {
        Event::Started { process, attempt } => Some((process.as_str(), *attempt)),
        Event::Told(_) => None,
    });
    started.collect()
}

const START: &str = "{\"event\":\"start\",\"steps\":4,\"epochs\":1}\n";

#[test]
fn a_job_that_succeeds_is_done_and_forgotten_and_its_log_becomes_events() {
    let cluster = StandIn::new(Script::Succeed(START));
    let (end, events) = cluster.ended();
    let bundle = cluster.job().bundle;
    assert_eq!(end, End::Done { bundle });
    assert_eq!(started(&events), [("pod-1", 1)]);
    let start = Progress::Start {
        steps: 4,
        epochs: 1,
    };
    assert_eq!(events[1..], [Event::Told(start)]);
    let state = cluster.state();
    assert!(state.job.is_none());
    assert_eq!(state.deleted[0]["propagationPolicy"], json!("Foreground"));
}

#[test]
fn a_pod_gets_its_limits_and_of_the_environment_nothing_secret_and_nothing_of_this_machine() {
    let cluster = StandIn::new(Script::Succeed(START));
    cluster.ended();
    let state = cluster.state();
    let spec = &state.created[0]["spec"];
    let pod = &spec["template"]["spec"];
    let container = &pod["containers"][0];
    assert_eq!(
        (
            &container["image"],
            &container["command"],
            &container["args"]
        ),
        (
            &json!("registry/tidewatch:1"),
            &json!(["tidewatch-finetune"]),
            &json!(["--resume"])
        )
    );
    assert_eq!(
        container["env"],
        json!([{"name": "HF_ENDPOINT", "value": "http://hub"}])
    );
    assert_eq!(
        container["envFrom"],
        json!([{"secretRef": {"name": "hub"}}])
    );
    assert_eq!(
        container["resources"]["limits"],
        json!({"cpu": "2", "memory": "1073741824"})
    );
    assert_eq!(container["volumeMounts"][0]["mountPath"], json!("/work"));
    assert_eq!(
        pod["volumes"][0]["persistentVolumeClaim"]["claimName"],
        json!("models")
    );
    assert_eq!(
        (
            &pod["restartPolicy"],
            &pod["terminationGracePeriodSeconds"],
            &spec["backoffLimit"]
        ),
        (&json!("Never"), &json!(30), &json!(2))
    );
    assert_eq!(spec["activeDeadlineSeconds"], json!(3600));
}

#[test]
fn exit_codes_and_signals_mean_what_they_do_on_one_machine() {
    let said = "tidewatch-finetune: the gate is not met\n";
    let (end, _) = StandIn::new(Script::Fail(said, 3, "Error")).ended();
    let last_words = vec![said.trim_end().to_owned()];
    let refused = End::Refused {
        why: Refusal::Gate,
        code: 3,
        last_words,
    };
    assert_eq!(end, refused);
    let (end, _) = StandIn::new(Script::Fail("", 137, "OOMKilled")).ended();
    let last_words = vec!["the pod wanted more memory than it may have".to_owned()];
    assert_eq!(end, End::Killed { by: 9, last_words });
    let (end, _) = StandIn::new(Script::Fail("", 130, "Error")).ended();
    assert!(matches!(end, End::Stopped { .. }), "{end:?}");
}

#[test]
fn a_job_that_is_stopped_is_deleted_and_heard_to_its_end() {
    let cluster = StandIn::new(Script::Hang(START, "saved\n"));
    let asked = Cell::new(false);
    let end = cluster.run(
        &cluster.job(),
        &mut |event| {
            if matches!(event, Event::Told(Progress::Start { .. })) {
                asked.set(true);
            }
        },
        &|| asked.get(),
    );
    let last_words = vec!["saved".to_owned()];
    assert_eq!(end, End::Stopped { last_words });
    assert_eq!(cluster.state().deleted.len(), 1);
}

#[test]
fn a_pod_that_says_nothing_is_ended() {
    let cluster = StandIn::new(Script::Hang(START, ""));
    let mut job = cluster.job();
    job.limits.silence = Duration::from_secs(2);
    let end = cluster.run(&job, &mut |_| {}, &|| false);
    assert!(matches!(end, End::Silent { .. }), "{end:?}");
    assert!(cluster.state().job.is_none());
}

#[test]
fn a_pod_that_the_cluster_replaces_is_another_attempt() {
    let cluster = StandIn::new(Script::DieOnce(Box::new(Script::Succeed(START))));
    let (end, events) = cluster.ended();
    assert!(matches!(end, End::Done { .. }), "{end:?}");
    assert_eq!(started(&events), [("pod-1", 1), ("pod-2", 2)]);
}

#[test]
fn a_service_that_comes_back_goes_along_with_the_job_it_had_made() {
    let cluster = StandIn::new(Script::Succeed(START));
    {
        // As if a service had made it and died: made by a first run, and kept in place of what that deleted.
        cluster.ended();
        std::fs::remove_dir(cluster.job().bundle).unwrap();
        let mut state = cluster.state();
        state.job = state.created.pop();
        state.pods = vec![pod(1)];
    }
    let (end, events) = cluster.ended();
    assert!(matches!(end, End::Done { .. }), "{end:?}");
    assert_eq!(started(&events), [("pod-1", 1)]);
    assert_eq!(cluster.state().created.len(), 0);
}

#[test]
fn an_older_job_of_the_name_makes_room() {
    let cluster = StandIn::new(Script::Succeed(START));
    let older = json!({"apiVersion": "batch/v1", "kind": "Job", "metadata": {"name": "x"}});
    cluster.state().job = Some(older);
    let (end, _) = cluster.ended();
    assert!(matches!(end, End::Done { .. }), "{end:?}");
    let state = cluster.state();
    assert_eq!((state.created.len(), state.deleted.len()), (1, 2));
}

#[test]
fn what_the_cluster_denies_is_said_and_what_may_pass_is_tried_again() {
    let cluster = StandIn::new(Script::Succeed(START));
    cluster.state().denies = true;
    let End::NotStarted { reason } = cluster.ended().0 else {
        panic!("it was started");
    };
    assert!(reason.contains("jobs.batch is forbidden"), "{reason}");

    let cluster = StandIn::new(Script::Succeed(START));
    cluster.state().failures = 3;
    assert!(matches!(cluster.ended().0, End::Done { .. }));
}

#[test]
fn the_name_of_a_job_follows_from_its_bundle() {
    let cluster = StandIn::new(Script::Succeed(START));
    let config = KubernetesConfig::default();
    let mut job = cluster.job();
    let name = |job: &Job| manifest::of(&config, job, 3).name_any();
    let first = name(&job);
    assert_eq!(first, name(&job));
    job.bundle = Path::new("/elsewhere").into();
    assert_ne!(first, name(&job));
    assert!(
        first.len() < 63 && first.starts_with("tidewatch-training-"),
        "{first}"
    );
}
