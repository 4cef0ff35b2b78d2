//! What is wrong with a recipe, before anything is read or computed.

use std::collections::BTreeMap;

use super::{Backbone, ClassWeights, Recipe, Role, Split};

/// Above this, a number of repeats is a slip of the pen.
const MOST_REPEATS: usize = 1000;

impl Recipe {
    /// What is wrong with the values, as a sentence, if anything is.
    pub fn fault(&self) -> Option<String> {
        let t = &self.training;
        let unknown = self
            .labels
            .map
            .values()
            .find(|name| !self.labels.names.contains(name));
        let given = match &t.class_weights {
            Some(ClassWeights::Given(weights)) => Some(weights),
            _ => None,
        };
        let weighed = given.and_then(|weights| {
            let mut names = weights.keys();
            names.find(|name| !self.labels.names.contains(name))
        });
        let checks = [
            (
                self.labels.names.len() < 2,
                "labels.names needs at least two classes".to_owned(),
            ),
            (
                !are_names(&self.labels.names),
                "labels.names must be distinct, not empty, and without spaces around them"
                    .to_owned(),
            ),
            (self.data.is_empty(), "[[data]] names no file".to_owned()),
            (
                matches!(&self.backbone, Backbone::Hub(id) if !is_hub_id(id)),
                "backbone.hub must be owner/name, with @revision after it where not the main one is meant"
                    .to_owned(),
            ),
            (
                !self.data.iter().any(|source| source.role == Role::Train),
                "no [[data]] file has the role \"train\"".to_owned(),
            ),
            (
                self.data.iter().any(|source| !(1..=MOST_REPEATS).contains(&source.repeat)),
                format!("[[data]] repeat must be at least 1 and at most {MOST_REPEATS}"),
            ),
            (
                t.epochs == 0,
                "training.epochs must be at least 1".to_owned(),
            ),
            (
                t.shards == 0,
                "training.shards must be at least 1".to_owned(),
            ),
            (
                t.max_tokens < 3,
                "training.max_tokens must be at least 3".to_owned(),
            ),
            (
                !(t.learning_rate.is_finite() && t.learning_rate > 0.0),
                "training.learning_rate must be a number above 0".to_owned(),
            ),
            (
                !(t.clip.is_finite() && t.clip > 0.0),
                "training.clip must be a number above 0".to_owned(),
            ),
            (
                !(t.weight_decay.is_finite() && t.weight_decay >= 0.0),
                "training.weight_decay must be a number of at least 0".to_owned(),
            ),
            (
                !(0.0..1.0).contains(&t.warm_up),
                "training.warm_up must be at least 0 and below 1".to_owned(),
            ),
            (
                t.dropout.is_some_and(|rate| !(0.0..1.0).contains(&rate)),
                "training.dropout must be at least 0 and below 1".to_owned(),
            ),
            (
                weighed.is_some(),
                format!(
                    "training.class_weights names \"{}\", which labels.names lacks",
                    weighed.map_or("", |n| n)
                ),
            ),
            (
                given.is_some_and(|weights| !are_weights(weights)),
                "training.class_weights must be numbers above 0".to_owned(),
            ),
            (
                matches!(self.split, Split::Hash { share } if !(share > 0.0 && share < 1.0)),
                "split.share must be between 0 and 1".to_owned(),
            ),
            (
                self.output
                    .min_macro_recall
                    .is_some_and(|least| !(0.0..=1.0).contains(&least)),
                "output.min_macro_recall must be between 0 and 1".to_owned(),
            ),
            (
                unknown.is_some(),
                format!(
                    "labels.map leads to \"{}\", which labels.names lacks",
                    unknown.map_or("", |n| n)
                ),
            ),
        ];
        checks
            .into_iter()
            .find(|(wrong, _)| *wrong)
            .map(|(_, reason)| reason)
    }
}

/// Whether classes can count so much in the loss.
pub(crate) fn are_weights(weights: &BTreeMap<String, f64>) -> bool {
    weights
        .values()
        .all(|weight| weight.is_finite() && *weight > 0.0)
}

/// Whether each names a class of its own as a file may write it.
fn are_names(names: &[String]) -> bool {
    names.iter().enumerate().all(|(index, name)| {
        !name.is_empty() && name.trim() == name && !names[..index].contains(name)
    })
}

/// `owner/name` (or the `name` alone of the hub's oldest models), with or without `@revision`.
fn is_hub_id(id: &str) -> bool {
    let plain = |part: &str| {
        let allowed = |c: char| c.is_ascii_alphanumeric() || "-_.".contains(c);
        !part.is_empty() && !part.starts_with('.') && part.chars().all(allowed)
    };
    let (name, revision) = id.split_once('@').unwrap_or((id, "main"));
    name.split('/').count() <= 2 && name.split('/').all(plain) && revision.split('/').all(plain)
}

#[cfg(test)]
mod tests {
    use super::is_hub_id;

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
}
