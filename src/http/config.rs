//! The `[http]` section.

use std::net::SocketAddr;

use secrecy::{ExposeSecret, SecretString};
use serde::Deserialize;

/// A shorter token could be guessed.
const SHORTEST: usize = 16;

/// Where probes, metrics and the routes of annotators are served.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct HttpConfig {
    /// Address to listen on; port 0 lets the system choose.
    pub listen: SocketAddr,
    /// Whoever asks `/v1/…` must bring it; never logged. Empty: only this machine may ask.
    pub token: SecretString,
}

impl HttpConfig {
    /// Says what makes no sense, if anything does.
    pub(crate) fn check(&self) -> Result<(), String> {
        let token = self.token.expose_secret();
        if !token.is_empty() && token.len() < SHORTEST {
            return Err(format!(
                "[http] token must have {SHORTEST} characters or more"
            ));
        }
        Ok(())
    }
}
