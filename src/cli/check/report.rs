//! What was found, for people and for programs.

use serde::Serialize;

/// How a part does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum State {
    Ok,
    /// It works, at a risk or with a limit.
    Warning,
    /// The service cannot work with it.
    Fault,
}

/// One finding.
#[derive(Debug, Serialize)]
pub(super) struct Line {
    part: &'static str,
    state: State,
    text: String,
}

impl Line {
    pub(super) fn ok(part: &'static str, text: impl ToString) -> Self {
        Self::new(part, State::Ok, text)
    }

    pub(super) fn warning(part: &'static str, text: impl ToString) -> Self {
        Self::new(part, State::Warning, text)
    }

    pub(super) fn fault(part: &'static str, text: impl ToString) -> Self {
        Self::new(part, State::Fault, text)
    }

    pub(super) fn is_ok(&self) -> bool {
        self.state == State::Ok
    }

    fn new(part: &'static str, state: State, text: impl ToString) -> Self {
        Self {
            part,
            state,
            text: text.to_string(),
        }
    }
}

/// All findings, in the order of the config's sections.
#[derive(Debug, Default)]
pub(super) struct Report {
    lines: Vec<Line>,
}

impl Report {
    pub(super) fn add(&mut self, lines: impl IntoIterator<Item = Line>) {
        self.lines.extend(lines);
    }

    pub(super) fn is_ok(&self) -> bool {
        self.lines.iter().all(|line| line.state != State::Fault)
    }

    pub(super) fn print(&self, json: bool) {
        if json {
            println!("{}", self.json());
        } else {
            print!("{}", self.table());
        }
    }

    fn json(&self) -> serde_json::Value {
        serde_json::json!({ "ok": self.is_ok(), "checks": self.lines })
    }

    fn table(&self) -> String {
        let row = |line: &Line| {
            let state = match line.state {
                State::Ok => "ok",
                State::Warning => "warning",
                State::Fault => "FAULT",
            };
            format!("{state:<8} {:<9} {}\n", line.part, line.text)
        };
        self.lines.iter().map(row).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_warning_is_no_fault_and_both_formats_say_the_same() {
        let mut report = Report::default();
        report.add([Line::ok("config", "fine"), Line::warning("kafka", "hm")]);
        assert!(report.is_ok());
        assert_eq!(
            report.table(),
            "ok       config    fine\nwarning  kafka     hm\n"
        );
        report.add([Line::fault("postgres", "gone: start it")]);
        assert!(!report.is_ok());
        assert_eq!(
            report.json().to_string(),
            r#"{"ok":false,"checks":[{"part":"config","state":"ok","text":"fine"},{"part":"kafka","state":"warning","text":"hm"},{"part":"postgres","state":"fault","text":"gone: start it"}]}"#
        );
    }
}
