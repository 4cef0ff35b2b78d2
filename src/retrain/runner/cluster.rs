//! The `[retrain.kubernetes]` section.

use std::collections::BTreeMap;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

/// Where in a cluster a training runs.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct KubernetesConfig {
    /// The namespace; empty: the service's own.
    pub namespace: String,
    /// The image, in which the program of `[retrain.runner] command` lies along `PATH`.
    pub image: String,
    /// The claim of the volume that holds recipes, data and bundles. It must allow the service and the pod at once.
    pub claim: String,
    /// Where that volume is mounted, in the service and in the pod.
    pub mount: PathBuf,
    /// The pod's service account; empty: the namespace's default. The training does not talk to the cluster.
    pub service_account: String,
    /// A Secret of which each entry becomes a variable of the training's environment; empty: none.
    pub secret: String,
    /// Labels that a node must have to get the pod.
    pub node_selector: BTreeMap<String, String>,
    /// Further resources, such as `"nvidia.com/gpu" = "1"`.
    pub resources: BTreeMap<String, String>,
}

impl KubernetesConfig {
    /// Says what makes no sense, if anything does.
    ///
    /// # Errors
    /// A sentence that says what to change.
    pub fn check(&self) -> Result<(), String> {
        let wrong = [
            (
                cfg!(not(feature = "kubernetes")),
                "needs a program that was built with the feature kubernetes: cargo build --release --features kubernetes",
            ),
            (self.image.is_empty(), "image names no image"),
            (self.claim.is_empty(), "claim names no volume claim"),
            (
                !self.mount.is_absolute(),
                "mount must be an absolute path, the same in the service and in the pod",
            ),
        ];
        match wrong.iter().find(|(wrong, _)| *wrong) {
            Some((_, reason)) => Err(format!("[retrain.kubernetes] {reason}")),
            None => Ok(()),
        }
    }
}
