//! `tidewatch annotate label`.

use std::io::{BufRead, IsTerminal, Write};

use clap::Args;
use serde_json::{Value, json};

use super::{AnnotatorArgs, describe, open};
use crate::cli::ConfigArgs;
use crate::cli::exit::End;
use crate::http::submit;
use crate::labels::decode::LabelDecoder;
use crate::store::{Asked, Store, Submitted};

/// Label messages: one after the other where a person watches, else JSON lines from standard input
///
/// A line is a label as in the topic of labels ([labels.fields]); for each, a line says what became of it. The exit code is 1
/// where one was rejected.
#[derive(Debug, Args)]
pub(in crate::cli) struct LabelArgs {
    #[command(flatten)]
    config: ConfigArgs,
    #[command(flatten)]
    annotator: AnnotatorArgs,
}

pub(super) fn run(args: &LabelArgs) -> anyhow::Result<End> {
    let runtime = tokio::runtime::Runtime::new()?;
    let (config, store) = runtime.block_on(open(&args.config))?;
    let annotator = &*args.annotator.name;
    if std::io::stdin().is_terminal() && std::io::stdout().is_terminal() {
        let minutes = config.annotate.claim_minutes;
        let ask = || runtime.block_on(store.claim_annotations(annotator, 1, minutes));
        while let Some(asked) = ask()?.pop() {
            match answer(&asked)? {
                Answer::End => return Ok(End::Done),
                Answer::Skip => {
                    runtime.block_on(store.skip_annotation(&asked.origin, annotator))?;
                }
                Answer::Label(label) => runtime.block_on(give(&store, &asked, annotator, label))?,
            }
        }
        println!("there are no more messages to label");
        return Ok(End::Done);
    }
    let decoder = LabelDecoder::new(&config.labels.fields);
    let named = &config.labels.fields.annotator;
    let mut end = End::Done;
    for line in std::io::stdin().lock().lines() {
        let line = line?;
        if line.trim().is_empty() {
            continue;
        }
        let result = match serde_json::from_str::<Value>(&line) {
            Err(error) => json!({ "outcome": "rejected", "detail": error.to_string() }),
            Ok(mut item) => {
                // Only a member at the top is filled in: whoever nests it names everybody.
                if let Some(fields) = item.as_object_mut()
                    && !named.is_empty()
                    && !named.contains('.')
                {
                    fields
                        .entry(named.clone())
                        .or_insert_with(|| annotator.into());
                }
                runtime.block_on(submit(&store, &decoder, &item))?.0
            }
        };
        if result["outcome"] == "rejected" {
            end = End::Failed;
        }
        writeln!(std::io::stdout(), "{result}")?;
    }
    Ok(end)
}

enum Answer<'a> {
    Label(&'a str),
    Skip,
    End,
}

/// What a person says of a message.
fn answer(asked: &Asked) -> std::io::Result<Answer<'_>> {
    println!("{}", describe(asked));
    let choices: Vec<String> = (1..)
        .zip(&asked.labels)
        .map(|(number, label)| format!("{number} {label}"))
        .collect();
    loop {
        print!("  {}, s skip, q quit: ", choices.join(", "));
        std::io::stdout().flush()?;
        let mut line = String::new();
        if std::io::stdin().read_line(&mut line)? == 0 {
            return Ok(Answer::End);
        }
        match chosen(&asked.labels, &line) {
            Some(answer) => return Ok(answer),
            None => println!("  answer by a number, a label, s or q"),
        }
    }
}

/// The answer that a line gives: a label by its number or its name, or a letter.
fn chosen<'a>(labels: &'a [String], line: &str) -> Option<Answer<'a>> {
    let line = line.trim();
    let by_number = line.parse::<usize>().ok().and_then(|n| n.checked_sub(1));
    let label = by_number.and_then(|index| labels.get(index).map(String::as_str));
    match label.or_else(|| crate::labels::canonical(labels, line)) {
        Some(label) => Some(Answer::Label(label)),
        None if line.eq_ignore_ascii_case("s") => Some(Answer::Skip),
        None if line.eq_ignore_ascii_case("q") => Some(Answer::End),
        None => None,
    }
}

async fn give(store: &Store, asked: &Asked, annotator: &str, label: &str) -> anyhow::Result<()> {
    let label = crate::labels::Label {
        message: crate::labels::Reference::Place(asked.origin.clone()),
        label: label.to_owned(),
        annotator: annotator.to_owned(),
        sampling: asked.sampling,
        given_at: chrono::Utc::now(),
    };
    if let Submitted::Accepted { conflict: true, .. } = store.submit_label(&label).await? {
        println!("  somebody else says otherwise");
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_person_answers_by_number_name_or_letter() {
        let labels = ["negative", "s"].map(String::from);
        let label = |line: &str| match chosen(&labels, line) {
            Some(Answer::Label(label)) => Some(label.to_owned()),
            _ => None,
        };
        assert_eq!(label("1\n").as_deref(), Some("negative"));
        assert_eq!(label(" NEGATIVE ").as_deref(), Some("negative"));
        assert_eq!(label("s").as_deref(), Some("s"), "a label goes first");
        for none in ["0", "3", "", "neg"] {
            assert!(chosen(&labels, none).is_none(), "{none:?}");
        }
        assert!(matches!(chosen(&labels, "q"), Some(Answer::End)));
        assert!(matches!(chosen(&labels[..1], "s"), Some(Answer::Skip)));
    }
}
