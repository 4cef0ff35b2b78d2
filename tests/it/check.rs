//! `tidewatch check` and `tidewatch migrate` as programs, against real servers.

#![expect(
    clippy::unwrap_used,
    reason = "in a test, a panic with its line is the report"
)]

use std::process::{Command, Output};
use std::time::{Duration, Instant};

use rdkafka::ClientConfig;
use rdkafka::admin::{AdminClient, AdminOptions, AlterConfig, ResourceSpecifier};
use rdkafka::client::DefaultClientContext;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::producer::{BaseProducer, BaseRecord, Producer};
use serde_json::Value;

use crate::harness::{Kafka, ServiceConfig, SmallBundle, TestDatabase, eventually, unique};

/// A deployment in which nothing is missing.
struct Deployment {
    kafka: Kafka,
    database: TestDatabase,
    bundle: SmallBundle,
}

impl Deployment {
    async fn new() -> Self {
        let deployment = Self {
            kafka: Kafka::new(3).await,
            database: TestDatabase::new().await,
            bundle: SmallBundle::new(),
        };
        let output = deployment.run("migrate", &[], "");
        assert!(output.status.success(), "{output:?}");
        deployment
    }

    /// Runs a command with TOML added to the config.
    fn run(&self, command: &str, args: &[&str], more: &str) -> Output {
        let config = ServiceConfig::new(&self.kafka, &self.database, more);
        Command::new(env!("CARGO_BIN_EXE_tidewatch"))
            .arg(command)
            .arg("--config")
            .arg(config.path())
            .args(args)
            .env("TIDEWATCH__MODEL__PATH", self.bundle.path())
            .output()
            .unwrap()
    }

    /// Gives the topic of results this setting and no other.
    async fn alter(&self, setting: &str, value: &str) {
        let admin: AdminClient<DefaultClientContext> = ClientConfig::new()
            .set("bootstrap.servers", &self.kafka.bootstrap)
            .create()
            .unwrap();
        let topic = ResourceSpecifier::Topic(&self.kafka.results);
        let change =
            AlterConfig::new(ResourceSpecifier::Topic(&self.kafka.results)).set(setting, value);
        let options = AdminOptions::new();
        for result in admin.alter_configs([&change], &options).await.unwrap() {
            result.unwrap();
        }
        // The broker that answers may hear of it a moment later.
        let deadline = Instant::now() + Duration::from_secs(30);
        loop {
            let settings = admin
                .describe_configs([&topic], &options)
                .await
                .unwrap()
                .remove(0)
                .unwrap();
            if settings
                .get(setting)
                .and_then(|entry| entry.value.as_deref())
                == Some(value)
            {
                return;
            }
            assert!(Instant::now() < deadline, "{setting} does not change");
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    /// The findings as JSON, and whether the exit code and `ok` say that all is well.
    fn check(&self, more: &str) -> (bool, Vec<Value>) {
        let output = self.run("check", &["--json"], more);
        let report: Value = serde_json::from_slice(&output.stdout).unwrap();
        let ok = report["ok"].as_bool().unwrap();
        assert_eq!(output.status.code(), Some(i32::from(!ok)), "{report}");
        (ok, report["checks"].as_array().unwrap().clone())
    }

    /// The one fault, which is the part's.
    fn fault(&self, part: &str, more: &str) -> String {
        let (ok, lines) = self.check(more);
        let faults: Vec<_> = lines
            .iter()
            .filter(|line| line["state"] == "fault")
            .collect();
        assert!(!ok);
        assert_eq!(faults.len(), 1, "{faults:?}");
        assert_eq!(faults[0]["part"], part);
        faults[0]["text"].as_str().unwrap().to_owned()
    }
}

/// The lines of a state.
fn of<'a>(lines: &'a [Value], state: &str) -> Vec<&'a str> {
    lines
        .iter()
        .filter(|line| line["state"] == state)
        .map(|line| line["text"].as_str().unwrap())
        .collect()
}

