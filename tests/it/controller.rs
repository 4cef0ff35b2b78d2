//! The closed loop: from a request or labels to another champion, or to a record of why not.

#![expect(
    clippy::unwrap_used,
    reason = "in a test, a panic with its line is the report"
)]

mod duty;
mod fleet;
#[cfg(feature = "failpoints")]
mod killed;
mod successor;

use std::fmt::Write as _;
use std::time::Duration;

use serde_json::json;
use tidewatch::config::Config;
use tidewatch::controller::{Controller, Setting};
use tidewatch::metrics::Metrics;
use tidewatch::rollout::policy::Stage;
use tidewatch::store::{Change, KeptDecision, RolloutOutcome, TrainingState};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use crate::renewal::{Fixture, LABELS, text};

/// Room for a slow machine; nothing waits for it to pass.
const LONG: Duration = Duration::from_secs(300);

/// Gates and rollouts in which a candidate that is as good takes over within seconds.
pub(crate) const EASY: &str = r#"
[gate]
accuracy_margin = 0.2
macro_recall_margin = 0.2
class_loss = 0.5
nll_margin = 5.0
ece_margin = 0.9
parity = 0.01
few_recent = "ignore"
recent_examples = 100000
required = ["parity"]
speed_ratio = 0.01
[rollout]
shares = []
min_messages = 0
min_labels = 0
min_stage_seconds = 0
max_stage_seconds = 600
watch_seconds = 600
"#;

/// The configuration of a deployment around the fixture; `more` is TOML at its end.
pub(crate) fn config_text(fixture: &Fixture, trigger: &str, dataset: &str, more: &str) -> String {
    let mut held_out = String::new();
    for id in 300..500 {
        let _ = writeln!(held_out, "{id}\t{}\t{}", LABELS[id % 2], text("fixed", id));
    }
    let workshop = &fixture.workshop;
    workshop.write("held-out.tsv", &held_out);
    format!(
        "[registry]\nurl = {:?}\n\
         [retrain]\nfolder = {:?}\nmin_rows = 20\n[retrain.base]\nrecipe = {:?}\n[retrain.dataset]\n{dataset}\n\
         [retrain.runner]\ncommand = [{:?}, \"--recipe\", \"{{recipe}}\", \"--data\", \"{{folder}}\", \"--out\", \"{{bundle}}\", \
         \"--resume\", \"--json\"]\n\
         [retrain.trigger]\n{trigger}\n\
         [held_out]\nfiles = [{:?}]\nlabel_field = \"2\"\ntext_field = \"3\"\n{more}\n",
        workshop.path("depot"),
        workshop.path("trainings"),
        workshop.path("recipe.toml"),
        env!("CARGO_BIN_EXE_tidewatch-finetune"),
        workshop.path("held-out.tsv"),
    )
}

/// A controller in this process.
struct Running {
    stop: CancellationToken,
    task: JoinHandle<()>,
}

impl Running {
    fn new(fixture: &Fixture, text: &str, instance: &str) -> Self {
        let url = &fixture.database.url;
        let whole = format!(
            "[postgres]\nurl = {url:?}\n[[input]]\ntopic = \"posts\"\ndecoder = \"json\"\n[model]\ndevice = \"cpu\"\nthreads = 1\n{text}"
        );
        fixture.workshop.write("controller.toml", &whole);
        let config = Config::load(Some(&fixture.workshop.path("controller.toml"))).unwrap();
        let controller = Controller::new(Setting {
            store: fixture.store.clone(),
            registry: fixture.registry.clone(),
            retrain: config.retrain,
            held_out: config.held_out,
            gate: config.gate,
            rollout: config.rollout,
            model: config.model,
            max_tokens: config.batch.max_tokens,
            webhooks: config.webhook,
            instance: instance.to_owned(),
            metrics: Metrics::new(),
        });
        let stop = CancellationToken::new();
        let task = tokio::spawn(controller.run(stop.clone()));
        Self { stop, task }
    }

    async fn stop(self) {
        self.stop.cancel();
        self.task.await.unwrap();
    }
}

