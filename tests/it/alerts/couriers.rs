//! Notices that stand in Postgres, and who hears of them.

use chrono::{DateTime, Utc};
use serde_json::json;
use sqlx::{PgPool, Row};
use tidewatch::alerts::{Event, Status, sample, signature};
use tidewatch::config::Config;
use tidewatch::metrics::Metrics;
use tidewatch::notify;
use tidewatch::store::{KeptNotice, Store, Watched};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use super::LONG;
use crate::harness::{Kafka, Manner, Receiver, ServiceConfig, TestDatabase};

/// A deployment of which only the couriers run.
struct Stage {
    _kafka: Kafka,
    _database: TestDatabase,
    config: Config,
    store: Store,
    pool: PgPool,
}

impl Stage {
    /// `more` is TOML.
    async fn new(more: &str) -> Self {
        let kafka = Kafka::new(1).await;
        let database = TestDatabase::new().await;
        let file = ServiceConfig::new(&kafka, &database, more);
        let config = Config::load(Some(&file.path())).unwrap();
        let store = Store::connect(&config.postgres).await.unwrap();
        store.migrate().await.unwrap();
        Self {
            pool: database.pool().await,
            _kafka: kafka,
            _database: database,
            config,
            store,
        }
    }

    /// Notices about one alert, as the watch writes them.
    async fn write(&self, alert: &str, statuses: &[Status]) {
        let receivers = notify::receivers(
            notify::config::Kind::Alert,
            &self.config.alerts.topic,
            &self.config.webhook,
        );
        let notices = statuses.iter().map(|status| KeptNotice {
            id: format!("{alert}-{}", status.as_str()),
            kind: "alert",
            about: alert.to_owned(),
            body: json!(event(alert, *status)),
            receivers: receivers.clone(),
        });
        let lease = self
            .store
            .lease("drift", "test", LONG)
            .await
            .unwrap()
            .unwrap();
        let step = Watched {
            notices: notices.collect(),
            ..Watched::default()
        };
        assert!(self.store.write_watched(&lease, &step).await.unwrap());
    }

    /// The couriers of an instance, until they are aborted or `stop` is cancelled.
    fn couriers(&self, stop: &CancellationToken) -> JoinHandle<()> {
        let setting = notify::Setting {
            store: self.store.clone(),
            kafka: self.config.kafka.clone(),
            alerts_topic: self.config.alerts.topic.clone(),
            webhooks: self.config.webhook.clone(),
            metrics: Metrics::new(),
        };
        tokio::spawn(notify::run(setting, stop.clone()))
    }

    /// As if the time of every lease were over.
    async fn end_leases(&self) {
        sqlx::query("UPDATE leases SET expires_at = '-infinity'")
            .execute(&self.pool)
            .await
            .unwrap();
    }

    /// The state, attempts and fault of each delivery, by notice.
    async fn deliveries(&self) -> Vec<(String, String, i32, Option<String>)> {
        let rows = sqlx::query(
            "SELECT notice, state, attempts, fault FROM v_deliveries ORDER BY recorded_at, notice, receiver",
        )
        .fetch_all(&self.pool)
        .await
        .unwrap();
        rows.iter()
            .map(|row| {
                (
                    row.get("notice"),
                    row.get("state"),
                    row.get("attempts"),
                    row.get("fault"),
                )
            })
            .collect()
    }

    /// Waits until no delivery is under way.
    async fn settled(&self) -> Vec<(String, String, i32, Option<String>)> {
        let deadline = std::time::Instant::now() + LONG;
        loop {
            let deliveries = self.deliveries().await;
            let is_open = |state: &str| matches!(state, "waiting" | "sending");
            if !deliveries.iter().any(|(_, state, ..)| is_open(state)) {
                return deliveries;
            }
            assert!(std::time::Instant::now() < deadline, "{deliveries:?}");
            tokio::time::sleep(std::time::Duration::from_millis(50)).await;
        }
    }
}

fn event(alert: &str, status: Status) -> Event {
    let mut event = sample(Utc::now().timestamp_millis());
    event.alert.resolved = (status == Status::Resolved).then(|| event.at - 1_000);
    event.status = status;
    event.alert.id = alert.to_owned();
    event
}

fn webhook(receiver: &Receiver, more: &str) -> String {
    format!(
        "[[webhook]]\nname = \"{}\"\nurl = {:?}\n{more}\n",
        receiver.url.rsplit(':').next().unwrap(),
        receiver.url
    )
}

