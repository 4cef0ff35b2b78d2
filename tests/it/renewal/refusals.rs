//! What is refused, in one sentence, before anything is begun.

use super::*;

#[tokio::test]
async fn each_refusal_is_one_sentence_with_its_exit_code_and_leaves_nothing() {
    let fixture = Fixture::new(false).await;
    let enough = "min_rows = 1";
    let recipe = "recipe = \"recipe.toml\"";
    let refused = |arguments: &[&str], sections: [&str; 3], code: i32, words: &str| {
        let arguments = [&["run"], arguments].concat();
        let output = fixture.command(&arguments, sections).output().unwrap();
        let said = said(&output);
        assert_eq!(output.status.code(), Some(code), "{arguments:?}: {said}");
        assert!(said.contains(words), "{arguments:?}: {said}");
        assert_eq!(said.trim().lines().count(), 1, "{said}");
    };
    refused(
        &[],
        ["", recipe, ""],
        1,
        "there are 0 labelled messages to train on",
    );
    fixture.label(0..30).await;
    refused(&[], ["", recipe, ""], 1, "min_rows asks for 50");
    refused(&[], ["", recipe, ""], 1, "held out for the gate");
    refused(&[], [enough, "", ""], 2, "[retrain.base] backbone");
    let weights = &["--champion-weights"];
    refused(
        weights,
        [enough, recipe, ""],
        2,
        "does not hold the weights",
    );
    refused(
        &["--first", "nowhere.toml"],
        [enough, "", ""],
        2,
        "nowhere.toml",
    );
    refused(
        &["--resume", "5"],
        [enough, "", ""],
        2,
        "run 5 cannot go on: there is no such run",
    );
    let other = RECIPE.replace("\"negative\", \"positive\"]", "\"positive\", \"negative\"]");
    fixture.workshop.write("other.toml", &other);
    refused(
        &["--first", "other.toml"],
        [enough, "", ""],
        2,
        "same order",
    );
    assert!(fixture.runs().await.is_empty());
    assert!(!fixture.workshop.path("trainings").exists());
    // A backbone alone is enough to start from.
    let backbone = "backbone = { folder = \"encoder\" }";
    let sections = [enough, backbone, ""];
    let looked = fixture
        .command(&["run", "--dry-run"], sections)
        .output()
        .unwrap();
    assert!(looked.status.success(), "{}", said(&looked));
}

#[tokio::test]
async fn a_training_that_the_trainer_refuses_has_failed_and_can_go_on_once_that_is_mended() {
    let fixture = Fixture::new(true).await;
    fixture.label(0..60).await;
    // The trainer takes no such rate; the settings let it through.
    let sections = ["min_rows = 20", "recipe = \"recipe.toml\"", "epochs = 1"];
    let mut command = fixture.command(&["run"], sections);
    let config = fixture.workshop.path("tidewatch.toml");
    let text = std::fs::read_to_string(&config).unwrap();
    std::fs::write(
        &config,
        text.replace("\"--save-every\", \"0\"", "\"--lr\", \"-1\""),
    )
    .unwrap();
    let output = command.output().unwrap();
    assert_eq!(output.status.code(), Some(1), "{}", said(&output));
    assert!(said(&output).contains("code 2"), "{}", said(&output));
    let run = &fixture.runs().await[0];
    assert_eq!(run.state.as_str(), "failed");
    assert_eq!(run.outcome.as_ref().unwrap()["why"], "bad_input");

    let output = fixture
        .command(&["run", "--resume", "1"], sections)
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", said(&output));
    assert_eq!(fixture.runs().await[0].state.as_str(), "done");
    assert!(fixture.candidate().await.is_some());
}
