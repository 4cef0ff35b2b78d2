//! Somebody who is told by HTTP.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::Router;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use serde_json::Value;

/// What came with a request.
#[derive(Debug, Clone)]
pub struct Told {
    pub id: String,
    pub timestamp: String,
    pub signature: Option<String>,
    pub text: String,
}

impl Told {
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.text).expect("a webhook's body is JSON")
    }
}

/// What a receiver does with a request, before it takes the next ones.
#[derive(Debug, Clone, Copy)]
pub enum Manner {
    Answer(u16),
    /// Takes it and says nothing.
    Hang,
}

#[derive(Default)]
struct Shared {
    told: Mutex<Vec<Told>>,
    manners: Mutex<VecDeque<Manner>>,
}

/// An HTTP server of the test's own; it ends with the runtime.
pub struct Receiver {
    pub url: String,
    shared: Arc<Shared>,
}

impl Receiver {
    /// Does with the first requests what `manners` say, and confirms all later ones.
    pub async fn new(manners: impl IntoIterator<Item = Manner>) -> Self {
        let shared = Arc::new(Shared {
            manners: Mutex::new(manners.into_iter().collect()),
            ..Shared::default()
        });
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0")
            .await
            .expect("a free port");
        let url = format!("http://{}/hook", listener.local_addr().expect("is bound"));
        let router = Router::new().fallback(take).with_state(shared.clone());
        tokio::spawn(async move { axum::serve(listener, router).await });
        Self { url, shared }
    }

    pub fn told(&self) -> Vec<Told> {
        self.shared.told.lock().expect("no panic").clone()
    }

    /// Waits until so many requests have come.
    pub async fn wait(&self, count: usize, limit: Duration) -> Vec<Told> {
        let deadline = std::time::Instant::now() + limit;
        loop {
            let told = self.told();
            if told.len() >= count {
                return told;
            }
            assert!(
                std::time::Instant::now() < deadline,
                "{count} were to come, and did: {told:#?}"
            );
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }
}

async fn take(State(shared): State<Arc<Shared>>, headers: HeaderMap, text: String) -> StatusCode {
    let header = |name: &str| {
        let value = headers.get(name)?.to_str().ok()?;
        Some(value.to_owned())
    };
    let told = Told {
        id: header("idempotency-key").unwrap_or_default(),
        timestamp: header("x-tidewatch-timestamp").unwrap_or_default(),
        signature: header("x-tidewatch-signature"),
        text,
    };
    shared.told.lock().expect("no panic").push(told);
    let manner = shared.manners.lock().expect("no panic").pop_front();
    match manner {
        None => StatusCode::OK,
        Some(Manner::Answer(status)) => StatusCode::from_u16(status).expect("is a status"),
        Some(Manner::Hang) => std::future::pending().await,
    }
}
