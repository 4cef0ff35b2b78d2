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
fn numbers_that_are_none_and_names_that_are_ambiguous_are_refused() {
    let more = |section: &str| format!("{MINIMAL}\n{section}\n");
    for (text, said) in [
        (more("[training]\nlearning_rate = inf"), "learning_rate"),
        (more("[training]\nclip = nan"), "clip"),
        (more("[training]\nweight_decay = nan"), "weight_decay"),
        (more("[training]\nweight_decay = -0.1"), "weight_decay"),
        (more("[output]\nmin_macro_recall = nan"), "min_macro_recall"),
        (more("repeat = 0"), "repeat"),
        (more("repeat = 1001"), "repeat"),
        (
            MINIMAL.replace("\"positive\"]", "\"positive\", \"negative\"]"),
            "labels.names",
        ),
        (
            MINIMAL.replace("\"positive\"]", "\" positive\"]"),
            "labels.names",
        ),
    ] {
        let refusal = Recipe::parse(&text).unwrap_err();
        assert!(refusal.contains(said), "{refusal}");
    }
}

#[test]
fn balanced_classes_weigh_the_same_together_and_an_empty_one_nothing() {
    let names = ["a", "b", "c"].map(String::from);
    let weights = ClassWeights::BALANCED.of(&names, &[10, 30, 0]);
    assert!((weights[0] * 10.0 - weights[1] * 30.0).abs() < 1e-5);
    assert_eq!(weights[2], 0.0);
    assert_eq!(ClassWeights::BALANCED.of(&names[..2], &[5, 5]), [1.0, 1.0]);
}

#[test]
fn classes_weigh_what_is_given_and_others_one() {
    let parse =
        |more: &str| Recipe::parse(&format!("{MINIMAL}[training]\nclass_weights = {more}\n"));
    let names = Recipe::parse(MINIMAL).unwrap().labels.names;
    let recipe = parse(&format!("{{ {} = 1.5 }}", names[1])).unwrap();
    let weights = recipe.training.class_weights.unwrap();
    assert_eq!(weights.of(&names, &[10, 30])[..2], [1.0, 1.5]);
    for (more, said) in [
        ("{ unheard-of = 2.0 }", "unheard-of"),
        (&format!("{{ {} = 0.0 }}", names[0]), "above 0"),
        ("\"balance\"", "class_weights"),
    ] {
        let refusal = parse(more).unwrap_err();
        assert!(refusal.contains(said), "{refusal}");
    }
}

#[test]
fn what_a_bundle_says_of_a_recipe_names_repeats_and_class_weights_only_where_they_are_set() {
    let told = |more: &str| {
        let recipe = Recipe::parse(&format!("{MINIMAL}{more}")).unwrap();
        serde_json::to_string(&recipe).unwrap()
    };
    let plain = told("");
    assert!(
        !plain.contains("repeat") && !plain.contains("class_weights"),
        "{plain}"
    );
    let set = told("repeat = 2\n[training]\nclass_weights = \"balanced\"\n");
    assert!(
        set.contains("\"repeat\":2") && set.contains("\"class_weights\":\"balanced\""),
        "{set}"
    );
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
