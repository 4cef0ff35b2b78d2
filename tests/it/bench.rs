//! `tidewatch bench` as a program: that it measures, not what.

use std::path::Path;
use std::process::Command;

use serde_json::Value;

use super::finetune::workshop::{RECIPE, Workshop};
use super::harness::{Kafka, SmallBundle, TestDatabase, default_model};

fn number(report: &Value, path: &str) -> f64 {
    let found = report.pointer(path).and_then(Value::as_f64);
    found.unwrap_or_else(|| panic!("no {path} in {report}"))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_measurement_compares_the_whole_service_with_the_bare_session() {
    let kafka = Kafka::new(1).await;
    let database = TestDatabase::new().await;
    let workshop = Workshop::new();
    let encoder = workshop.path("encoder").display().to_string();
    workshop.write("recipe.toml", &RECIPE.replace("encoder", &encoder));
    let output = Command::new(env!("CARGO_BIN_EXE_tidewatch"))
        .args([
            "bench",
            "--messages",
            "60",
            "--repeat",
            "1",
            "--json",
            "--unguarded",
            "--unwatched",
            "--training",
        ])
        .arg(workshop.path(""))
        .args(["--kafka", &kafka.bootstrap, "--database-url", &database.url])
        .arg("--model")
        .arg(default_model())
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(0), "{said}");
    let report: Value = serde_json::from_slice(&output.stdout).unwrap();
    let number = |path| number(&report, path);
    // One session before and one after the one time through the service, whose ratio is theirs to it.
    let seconds = [
        number("/bare/each/0"),
        number("/end_to_end/each/0"),
        number("/bare/each/1"),
    ];
    let ratio = (seconds[0] + seconds[2]) / 2.0 / seconds[1];
    assert!((number("/ratio") - ratio).abs() < 1e-9, "{report}");
    assert!(number("/stages/infer") <= seconds[1], "{report}");
    assert_eq!(number("/setup/messages"), 60.0);
    let promise = number("/unguarded/each/0") / seconds[1];
    assert!(
        (number("/unguarded/ratio") - promise).abs() < 1e-9,
        "{report}"
    );
    let watch = number("/unwatched/each/0") / seconds[1];
    assert!(
        (number("/unwatched/ratio") - watch).abs() < 1e-9,
        "{report}"
    );
    let training = seconds[1] / number("/training/each/0");
    assert!(
        (number("/training/ratio") - training).abs() < 1e-9,
        "{report}"
    );
    let committed = database.pool().await;
    let rows: i64 = sqlx::query_scalar(
        "SELECT (SELECT count(*) FROM v_predictions) + (SELECT count(*) FROM v_dead_letters)",
    )
    .fetch_one(&committed)
    .await
    .unwrap();
    assert_eq!(rows, 240, "60 of each");
}

#[tokio::test(flavor = "multi_thread")]
async fn models_that_take_turns_are_measured_by_what_each_swap_costs() {
    let kafka = Kafka::new(1).await;
    let database = TestDatabase::new().await;
    let other = SmallBundle::new();
    let bench = |messages: &str, swap: &Path| {
        Command::new(env!("CARGO_BIN_EXE_tidewatch"))
            .args(["bench", "--json", "--repeat=1", "--messages", messages])
            .args(["--kafka", &kafka.bootstrap, "--database-url", &database.url])
            .arg("--model")
            .arg(default_model())
            .arg("--swap")
            .arg(swap)
            .output()
            .unwrap()
    };
    // Long enough for the first turn of five seconds to end.
    let output = bench("2500", &other.path());
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(0), "{said}");
    let report: Value = serde_json::from_slice(&output.stdout).unwrap();
    let number = |path| number(&report, path);
    let swaps = number("/swaps/swaps");
    assert!(swaps >= 1.0, "{report}");
    let (whole, turns) = (number("/end_to_end/each/0"), number("/swaps/each/0"));
    assert!((number("/swaps/ratio") - whole / turns).abs() < 1e-9);
    let behind = (turns - whole) * 2500.0 / whole / swaps;
    assert!((number("/swaps/messages_behind_per_swap") - behind).abs() < 1e-6);

    let output = bench("10", &default_model());
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(2), "{said}");
    assert!(said.contains("--swap names the same model"), "{said}");
}