/// Waits until it is so.
async fn until(what: &str, mut is_so: impl AsyncFnMut() -> bool) {
    let deadline = tokio::time::Instant::now() + LONG;
    while !is_so().await {
        assert!(
            tokio::time::Instant::now() < deadline,
            "waited {LONG:?} in vain: {what}"
        );
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

async fn decisions(fixture: &Fixture) -> Vec<KeptDecision> {
    let mut decisions = fixture.store.decisions(100).await.unwrap();
    decisions.reverse();
    decisions
}

async fn champion(fixture: &Fixture) -> String {
    fixture.registry.champion().await.unwrap().unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_leads_to_a_training_a_verdict_a_rollout_and_a_new_champion() {
    let fixture = Fixture::new(true).await;
    fixture.label(0..100).await;
    let text = config_text(&fixture, "cooldown_hours = 0", "epochs = 2", EASY);
    let running = Running::new(&fixture, &text, "one");
    fixture
        .store
        .request_training("ann", "to see it work", false)
        .await
        .unwrap();
    until("the candidate is champion", async || {
        let rollouts = fixture.store.rollouts(10).await.unwrap();
        rollouts
            .iter()
            .any(|rollout| rollout.state.stage == Stage::Full)
    })
    .await;
    running.stop().await;

    let runs = fixture.runs().await;
    assert_eq!(runs.len(), 1);
    let run = &runs[0];
    assert_eq!(
        (run.state, run.verdict.as_deref()),
        (TrainingState::Done, Some("pass"))
    );
    assert_eq!(champion(&fixture).await, run.candidate.clone().unwrap());
    let gate = fixture.store.gate_of(run.id).await.unwrap().unwrap();
    assert_eq!(gate["champion"]["version"], *fixture.champion);
    let decisions = decisions(&fixture).await;
    let launch = decisions
        .iter()
        .find(|decision| decision.action == "launch")
        .unwrap();
    assert_eq!(run.decision, Some(launch.id));
    assert_eq!(launch.outcome.as_deref(), Some("training run 1"));
    assert!(
        launch.sentences[0]
            .as_str()
            .unwrap()
            .contains("ann asks for a training")
    );
    assert!(fixture.store.open_requests().await.unwrap().is_empty());
    let rollouts = fixture.store.rollouts(10).await.unwrap();
    let steps = fixture.store.rollout_steps(rollouts[0].id).await.unwrap();
    let steps: Vec<&str> = steps.iter().map(|step| &*step.step).collect();
    assert_eq!(steps, ["begin", "promote"]);
    assert_eq!(rollouts[0].training, Some(run.id));
    let history = fixture.store.history(None, 1).await.unwrap();
    assert_eq!((&*history[0].what, &*history[0].by), ("promote", "one"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_model_trained_on_wrong_labels_fails_at_the_gate_and_the_champion_stays() {
    let fixture = Fixture::new(true).await;
    // Everybody says the opposite.
    for id in 0..160 {
        fixture
            .put(id, &text("feed", id), &[("ann", LABELS[(id + 1) % 2])])
            .await;
    }
    let trigger =
        "enabled = true\nnew_labels = 100\nmin_labels = 50\ncooldown_hours = 0\nfailures = 1";
    let text = config_text(&fixture, trigger, "epochs = 6\nbase_rows = 0", EASY);
    let running = Running::new(&fixture, &text, "one");
    until("there is a verdict", async || {
        let runs = fixture.runs().await;
        runs.iter().any(|run| run.verdict.is_some())
    })
    .await;
    until("the breaker keeps the next one", async || {
        let decisions = decisions(&fixture).await;
        let last = decisions.last().unwrap();
        last.action == "wait" && last.reasons.to_string().contains("breaker_open")
            || last.reasons.to_string().contains("nothing_new")
    })
    .await;
    running.stop().await;
    let runs = fixture.runs().await;
    assert_eq!(runs.len(), 1);
    assert_eq!(runs[0].verdict.as_deref(), Some("fail"));
    let gate = fixture.store.gate_of(runs[0].id).await.unwrap().unwrap();
    assert_eq!(gate["verdict"], "fail");
    assert_eq!(champion(&fixture).await, fixture.champion);
    assert_eq!(fixture.candidate().await, None);
    assert!(fixture.store.rollouts(10).await.unwrap().is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn of_two_controllers_one_launches_and_the_training_goes_on_when_it_dies() {
    let fixture = Fixture::new(true).await;
    fixture.label(0..100).await;
    let trigger =
        "enabled = true\nnew_labels = 80\nmin_labels = 50\ncooldown_hours = 0\nruns_per_day = 5";
    let text = config_text(&fixture, trigger, "epochs = 2", EASY);
    let one = Running::new(&fixture, &text, "one");
    let two = Running::new(&fixture, &text, "two");
    until("a training has begun", async || {
        !fixture.runs().await.is_empty()
    })
    .await;
    // Whoever runs it dies: its task, and with it the process that trains.
    let by = fixture.runs().await[0].by.clone();
    let (dead, alive) = if by == "one" { (one, two) } else { (two, one) };
    dead.task.abort();
    let _ = dead.task.await;
    until("the candidate is champion", async || {
        let rollouts = fixture.store.rollouts(10).await.unwrap();
        rollouts
            .iter()
            .any(|rollout| rollout.state.stage == Stage::Full)
    })
    .await;
    alive.stop().await;
    let runs = fixture.runs().await;
    assert_eq!(runs.len(), 1, "{runs:#?}");
    assert_eq!(champion(&fixture).await, runs[0].candidate.clone().unwrap());
    let launches = decisions(&fixture).await;
    let launches: Vec<_> = launches
        .iter()
        .filter(|one| one.action == "launch")
        .collect();
    assert_eq!(launches.len(), 1, "{launches:#?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dry_run_decides_and_does_nothing_and_a_champion_changed_by_hand_ends_the_rollout() {
    let fixture = Fixture::new(true).await;
    fixture.label(0..100).await;
    let trigger = "enabled = true\ndry_run = true\nnew_labels = 80\nmin_labels = 50";
    let text = config_text(&fixture, trigger, "epochs = 2", EASY);
    let running = Running::new(&fixture, &text, "one");
    until("it is decided", async || {
        !decisions(&fixture).await.is_empty()
    })
    .await;
    running.stop().await;
    let decided = decisions(&fixture).await;
    assert_eq!((&*decided[0].action, decided[0].dry_run), ("launch", true));
    assert!(fixture.runs().await.is_empty());

    // The same without dry_run; in shadow for as long as nobody scores.
    let trigger = "enabled = true\nnew_labels = 80\nmin_labels = 50";
    let slow = EASY.replace("min_messages = 0", "min_messages = 10");
    let text = config_text(&fixture, trigger, "epochs = 2", &slow);
    let running = Running::new(&fixture, &text, "one");
    until("a rollout has begun", async || {
        fixture.store.active_rollout().await.unwrap().is_some()
    })
    .await;
    let rollout = fixture.store.active_rollout().await.unwrap().unwrap();
    assert_eq!(rollout.state.stage, Stage::Shadow);
    let change = Change {
        by: "ann",
        reason: "by hand",
        detail: json!({}),
        lease: None,
    };
    let seen = Some(fixture.champion.as_str());
    fixture
        .registry
        .promote(&rollout.candidate, seen, &change)
        .await
        .unwrap();
    until("the rollout follows", async || {
        let active = fixture.store.active_rollout().await.unwrap();
        active.is_some_and(|rollout| rollout.state.stage == Stage::Full)
    })
    .await;
    fixture
        .registry
        .rollback(Some(&rollout.candidate), &change)
        .await
        .unwrap();
    until("the rollout has ended", async || {
        fixture.store.active_rollout().await.unwrap().is_none()
    })
    .await;
    running.stop().await;
    let ended = fixture.store.rollouts(1).await.unwrap();
    assert_eq!(
        ended[0].ended.map(|(_, outcome)| outcome),
        Some(RolloutOutcome::RolledBack)
    );
    assert_eq!(champion(&fixture).await, fixture.champion);
}
