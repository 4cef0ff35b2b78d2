//! What is heard of a Job: the lines of its newest pod's log.

use std::time::{Duration, Instant};

use k8s_openapi::api::core::v1::Pod;
use kube::api::Api;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;

use super::log;

/// The log of the newest pod, as it comes.
pub(super) struct Hearing {
    pods: Api<Pod>,
    lines: mpsc::Receiver<String>,
    sender: mpsc::Sender<String>,
    pod: String,
    reader: Option<JoinHandle<()>>,
    last: Option<Instant>,
}

impl Hearing {
    pub(super) fn new(pods: Api<Pod>) -> Self {
        let (sender, lines) = mpsc::channel(256);
        Self {
            pods,
            lines,
            sender,
            pod: String::new(),
            reader: None,
            last: None,
        }
    }

    /// Listens to this pod from now on; false: it did already.
    pub(super) fn listen_to(&mut self, pod: &str) -> bool {
        if self.pod == pod {
            return false;
        }
        pod.clone_into(&mut self.pod);
        let reading = log::read(self.pods.clone(), pod.to_owned(), self.sender.clone());
        if let Some(former) = self.reader.replace(tokio::spawn(reading)) {
            former.abort();
        }
        self.last = Some(Instant::now());
        true
    }

    /// A line, if one comes within this time.
    pub(super) async fn line(&mut self, within: Duration) -> Option<String> {
        let line = tokio::time::timeout(within, self.lines.recv())
            .await
            .ok()??;
        self.last = Some(Instant::now());
        Some(line)
    }

    /// Whether a pod has begun and said nothing for this time.
    pub(super) fn is_silent_for(&self, time: Duration) -> bool {
        self.last.is_some_and(|last| last.elapsed() >= time)
    }

    /// Whether nothing more will come.
    pub(super) fn is_over(&self) -> bool {
        let over = self.reader.as_ref().is_none_or(JoinHandle::is_finished);
        over && self.lines.is_empty()
    }
}

impl Drop for Hearing {
    fn drop(&mut self) {
        if let Some(reader) = &self.reader {
            reader.abort();
        }
    }
}
