//! Which module may use which.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;

use super::rules::RULES;
use super::{files, is_word, root};

/// The configuration may use other modules' sections, and nothing else of them.
const SECTIONS: [&str; 15] = [
    "alerts::config",
    "annotate::config",
    "compare::config",
    "drift::config",
    "gate::config",
    "http::config",
    "labels::config",
    "log",
    "model::config",
    "notify::config",
    "pipeline::config",
    "registry::config",
    "retrain::config",
    "rollout::config",
    "store::config",
];

/// Crates that belong behind a seam: where they may be named, and why nowhere else.
const SEAMS: [(&str, &[&str], &str); 5] = [
    (
        "ort",
        &["model/onnx.rs", "model/library.rs"],
        "another engine must need no more than another file like them",
    ),
    (
        "sqlx",
        &["store/", "verify/"],
        "all SQL of the service stands in one place, beside the tables it knows; the check has its own, so that it does not \
         share a fault of the service's",
    ),
    (
        "object_store",
        &["registry/bucket.rs", "registry/config.rs"],
        "another kind of depot must need no more than another file like it",
    ),
    (
        "candle_core",
        &["train/"],
        "the service scores on ONNX Runtime alone",
    ),
    (
        "kube",
        &["retrain/runner/kubernetes/"],
        "most deployments have no cluster, so it is built on request",
    ),
];

/// Each source file of the library without its comments and its tests (those may use what they like).
fn sources() -> BTreeMap<String, String> {
    let src = root().join("src");
    files(&src, ".rs")
        .into_iter()
        .filter(|file| !file.ends_with("tests.rs") && !file.starts_with("bin/") && file != "lib.rs")
        .map(|file| {
            let text = fs::read_to_string(src.join(&file)).unwrap();
            let text = text
                .split("#[cfg(test)]\nmod tests")
                .next()
                .unwrap_or_default();
            let code: Vec<&str> = text
                .lines()
                .filter(|line| !line.trim_start().starts_with("//"))
                .collect();
            (file, code.join("\n"))
        })
        .collect()
}

fn module_of(file: &str) -> &str {
    let first = file.split('/').next().unwrap_or_default();
    first.strip_suffix(".rs").unwrap_or(first)
}

/// Every path that follows `prefix` in the code, groups in braces resolved: `crate::{a::b, c}` gives `a::b` and `c`.
fn paths_after(code: &str, prefix: &str) -> Vec<String> {
    let mut paths = Vec::new();
    for (at, _) in code.match_indices(prefix) {
        if code[..at]
            .chars()
            .next_back()
            .is_some_and(|c| is_word(c) || c == ':')
        {
            continue;
        }
        let rest = &code[at + prefix.len()..];
        match rest.strip_prefix('{') {
            None => paths.push(leading_path(rest)),
            Some(group) => {
                let mut depth = 1;
                let mut begins = true;
                for (index, c) in group.char_indices() {
                    match c {
                        '{' => depth += 1,
                        '}' => depth -= 1,
                        ',' if depth == 1 => begins = true,
                        c if begins && is_word(c) => {
                            paths.push(leading_path(&group[index..]));
                            begins = false;
                        }
                        _ => {}
                    }
                    if depth == 0 {
                        break;
                    }
                }
            }
        }
    }
    paths
}

/// `a::b::C` at the beginning of a text.
fn leading_path(text: &str) -> String {
    let end = text.find(|c| !is_word(c) && c != ':').unwrap_or(text.len());
    text[..end].trim_end_matches(':').to_owned()
}

/// The paths from the crate's root that a file names, through `crate::` or by climbing with `super::`.
fn uses(file: &str, code: &str) -> Vec<String> {
    let depth = file.trim_end_matches("/mod.rs").split('/').count();
    let mut paths = paths_after(code, "crate::");
    paths.extend(paths_after(code, &"super::".repeat(depth)));
    paths
}

#[test]
fn paths_are_found_in_groups_and_in_code() {
    let code = "use crate::{a::b, c::{d, e},\n f};\nlet x = crate::g::h(1); my_crate::i; xcrate::j";
    assert_eq!(paths_after(code, "crate::"), ["a::b", "c", "f", "g::h"]);
    assert_eq!(
        uses("x/y.rs", "use super::super::a::B; use super::c;"),
        ["a::B"]
    );
}

/// Whether a path lies within a module or is it.
fn is_within(path: &str, module: &str) -> bool {
    path.strip_prefix(module)
        .is_some_and(|rest| rest.is_empty() || rest.starts_with("::"))
}

#[test]
fn a_path_is_within_its_module_and_not_within_one_that_begins_alike() {
    assert!(is_within("store", "store") && is_within("store::config::X", "store::config"));
    assert!(
        !is_within("store::configure", "store::config") && !is_within("store", "store::config")
    );
}

#[test]
fn a_module_uses_only_what_it_may() {
    let sources = sources();
    let modules: BTreeSet<&str> = sources.keys().map(|file| module_of(file)).collect();
    let mut faults = Vec::new();
    for (file, code) in &sources {
        let module = module_of(file);
        for path in uses(file, code) {
            let used = path.split("::").next().unwrap_or_default();
            if used == module || !modules.contains(used) {
                continue;
            }
            if module == "config" {
                let is_section = SECTIONS.iter().any(|section| path.starts_with(section));
                if !is_section {
                    faults.push(format!(
                        "config uses {path}: it may only use sections ({SECTIONS:?})"
                    ));
                }
            } else if let Some(rule) = RULES.iter().find(|rule| rule.module == module)
                && !rule.may_use.iter().any(|part| is_within(&path, part))
            {
                faults.push(format!(
                    "{file} uses {path}: {module} may use {:?} only, because {}",
                    rule.may_use, rule.because
                ));
            }
        }
    }
    assert!(faults.is_empty(), "\n{}", faults.join("\n"));
}

#[test]
fn every_rule_is_about_a_module_that_exists() {
    let sources = sources();
    let modules: BTreeSet<&str> = sources.keys().map(|file| module_of(file)).collect();
    for rule in RULES {
        for part in rule.may_use.iter().chain([&rule.module]) {
            let module = part.split("::").next().unwrap_or_default();
            assert!(
                modules.contains(module),
                "there is no module {module} any more"
            );
        }
    }
}

#[test]
fn what_belongs_behind_a_seam_is_named_only_there() {
    let mut faults = Vec::new();
    for (file, code) in sources() {
        for (name, places, because) in SEAMS {
            let named = !paths_after(&code, &format!("{name}::")).is_empty();
            if named && !places.iter().any(|place| file.starts_with(place)) {
                faults.push(format!(
                    "{file} names {name}, which belongs into {places:?}: {because}"
                ));
            }
        }
    }
    assert!(faults.is_empty(), "\n{}", faults.join("\n"));
}