#[tokio::test(flavor = "multi_thread")]
async fn notices_reach_each_receiver_once_in_their_order_signed_and_in_its_own_form() {
    let (plain, slack, manager) = (
        Receiver::new([]).await,
        Receiver::new([]).await,
        Receiver::new([]).await,
    );
    let outlet = Kafka::new(1).await;
    let stage = Stage::new(&format!(
        "[alerts]\ntopic = {:?}\n{}{}{}",
        outlet.input,
        webhook(&plain, "secret = \"s3cret\""),
        webhook(&slack, "format = \"slack\""),
        webhook(&manager, "format = \"alertmanager\""),
    ))
    .await;
    stage
        .write("a", &[Status::Opened, Status::Updated, Status::Resolved])
        .await;
    stage.write("b", &[Status::Opened]).await;
    let stop = CancellationToken::new();
    let couriers = [stage.couriers(&stop), stage.couriers(&stop)];
    let deliveries = stage.settled().await;
    assert!(
        deliveries
            .iter()
            .all(|(_, state, attempts, _)| state == "delivered" && *attempts == 1),
        "{deliveries:?}"
    );
    stop.cancel();
    for courier in couriers {
        courier.await.unwrap();
    }

    let told = plain.told();
    let ids: Vec<&str> = told.iter().map(|told| &*told.id).collect();
    let of_a: Vec<&&str> = ids.iter().filter(|id| id.starts_with("a-")).collect();
    assert_eq!(of_a, [&"a-opened", &"a-updated", &"a-resolved"]);
    assert_eq!((ids.len(), ids.contains(&"b-opened")), (4, true));
    let first = &told[0];
    assert_eq!(first.json()["status"], "opened");
    assert_eq!(first.json()["id"], "a-opened");
    let expected = signature(
        "s3cret",
        first.timestamp.parse().unwrap(),
        first.text.as_bytes(),
    );
    assert_eq!(first.signature.as_deref(), Some(&*expected));

    assert_eq!(slack.told().len(), 4);
    assert!(slack.told()[0].json()["text"].is_string());
    assert_eq!(slack.told()[0].signature, None);

    let manager = manager.told();
    let ends = |id: &str| -> DateTime<Utc> {
        let told = manager.iter().find(|told| told.id == id).unwrap();
        told.json()[0]["endsAt"].as_str().unwrap().parse().unwrap()
    };
    assert!(ends("a-opened") > Utc::now(), "open for now");
    assert!(ends("a-resolved") <= Utc::now());

    let records = outlet.inputs();
    let statuses: Vec<_> = records
        .iter()
        .filter(|record| record.json()["alert"]["id"] == "a")
        .map(|record| record.json()["status"].as_str().unwrap().to_owned())
        .collect();
    assert_eq!(statuses, ["opened", "updated", "resolved"]);
    assert_eq!(records.len(), 4);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_receiver_that_refuses_is_asked_again_and_holds_up_nobody_else() {
    let busy = Receiver::new([Manner::Answer(503), Manner::Answer(429)]).await;
    let other = Receiver::new([]).await;
    let stage = Stage::new(&format!("{}{}", webhook(&busy, ""), webhook(&other, ""))).await;
    stage.write("a", &[Status::Opened, Status::Resolved]).await;
    let stop = CancellationToken::new();
    let couriers = stage.couriers(&stop);
    other.wait(2, LONG).await;
    assert!(
        busy.told().len() < 3,
        "the one that refuses is waited for by nobody"
    );
    stage.settled().await;
    stop.cancel();
    couriers.await.unwrap();
    let ids: Vec<String> = busy.told().into_iter().map(|told| told.id).collect();
    assert_eq!(ids, ["a-opened", "a-opened", "a-opened", "a-resolved"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_attempt_cut_off_by_a_death_is_not_repeated_where_it_may_have_arrived() {
    let receiver = Receiver::new([Manner::Hang]).await;
    let manager = Receiver::new([Manner::Hang]).await;
    let stage = Stage::new(&format!(
        "{}{}",
        webhook(&receiver, "timeout_seconds = 60"),
        webhook(&manager, "timeout_seconds = 60\nformat = \"alertmanager\"")
    ))
    .await;
    stage.write("a", &[Status::Opened, Status::Resolved]).await;
    let stop = CancellationToken::new();
    let doomed = stage.couriers(&stop);
    receiver.wait(1, LONG).await;
    manager.wait(1, LONG).await;
    doomed.abort();
    stage.end_leases().await;
    let successor = stage.couriers(&stop);
    let deliveries = stage.settled().await;
    stop.cancel();
    successor.await.unwrap();
    let opened: Vec<&str> = deliveries
        .iter()
        .filter(|(notice, ..)| notice == "a-opened")
        .map(|(_, state, ..)| &**state)
        .collect();
    assert_eq!(opened.len(), 2);
    assert!(
        opened.contains(&"in_doubt") && opened.contains(&"delivered"),
        "{deliveries:?}"
    );
    let ids: Vec<String> = receiver.told().into_iter().map(|told| told.id).collect();
    assert_eq!(ids, ["a-opened", "a-resolved"]);
    let ids: Vec<String> = manager
        .told()
        .into_iter()
        .map(|told| told.id)
        .filter(|id| !id.starts_with("reminder"))
        .collect();
    assert_eq!(
        ids,
        ["a-opened", "a-opened", "a-resolved"],
        "Alertmanager knows a repetition by its labels"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_record_that_reached_the_topic_before_a_death_is_not_sent_again() {
    let outlet = Kafka::new(2).await;
    let stage = Stage::new(&format!("[alerts]\ntopic = {:?}", outlet.input)).await;
    stage.write("a", &[Status::Opened]).await;
    stage.write("b", &[Status::Opened]).await;
    let stop = CancellationToken::new();
    let first = stage.couriers(&stop);
    stage.settled().await;
    stop.cancel();
    first.await.unwrap();
    // As if it had died after the record, before it could note that it has arrived; of the other, before the record.
    sqlx::query("UPDATE deliveries SET state = 'sending', ended_at = NULL")
        .execute(&stage.pool)
        .await
        .unwrap();
    stage.write("c", &[Status::Opened]).await;
    sqlx::query("UPDATE deliveries SET state = 'sending' WHERE state = 'waiting'")
        .execute(&stage.pool)
        .await
        .unwrap();
    let stop = CancellationToken::new();
    let successor = stage.couriers(&stop);
    let deliveries = stage.settled().await;
    stop.cancel();
    successor.await.unwrap();
    assert!(
        deliveries.iter().all(|(_, state, ..)| state == "delivered"),
        "{deliveries:?}"
    );
    let mut about: Vec<String> = outlet
        .inputs()
        .iter()
        .map(|record| record.json()["alert"]["id"].as_str().unwrap().to_owned())
        .collect();
    about.sort();
    assert_eq!(about, ["a", "b", "c"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dead_receiver_is_given_up_after_its_time_and_the_record_says_why() {
    let stage = Stage::new("[[webhook]]\nname = \"gone\"\nurl = \"http://127.0.0.1:9/hook\"").await;
    stage.write("a", &[Status::Opened]).await;
    sqlx::query("UPDATE notices SET recorded_at = now() - interval '2 days'")
        .execute(&stage.pool)
        .await
        .unwrap();
    let stop = CancellationToken::new();
    let couriers = stage.couriers(&stop);
    let deliveries = stage.settled().await;
    stop.cancel();
    couriers.await.unwrap();
    let (_, state, attempts, fault) = &deliveries[0];
    assert_eq!((&**state, *attempts), ("given_up", 1));
    assert!(
        fault.as_deref().unwrap().contains("cannot be reached"),
        "{fault:?}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn of_an_alert_that_somebody_looks_after_only_the_end_is_told() {
    let receiver = Receiver::new([]).await;
    let stage = Stage::new(&webhook(&receiver, "")).await;
    let statuses = [Status::Opened, Status::Updated, Status::Resolved];
    stage.write("a", &statuses).await;
    sqlx::query(
        "INSERT INTO alerts (id, started, opened_at, updated_at, normal, share, messages, rule, label, direction, detail)
         VALUES ('a', now(), now(), now(), 0.2, 0.5, 9, 'r', 'bad', 'rise', '{}')",
    )
    .execute(&stage.pool)
    .await
    .unwrap();
    assert!(stage.store.acknowledge("a", "me").await.unwrap());
    assert!(!stage.store.acknowledge("z", "me").await.unwrap());
    let stop = CancellationToken::new();
    let couriers = stage.couriers(&stop);
    let states: Vec<String> = stage
        .settled()
        .await
        .into_iter()
        .map(|(_, state, ..)| state)
        .collect();
    stop.cancel();
    couriers.await.unwrap();
    assert_eq!(states.iter().filter(|state| *state == "spared").count(), 1);
    let ids: Vec<String> = receiver.told().into_iter().map(|told| told.id).collect();
    assert_eq!(ids, ["a-opened", "a-resolved"]);
}
