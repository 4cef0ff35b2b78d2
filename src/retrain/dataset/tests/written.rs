//! The files and the recipe, read back as the trainer reads them.

use std::path::Path;

use super::*;
use crate::train::recipe::{ClassWeights, Recipe};
use crate::train::{data, split};

#[test]
fn the_trainer_reads_the_files_and_the_recipe_as_they_were_meant() {
    let folder = tempfile::tempdir().unwrap();
    let mut rows: Vec<FeedbackRow> = (0..4_000)
        .map(|number| row(number, ["negative", "positive"][number as usize % 2]))
        .collect();
    rows[3].text = "  \"quoted\" &amp; \\u2019 \t über 🎉\nline".to_owned();
    let config = DatasetConfig {
        repeats: 2,
        learning_rate: Some(2e-5),
        epochs: Some(1),
        balance_classes: true,
        ..DatasetConfig::default()
    };
    let selection = chosen(&config, &rows, &base(40));
    selection.write(folder.path(), &labels()).unwrap();
    let recipes = Path::new(env!("CARGO_MANIFEST_DIR")).join("recipes");
    for (name, champion) in [
        ("default.toml", None),
        ("drift-study.toml", Some(Path::new("/depot/abc"))),
    ] {
        let first = Recipe::load(&recipes.join(name)).unwrap();
        let written =
            recipe::write(&recipe::retraining(&first, champion, &config, &selection)).unwrap();
        let read = Recipe::parse(&written).unwrap();
        assert_eq!(
            (read.training.learning_rate, read.training.epochs, read.seed),
            (2e-5, 1, 1)
        );
        assert_eq!(read.training.class_weights, Some(ClassWeights::BALANCED));
        assert_eq!(read.licences, first.licences);
        assert_eq!(
            format!("{:?}", read.backbone).contains("/depot/abc"),
            champion.is_some()
        );

        let found = data::read(&read.data, &read.labels, &read.text, folder.path()).unwrap();
        assert_eq!(
            (found.faults.len(), found.repeated),
            (0, 0),
            "{:?}",
            found.faults
        );
        let parts = split::split(found.examples, &read.split).unwrap();
        assert_eq!(parts.train.len() as u64, selection.report.epoch);
        assert_eq!(parts.validation.len(), selection.validation.len());
        assert!(!selection.baseline.is_empty());
        assert_eq!(parts.baseline.len(), selection.baseline.len());
        assert!(
            parts
                .train
                .iter()
                .any(|example| example.text == rows[3].text.trim())
        );
        let timed = parts
            .train
            .iter()
            .filter_map(|example| example.time)
            .max()
            .unwrap();
        assert!(
            rows.iter()
                .any(|row| row.event_time == timed.timestamp_millis())
        );
    }
    let held = std::fs::read_to_string(folder.path().join(files::HELD_OUT_FILE)).unwrap();
    assert_eq!(held.lines().count(), selection.held_out.len());
    let first: serde_json::Value = serde_json::from_str(held.lines().next().unwrap()).unwrap();
    assert_eq!(
        (&first["sampling"], &first["inclusion"]),
        (&"random".into(), &0.25.into())
    );
    let report = std::fs::read(folder.path().join(files::REPORT_FILE)).unwrap();
    assert_eq!(
        serde_json::from_slice::<Report>(&report).unwrap(),
        selection.report
    );
}

#[test]
fn a_file_that_cannot_be_written_is_named() {
    let selection = chosen(&open_config(), &of_part(Part::Train, 3), &base(30));
    let error = selection
        .write(Path::new("/nowhere/at/all"), &labels())
        .unwrap_err();
    assert!(
        error.to_string().contains("/nowhere/at/all/feedback.jsonl"),
        "{error}"
    );
}
