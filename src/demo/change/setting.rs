//! Settings that make minutes of what takes weeks. None of them is meant for anything but this demo.

use std::path::Path;

use super::first::First;
use crate::config::Config;
use crate::drift::severity::Severity;

/// Sets windows, training, gate and rollout so that the loop closes within minutes, on some hundred labels.
pub(super) fn settle(config: &mut Config, folder: &Path, first: &First) {
    config.labels.topic = format!("{}-labels", config.input[0].topic);
    // What is said of days is not shown here.
    config.alerts.enabled = false;

    config.drift.window_messages = 200;
    config.drift.window_hours = 0;
    config.drift.lateness_seconds = 2;
    config.drift.idle_seconds = 3;

    config.registry.url = folder.join("registry").display().to_string();
    config.registry.cache = folder.join("cache");

    config.held_out.files = vec![first.held_out.clone()];

    let retrain = &mut config.retrain;
    retrain.folder = folder.join("trainings");
    retrain.min_rows = 100;
    retrain.base.recipe.clone_from(&first.recipe);
    // A quarter for the gate: with a fifth of some hundred labels no gain could be proven.
    retrain.dataset.held_out = 0.25;
    retrain.dataset.validation = 0.1;
    retrain.dataset.base_rows = 1_500;
    retrain.dataset.repeats = 2;
    retrain.dataset.epochs = Some(6);
    retrain.dataset.learning_rate = Some(7e-4);
    retrain.runner.nice = 0;

    let trigger = &mut retrain.trigger;
    trigger.enabled = true;
    trigger.severity = Severity::Medium;
    trigger.settle_minutes = 0;
    // The alarm shall lead to it, and not their number.
    trigger.new_labels = 0;
    // From fewer a model comes that is much better and still far from its own baseline, for which the watch would fire again.
    trigger.min_labels = 1_000;
    trigger.cooldown_hours = 0;
    trigger.runs_per_day = 4;
    trigger.run_minutes = 10;

    // A margin is shown by many labels, and there are few; the loss it allows is the larger.
    let gate = &mut config.gate;
    gate.accuracy_margin = 0.05;
    gate.macro_recall_margin = 0.05;
    gate.recent_examples = 60;
    gate.nll_margin = 0.15;
    gate.ece_margin = 0.1;
    gate.class_loss = 0.1;
    gate.slice_loss = 0.1;
    // Both have the same sizes, and on a machine with forty other things to do two runs of one model differ by several times.
    gate.speed_ratio = 0.1;
    gate.resamples = 500;

    let rollout = &mut config.rollout;
    rollout.shares = vec![0.25, 0.5];
    rollout.min_messages = 100;
    rollout.min_labels = 30;
    rollout.min_stage_seconds = 10;
    rollout.max_stage_seconds = 600;
    rollout.watch_seconds = 600;
}
