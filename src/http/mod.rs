//! Probes, metrics and the routes of annotators and trainings over HTTP.

pub mod config;

mod access;
mod desk;
mod query;
mod trainings;

use std::io;

use axum::extract::{DefaultBodyLimit, FromRef, State};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use crate::health::Health;
use crate::metrics::Metrics;

pub use access::Access;
pub use desk::{Desk, shown, submit};
pub use trainings::{decision, training};

/// What the handlers look at.
#[derive(Debug, Clone)]
struct Shown {
    health: Health,
    metrics: Metrics,
    desk: Desk,
}

impl FromRef<Shown> for Metrics {
    fn from_ref(shown: &Shown) -> Self {
        shown.metrics.clone()
    }
}

impl FromRef<Shown> for Desk {
    fn from_ref(shown: &Shown) -> Self {
        shown.desk.clone()
    }
}

/// Serves `/livez`, `/readyz`, `/metrics` and `/v1/…` until `stop`, and answers what has been asked by then.
///
/// # Errors
///
/// The listener fails.
pub async fn serve(
    listener: TcpListener,
    health: Health,
    metrics: Metrics,
    desk: Desk,
    stop: CancellationToken,
) -> io::Result<()> {
    let routes = Router::new()
        .route("/livez", get(live))
        .route("/readyz", get(ready))
        .route("/metrics", get(exposition))
        .route("/v1/annotations", get(desk::give))
        .route("/v1/annotations/skip", post(desk::skip))
        .route("/v1/labels", post(desk::label))
        .route("/v1/trainings", get(trainings::list).post(trainings::ask))
        .route("/v1/decisions", get(trainings::decisions))
        .layer(DefaultBodyLimit::max(desk::MOST_BYTES))
        .with_state(Shown {
            health,
            metrics,
            desk,
        });
    axum::serve(listener, routes)
        .with_graceful_shutdown(stop.cancelled_owned())
        .await
}

/// Alive means able to answer: a broker or a database that is down is no reason to be restarted.
async fn live() -> Json<serde_json::Value> {
    Json(serde_json::json!({ "alive": true }))
}

/// 200, or 503 with what is not ready and why.
async fn ready(State(shown): State<Shown>) -> Response {
    let waiting = shown.health.waiting_for();
    let status = if waiting.is_empty() {
        StatusCode::OK
    } else {
        StatusCode::SERVICE_UNAVAILABLE
    };
    let reasons: serde_json::Map<_, _> = waiting
        .into_iter()
        .map(|(part, reason)| (part.as_str().to_owned(), reason.into()))
        .collect();
    let body = serde_json::json!({ "ready": status == StatusCode::OK, "waiting_for": reasons });
    (status, Json(body)).into_response()
}

async fn exposition(State(shown): State<Shown>) -> Response {
    let ready = shown.health.waiting_for().is_empty();
    shown.metrics.ready.set(i64::from(ready));
    let kind = [(header::CONTENT_TYPE, Metrics::CONTENT_TYPE)];
    (kind, shown.metrics.render()).into_response()
}
