//! One attempt to tell a receiver by HTTP, or by its command.

use std::io;
use std::time::Duration;

use secrecy::ExposeSecret;
use ureq::Agent;
use ureq::http::{Response, header::RETRY_AFTER};

use super::command;
use super::config::Webhook;
use crate::alerts::signature;

/// A body on its way.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Post {
    /// The notice's, so that a receiver can tell a repetition.
    pub id: String,
    pub body: String,
    /// When it is signed, in seconds since 1970.
    pub timestamp: i64,
}

/// What is known after an attempt. No text holds the URL, which may be a secret.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Attempt {
    /// The receiver has confirmed it.
    Delivered,
    /// It has not arrived; the receiver may have said how long to wait.
    Failed(String, Option<Duration>),
    /// Something was sent, and no answer came.
    InDoubt(String),
}

impl Webhook {
    /// Sends it once; blocks up to the time-out.
    #[must_use]
    pub fn post(&self, post: &Post) -> Attempt {
        let longest = Duration::from_secs(u64::from(self.timeout_seconds));
        if !self.command.is_empty() {
            return command::run(&self.command, post, longest);
        }
        let config = Agent::config_builder()
            .timeout_global(Some(longest))
            // So short that a time-out of all comes only after something can have been sent.
            .timeout_resolve(Some(longest / 3))
            .timeout_connect(Some(longest / 3))
            .http_status_as_error(false)
            // A redirected POST loses its body, and may carry it where it was not meant to go.
            .max_redirects(0)
            // One connection an attempt: one that has died meanwhile would leave a doubt.
            .max_idle_connections(0)
            .user_agent(concat!("tidewatch/", env!("CARGO_PKG_VERSION")))
            .build();
        let mut request = Agent::new_with_config(config)
            .post(self.url.expose_secret())
            .header("Content-Type", "application/json")
            .header("Idempotency-Key", &post.id)
            .header("X-Tidewatch-Timestamp", post.timestamp.to_string());
        let secret = self.secret.expose_secret();
        if !secret.is_empty() {
            let signature = signature(secret, post.timestamp, post.body.as_bytes());
            request = request.header("X-Tidewatch-Signature", signature);
        }
        match request.send(&post.body) {
            Ok(answer) if answer.status().is_success() => Attempt::Delivered,
            Ok(answer) => Attempt::Failed(
                format!("it has answered {}", answer.status()),
                asked_pause(&answer),
            ),
            Err(error) => failed(&error),
        }
    }
}

/// Posts on a thread that may block.
pub(super) async fn post_once(webhook: &Webhook, post: Post) -> Attempt {
    let webhook = webhook.clone();
    tokio::task::spawn_blocking(move || webhook.post(&post))
        .await
        .unwrap_or_else(|_| Attempt::InDoubt("the attempt has broken off".to_owned()))
}

/// The pause that the receiver asks for, if it says it in seconds.
fn asked_pause<T>(answer: &Response<T>) -> Option<Duration> {
    let header = answer.headers().get(RETRY_AFTER)?.to_str().ok()?;
    header.trim().parse().ok().map(Duration::from_secs)
}

/// Whether an error came before anything can have been sent.
fn failed(error: &ureq::Error) -> Attempt {
    use ureq::Timeout;
    let nothing_sent = |said: &str| Attempt::Failed(said.to_owned(), None);
    match error {
        ureq::Error::HostNotFound => nothing_sent("its host has no address"),
        ureq::Error::Timeout(Timeout::Resolve | Timeout::Connect) => {
            nothing_sent("it cannot be reached in time")
        }
        ureq::Error::ConnectionFailed => nothing_sent("it cannot be reached"),
        ureq::Error::Io(error) if is_before_sending(error.kind()) => {
            nothing_sent(&format!("it cannot be reached ({})", error.kind()))
        }
        ureq::Error::BadUri(_) | ureq::Error::Http(_) => {
            nothing_sent("its url is none: correct it in [[webhook]]")
        }
        ureq::Error::Tls(reason) => nothing_sent(&format!("no safe connection: {reason}")),
        ureq::Error::Rustls(error) => nothing_sent(&format!("no safe connection: {error}")),
        ureq::Error::Io(error) => {
            Attempt::InDoubt(format!("the connection broke ({})", error.kind()))
        }
        ureq::Error::Timeout(_) => Attempt::InDoubt("no answer came in time".to_owned()),
        _ => Attempt::InDoubt("its answer is no HTTP".to_owned()),
    }
}

/// Kinds of errors that come of connecting.
fn is_before_sending(kind: io::ErrorKind) -> bool {
    matches!(
        kind,
        io::ErrorKind::ConnectionRefused
            | io::ErrorKind::HostUnreachable
            | io::ErrorKind::NetworkUnreachable
            | io::ErrorKind::NetworkDown
            | io::ErrorKind::AddrNotAvailable
    )
}
