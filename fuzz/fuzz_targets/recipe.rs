//! Any text, for a fine-tuning recipe: what is accepted can be written into a bundle's manifest and read again.

#![no_main]

use libfuzzer_sys::fuzz_target;
use tidewatch::train::recipe::Recipe;

fuzz_target!(|text: &str| {
    let Ok(recipe) = Recipe::parse(text) else {
        return;
    };
    let written = serde_json::to_value(&recipe).expect("a recipe can be written");
    let read: Recipe = serde_json::from_value(written.clone()).expect("and read again");
    assert_eq!(read.fault(), None, "{written}");
    let labels = &recipe.labels;
    for (index, name) in labels.names.iter().enumerate() {
        if !labels.map.contains_key(name.trim()) && name.trim() == name {
            assert_eq!(labels.index(name), u32::try_from(index).ok(), "{name:?}");
        }
    }
});
