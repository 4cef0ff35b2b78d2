//! What a bundle says of its quality: `report.json` for programs, `report.html` for people.

use std::fmt::{self, Display, Write};

use serde::{Deserialize, Serialize};

use super::calibrate::Calibration;
use super::data::LeftOut;
use super::evaluate::Evaluation;
use super::export::ExportOptions;
use super::parity::Parity;
use crate::model::manifest::{DataFile, Metric};

/// How the exported model relates to the trained one.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Exported {
    /// Form of the graph and storage of the weights.
    pub options: ExportOptions,
    /// Size of the model file in bytes.
    pub bytes: usize,
    /// Macro-averaged recall on validation before the weights were stored, computed by the trainer.
    pub trained_macro_recall: f64,
    /// The same after, computed by ONNX Runtime from the exported file.
    pub exported_macro_recall: f64,
    /// Difference between ONNX Runtime and the trainer's own forward pass with the weights as stored.
    pub parity: Parity,
}

impl Exported {
    /// What storing the weights cost, in points (hundredths) of macro-averaged recall; negative is a gain.
    #[must_use]
    pub fn cost(&self) -> f64 {
        100.0 * (self.trained_macro_recall - self.exported_macro_recall)
    }
}

/// Everything a run found out about its model.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Report {
    /// Name of the model.
    pub name: String,
    /// On the validation examples, by the exported model.
    pub validation: Evaluation,
    /// On the test examples, where the recipe has some.
    pub test: Option<Evaluation>,
    /// Fitted on the validation examples.
    pub calibration: Calibration,
    /// The exported file.
    pub exported: Exported,
    /// What it was trained and validated on.
    pub data: Vec<DataFile>,
    /// Lines that did not become an example.
    pub left_out: LeftOut,
    /// The recipe as it was run.
    pub recipe: serde_json::Value,
}

impl Report {
    /// The report as one HTML page that needs nothing else.
    #[must_use]
    pub fn html(&self) -> String {
        self.to_page().expect("writing to a string cannot fail")
    }

    fn to_page(&self) -> Result<String, fmt::Error> {
        let mut page = String::new();
        let name = escaped(&self.name);
        writeln!(
            page,
            "<!doctype html>\n<html lang=\"en\">\n<meta charset=\"utf-8\">"
        )?;
        writeln!(
            page,
            "<meta name=\"viewport\" content=\"width=device-width\">\n<title>{name}</title>"
        )?;
        writeln!(page, "<style>{STYLE}</style>\n<h1>{name}</h1>")?;
        evaluation(&mut page, "Validation", &self.validation)?;
        if let Some(test) = &self.test {
            evaluation(&mut page, "Test", test)?;
        }
        self.calibration(&mut page)?;
        self.export(&mut page)?;
        self.origin(&mut page)?;
        Ok(page)
    }

    fn calibration(&self, page: &mut String) -> fmt::Result {
        let Calibration {
            temperature,
            nll_before,
            nll_after,
            ece_before,
            ece_after,
        } = self.calibration;
        writeln!(
            page,
            "<h2>Calibration</h2>\n<p>Logits are divided by {temperature:.3}, fitted on the validation examples."
        )?;
        table(page, &["", "before", "after"], |page| {
            row(
                page,
                "negative log likelihood",
                &[format!("{nll_before:.4}"), format!("{nll_after:.4}")],
            )?;
            row(
                page,
                "expected calibration error",
                &[percent(ece_before), percent(ece_after)],
            )
        })
    }

    fn export(&self, page: &mut String) -> fmt::Result {
        let Exported {
            options,
            bytes,
            trained_macro_recall,
            exported_macro_recall,
            parity,
        } = self.exported;
        writeln!(page, "<h2>Exported model</h2>")?;
        table(page, &["", ""], |page| {
            row(
                page,
                "form of the graph",
                &[format!("{:?}", options.form).to_lowercase()],
            )?;
            row(
                page,
                "weights stored as",
                &[format!("{:?}", options.weights).to_lowercase()],
            )?;
            row(page, "size", &[format!("{:.1} MB", bytes as f64 / 1e6)])?;
            row(
                page,
                "macro recall as trained",
                &[percent(trained_macro_recall)],
            )?;
            row(
                page,
                "macro recall as exported",
                &[percent(exported_macro_recall)],
            )?;
            row(
                page,
                "cost of storage",
                &[format!("{:.2} points", self.exported.cost())],
            )?;
            let lengths = format!(
                "{} texts of {} to {} tokens",
                parity.texts, parity.shortest, parity.longest
            );
            row(page, "compared with the trainer on", &[lengths])?;
            row(
                page,
                "largest difference of a probability, alone",
                &[format!("{:.1e}", parity.alone)],
            )?;
            row(
                page,
                "the same in mixed batches",
                &[format!("{:.1e}", parity.batched)],
            )
        })
    }

    fn origin(&self, page: &mut String) -> fmt::Result {
        writeln!(page, "<h2>Data</h2>")?;
        table(
            page,
            &["file", "use", "examples", "from", "to", "sha256"],
            |page| {
                for file in &self.data {
                    let [from, to] = match file.span {
                        Some((from, to)) => {
                            [from, to].map(|time| time.format("%Y-%m-%d").to_string())
                        }
                        None => Default::default(),
                    };
                    let hash = file.sha256.chars().take(16).collect();
                    row(
                        page,
                        &file.name,
                        &[file.role.clone(), file.examples.to_string(), from, to, hash],
                    )?;
                }
                Ok(())
            },
        )?;
        let LeftOut {
            faults,
            repeated,
            conflicting,
            undated,
        } = self.left_out;
        writeln!(
            page,
            "<p>Left out: {faults} lines with faults, {repeated} repeated ids ({conflicting} with another label), \
             {undated} examples without a time."
        )?;
        let recipe = serde_json::to_string_pretty(&self.recipe).unwrap_or_default();
        writeln!(page, "<h2>Recipe</h2>\n<pre>{}</pre>", escaped(&recipe))
    }
}

