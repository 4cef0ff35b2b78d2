//! What a recipe may say, and what is refused.

use super::*;

const MINIMAL: &str = r#"
    backbone = { folder = "encoder" }
    labels = { names = ["negative", "positive"], map = { "0" = "negative" } }
    [[data]]
    path = "a.tsv"
    format = "tsv"
    columns = { text = 1, label = "kind" }
"#;

#[test]
fn a_minimal_recipe_gets_the_documented_defaults() {
    let recipe: Recipe = toml::from_str(MINIMAL).unwrap();
    assert_eq!(recipe.fault(), None);
    assert_eq!(recipe.training.learning_rate, 8e-5);
    assert_eq!(recipe.training.batch, BatchSize::Sequences(32));
    assert_eq!(recipe.data[0].role, Role::Train);
    assert_eq!(recipe.data[0].columns.label, Column::Name("kind".into()));
    assert_eq!(recipe.labels.index(" 0 "), Some(0));
    assert_eq!(recipe.labels.index("positive"), Some(1));
    assert_eq!(recipe.labels.index("mixed"), None);
}

#[test]
fn an_unknown_key_is_refused_by_name() {
    let text = format!("{MINIMAL}\n[training]\nlearning_rat = 1e-4\n");
    let error = toml::from_str::<Recipe>(&text).unwrap_err().to_string();
    assert!(error.contains("learning_rat"), "{error}");
}

#[test]
fn a_label_map_that_leads_nowhere_is_refused() {
    let recipe: Recipe = toml::from_str(&MINIMAL.replace("\"negative\" }", "\"bad\" }")).unwrap();
    assert!(recipe.fault().unwrap().contains("\"bad\""));
}

#[test]
fn a_hub_id_is_an_owner_and_a_name_and_nothing_that_leads_elsewhere() {
    for id in ["owner/name", "owner/na-me_1.5@v2", "name", "a/b@refs/pr/1"] {
        assert!(is_hub_id(id), "{id}");
    }
    for id in [
        "",
        "a/b/c",
        "../b",
        "a/b@",
        "a/b@../c",
        "/a",
        "a b/c",
        "http://a/b",
    ] {
        assert!(!is_hub_id(id), "{id}");
    }
}

#[test]
fn a_recipe_reads_back_from_what_a_bundle_says_of_it() {
    let recipe: Recipe = toml::from_str(MINIMAL).unwrap();
    let told = serde_json::to_value(&recipe).unwrap();
    assert_eq!(
        told["output"].get("folder"),
        None,
        "a path of the machine that trained it"
    );
    let again: Recipe = serde_json::from_value(told.clone()).unwrap();
    assert_eq!(serde_json::to_value(&again).unwrap(), told);
}

#[test]
fn the_shipped_recipes_are_valid() {
    for name in ["semeval-time.toml", "default.toml"] {
        let path = Path::new(env!("CARGO_MANIFEST_DIR"))
            .join("recipes")
            .join(name);
        Recipe::load(&path).unwrap();
    }
}
