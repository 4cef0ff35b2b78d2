//! Why librdkafka refuses its settings, told without secrets.

use rdkafka::error::KafkaError;

/// Why a client cannot be made, as a sentence. Not in the error's own words, which hold the value of the option at fault: it
/// may be a password.
#[must_use]
pub fn of_client(error: &KafkaError) -> String {
    match error {
        KafkaError::ClientConfig(_, description, option, _) => format!(
            "librdkafka does not take the option {option} ({}): correct it",
            description.trim_end_matches('.')
        ),
        error => format!("librdkafka makes no client of these options ({error}): correct them"),
    }
}

#[cfg(test)]
mod tests {
    use rdkafka::ClientConfig;
    use rdkafka::consumer::BaseConsumer;

    use super::*;

    #[test]
    fn a_refused_option_is_named_without_its_value() {
        let mut client = ClientConfig::new();
        client.set("sasl.pasword", "s3cret");
        let error = client.create::<BaseConsumer>().map(drop).unwrap_err();
        let said = of_client(&error);
        assert!(
            said.contains("sasl.pasword") && !said.contains("s3cret"),
            "{said}"
        );
    }
}
