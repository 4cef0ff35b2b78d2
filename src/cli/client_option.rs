//! An option of librdkafka on the command line.

use std::str::FromStr;

/// `-X name=value`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct ClientOption {
    pub(super) name: String,
    pub(super) value: String,
}

impl FromStr for ClientOption {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text.split_once('=') {
            Some((name, value)) if !name.trim().is_empty() => Ok(Self {
                name: name.trim().to_owned(),
                value: value.to_owned(),
            }),
            _ => Err("it must be NAME=VALUE, such as security.protocol=ssl".to_owned()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_may_hold_whatever_it_likes() {
        let option: ClientOption = "sasl.password=a=b c".parse().unwrap();
        assert_eq!((&*option.name, &*option.value), ("sasl.password", "a=b c"));
        for text in ["", "acks", "=all"] {
            assert!(text.parse::<ClientOption>().is_err(), "{text}");
        }
    }
}
