//! A stand-in of the cluster's API: one Job, its pods and their logs.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use axum::Router;
use axum::body::{Body, Bytes};
use axum::http::{Method, StatusCode, Uri};
use axum::response::{IntoResponse, Response};
use futures::StreamExt;
use kube::Config;
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::sync::watch;

use super::super::super::{End, Event, Job, Limits};
use super::super::{KubernetesConfig, persist_in};

/// What the pods of the stand-in do.
#[derive(Clone)]
pub(super) enum Script {
    /// Say this, leave a bundle, and end with 0.
    Succeed(&'static str),
    /// Say this, and end with this code for this reason.
    Fail(&'static str, i32, &'static str),
    /// Say this, and nothing more until the Job is deleted; then say the other.
    Hang(&'static str, &'static str),
    /// The first pod dies, the second does as the rest says.
    DieOnce(Box<Script>),
}

/// The cluster, as far as it is needed.
pub(super) struct State {
    script: Script,
    bundle: PathBuf,
    pub(super) job: Option<Value>,
    pub(super) pods: Vec<Value>,
    /// Jobs that were asked for.
    pub(super) created: Vec<Value>,
    /// Bodies of requests to delete.
    pub(super) deleted: Vec<Value>,
    /// Requests to refuse before any is answered.
    pub(super) failures: u32,
    /// Whether nobody may make a Job.
    pub(super) denies: bool,
    gone: watch::Sender<bool>,
}

pub(super) struct StandIn {
    state: Arc<Mutex<State>>,
    access: Config,
    folder: TempDir,
}

impl StandIn {
    pub(super) fn new(script: Script) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let state = Arc::new(Mutex::new(State {
            script,
            bundle: folder.path().join("bundle"),
            job: None,
            pods: Vec::new(),
            created: Vec::new(),
            deleted: Vec::new(),
            failures: 0,
            denies: false,
            gone: watch::Sender::new(false),
        }));
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        listener.set_nonblocking(true).unwrap();
        let address = format!("http://{}", listener.local_addr().unwrap());
        let shared = state.clone();
        let answer = move |method: Method, uri: Uri, body: Bytes| {
            let answer = answer(&shared, &method, uri.path(), &body);
            async move { answer }
        };
        std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread()
                .enable_all()
                .build();
            runtime.unwrap().block_on(async {
                let listener = tokio::net::TcpListener::from_std(listener).unwrap();
                axum::serve(listener, Router::new().fallback(answer))
                    .await
                    .unwrap();
            });
        });
        let mut access = Config::new(address.parse().unwrap());
        access.default_namespace = "there".into();
        Self {
            state,
            access,
            folder,
        }
    }

    pub(super) fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap()
    }

    pub(super) fn job(&self) -> Job {
        Job {
            program: "/here/tidewatch-finetune".into(),
            arguments: vec!["--resume".into()],
            folder: self.folder.path().into(),
            bundle: self.state().bundle.clone(),
            environment: BTreeMap::from([
                ("PATH".into(), "/bin".into()),
                ("HF_TOKEN".into(), "hf_secret".into()),
                ("HF_ENDPOINT".into(), "http://hub".into()),
            ]),
            secrets: vec!["HF_TOKEN".into()],
            limits: Limits {
                nice: 10,
                cpus: std::num::NonZeroUsize::new(2),
                memory: Some(1 << 30),
                time: Duration::from_secs(3600),
                silence: Duration::from_secs(3600),
                grace: Duration::from_secs(30),
            },
        }
    }

    pub(super) fn run(
        &self,
        job: &Job,
        on_event: &mut dyn FnMut(&Event),
        stop: &dyn Fn() -> bool,
    ) -> End {
        let config = KubernetesConfig {
            image: "registry/tidewatch:1".into(),
            claim: "models".into(),
            mount: "/work".into(),
            secret: "hub".into(),
            ..KubernetesConfig::default()
        };
        config.check().unwrap();
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build();
        let run = persist_in(self.access.clone(), &config, job, 3, on_event, stop);
        runtime.unwrap().block_on(run)
    }

    /// Runs the job to its end, which nobody hastens.
    pub(super) fn ended(&self) -> (End, Vec<Event>) {
        let mut events = Vec::new();
        let end = self.run(
            &self.job(),
            &mut |event| events.push(event.clone()),
            &|| false,
        );
        (end, events)
    }
}

