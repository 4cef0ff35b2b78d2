//! What the cluster is asked for.

use std::path::Path;

use k8s_openapi::api::batch::v1::Job as ClusterJob;
use kube::ResourceExt;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use super::super::Job;
use super::super::KubernetesConfig;

/// Name of the container in the pod.
pub(super) const CONTAINER: &str = "training";
/// The annotation that tells Jobs of one name apart.
const MARK: &str = "tidewatch/what";
/// Seconds after which the cluster forgets a Job that has ended, where nobody else does.
const KEPT: u32 = 86_400;
/// What of the job's environment means the same in a pod; the rest tells of this machine.
const PASSED: [&str; 11] = [
    "TIDEWATCH_DATA",
    "HF_ENDPOINT",
    "HF_HOME",
    "RAYON_NUM_THREADS",
    "OMP_NUM_THREADS",
    "http_proxy",
    "https_proxy",
    "no_proxy",
    "HTTP_PROXY",
    "HTTPS_PROXY",
    "NO_PROXY",
];

/// The Job of the cluster for a job.
///
/// # Panics
/// Never: the value has the form of a Job.
pub(super) fn of(config: &KubernetesConfig, job: &Job, attempts: u32) -> ClusterJob {
    let spec = spec(config, job, attempts);
    let job = json!({
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": {
            "name": format!("tidewatch-training-{}", hash(job.bundle.to_string_lossy().as_bytes())),
            "labels": {"app.kubernetes.io/name": "tidewatch", "app.kubernetes.io/component": CONTAINER},
            "annotations": {MARK: hash(spec.to_string().as_bytes())},
        },
        "spec": spec,
    });
    serde_json::from_value(job).expect("it has the form of a Job")
}

/// What tells whether a Job is the one that is wanted.
pub(super) fn mark(job: &ClusterJob) -> Option<&String> {
    job.annotations().get(MARK)
}

fn spec(config: &KubernetesConfig, job: &Job, attempts: u32) -> Value {
    let environment: Vec<Value> = job
        .environment
        .iter()
        .filter(|(name, _)| PASSED.contains(&name.as_str()))
        .map(|(name, value)| json!({"name": name, "value": value}))
        .collect();
    let mut resources = json!(config.resources);
    if let Some(cpus) = job.limits.cpus {
        resources["cpu"] = json!(cpus.to_string());
    }
    if let Some(bytes) = job.limits.memory {
        resources["memory"] = json!(bytes.to_string());
    }
    let mut pod = json!({
        "restartPolicy": "Never",
        "automountServiceAccountToken": false,
        "terminationGracePeriodSeconds": job.limits.grace.as_secs(),
        "nodeSelector": config.node_selector,
        "containers": [{
            "name": CONTAINER,
            "image": config.image,
            "command": [in_image(&job.program)],
            "args": job.arguments,
            "workingDir": job.folder,
            "env": environment,
            "resources": {"limits": resources.clone(), "requests": resources},
            "securityContext": {"allowPrivilegeEscalation": false},
            "volumeMounts": [{"name": "work", "mountPath": config.mount}],
        }],
        "volumes": [{"name": "work", "persistentVolumeClaim": {"claimName": config.claim}}],
    });
    if !config.service_account.is_empty() {
        pod["serviceAccountName"] = json!(config.service_account);
    }
    if !config.secret.is_empty() {
        pod["containers"][0]["envFrom"] = json!([{"secretRef": {"name": config.secret}}]);
    }
    json!({
        // Only a pod that was killed is replaced: what ends by itself would end like this again.
        "backoffLimit": attempts.saturating_sub(1),
        "podFailurePolicy": {"rules": [{
            "action": "FailJob",
            "onExitCodes": {"containerName": CONTAINER, "operator": "In", "values": [1, 2, 3, 4, 130]},
        }]},
        "activeDeadlineSeconds": job.limits.time.as_secs().max(1),
        "ttlSecondsAfterFinished": KEPT,
        "template": {"spec": pod},
    })
}

/// The program as the image has it: our own along `PATH`, wherever it lies on this machine.
fn in_image(program: &Path) -> String {
    let own = program
        .file_name()
        .is_some_and(|name| name == super::super::config::FINETUNE);
    match own {
        true => super::super::config::FINETUNE.into(),
        false => program.to_string_lossy().into_owned(),
    }
}

/// The first 16 hexadecimal digits of the sha256.
fn hash(bytes: &[u8]) -> String {
    hex::encode(&Sha256::digest(bytes)[..8])
}
