//! Whether the output topics take what will be written.

use std::fmt::Display;

use rdkafka::admin::{AdminClient, AdminOptions, ConfigResource, ResourceSpecifier};
use rdkafka::client::DefaultClientContext;
use rdkafka::error::{KafkaError, RDKafkaErrorCode as Code};

use super::{Line, PART, PATIENCE, count};
use crate::config::Config;
use crate::pipeline::client;

/// Looks at the settings of each output, given with the number of replicas of each of its partitions.
pub(super) fn check(config: &Config, outputs: &[(&str, Vec<usize>)]) -> Vec<Line> {
    let inputs = config.input.iter().map(|input| &*input.topic);
    let input_settings: Vec<_> = inputs.map(|topic| settings(config, topic)).collect();
    // What the inputs take bounds what can come, if they all say what that is.
    let largest_input = input_settings
        .iter()
        .map(|settings| number(settings.as_ref().ok()?, "max.message.bytes"))
        .try_fold(0, |largest, limit| Some(largest.max(limit?)));
    let largest = config
        .batch
        .max_bytes
        .min(largest_input.unwrap_or(usize::MAX));
    outputs
        .iter()
        .flat_map(|(topic, replicas)| match settings(config, topic) {
            Ok(settings) => output(topic, replicas, &settings, Some(largest)),
            Err(error) => vec![unreadable(topic, &error)],
        })
        .collect()
}

/// As [`check`] for the topics of drift reports and of alerts, which have a key and are small.
pub(super) fn check_told(config: &Config, topic: &str, replicas: &[usize]) -> Vec<Line> {
    match settings(config, topic) {
        Ok(settings) => output(topic, replicas, &settings, None),
        Err(error) => vec![unreadable(topic, &error)],
    }
}

fn unreadable(topic: &str, error: &KafkaError) -> Line {
    Line::warning(
        PART,
        format!(
            "the settings of {topic} cannot be read ({error}): grant this user DESCRIBE_CONFIGS on it"
        ),
    )
}

fn settings(config: &Config, topic: &str) -> Result<ConfigResource, KafkaError> {
    let admin: AdminClient<DefaultClientContext> = client::base(&config.kafka).create()?;
    let options = AdminOptions::new().request_timeout(Some(PATIENCE));
    let asked = [ResourceSpecifier::Topic(topic)];
    let answer =
        tokio::runtime::Handle::current().block_on(admin.describe_configs(&asked, &options))?;
    match answer.into_iter().next() {
        Some(Ok(settings)) if !settings.entries.is_empty() => Ok(settings),
        Some(Err(code)) => Err(KafkaError::AdminOp(code)),
        // The crate passes over a topic's error, which then has no settings.
        Some(Ok(_)) | None => Err(KafkaError::AdminOp(Code::TopicAuthorizationFailed)),
    }
}

fn text<'a>(settings: &'a ConfigResource, name: &str) -> Option<&'a str> {
    settings.get(name)?.value.as_deref()
}

fn number(settings: &ConfigResource, name: &str) -> Option<usize> {
    text(settings, name)?.parse().ok()
}

/// `largest` is the size of what may come without a key.
fn output(
    topic: &str,
    replicas: &[usize],
    settings: &ConfigResource,
    largest: Option<usize>,
) -> Vec<Line> {
    let mut lines = Vec::new();
    let mut fault = |problem: &dyn Display| {
        lines.push(Line::fault(PART, format!("the output {topic} {problem}")));
    };
    let compacted =
        text(settings, "cleanup.policy").is_some_and(|policy| policy.contains("compact"));
    if compacted && largest.is_some() {
        fault(
            &"is compacted, which refuses records without a key: set its cleanup.policy to delete",
        );
    }
    let fewest = replicas.iter().copied().min().unwrap_or_default();
    if let Some(needed) = number(settings, "min.insync.replicas").filter(|&needed| needed > fewest)
    {
        fault(&format_args!(
            "asks for {needed} replicas in sync and has {fewest}: add replicas, or lower its min.insync.replicas"
        ));
    }
    if !lines.is_empty() {
        return lines;
    }
    vec![match number(settings, "max.message.bytes").zip(largest) {
        Some((limit, largest)) if limit < largest => Line::warning(
            PART,
            format!(
                "the output {topic} takes records of {limit} bytes and messages may have {largest}, of which only what fits is \
                 passed on: set its max.message.bytes to {}, which a dead letter with all of its original needs",
                // In base64.
                largest / 3 * 4 + (1 << 16)
            ),
        ),
        _ => Line::ok(
            PART,
            format!("output {topic}: {}", count(replicas.len(), "partition")),
        ),
    }]
}
