//! What speaks for a training or for a cure without one, and what is lacking.

use super::cause::Cause;
use super::config::TriggerConfig;
use super::limits::MINUTE;
use super::reason::Reason;
use super::situation::{OpenAlarm, Situation};
use crate::drift::severity::Remedy;

/// What was found, the most pressing first.
#[derive(Debug, Default)]
pub(super) struct Evidence {
    /// Each is worth a training.
    pub causes: Vec<Cause>,
    /// Cures without training, with the alarms they are for.
    pub remedies: Vec<(Remedy, String)>,
    pub reasons: Vec<Reason>,
}

impl Evidence {
    pub(super) fn weigh(config: &TriggerConfig, situation: &Situation, now: i64) -> Self {
        let mut found = Self::default();
        for request in &situation.requests {
            let (id, by) = (request.id.clone(), request.by.clone());
            found.reasons.push(Reason::Requested {
                id: id.clone(),
                by: by.clone(),
            });
            let force = request.force;
            found.causes.push(Cause::Request { id, by, force });
        }
        if !config.enabled {
            found.reasons.push(Reason::Off);
            return found;
        }
        let mut alarms: Vec<&OpenAlarm> = situation.alarms.iter().collect();
        alarms.sort_by_key(|alarm| (std::cmp::Reverse(alarm.severity), alarm.since, &alarm.id));
        for alarm in alarms {
            found.hear(alarm, config, situation, now);
        }
        found.see_loss(config, situation);
        let new = situation.labels.usable;
        if config.new_labels > 0 && new >= u64::from(config.new_labels) {
            found.reasons.push(Reason::ManyLabels { new });
            found.causes.push(Cause::Labels { new });
        }
        found
    }

    fn hear(&mut self, alarm: &OpenAlarm, config: &TriggerConfig, situation: &Situation, now: i64) {
        let id = || alarm.id.clone();
        match alarm.remedy {
            Remedy::None => self.reasons.push(Reason::NothingToCure { alarm: id() }),
            Remedy::AskForLabels => self.reasons.push(Reason::LabelsToTell { alarm: id() }),
            Remedy::PriorCorrection if config.prior_correction => self.cure(alarm),
            Remedy::Recalibration if config.recalibration => {
                let want = u64::from(config.recalibration_labels);
                if self.has_labels(situation.labels.random, want) {
                    self.cure(alarm);
                }
            }
            remedy @ (Remedy::PriorCorrection | Remedy::Recalibration) => {
                self.reasons.push(Reason::RemedyOff {
                    alarm: id(),
                    remedy,
                });
            }
            Remedy::ContinuedPretraining | Remedy::Retrain => {
                self.want_training(alarm, config, situation, now);
            }
        }
    }

    fn cure(&mut self, alarm: &OpenAlarm) {
        self.reasons.push(Reason::Curable {
            alarm: alarm.id.clone(),
            remedy: alarm.remedy,
        });
        self.remedies.push((alarm.remedy, alarm.id.clone()));
    }

    fn want_training(
        &mut self,
        alarm: &OpenAlarm,
        config: &TriggerConfig,
        situation: &Situation,
        now: i64,
    ) {
        let (id, severity) = (alarm.id.clone(), alarm.severity);
        if severity < config.severity {
            let least = config.severity;
            self.reasons.push(Reason::TooMild {
                alarm: id,
                severity,
                least,
            });
            return;
        }
        let until = alarm
            .since
            .saturating_add(i64::from(config.settle_minutes) * MINUTE);
        if now < until {
            self.reasons.push(Reason::TooYoung { alarm: id, until });
            return;
        }
        self.reasons.push(Reason::TrainingProposed {
            alarm: id,
            severity,
            remedy: alarm.remedy,
            since: alarm.since,
        });
        let cause = |unlabelled| Cause::Alarm {
            id: alarm.id.clone(),
            severity,
            unlabelled,
        };
        if alarm.remedy == Remedy::ContinuedPretraining && config.continued_pretraining {
            let (have, want) = (situation.texts, u64::from(config.min_texts));
            if have >= want {
                self.causes.push(cause(true));
            } else {
                self.reasons.push(Reason::TooFewTexts { have, want });
            }
        }
        if self.has_labels(situation.labels.usable, u64::from(config.min_labels)) {
            self.causes.push(cause(false));
        }
    }

    /// A loss measured on labels is believed before one that was estimated without any.
    fn see_loss(&mut self, config: &TriggerConfig, situation: &Situation) {
        let measured = situation.measured.is_some();
        let Some(loss) = situation.measured.or(situation.estimated) else {
            return;
        };
        if loss.points < config.loss_points || loss.low <= 0.0 {
            return;
        }
        let points = loss.points;
        self.reasons.push(Reason::AccuracyLost {
            points,
            low: loss.low,
            measured,
        });
        if self.has_labels(situation.labels.usable, u64::from(config.min_labels)) {
            self.causes.push(Cause::Loss { points, measured });
        }
    }

    /// Whether there are enough labels; if not, that is a reason.
    fn has_labels(&mut self, have: u64, want: u64) -> bool {
        let lacking = Reason::TooFewLabels { have, want };
        if have < want && !self.reasons.contains(&lacking) {
            self.reasons.push(lacking);
        }
        have >= want
    }
}
