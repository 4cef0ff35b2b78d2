//! The routes of annotators: messages to label, and labels.

use std::sync::{Arc, OnceLock};

use axum::Json;
use axum::body::Bytes;
use axum::extract::{FromRef, FromRequestParts, State};
use axum::http::request::Parts;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use chrono::{SecondsFormat, Utc};
use serde::Deserialize;
use serde_json::{Value, json};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::access::Access;
use super::query;
use crate::labels::LabelFault;
use crate::labels::config::LabelFields;
use crate::labels::decode::LabelDecoder;
use crate::metrics::Metrics;
use crate::record::Origin;
use crate::store::{Asked, Store, StoreError, Submitted};

/// Most messages given at once, and how many where nobody says.
const MOST_GIVEN: u32 = 200;
const GIVEN: u32 = 10;
/// Most labels or messages in one body, and bytes of it.
const MOST_ITEMS: usize = 500;
pub(super) const MOST_BYTES: usize = 1 << 20;
/// Requests that are answered at once: so many bodies are in memory, and the stages keep their share of the connections.
const AT_ONCE: usize = 4;

/// What the routes need; clones share it.
#[derive(Debug, Clone)]
pub struct Desk(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    access: Access,
    decoder: LabelDecoder,
    /// For so many minutes nobody else is given what somebody has been given.
    claim_minutes: u32,
    /// Once Postgres answers.
    store: OnceLock<Store>,
    places: Arc<Semaphore>,
}

impl Desk {
    /// One that is not open yet.
    #[must_use]
    pub fn new(access: Access, fields: &LabelFields, claim_minutes: u32) -> Self {
        Self(Arc::new(Inner {
            access,
            decoder: LabelDecoder::new(fields),
            claim_minutes,
            store: OnceLock::new(),
            places: Arc::new(Semaphore::new(AT_ONCE)),
        }))
    }

    /// Opens it over this database. A second time changes nothing.
    pub fn open(&self, store: Store) {
        let _ = self.0.store.set(store);
    }
}

/// A sentence about what is wrong, as the body of an answer.
pub(super) struct Refusal(pub(super) StatusCode, pub(super) String);

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        let body = json!({ "error": self.1 });
        (self.0, Json(body)).into_response()
    }
}

impl From<StoreError> for Refusal {
    fn from(error: StoreError) -> Self {
        tracing::warn!("a request to /v1/ could not be answered: {error}");
        let sentence = "the database does not answer: try again later, which counts nothing twice";
        Self(StatusCode::SERVICE_UNAVAILABLE, sentence.to_owned())
    }
}

/// Someone who may ask, of a desk that is open. It is looked at before the body is read.
pub(super) struct Admitted {
    desk: Desk,
    pub(super) store: Store,
    /// Its place among those that are answered at once.
    _place: OwnedSemaphorePermit,
}

impl<S> FromRequestParts<S> for Admitted
where
    Desk: FromRef<S>,
    S: Send + Sync,
{
    type Rejection = Refusal;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Refusal> {
        let desk = Desk::from_ref(state);
        let admitted = desk.0.access.admit(&parts.headers);
        admitted.map_err(|(status, sentence)| Refusal(status, sentence.to_owned()))?;
        let store = desk.0.store.get().cloned().ok_or_else(|| {
            let sentence = "the service has not reached its database yet: try again later";
            Refusal(StatusCode::SERVICE_UNAVAILABLE, sentence.to_owned())
        })?;
        let place = Arc::clone(&desk.0.places).acquire_owned().await;
        let _place = place.map_err(|_| {
            let sentence = "the service is stopping".to_owned();
            Refusal(StatusCode::SERVICE_UNAVAILABLE, sentence)
        })?;
        Ok(Self {
            desk,
            store,
            _place,
        })
    }
}

/// A body that is said to be JSON, and is: an item or a list of items. A page in a browser can send other types elsewhere
/// without being asked whether it may.
pub(super) fn items(parts: &Parts, body: &[u8]) -> Result<Vec<Value>, Refusal> {
    let kind = parts.headers.get(header::CONTENT_TYPE);
    let kind = kind.and_then(|kind| kind.to_str().ok()).unwrap_or_default();
    let kind = kind.split(';').next().unwrap_or_default().trim();
    if !kind.eq_ignore_ascii_case("application/json") {
        let sentence = "send JSON, with Content-Type: application/json";
        return Err(Refusal(
            StatusCode::UNSUPPORTED_MEDIA_TYPE,
            sentence.to_owned(),
        ));
    }
    let value = serde_json::from_slice(body).map_err(|error| {
        Refusal(
            StatusCode::BAD_REQUEST,
            format!("the body is no JSON: {error}"),
        )
    })?;
    let items = match value {
        Value::Array(items) => items,
        one => vec![one],
    };
    if items.len() > MOST_ITEMS {
        let sentence = format!("send at most {MOST_ITEMS} at once");
        return Err(Refusal(StatusCode::PAYLOAD_TOO_LARGE, sentence));
    }
    Ok(items)
}