const STYLE: &str = "body{font:15px/1.5 system-ui,sans-serif;max-width:52rem;margin:2rem auto;padding:0 1rem}\
table{border-collapse:collapse;margin:.5rem 0 1rem}th,td{padding:.2rem .8rem;border-bottom:1px solid #ddd;text-align:right}\
th:first-child,td:first-child{text-align:left}pre{background:#f6f6f6;padding:1rem;overflow:auto}";

fn evaluation(page: &mut String, title: &str, evaluation: &Evaluation) -> fmt::Result {
    writeln!(page, "<h2>{title}: {} examples</h2>", evaluation.examples)?;
    table(page, &["", "value", "95 % interval"], |page| {
        for (name, Metric { value, interval }) in &evaluation.metrics {
            let interval = interval.map_or_else(String::new, |(low, high)| {
                format!("{} to {}", percent(low), percent(high))
            });
            row(page, &name.replace('_', " "), &[percent(*value), interval])?;
        }
        Ok(())
    })?;
    table(
        page,
        &["class", "precision", "recall", "F1", "examples"],
        |page| {
            for class in &evaluation.classes {
                let figures = [class.precision, class.recall, class.f1].map(percent);
                row(
                    page,
                    &class.label,
                    &[&figures[..], &[class.support.to_string()]].concat(),
                )?;
            }
            Ok(())
        },
    )?;
    let labels: Vec<&str> = evaluation
        .classes
        .iter()
        .map(|class| class.label.as_str())
        .collect();
    writeln!(
        page,
        "<p>Confusion: a row is a class, a column what it was taken for."
    )?;
    table(page, &[&[""], &labels[..]].concat(), |page| {
        for (label, counts) in labels.iter().zip(&evaluation.confusion.counts) {
            let total: u64 = counts.iter().sum();
            write!(page, "<tr><td>{}", escaped(label))?;
            for count in counts {
                let share = *count as f64 / total.max(1) as f64;
                write!(
                    page,
                    "<td style=\"background:rgba(30,110,200,{share:.2})\">{count}"
                )?;
            }
            writeln!(page)?;
        }
        Ok(())
    })
}

fn table(
    page: &mut String,
    head: &[&str],
    rows: impl FnOnce(&mut String) -> fmt::Result,
) -> fmt::Result {
    write!(page, "<table>\n<tr>")?;
    for cell in head {
        write!(page, "<th>{}", escaped(cell))?;
    }
    writeln!(page)?;
    rows(page)?;
    writeln!(page, "</table>")
}

fn row(page: &mut String, name: &str, cells: &[String]) -> fmt::Result {
    write!(page, "<tr><td>{}", escaped(name))?;
    for cell in cells {
        write!(page, "<td>{}", escaped(cell))?;
    }
    writeln!(page)
}

fn percent(share: f64) -> String {
    format!("{:.2} %", 100.0 * share)
}

fn escaped(text: impl Display) -> String {
    text.to_string()
        .replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;")
        .replace('"', "&quot;")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::train::evaluate::evaluate;

    fn report() -> Report {
        let labels = ["negative".to_owned(), "<b>positive".to_owned()];
        let parity = Parity {
            texts: 300,
            shortest: 4,
            longest: 96,
            alone: 4e-7,
            batched: 5e-7,
        };
        Report {
            name: "a & b".into(),
            validation: evaluate(&labels, &[(0, 0), (0, 0), (1, 1), (1, 0)], 1),
            test: None,
            calibration: Calibration {
                temperature: 1.25,
                nll_before: 0.75,
                nll_after: 0.5,
                ece_before: 0.125,
                ece_after: 0.0625,
            },
            exported: Exported {
                options: ExportOptions::default(),
                bytes: 23_600_000,
                trained_macro_recall: 0.751,
                exported_macro_recall: 0.75,
                parity,
            },
            data: vec![DataFile {
                name: "tweets.tsv".into(),
                sha256: "ab".repeat(32),
                role: "train".into(),
                examples: 12,
                span: None,
            }],
            left_out: LeftOut {
                faults: 3,
                ..LeftOut::default()
            },
            recipe: serde_json::json!({"seed": 1}),
        }
    }

    #[test]
    fn the_page_shows_the_figures_and_escapes_what_others_named() {
        let page = report().html();
        for part in [
            "a &amp; b",
            "&lt;b&gt;positive",
            "75.00 %",
            "23.6 MB",
            "0.10 points",
            "tweets.tsv",
            "3 lines with faults",
            "4.0e-7",
        ] {
            assert!(page.contains(part), "{part} is missing from {page}");
        }
        assert!(!page.contains("<b>positive"));
        assert!(
            !page.contains("src=") && !page.contains("href="),
            "the page needs other files"
        );
    }

    #[test]
    fn a_report_reads_back_as_it_was_written() {
        let text = serde_json::to_string(&report()).unwrap();
        assert_eq!(serde_json::from_str::<Report>(&text).unwrap(), report());
    }
}