#[tokio::test]
async fn a_deployment_without_faults_is_told_so_part_by_part() {
    let deployment = Deployment::new().await;
    let (ok, lines) = deployment.check("");
    assert!(ok, "{lines:?}");
    let found = of(&lines, "ok").join("\n");
    for expected in [
        "every setting is known",
        "labels negative, neutral, positive",
        "1 broker",
        &format!("input {}: 3 partitions", deployment.kafka.input),
        &format!(
            "group {}: 0 of 3 partitions have a committed offset",
            deployment.kafka.group
        ),
        &format!("output {}: 3 partitions", deployment.kafka.results),
        "transactions can be opened",
        &format!("{}: the schema is this version's", deployment.database.name),
    ] {
        assert!(found.contains(expected), "{expected}:\n{found}");
    }

    let table = deployment.run("check", &[], "");
    let table = String::from_utf8(table.stdout).unwrap();
    assert!(
        table.starts_with("ok       config    every setting"),
        "{table}"
    );
    assert!(!table.contains("FAULT"), "{table}");
    // It has neither joined the group nor committed anything.
    assert_eq!(deployment.kafka.committed(), 0);
    assert!(deployment.kafka.results().is_empty());
}

#[tokio::test]
async fn an_instance_that_runs_is_not_disturbed() {
    let deployment = Deployment::new().await;
    let kafka = &deployment.kafka;
    let mut client = ClientConfig::new();
    client.set("bootstrap.servers", &kafka.bootstrap);
    let member: BaseConsumer = client
        .clone()
        .set("group.id", &kafka.group)
        .create()
        .unwrap();
    member.subscribe(&[&kafka.input]).unwrap();
    eventually(
        "the member to have its partitions",
        Duration::from_secs(60),
        || {
            assert!(member.poll(Duration::from_millis(100)).is_none());
            (member.assignment().unwrap().count() == 3).then_some(())
        },
    );
    let writer: BaseProducer = client
        .set("transactional.id", format!("{}.one", kafka.group))
        .create()
        .unwrap();
    writer.init_transactions(Duration::from_secs(30)).unwrap();
    writer.begin_transaction().unwrap();
    writer
        .send(BaseRecord::<(), [u8]>::to(&kafka.results).payload(b"{}"))
        .unwrap();
    let generation = || {
        let groups = member
            .fetch_group_list(Some(&kafka.group), Duration::from_secs(30))
            .unwrap();
        let group = &groups.groups()[0];
        (
            group.state().to_owned(),
            group.members().len(),
            group.members()[0].id().to_owned(),
        )
    };
    let before = generation();
    assert_eq!((&*before.0, before.1), ("Stable", 1));

    assert!(deployment.check("").0);
    assert!(member.poll(Duration::from_millis(100)).is_none());
    assert_eq!(generation(), before);
    writer.commit_transaction(Duration::from_secs(30)).unwrap();
    assert_eq!(kafka.results().len(), 1);
}

#[tokio::test]
async fn a_topic_that_does_not_exist_is_named_with_the_command_that_creates_it() {
    let deployment = Deployment::new().await;
    let missing = unique("missing");
    for section in ["results", "dead_letters"] {
        let variable = format!("TIDEWATCH__OUTPUT__{}", section.to_uppercase());
        let config = ServiceConfig::new(&deployment.kafka, &deployment.database, "");
        let output = Command::new(env!("CARGO_BIN_EXE_tidewatch"))
            .args(["check", "--json", "--config"])
            .arg(config.path())
            .env("TIDEWATCH__MODEL__PATH", deployment.bundle.path())
            .env(variable, &missing)
            .output()
            .unwrap();
        assert_eq!(output.status.code(), Some(1));
        let report = String::from_utf8(output.stdout).unwrap();
        assert!(
            report.contains(&format!("--create --topic {missing} --partitions")),
            "{report}"
        );
    }
    let fault = deployment.fault("kafka", &format!("[[input]]\ntopic = '{missing}'"));
    assert!(
        fault.contains(&format!("the topic {missing} does not exist")),
        "{fault}"
    );
    // Asking has not created it.
    let fault = deployment.fault("kafka", &format!("[[input]]\ntopic = '{missing}'"));
    assert!(fault.contains("does not exist"), "{fault}");
}

#[tokio::test]
async fn the_topics_of_reports_and_labels_are_looked_at_where_they_are_named() {
    let deployment = Deployment::new().await;
    let other = Kafka::new(2).await;
    let sections = |reports: &str, labels: &str| {
        format!("[drift]\nreports = '{reports}'\n[labels]\ntopic = '{labels}'")
    };
    let (ok, lines) = deployment.check(&sections(&other.results, &other.input));
    assert!(ok, "{lines:?}");
    let said = of(&lines, "ok").join("\n");
    for expected in [
        format!("output {}: 2 partitions", other.results),
        format!("labels {}: 2 partitions", other.input),
    ] {
        assert!(said.contains(&expected), "{expected}:\n{said}");
    }
    let missing = unique("missing");
    for more in [sections(&missing, ""), sections("", &missing)] {
        let fault = deployment.fault("kafka", &more);
        assert!(
            fault.contains(&format!("the topic {missing} does not exist")),
            "{fault}"
        );
    }
}

