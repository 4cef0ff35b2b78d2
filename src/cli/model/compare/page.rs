//! A comparison for people: the tables, the rules and the verdict.

use crate::compare::rows::LeftOut;
use crate::compare::{Compared, Side};
use crate::gate::check::{Check, Outcome, Part, Rule};
use crate::gate::comparison::Verdict;
use crate::gate::equity::{Attribute, Widening};
use crate::gate::example::SliceKind;
use crate::gate::speed::{Quantity, Speed};
use crate::gate::table::{Measure, Row, SliceRow, Table};

/// Width of a line's name.
const NAME: usize = 30;

const GREEN: &str = "32";
const RED: &str = "31";
const YELLOW: &str = "33";
const FAINT: &str = "2";

/// Everything that was found, line by line; in colours, if a terminal shows it.
pub(in crate::cli) fn lines(compared: &Compared, colour: bool) -> Vec<String> {
    let page = Page { colour };
    let found = &compared.comparison;
    let mut lines = vec![
        side("champion", &compared.champion),
        side("candidate", &compared.candidate),
    ];
    let level = format!("{:.0} % interval", 100.0 * (1.0 - found.config.alpha));
    lines.extend(table(
        &Part::Fixed.to_string(),
        &found.fixed,
        &compared.fixed_left_out,
        &level,
    ));
    match &found.recent {
        Some(recent) => lines.extend(table(
            &Part::Recent.to_string(),
            recent,
            &compared.recent_left_out,
            &level,
        )),
        None if compared.recent_left_out.is_empty() => {}
        None => lines.extend([
            String::new(),
            format!(
                "No recent message can be used ({})",
                compared.recent_left_out
            ),
        ]),
    }
    lines.extend(speeds(&found.speeds, &level));
    lines.extend(gaps(&found.equity));
    lines.push(String::new());
    lines.extend(found.checks.iter().map(|check| page.check(check)));
    lines.push(String::new());
    lines.push(format!("verdict  {}", page.verdict(found.verdict)));
    lines
}

struct Page {
    colour: bool,
}

impl Page {
    fn paint(&self, text: &str, code: &str) -> String {
        if self.colour {
            format!("\u{1b}[{code}m{text}\u{1b}[0m")
        } else {
            text.to_owned()
        }
    }

    fn check(&self, check: &Check) -> String {
        let (word, code) = match check.outcome {
            Outcome::Held => ("held", GREEN),
            Outcome::Broken => ("broken", RED),
            Outcome::Open => ("open", YELLOW),
            Outcome::Skipped => ("skipped", FAINT),
        };
        // Padded before it is painted: a terminal does not count the colours.
        let word = self.paint(&format!("{word:8}"), code);
        format!("{word} {:13} {}", name(check.rule), check.reason)
    }

    fn verdict(&self, verdict: Verdict) -> String {
        let code = match verdict {
            Verdict::Pass => GREEN,
            Verdict::Fail => RED,
            Verdict::Inconclusive => YELLOW,
        };
        self.paint(verdict.as_str(), code)
    }
}

fn side(role: &str, side: &Side) -> String {
    let version = side.version.get(..12).unwrap_or(&side.version);
    format!("{role:10} {} ({version}) on {}", side.name, side.device)
}

fn name(rule: Rule) -> &'static str {
    match rule {
        Rule::Accuracy => "accuracy",
        Rule::MacroRecall => "macro recall",
        Rule::RecentGain => "recent gain",
        Rule::Classes => "classes",
        Rule::Slices => "slices",
        Rule::Nll => "likelihood",
        Rule::Ece => "calibration",
        Rule::Equity => "score gaps",
        Rule::Speed => "speed",
        Rule::Parity => "parity",
    }
}

fn table(part: &str, table: &Table, left_out: &LeftOut, level: &str) -> Vec<String> {
    let discordant = &table.discordant;
    let mut lines = vec![
        String::new(),
        format!(
            "On {part}: {} texts, {} that only the candidate got right, {} that only the champion did (p {})",
            table.examples,
            discordant.candidate_only,
            discordant.champion_only,
            p(discordant.p)
        ),
    ];
    if !left_out.is_empty() {
        lines.push(format!("Left out: {left_out}"));
    }
    lines.push(format!(
        "{:NAME$} {:>7} {:>9} {:>9} {:>10}   {level:18} {:>7}",
        "", "texts", "champion", "candidate", "difference", "p"
    ));
    lines.extend(
        table
            .rows
            .iter()
            .map(|found| row(&measure(found), found, found.p)),
    );
    lines.extend(
        table
            .slices
            .iter()
            .map(|found| row(&slice(found), &found.row, found.adjusted_p)),
    );
    if table.slices_left_out > 0 {
        lines.push(format!(
            "{} slices have too few texts to say anything",
            table.slices_left_out
        ));
    }
    lines
}

fn measure(row: &Row) -> String {
    match row.measure {
        Measure::Accuracy => "accuracy".to_owned(),
        Measure::MacroRecall => "macro recall".to_owned(),
        Measure::Recall => format!("recall of {}", row.label.as_deref().unwrap_or_default()),
        Measure::Nll => "negative log likelihood".to_owned(),
        Measure::Brier => "Brier score".to_owned(),
        Measure::Ece => "calibration error".to_owned(),
    }
}

fn slice(found: &SliceRow) -> String {
    let kind = match found.slice.kind {
        SliceKind::Source => "source",
        SliceKind::Subject => "subject",
        SliceKind::Length => "length",
    };
    format!("accuracy, {kind} {}", found.slice.value)
}

