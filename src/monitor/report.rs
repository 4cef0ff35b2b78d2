//! A judged window as rows.

use chrono::{DateTime, Utc};
use serde_json::{Value, json};

use crate::drift::baseline::Baseline;
use crate::drift::copies::distinct_by;
use crate::drift::errors::Stretch;
use crate::drift::judge::{Judged, describe};
use crate::drift::labelled::Labelled;
use crate::drift::measured::{Measured, MeasuredAccuracy};
use crate::drift::packed::pack;
use crate::drift::reading::Reading;
use crate::drift::rule::{Change, Verdict};
use crate::drift::severity::Decision;
use crate::drift::timeline::axis::moment;
use crate::drift::windows::Window;
use crate::model::tokenizer::Tokenizer;
use crate::record::Origin;
use crate::store::{KeptReport, KeptWindow, Store, StoreError};

/// What is told of a window.
pub(super) struct Told<'a> {
    pub model: i32,
    pub window: &'a Window,
    /// None where there was nothing to judge it by.
    pub judged: &'a Option<Judged>,
    /// The window that opened the alarm.
    pub since: Option<(u64, i64)>,
    pub baseline: Option<&'a Baseline>,
    pub tokenizer: &'a Tokenizer,
}

impl Told<'_> {
    /// The row of the window.
    pub(super) fn window(&self) -> KeptWindow {
        let judged = self.judged.as_ref();
        let verdict = judged.map_or(Verdict::Unknown, |judged| judged.verdict);
        KeptWindow {
            model: self.model,
            number: signed(self.window.number),
            started: time(self.window.start),
            ended: time(self.window.end),
            messages: self.window.readings.len() as i64,
            distinct: judged.map_or(0, |judged| judged.counts.messages.cast_signed()),
            late: signed(self.window.late),
            verdict: verdict.as_str().to_owned(),
            p: judged.and_then(|judged| judged.finding.p),
            foremost: judged
                .and_then(|judged| judged.finding.leading)
                .map(|statistic| statistic.name().to_owned()),
            detail: self.kept_detail(),
            counts: judged.map_or_else(Vec::new, |judged| pack(&judged.counts)),
        }
    }

    /// Without what labels say: that changes as they come in, and stands in columns of its own.
    fn kept_detail(&self) -> Value {
        let mut detail = self.detail();
        if let Some(detail) = detail.as_object_mut() {
            detail.remove("measured");
        }
        detail
    }

    fn detail(&self) -> Value {
        match (self.judged, self.baseline) {
            (Some(judged), Some(baseline)) => {
                describe(judged, &baseline.labels, &|id| self.tokenizer.token(id))
            }
            _ => json!({
                "reason": "there is no baseline for the model that scored these messages: make one with `tidewatch baseline`",
            }),
        }
    }

    /// The report, where the window opened or resolved an alarm.
    pub(super) async fn report(&self, store: &Store) -> Result<Option<KeptReport>, StoreError> {
        let Some(judged) = self.judged else {
            return Ok(None);
        };
        let change = match judged.change {
            Change::None => return Ok(None),
            Change::Opened => "opened",
            Change::Resolved => "resolved",
        };
        let (since_number, since) = self
            .since
            .unwrap_or((self.window.number, self.window.start));
        let mut report = json!({
            "change": change,
            "window": self.window.number,
            "start": moment(self.window.start),
            "end": moment(self.window.end),
            "since_window": since_number,
            "since": moment(since),
        });
        if let (Some(report), Value::Object(detail)) = (report.as_object_mut(), self.detail()) {
            report.extend(detail);
        }
        if change == "opened" {
            self.add_examples(&mut report, judged, store).await?;
        }
        Ok(Some(KeptReport {
            id: format!("{}-{}-{change}", self.model, self.window.number),
            model: self.model,
            number: signed(self.window.number),
            change: change.to_owned(),
            report,
        }))
    }

    /// Names the examples of the tokens that moved by where they stand in Kafka, with their texts where those are kept.
    async fn add_examples(
        &self,
        report: &mut Value,
        judged: &Judged,
        store: &Store,
    ) -> Result<(), StoreError> {
        let Some(alarm) = &judged.alarm else {
            return Ok(());
        };
        // As the judge has them: its examples are indices into these.
        let window = self.window.origins.iter().zip(&self.window.readings);
        let window: Vec<(&Origin, &Reading)> = window.collect();
        let kept = distinct_by(&window, |(_, reading)| *reading);
        let moved = &alarm.explanation.tokens;
        let origins: Vec<Vec<&Origin>> = moved
            .iter()
            .map(|token| {
                let examples = token.examples.iter();
                examples
                    .filter_map(|&index| kept.get(index).map(|(origin, _)| *origin))
                    .collect()
            })
            .collect();
        let wanted: Vec<&Origin> = origins.iter().flatten().copied().collect();
        let texts = store.texts_of(&wanted).await?;
        if let Some(tokens) = report["alarm"]["explanation"]["tokens"].as_array_mut() {
            for (token, origins) in tokens.iter_mut().zip(&origins) {
                let examples = origins.iter().map(|origin| {
                    json!({
                        "topic": &*origin.topic, "partition": origin.partition, "offset": origin.offset,
                        "text": texts.get(*origin),
                    })
                });
                token["examples"] = examples.collect();
            }
        }
        Ok(())
    }
}

/// The report of an alarm of the test on labelled messages, without what it means. `number` is the window that is open, `alarm`
/// counts these alarms of the model.
pub(super) fn error_report(
    model: i32,
    number: u64,
    change: &str,
    alarm: u64,
    since: &Stretch,
    labelled: &Labelled,
) -> KeptReport {
    let (right, all) = labelled.right();
    KeptReport {
        // With the time, so that it is another one also where the count was lost with the memory.
        id: format!("{model}-errors-{alarm}-{}-{change}", since.begun),
        model,
        number: signed(number),
        change: change.to_owned(),
        report: json!({
            "change": change,
            "statistic": "errors",
            "window": number,
            "since": moment(since.begun),
            "measured": since.measured(),
            "baseline": MeasuredAccuracy::of(right, all),
        }),
    }
}

/// The report that labels now tell what an open alarm means.
pub(super) fn updated_report(
    model: i32,
    number: u64,
    since: i64,
    measured: &Measured,
    decision: Decision,
) -> KeptReport {
    KeptReport {
        id: format!("{model}-{number}-updated"),
        model,
        number: signed(number),
        change: "updated".to_owned(),
        report: json!({
            "change": "updated",
            "window": number,
            "since_window": number,
            "since": moment(since),
            "measured": measured,
            "alarm": decision,
        }),
    }
}

/// The report that an alarm is over because its model scores no more.
pub(super) fn abandoned(
    model: i32,
    number: u64,
    statistic: Option<&str>,
    since: Option<i64>,
) -> KeptReport {
    KeptReport {
        id: format!(
            "{model}-{number}-{}retired",
            statistic.map_or_else(String::new, |of| format!("{of}-"))
        ),
        model,
        number: signed(number),
        change: "resolved".to_owned(),
        report: json!({
            "change": "resolved",
            "statistic": statistic,
            "window": number,
            "since": since.map(moment),
            "reason": "the model scores no more",
        }),
    }
}

/// A moment of so many milliseconds.
pub(super) fn time(ms: i64) -> DateTime<Utc> {
    DateTime::from_timestamp_millis(ms).unwrap_or_default()
}

fn signed(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}
