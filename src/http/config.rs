//! The `[http]` section.

use std::net::SocketAddr;

use serde::{Deserialize, Serialize};

/// Where probes and metrics are served.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct HttpConfig {
    /// Address to listen on; port 0 lets the system choose.
    pub listen: SocketAddr,
}