fn row(name: &str, row: &Row, row_p: f64) -> String {
    // A subject may have any length.
    let name: String = name.chars().take(NAME).collect();
    let interval = format!("{:+.4} to {:+.4}", row.low, row.high);
    format!(
        "{name:NAME$} {:>7} {:>9.4} {:>9.4} {:>+10.4}   {interval:18} {:>7}",
        row.examples,
        row.champion,
        row.candidate,
        row.difference,
        p(row_p)
    )
}

fn p(p: f64) -> String {
    if p < 1e-4 {
        "<0.0001".to_owned()
    } else {
        format!("{p:.4}")
    }
}

fn speeds(speeds: &[Speed], level: &str) -> Vec<String> {
    let mut lines = Vec::new();
    for speed in speeds {
        let (name, unit) = match speed.quantity {
            Quantity::Throughput => ("Throughput", "texts a second"),
            Quantity::Latency => ("Latency", "ms"),
        };
        let interval = speed
            .interval
            .map_or("none: too few runs".to_owned(), |ends| {
                format!("{:.2} to {:.2}", ends.0, ends.1)
            });
        lines.extend([
            String::new(),
            format!(
                "{name}: champion {:.0}, candidate {:.0} {unit} (medians of {} and {} runs); {:.2} times as fast, {level} {interval}",
                speed.champion, speed.candidate, speed.runs.0, speed.runs.1, speed.ratio
            ),
            format!("{} ({})", speed.machine, speed.precision),
        ]);
    }
    lines
}

fn gaps(widenings: &[Widening]) -> Vec<String> {
    if widenings.is_empty() {
        return Vec::new();
    }
    let mut lines = vec![
        String::new(),
        format!(
            "{:NAME$} {:>7} {:>9} {:>9} {:>10}   {:18}",
            "Score gap", "frames", "champion", "candidate", "wider by", "joint interval"
        ),
    ];
    lines.extend(widenings.iter().map(|found| {
        let attribute = match found.champion.attribute {
            Attribute::Gender => "women less men",
            Attribute::Race => "Afr. less Eur. names",
        };
        let name = format!(
            "{attribute}, {}",
            found.champion.emotion.as_deref().unwrap_or("all")
        );
        let interval = format!("{:+.4} to {:+.4}", found.low, found.high);
        format!(
            "{name:NAME$} {:>7} {:>+9.4} {:>+9.4} {:>+10.4}   {interval:18}",
            found.champion.frames, found.champion.mean, found.candidate.mean, found.wider
        )
    }));
    lines
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::gate::comparison::{Comparison, Input};
    use crate::gate::config::GateConfig;
    use crate::gate::example::{Example, LengthClass};
    use crate::record::Problem;

    fn compared() -> Compared {
        let labels = ["negative", "positive"].map(String::from);
        let example = |index: usize| Example {
            truth: index % 2,
            champion: vec![0.6, 0.4],
            candidate: if index.is_multiple_of(2) {
                vec![0.99, 0.01]
            } else {
                vec![0.01, 0.99]
            },
            source: Some("a source with a name that is longer than the column".into()),
            subject: None,
            length: Some(LengthClass::Short),
            weight: 1.0,
        };
        let fixed: Vec<Example> = (0..200).map(example).collect();
        let input = Input {
            labels: &labels,
            candidate_labels: &labels,
            problem: Problem::SingleLabel,
            fixed: &fixed,
            recent: &[],
            speeds: &[],
            equity: &[],
            parity: None,
        };
        let config = GateConfig {
            resamples: 200,
            ..GateConfig::default()
        };
        let side = |name: &str| Side {
            name: name.into(),
            version: "0123456789abcdef".into(),
            device: "cpu".into(),
        };
        Compared {
            champion: side("old"),
            candidate: side("new"),
            fixed_left_out: LeftOut::default(),
            recent_left_out: LeftOut::default(),
            comparison: Comparison::of(&input, &config).unwrap(),
        }
    }

    #[test]
    fn columns_are_aligned_every_rule_is_told_and_the_verdict_comes_last() {
        let compared = compared();
        let plain = lines(&compared, false);
        assert_eq!(plain[0], "champion   old (0123456789ab) on cpu");
        let figures: Vec<&String> = plain
            .iter()
            .filter(|line| line.contains(" to +") || line.contains(" to -"))
            .filter(|line| !line.contains("points") && !line.contains("rule"))
            .collect();
        assert!(figures.len() >= 7, "{plain:#?}");
        assert!(
            figures
                .iter()
                .all(|line| line.chars().count() == figures[0].chars().count())
        );
        for check in &compared.comparison.checks {
            assert!(plain.iter().any(|line| line.ends_with(&check.reason)));
        }
        assert_eq!(plain.last().unwrap(), "verdict  inconclusive");
        assert!(!plain.concat().contains('\u{1b}'));
    }

    #[test]
    fn colours_change_nothing_but_the_colours() {
        let compared = compared();
        let painted = lines(&compared, true);
        assert!(painted.last().unwrap().contains("\u{1b}[33minconclusive"));
        let strip = |line: &str| {
            let mut parts = line.split('\u{1b}');
            let first = parts.next().unwrap_or_default().to_owned();
            parts.fold(first, |all, part| all + part.split_once('m').unwrap().1)
        };
        let stripped: Vec<String> = painted.iter().map(|line| strip(line)).collect();
        assert_eq!(stripped, lines(&compared, false));
    }
}
