//! Far more input than the model can take.

use std::time::{Duration, Instant};

use serde_json::json;

use crate::harness::{Kafka, ServiceConfig, TestDatabase, eventually};

/// Room for a slow machine; nothing waits for it to pass.
const LONG: Duration = Duration::from_secs(300);
/// How long the pressure is kept up; `TIDEWATCH_PRESSURE_SECONDS` for longer.
const SHORT: u64 = 12;
/// `[batch] max_chunk_bytes` of this test.
const CHUNK: u64 = 1 << 20;
/// What docs/running.md says of the memory beyond what stands after the first chunks: 16 MiB fetched ahead, and for each
/// of five chunks its values, their texts and its records.
const BOUND: u64 = (16 << 20) + 5 * 3 * CHUNK;

/// Texts of about two kilobytes: as much work for the model as it ever takes, since it cuts them.
fn long_post(number: usize) -> Option<Vec<u8>> {
    let text = format!("Message {number} was {}", "good and long and ".repeat(120));
    Some(
        json!({ "text": text, "source": "flood" })
            .to_string()
            .into_bytes(),
    )
}

#[tokio::test(flavor = "multi_thread")]
async fn input_far_faster_than_the_model_neither_fills_memory_nor_disturbs_the_group() {
    let seconds =
        std::env::var("TIDEWATCH_PRESSURE_SECONDS").map_or(SHORT, |value| value.parse().unwrap());
    let (kafka, database) = (Kafka::new(4).await, TestDatabase::new().await);
    let more = format!(
        "[batch]\nmax_messages = 32\nmax_chunk_bytes = {CHUNK}\n\
         [kafka.client]\n\"max.poll.interval.ms\" = \"45000\"\n"
    );
    let config = ServiceConfig::new(&kafka, &database, &more);
    config.migrate();
    let mut service = config.start("one");
    service.wait_ready();
    kafka.send((0..2_000).map(long_post));
    eventually("the first chunks to be committed", LONG, || {
        (service.metric("tidewatch_chunks_committed_total")? >= 4.0).then_some(())
    });

    let (before, begun) = (service.resident_bytes(), Instant::now());
    let (mut sent, mut most, mut looks) = (2_000, before, 0);
    let done = |service: &crate::harness::Service| service.metric("tidewatch_predictions_total");
    let done_before = done(&service).unwrap();
    let moves = |service: &crate::harness::Service| done(service).unwrap() > done_before;
    while begun.elapsed() < Duration::from_secs(seconds)
        || (begun.elapsed() < LONG && !moves(&service))
    {
        sent += kafka.send((sent..sent + 500).map(long_post));
        most = most.max(service.resident_bytes());
        let (status, said) = service.get("/readyz").expect("the probes answer");
        assert_eq!(status, 200, "not ready under load: {said}");
        looks += 1;
    }
    let scored = done(&service).unwrap() - done_before;
    let rate = |count: f64| count / begun.elapsed().as_secs_f64();
    let grown = most.saturating_sub(before);
    eprintln!(
        "in {:.0} s {:.0} messages/s came in and {:.0}/s were scored; memory {} MiB + {} MiB (bound {} MiB), {looks} looks",
        begun.elapsed().as_secs_f64(),
        rate((sent - 2_000) as f64),
        rate(scored),
        before >> 20,
        grown >> 20,
        BOUND >> 20,
    );
    assert!(scored > 0.0, "it stood still");
    assert!(
        (sent - 2_000) as f64 > 10.0 * scored,
        "the input was not ten times faster"
    );
    assert!(grown < BOUND, "memory grew by {} MiB", grown >> 20);
    assert_eq!(
        service.metric("tidewatch_rebalances_total"),
        Some(1.0),
        "the group was disturbed"
    );
    assert!(service.terminate().success());
}
