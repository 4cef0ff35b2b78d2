//! Who may ask the routes of annotators.

use std::net::{IpAddr, SocketAddr};

use axum::http::{HeaderMap, StatusCode, header};
use secrecy::ExposeSecret;
use sha2::{Digest, Sha256};

use super::config::HttpConfig;

/// Who may.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Access {
    /// Whoever brings the token of this SHA-256.
    Token([u8; 32]),
    /// Programs of this machine.
    Local,
    /// Nobody: there is no token, and other machines could ask.
    Nobody,
}

impl Access {
    /// What the configuration allows where the service listens on `address`.
    #[must_use]
    pub fn of(config: &HttpConfig, address: SocketAddr) -> Self {
        let token = config.token.expose_secret();
        if !token.is_empty() {
            Self::Token(Sha256::digest(token).into())
        } else if address.ip().is_loopback() {
            Self::Local
        } else {
            Self::Nobody
        }
    }

    /// # Errors
    ///
    /// The status and a sentence for whoever may not.
    pub(super) fn admit(&self, headers: &HeaderMap) -> Result<(), (StatusCode, &'static str)> {
        let text = |name| headers.get(name).and_then(|value| value.to_str().ok());
        match self {
            Self::Token(digest) => {
                let given = text(header::AUTHORIZATION).and_then(|value| {
                    let (scheme, token) = value.split_once(' ')?;
                    scheme.eq_ignore_ascii_case("bearer").then(|| token.trim())
                });
                // Digests are compared: how long that takes says nothing of the token.
                match given {
                    Some(token) if <[u8; 32]>::from(Sha256::digest(token)) == *digest => Ok(()),
                    _ => Err((
                        StatusCode::UNAUTHORIZED,
                        "bring the token of [http] token: Authorization: Bearer …",
                    )),
                }
            }
            // A page in a browser on this machine can have its own name lead here, but it cannot name this host otherwise.
            Self::Local if text(header::HOST).is_some_and(is_local) => Ok(()),
            Self::Local => Err((
                StatusCode::FORBIDDEN,
                "without [http] token only this machine may ask, by the name localhost or a loopback address",
            )),
            Self::Nobody => Err((
                StatusCode::FORBIDDEN,
                "set [http] token: other machines could ask this address",
            )),
        }
    }
}

/// Whether a `Host` header names this machine.
fn is_local(host: &str) -> bool {
    if let Ok(address) = host.parse::<SocketAddr>() {
        return address.ip().is_loopback();
    }
    let name = host.trim_start_matches('[').trim_end_matches(']');
    if let Ok(address) = name.parse::<IpAddr>() {
        return address.is_loopback();
    }
    let name = host.rsplit_once(':').map_or(host, |(name, _)| name);
    name.eq_ignore_ascii_case("localhost")
}

#[cfg(test)]
mod tests {
    use axum::http::HeaderValue;

    use super::*;

    fn status(access: &Access, name: header::HeaderName, value: &'static str) -> u16 {
        let headers = HeaderMap::from_iter([(name, HeaderValue::from_static(value))]);
        access
            .admit(&headers)
            .map_or_else(|(status, _)| status.as_u16(), |()| 200)
    }

    fn access(listen: &str, token: &str) -> Access {
        let listen: SocketAddr = listen.parse().unwrap();
        let token = token.into();
        Access::of(&HttpConfig { listen, token }, listen)
    }

    #[test]
    fn only_the_whole_token_opens_and_it_does_so_everywhere() {
        for listen in ["127.0.0.1:80", "0.0.0.0:80"] {
            let access = access(listen, "0123456789abcdef");
            let ask = |value| status(&access, header::AUTHORIZATION, value);
            assert_eq!(ask("Bearer 0123456789abcdef"), 200);
            assert_eq!(ask("bearer 0123456789abcdef"), 200);
            for wrong in [
                "Bearer 0123456789abcde",
                "Bearer ",
                "0123456789abcdef",
                "Basic 0123456789abcdef",
            ] {
                assert_eq!(ask(wrong), 401, "{wrong}");
            }
            assert_eq!(status(&access, header::HOST, "localhost"), 401);
        }
    }

    #[test]
    fn without_a_token_only_this_machine_may_ask() {
        let local = access("127.0.0.1:80", "");
        for host in [
            "localhost",
            "LOCALHOST:80",
            "127.0.0.1:80",
            "[::1]:80",
            "[::1]",
        ] {
            assert_eq!(status(&local, header::HOST, host), 200, "{host}");
        }
        for host in [
            "evil.example",
            "evil.example:80",
            "localhost.evil.example",
            "10.0.0.1",
        ] {
            assert_eq!(status(&local, header::HOST, host), 403, "{host}");
        }
        let open = access("0.0.0.0:80", "");
        assert_eq!(status(&open, header::HOST, "localhost"), 403);
    }
}