fn status(code: StatusCode, message: &str) -> Response {
    let reason = match code {
        StatusCode::NOT_FOUND => "NotFound",
        _ => "",
    };
    let body = json!({"kind": "Status", "apiVersion": "v1", "status": "Failure", "metadata": {},
        "message": message, "reason": reason, "code": code.as_u16()});
    (code, axum::Json(body)).into_response()
}

pub(super) fn pod(number: usize) -> Value {
    let at = format!("2026-01-01T00:00:{number:02}Z");
    json!({"metadata": {"name": format!("pod-{number}"), "creationTimestamp": at}, "status": {"phase": "Running"}})
}

fn answer(state: &Arc<Mutex<State>>, method: &Method, path: &str, body: &[u8]) -> Response {
    let mut held = state.lock().unwrap();
    if held.failures > 0 {
        held.failures -= 1;
        return status(StatusCode::INTERNAL_SERVER_ERROR, "not now");
    }
    let jobs = "/apis/batch/v1/namespaces/there/jobs";
    let pods = "/api/v1/namespaces/there/pods";
    match (method.as_str(), path) {
        ("POST", path) if path == jobs => {
            if held.denies {
                return status(StatusCode::FORBIDDEN, "jobs.batch is forbidden");
            }
            let job: Value = serde_json::from_slice(body).unwrap();
            held.created.push(job.clone());
            held.job = Some(job.clone());
            held.pods = vec![pod(1)];
            axum::Json(job).into_response()
        }
        ("GET", path) if path.starts_with(jobs) => match &held.job {
            Some(job) => axum::Json(job.clone()).into_response(),
            None => status(StatusCode::NOT_FOUND, "no job"),
        },
        ("DELETE", path) if path.starts_with(jobs) => match held.job.take() {
            Some(job) => {
                held.deleted.push(serde_json::from_slice(body).unwrap());
                held.gone.send_replace(true);
                axum::Json(job).into_response()
            }
            None => status(StatusCode::NOT_FOUND, "no job"),
        },
        ("GET", path) if path == pods => axum::Json(json!({"items": held.pods})).into_response(),
        ("GET", path) if path.ends_with("/log") => log(state, &mut held, path),
        ("GET", path) => {
            let found = held
                .pods
                .iter()
                .find(|pod| path.ends_with(pod["metadata"]["name"].as_str().unwrap()));
            match found {
                Some(pod) => axum::Json(pod.clone()).into_response(),
                None => status(StatusCode::NOT_FOUND, "no pod"),
            }
        }
        other => panic!("{other:?}"),
    }
}

/// The log of a pod, which has done with it what its script says.
fn log(state: &Arc<Mutex<State>>, held: &mut State, path: &str) -> Response {
    let first = path.contains("pod-1");
    let script = match (&held.script, first) {
        (Script::DieOnce(_), true) => {
            held.pods[0]["status"]["phase"] = json!("Failed");
            held.pods.push(pod(2));
            return "first\n".into_response();
        }
        (Script::DieOnce(rest), false) => (**rest).clone(),
        (script, _) => script.clone(),
    };
    match script {
        Script::Succeed(said) => {
            std::fs::create_dir(&held.bundle).unwrap();
            end(held, "Complete", "Succeeded", 0, "Completed");
            said.into_response()
        }
        Script::Fail(said, code, reason) => {
            end(held, "Failed", "Failed", code, reason);
            said.into_response()
        }
        Script::Hang(said, at_last) => {
            let (mut gone, state) = (held.gone.subscribe(), state.clone());
            let rest = async move {
                gone.wait_for(|gone| *gone).await.unwrap();
                state.lock().unwrap().pods.clear();
                Ok::<_, std::io::Error>(Bytes::from(at_last))
            };
            let begin = futures::stream::iter([Ok(Bytes::from(said))]);
            Body::from_stream(begin.chain(futures::stream::once(rest))).into_response()
        }
        Script::DieOnce(_) => panic!("a pod dies once"),
    }
}

fn end(held: &mut State, condition: &str, phase: &str, code: i32, reason: &str) {
    let job = held.job.as_mut().unwrap();
    job["status"] = json!({"conditions": [{"type": condition, "status": "True", "reason": "x"}]});
    let last = held.pods.last_mut().unwrap();
    last["status"] = json!({"phase": phase, "containerStatuses": [{
        "name": "training", "ready": false, "restartCount": 0, "image": "", "imageID": "",
        "state": {"terminated": {"exitCode": code, "reason": reason}},
    }]});
}