#[tokio::test]
async fn servers_that_are_not_there_are_named_beside_all_else_that_is_wrong() {
    let deployment = Deployment::new().await;
    let config = ServiceConfig::new(&deployment.kafka, &deployment.database, "");
    // Two ports that were free a moment ago.
    let free = || {
        std::net::TcpListener::bind("127.0.0.1:0")
            .unwrap()
            .local_addr()
            .unwrap()
            .port()
    };
    let (kafka, postgres) = (free(), free());
    let output = Command::new(env!("CARGO_BIN_EXE_tidewatch"))
        .args(["check", "--json", "--config"])
        .arg(config.path())
        .env(
            "TIDEWATCH__KAFKA__BOOTSTRAP_SERVERS",
            format!("127.0.0.1:{kafka}"),
        )
        .env(
            "TIDEWATCH__POSTGRES__URL",
            format!("postgres://u:s3cret@127.0.0.1:{postgres}/x"),
        )
        .env("TIDEWATCH__MODEL__PATH", "/no/such/model")
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(1));
    let report: Value = serde_json::from_slice(&output.stdout).unwrap();
    let faults = of(report["checks"].as_array().unwrap(), "fault").join("\n");
    for expected in [
        "/no/such/model".to_owned(),
        format!("127.0.0.1:{kafka} does not answer"),
        "Connection refused".to_owned(),
        format!("127.0.0.1:{postgres}"),
    ] {
        assert!(faults.contains(&expected), "{expected}:\n{faults}");
    }
    let said = format!("{output:?}");
    assert!(!said.contains("s3cret"), "{said}");
}

#[tokio::test]
async fn what_librdkafka_refuses_is_named_without_its_value() {
    let deployment = Deployment::new().await;
    let fault = deployment.fault("kafka", "[kafka.client]\n'sasl.pasword' = 's3cret'");
    assert!(fault.contains("sasl.pasword"), "{fault}");
    assert!(!fault.contains("s3cret"), "{fault}");
    // A broker without TLS, asked for TLS.
    let fault = deployment.fault("kafka", "[kafka.client]\n'security.protocol' = 'ssl'");
    assert!(fault.contains("SSL"), "{fault}");
}

#[tokio::test]
async fn a_senseless_setting_is_a_fault_of_the_config() {
    let deployment = Deployment::new().await;
    let fault = deployment.fault("config", "[batch]\nmax_messages = 0");
    assert!(fault.contains("[batch] max_messages"), "{fault}");
}

#[tokio::test]
async fn an_output_that_does_not_take_what_will_be_written_is_named() {
    let deployment = Deployment::new().await;
    deployment.alter("max.message.bytes", "1000000").await;
    let (ok, lines) = deployment.check("");
    assert!(ok, "{lines:?}");
    let warnings = of(&lines, "warning").join("\n");
    assert!(
        warnings.contains("takes records of 1000000 bytes and messages may have 8388608"),
        "{warnings}"
    );
    assert!(
        warnings.contains("set its max.message.bytes to 11250344"),
        "{warnings}"
    );
    let (_, lines) = deployment.check("[batch]\nmax_bytes = 900000");
    assert!(!of(&lines, "warning").join("\n").contains("takes records"));

    deployment.alter("cleanup.policy", "compact").await;
    let fault = deployment.fault("kafka", "");
    assert!(
        fault.contains("set its cleanup.policy to delete"),
        "{fault}"
    );

    deployment.alter("min.insync.replicas", "2").await;
    let fault = deployment.fault("kafka", "");
    assert!(
        fault.contains("asks for 2 replicas in sync and has 1"),
        "{fault}"
    );
}

#[tokio::test]
async fn a_database_without_a_schema_is_a_fault_until_it_is_migrated() {
    let deployment = Deployment::new().await;
    let empty = Deployment {
        database: TestDatabase::new().await,
        ..deployment
    };
    let fault = empty.fault("postgres", "");
    assert!(fault.contains("run `tidewatch migrate`"), "{fault}");
    for _ in 0..2 {
        let output = empty.run("migrate", &[], "");
        assert!(output.status.success(), "{output:?}");
        let said = String::from_utf8(output.stdout).unwrap();
        assert!(said.contains("the schema is up to date"), "{said}");
    }
    assert!(empty.check("").0);
}
