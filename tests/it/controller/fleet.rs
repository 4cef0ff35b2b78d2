//! Two instances, as a deployment has them.

use crate::harness::{Kafka, Service, ServiceConfig};

use super::*;

#[tokio::test(flavor = "multi_thread")]
async fn two_instances_launch_one_training_and_both_serve_the_new_model() {
    let fixture = Fixture::new(true).await;
    fixture.label(0..100).await;
    let kafka = Kafka::new(2).await;
    let trigger =
        "enabled = true\nnew_labels = 80\nmin_labels = 50\ncooldown_hours = 0\nruns_per_day = 9";
    let text = config_text(&fixture, trigger, "epochs = 2", EASY);
    let model = fixture.workshop.path("champion");
    let config = ServiceConfig::with_model(&kafka, &fixture.database, &model, "", &text);
    let mut services = [config.start("one"), config.start("two")];
    for service in &mut services {
        service.wait_ready();
    }
    let serves = |service: &Service, version: &str| {
        service.get("/metrics").is_some_and(|(_, body)| {
            let mut lines = body.lines();
            lines.any(|line| line.starts_with("tidewatch_model_info{") && line.contains(version))
        })
    };
    until("both serve the candidate", async || {
        let champion = champion(&fixture).await;
        champion != fixture.champion && services.iter().all(|service| serves(service, &champion))
    })
    .await;
    let runs = fixture.runs().await;
    assert_eq!(runs.len(), 1, "{runs:#?}");
    assert_eq!(runs[0].candidate, Some(champion(&fixture).await));
    let launches = decisions(&fixture).await;
    let launches: Vec<_> = launches
        .iter()
        .filter(|one| one.action == "launch")
        .collect();
    assert_eq!(launches.len(), 1, "{launches:#?}");
    for service in &mut services {
        assert!(service.terminate().success());
    }
}