/// `GET /v1/annotations?limit=&annotator=`: messages that nobody else is given for a while.
pub(super) async fn give(
    admitted: Admitted,
    State(metrics): State<Metrics>,
    parts: Parts,
) -> Result<Json<Value>, Refusal> {
    let asked = |name| query::value(parts.uri.query(), name);
    let limit = match asked("limit") {
        None => GIVEN,
        Some(limit) => match limit.parse() {
            Ok(limit @ 1..=MOST_GIVEN) => limit,
            _ => {
                let sentence = format!("limit must be a number from 1 to {MOST_GIVEN}");
                return Err(Refusal(StatusCode::BAD_REQUEST, sentence));
            }
        },
    };
    let annotator = asked("annotator").unwrap_or_default();
    let minutes = admitted.desk.0.claim_minutes;
    let given = admitted
        .store
        .claim_annotations(&annotator, limit, minutes)
        .await?;
    metrics.annotations_given.inc_by(given.len() as u64);
    let given: Vec<Value> = given.iter().map(shown).collect();
    Ok(Json(json!({ "annotations": given })))
}

/// A message as annotators are shown it.
#[must_use]
pub fn shown(asked: &Asked) -> Value {
    let time = |time: chrono::DateTime<Utc>| time.to_rfc3339_opts(SecondsFormat::Millis, true);
    json!({
        "origin": {
            "topic": &*asked.origin.topic, "partition": asked.origin.partition, "offset": asked.origin.offset,
        },
        "id": asked.message_id,
        "text": asked.text,
        "source": asked.source,
        "subject": asked.subject,
        "language": asked.language,
        "labels": asked.labels,
        "sampling": asked.sampling,
        "picked_at": time(asked.picked_at),
        "state": asked.state,
        "claimed_by": asked.claimed_by,
        "claimed_until": asked.claimed_until.map(time),
    })
}

/// `POST /v1/labels`: labels as in their topic, each with its answer.
pub(super) async fn label(
    admitted: Admitted,
    State(metrics): State<Metrics>,
    parts: Parts,
    body: Bytes,
) -> Result<Json<Value>, Refusal> {
    let mut results = Vec::new();
    for item in items(&parts, &body)? {
        let (result, reason) = submit(&admitted.store, &admitted.desk.0.decoder, &item).await?;
        if let Some(reason) = reason {
            metrics.labels_rejected.of(reason).inc();
        }
        let outcome = result["outcome"].as_str().unwrap_or_default();
        metrics.labels_submitted.with_label_values(&[outcome]).inc();
        results.push(result);
    }
    Ok(Json(json!({ "results": results })))
}

/// Gives the store one label; what became of it, and why it was rejected, if it was.
///
/// # Errors
///
/// The database does not answer.
pub async fn submit(
    store: &Store,
    decoder: &LabelDecoder,
    item: &Value,
) -> Result<(Value, Option<LabelFault>), StoreError> {
    let rejected = |reason: LabelFault, detail: String| {
        let result = json!({ "outcome": "rejected", "reason": reason.as_str(), "detail": detail });
        (result, Some(reason))
    };
    let label = match decoder.decode_value(item, Utc::now()) {
        Ok(label) => label,
        Err((reason, detail)) => return Ok(rejected(reason, detail)),
    };
    Ok(match store.submit_label(&label).await? {
        Submitted::Accepted { waiting, conflict } => {
            let result = json!({ "outcome": "accepted", "waiting": waiting, "conflict": conflict });
            (result, None)
        }
        Submitted::Duplicate => (json!({ "outcome": "duplicate" }), None),
        Submitted::Unknown { labels } => rejected(
            LabelFault::UnknownLabel,
            format!(
                "the model of this message has the labels {}",
                labels.join(", ")
            ),
        ),
    })
}

/// A message that an annotator cannot label.
#[derive(Debug, Deserialize)]
struct Skip {
    origin: Place,
    #[serde(default)]
    annotator: String,
}

#[derive(Debug, Deserialize)]
struct Place {
    topic: String,
    partition: i32,
    offset: i64,
}

/// `POST /v1/annotations/skip`: messages by their place, which nobody is asked about any more.
pub(super) async fn skip(
    admitted: Admitted,
    parts: Parts,
    body: Bytes,
) -> Result<Json<Value>, Refusal> {
    let mut results = Vec::new();
    for item in items(&parts, &body)? {
        let result = match serde_json::from_value::<Skip>(item) {
            Err(error) => json!({ "outcome": "rejected", "detail": error.to_string() }),
            Ok(Skip { origin, annotator }) => {
                let origin = Origin {
                    topic: origin.topic.as_str().into(),
                    partition: origin.partition,
                    offset: origin.offset,
                };
                let skipped = admitted.store.skip_annotation(&origin, &annotator).await?;
                json!({ "outcome": if skipped { "skipped" } else { "not_waiting" } })
            }
        };
        results.push(result);
    }
    Ok(Json(json!({ "results": results })))
}
