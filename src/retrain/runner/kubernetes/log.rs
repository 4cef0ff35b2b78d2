//! The log of a pod, line by line, for as long as its container runs.

use std::time::{Duration, Instant};

use futures::AsyncReadExt;
use k8s_openapi::api::core::v1::Pod;
use kube::api::{Api, LogParams};
use tokio::sync::mpsc::Sender;

use super::super::output::Cut;
use super::manifest::CONTAINER;

/// Between two tries.
const PAUSE: Duration = Duration::from_secs(1);

/// Sends the lines of a pod's log until its container has ended and all is read. Where the connection is lost, it begins
/// anew a little before the last line, so that some lines may come twice, and none is lost.
pub(super) async fn read(pods: Api<Pod>, pod: String, sender: Sender<String>) {
    let mut heard: Option<Instant> = None;
    loop {
        let since = heard.map(|at| i64::try_from(at.elapsed().as_secs()).unwrap_or(i64::MAX));
        let params = LogParams {
            container: Some(CONTAINER.into()),
            follow: true,
            since_seconds: since.map(|seconds| seconds.saturating_add(1)),
            ..LogParams::default()
        };
        let ended = match pods.log_stream(&pod, &params).await {
            Ok(stream) => {
                let mut stream = std::pin::pin!(stream);
                let (mut lines, mut bytes) = (Cut::default(), vec![0; 1 << 14]);
                let ended = loop {
                    match stream.read(&mut bytes).await {
                        Ok(0) => break true,
                        Err(_) => break false,
                        Ok(read) => {
                            let mut found = Vec::new();
                            lines.feed(&bytes[..read], &mut |line| found.push(line));
                            for line in found {
                                heard = Some(Instant::now());
                                if sender.send(line).await.is_err() {
                                    return;
                                }
                            }
                        }
                    }
                };
                let mut last = None;
                lines.end(&mut |line| last = Some(line));
                if let Some(line) = last
                    && sender.send(line).await.is_err()
                {
                    return;
                }
                ended
            }
            Err(_) => false,
        };
        // A log may also end because the server has had enough of this connection.
        if ended && !is_running(&pods, &pod).await {
            return;
        }
        tokio::time::sleep(PAUSE).await;
    }
}

/// Whether the pod's container runs, as far as is known.
async fn is_running(pods: &Api<Pod>, name: &str) -> bool {
    match pods.get_opt(name).await {
        Ok(Some(pod)) => super::phase(&pod) == "Running",
        Ok(None) => false,
        Err(_) => true,
    }
}
