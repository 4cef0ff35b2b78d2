//! Probes and metrics, asked over a socket.

#![expect(
    clippy::unwrap_used,
    reason = "in a test, a panic with its line is the report"
)]

use secrecy::SecretString;
use tidewatch::config::Config;
use tidewatch::health::{Health, Part};
use tidewatch::http;
use tidewatch::metrics::Metrics;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio_util::sync::CancellationToken;

/// A server on a port of the system's choice, and what it shows.
struct Server {
    address: std::net::SocketAddr,
    health: Health,
    metrics: Metrics,
    stop: CancellationToken,
    task: tokio::task::JoinHandle<std::io::Result<()>>,
}

impl Server {
    async fn start() -> Self {
        Self::with_token("").await
    }

    /// With a token for the routes of annotators; their desk has no database.
    async fn with_token(token: &str) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (health, metrics, stop) = (Health::new(), Metrics::new(), CancellationToken::new());
        let mut config = Config::load(None).unwrap();
        config.http.token = SecretString::from(token);
        let access = http::Access::of(&config.http, address);
        let desk = http::Desk::new(access, &config.labels.fields, 15);
        let served = http::serve(
            listener,
            health.clone(),
            metrics.clone(),
            desk,
            stop.clone(),
        );
        Self {
            address,
            health,
            metrics,
            stop,
            task: tokio::spawn(served),
        }
    }

    /// The status, the head and the body of an answer.
    async fn get(&self, path: &str) -> (u16, String, String) {
        self.ask(&format!("GET {path}"), "Host: localhost", "")
            .await
    }

    /// The same of any request with these headers.
    async fn ask(&self, asked: &str, headers: &str, body: &str) -> (u16, String, String) {
        let mut stream = TcpStream::connect(self.address).await.unwrap();
        let request = format!(
            "{asked} HTTP/1.1\r\n{headers}\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{body}",
            body.len()
        );
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.unwrap();
        let (head, body) = answer.split_once("\r\n\r\n").unwrap();
        let status = head.split(' ').nth(1).unwrap().parse().unwrap();
        (status, head.to_lowercase(), body.to_owned())
    }
}

#[tokio::test]
async fn the_service_is_alive_before_it_is_ready_and_says_what_it_waits_for() {
    let server = Server::start().await;
    assert_eq!(server.get("/livez").await.0, 200);
    for part in Part::ALL {
        server.health.ready(part);
    }
    assert_eq!(server.get("/readyz").await.0, 200);

    server.health.not_ready(Part::Postgres, "it is restarting");
    let (status, _, body) = server.get("/readyz").await;
    let body: serde_json::Value = serde_json::from_str(&body).unwrap();
    assert_eq!(status, 503);
    assert_eq!(
        body,
        serde_json::json!({ "ready": false, "waiting_for": { "postgres": "it is restarting" } })
    );
    assert_eq!(server.get("/livez").await.0, 200);
}

#[tokio::test]
async fn metrics_are_text_for_prometheus_and_agree_with_readiness() {
    let server = Server::start().await;
    server.metrics.tokens.inc_by(12);
    let (status, head, body) = server.get("/metrics").await;
    assert_eq!(status, 200);
    assert!(
        head.contains("content-type: text/plain; version=0.0.4"),
        "{head}"
    );
    assert!(body.contains("\ntidewatch_tokens_total 12\n"), "{body}");
    assert!(body.contains("\ntidewatch_ready 0\n"), "{body}");
    for part in Part::ALL {
        server.health.ready(part);
    }
    assert!(
        server
            .get("/metrics")
            .await
            .2
            .contains("\ntidewatch_ready 1\n")
    );
    assert_eq!(server.get("/").await.0, 404);
}

#[tokio::test]
async fn the_server_ends_when_it_is_told_to() {
    let server = Server::start().await;
    assert_eq!(server.get("/livez").await.0, 200);
    server.stop.cancel();
    server.task.await.unwrap().unwrap();
    assert!(TcpStream::connect(server.address).await.is_err());
}

#[tokio::test]
async fn the_routes_of_annotators_want_the_token_before_anything_else() {
    let server = Server::with_token("0123456789abcdef").await;
    let token = "Host: elsewhere\r\nContent-Type: application/json\r\nAuthorization: Bearer 0123456789abcdef";
    for asked in [
        "GET /v1/annotations",
        "POST /v1/labels",
        "POST /v1/annotations/skip",
    ] {
        let (status, _, body) = server.ask(asked, "Host: localhost", "{").await;
        assert_eq!(status, 401, "{asked}");
        assert!(body.contains("Authorization"), "{body}");
        // Admitted, and told that there is no database yet.
        let (status, _, body) = server.ask(asked, token, "").await;
        assert_eq!(status, 503, "{asked}: {body}");
    }
    assert_eq!(server.get("/metrics").await.0, 200, "as ever");
    // Without a token, by this machine's own names alone.
    let server = Server::start().await;
    assert_eq!(server.get("/v1/annotations").await.0, 503);
    let elsewhere = server.ask("GET /v1/annotations", "Host: elsewhere", "");
    assert_eq!(elsewhere.await.0, 403);
}
