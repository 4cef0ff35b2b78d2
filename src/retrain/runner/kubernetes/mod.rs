//! A training as a Job of a Kubernetes cluster.
//!
//! The Job has a name that follows from the bundle's place, so that a service that was killed finds the training that it
//! has begun, and goes along with it. The pods of the Job and the service see the same folder under the same path: a
//! volume that both have claimed. What the pod writes is read from its log. A pod that was killed is replaced by the
//! cluster, and its training goes on from what it kept.

mod hearing;
mod log;
mod manifest;
#[cfg(test)]
mod tests;

use std::time::{Duration, Instant};

use k8s_openapi::api::batch::v1::Job as ClusterJob;
use k8s_openapi::api::core::v1::Pod;
use kube::api::{Api, DeleteParams, ListParams, PostParams};
use kube::{Client, Config, ResourceExt};

use super::end::Exit;
use super::output::LastWords;
use super::{Because, End, Event, Job, KubernetesConfig, Progress, end};
use hearing::Hearing;

/// How often lines, limits and the wish to stop are looked at.
const TICK: Duration = Duration::from_millis(50);
/// How often the cluster is asked.
const LOOK: Duration = Duration::from_millis(500);
/// How long a log is read on after its pod has ended.
const LAST_WORDS: Duration = Duration::from_secs(5);
/// How much longer than it may the cluster can take to end a Job, before it is no longer waited for.
const PATIENCE: Duration = Duration::from_secs(60);
const SIGKILL: i32 = 9;

/// Runs the job in the cluster of this process, or of the kubeconfig, as [`super::persist`] does on this machine.
pub fn persist(
    config: &KubernetesConfig,
    job: &Job,
    attempts: u32,
    on_event: &mut dyn FnMut(&Event),
    stop: &dyn Fn() -> bool,
) -> End {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build();
    let runtime = match runtime {
        Ok(runtime) => runtime,
        Err(error) => return not_started(&error, "raise the limit on threads or open files"),
    };
    runtime.block_on(async {
        match Config::infer().await {
            Ok(access) => persist_in(access, config, job, attempts, on_event, stop).await,
            Err(error) => not_started(&error, "give the service's pod a service account"),
        }
    })
}

fn not_started(error: &dyn std::fmt::Display, remedy: &str) -> End {
    let reason = format!("the training cannot be started in Kubernetes ({error}); {remedy}");
    End::NotStarted { reason }
}

/// As [`persist`], in a cluster that is known.
async fn persist_in(
    access: Config,
    config: &KubernetesConfig,
    job: &Job,
    attempts: u32,
    on_event: &mut dyn FnMut(&Event),
    stop: &dyn Fn() -> bool,
) -> End {
    let last_words = Vec::new();
    if stop() {
        return End::Stopped { last_words };
    }
    let namespace = match config.namespace.as_str() {
        "" => access.default_namespace.clone(),
        named => named.to_owned(),
    };
    let client = match Client::try_from(access) {
        Ok(client) => client,
        Err(error) => return not_started(&error, "check the cluster's address and certificates"),
    };
    let wanted = manifest::of(config, job, attempts);
    let mut cluster = Cluster {
        jobs: Api::namespaced(client.clone(), &namespace),
        pods: Api::namespaced(client, &namespace),
        name: wanted.name_any(),
        began: Instant::now(),
        trouble: String::new(),
    };
    match cluster.begin(job, &wanted, stop).await {
        Ok(()) => cluster.go_along(job, on_event, stop).await,
        Err(end) => end,
    }
}

struct Cluster {
    jobs: Api<ClusterJob>,
    pods: Api<Pod>,
    name: String,
    began: Instant,
    /// What the cluster refused last, so that it is said once.
    trouble: String,
}

impl Cluster {
    /// Makes the Job, unless it is under way, or done, already.
    async fn begin(
        &mut self,
        job: &Job,
        wanted: &ClusterJob,
        stop: &dyn Fn() -> bool,
    ) -> Result<(), End> {
        let last_words = Vec::new();
        loop {
            match self.try_begin(job, wanted).await {
                Ok(true) => return Ok(()),
                Ok(false) => {}
                Err(kube::Error::Api(status)) if (400..429).contains(&status.code) => {
                    let remedy = "check [retrain.kubernetes] and what the service account may do";
                    return Err(not_started(&status.message, remedy));
                }
                Err(error) => self.complain(&error),
            }
            if stop() {
                return Err(End::Stopped { last_words });
            }
            if self.began.elapsed() >= job.limits.time {
                return Err(End::TimedOut { last_words });
            }
            tokio::time::sleep(LOOK).await;
        }
    }

    /// Whether the Job stands now; false: an older one of its name must go first.
    async fn try_begin(&self, job: &Job, wanted: &ClusterJob) -> kube::Result<bool> {
        let Some(found) = self.jobs.get_opt(&self.name).await? else {
            return match self.jobs.create(&PostParams::default(), wanted).await {
                Ok(_) => Ok(true),
                Err(kube::Error::Api(status)) if status.code == 409 => Ok(false),
                Err(error) => Err(error),
            };
        };
        let same = manifest::mark(&found) == manifest::mark(wanted);
        let serves = condition(&found, "Failed").is_none()
            && (condition(&found, "Complete").is_none() || job.bundle.is_dir());
        if found.metadata.deletion_timestamp.is_none() {
            if same && serves {
                return Ok(true);
            }
            self.delete().await?;
        }
        Ok(false)
    }

    /// Asks the cluster to end the Job and its pods, which get time to end in order, and to forget them.
    async fn delete(&self) -> kube::Result<()> {
        match self
            .jobs
            .delete(&self.name, &DeleteParams::foreground())
            .await
        {
            Err(kube::Error::Api(status)) if status.code == 404 => Ok(()),
            result => result.map(drop),
        }
    }

    fn complain(&mut self, error: &kube::Error) {
        let said = error.to_string();
        if said != self.trouble {
            tracing::warn!(
                "Kubernetes does not answer for the training {}: {said}",
                self.name
            );
            self.trouble = said;
        }
    }

    /// Goes along with the Job until its end.
    async fn go_along(
        &mut self,
        job: &Job,
        on_event: &mut dyn FnMut(&Event),
        stop: &dyn Fn() -> bool,
    ) -> End {
        let words = LastWords::new(job.secret_values());
        let mut hearing = Hearing::new(self.pods.clone());
        let mut looked: Option<Instant> = None;
        let because = loop {
            if let Some(line) = hearing.line(TICK).await {
                pass_on(&line, &words, on_event);
            }
            let because = if stop() {
                Some(Because::Stopped)
            } else if self.began.elapsed() >= job.limits.time {
                Some(Because::TimedOut)
            } else if hearing.is_silent_for(job.limits.silence) {
                Some(Because::Silent)
            } else {
                None
            };
            if because.is_some() {
                break because;
            }
            if looked.is_some_and(|at| at.elapsed() < LOOK) {
                continue;
            }
            looked = Some(Instant::now());
            match self.look(&mut hearing, on_event).await {
                Ok(Look::UnderWay) => {}
                Ok(Look::Gone) => break Some(Because::Stopped),
                Ok(Look::TimedOut) => break Some(Because::TimedOut),
                Ok(Look::Ended) => break None,
                Err(error) => self.complain(&error),
            }
        };
        let exit = match because {
            None => self.exit(&words).await,
            Some(_) => Exit::Signal(SIGKILL),
        };
        self.end(job, because, &mut hearing, &mut |line| {
            pass_on(line, &words, on_event);
        })
        .await;
        // The bundle's folder appears at once and whole, whoever has been asked to end meanwhile.
        let exit = match job.bundle.is_dir() {
            true => Exit::Code(0),
            false => exit,
        };
        end::of(job, exit, because, &words)
    }

    /// How the Job is; a pod that has begun is listened to.
    async fn look(
        &self,
        hearing: &mut Hearing,
        on_event: &mut dyn FnMut(&Event),
    ) -> kube::Result<Look> {
        let Some(found) = self.jobs.get_opt(&self.name).await? else {
            return Ok(Look::Gone);
        };
        let pods = self.newest_pods().await?;
        if let Some(pod) = pods.first()
            && phase(pod) != "Pending"
            && hearing.listen_to(&pod.name_any())
        {
            on_event(&Event::Started {
                process: pod.name_any(),
                attempt: u32::try_from(pods.len()).unwrap_or(u32::MAX),
            });
        }
        Ok(match condition(&found, "Failed") {
            Some(reason) if reason == "DeadlineExceeded" => Look::TimedOut,
            Some(_) => Look::Ended,
            None if condition(&found, "Complete").is_some() => Look::Ended,
            None => Look::UnderWay,
        })
    }

    /// The Job's pods, the newest first.
    async fn newest_pods(&self) -> kube::Result<Vec<Pod>> {
        let label = format!("batch.kubernetes.io/job-name={}", self.name);
        let mut pods = self
            .pods
            .list(&ListParams::default().labels(&label))
            .await?
            .items;
        pods.sort_by_key(|pod| std::cmp::Reverse(pod.metadata.creation_timestamp.clone()));
        Ok(pods)
    }

    /// What the last pod did at its end.
    async fn exit(&mut self, words: &LastWords) -> Exit {
        let pods = match self.newest_pods().await {
            Ok(pods) => pods,
            Err(error) => {
                self.complain(&error);
                Vec::new()
            }
        };
        let status = pods
            .first()
            .and_then(|pod| pod.status.clone())
            .unwrap_or_default();
        if let Some(reason) = &status.reason {
            words.push(&format!("the pod was ended by the cluster: {reason}"));
        }
        let containers = status.container_statuses.unwrap_or_default();
        let ended = containers
            .first()
            .and_then(|container| container.state.as_ref()?.terminated.as_ref());
        match ended {
            // A pod that was evicted, or whose node is lost.
            None => Exit::Signal(SIGKILL),
            Some(ended) => {
                if ended.reason.as_deref() == Some("OOMKilled") {
                    words.push("the pod wanted more memory than it may have");
                }
                match (ended.signal, ended.exit_code) {
                    (Some(signal), _) if signal > 0 => Exit::Signal(signal),
                    (_, code) if code > 128 && code != end::STOPPED => Exit::Signal(code - 128),
                    (_, code) => Exit::Code(code),
                }
            }
        }
    }

    /// Ends the Job and waits until it is gone, and passes on what is still said.
    async fn end(
        &mut self,
        job: &Job,
        because: Option<Because>,
        hearing: &mut Hearing,
        tell: &mut dyn FnMut(&str),
    ) {
        let began = Instant::now();
        if because.is_none() {
            // Its log goes with the pod.
            hear_out(hearing, tell).await;
        }
        let mut asked = false;
        while began.elapsed() < job.limits.grace + PATIENCE {
            if !asked {
                match self.delete().await {
                    Ok(()) => asked = true,
                    Err(error) => self.complain(&error),
                }
            }
            match self.jobs.get_opt(&self.name).await {
                Ok(None) => break,
                Ok(Some(_)) => {}
                Err(error) => self.complain(&error),
            }
            let pause = Instant::now();
            while pause.elapsed() < LOOK {
                if let Some(line) = hearing.line(TICK).await {
                    tell(&line);
                }
            }
        }
        hear_out(hearing, tell).await;
    }
}

/// Passes on what is still said by a pod that has ended or is about to.
async fn hear_out(hearing: &mut Hearing, tell: &mut dyn FnMut(&str)) {
    let began = Instant::now();
    while !hearing.is_over() && began.elapsed() < LAST_WORDS {
        if let Some(line) = hearing.line(TICK).await {
            tell(&line);
        }
    }
}

/// How a Job is.
enum Look {
    UnderWay,
    /// It is complete, or has failed.
    Ended,
    /// The cluster has ended it because its time was over.
    TimedOut,
    /// Somebody has deleted it.
    Gone,
}

fn pass_on(line: &str, words: &LastWords, on_event: &mut dyn FnMut(&Event)) {
    let told = Progress::parse(line);
    // A log holds both streams; what is no event is what a process says on standard error.
    if let Progress::Other(serde_json::Value::String(text)) = &told {
        words.push(text);
    }
    on_event(&Event::Told(told));
}

/// The reason of a condition that holds.
fn condition(job: &ClusterJob, kind: &str) -> Option<String> {
    let conditions = job.status.as_ref()?.conditions.as_ref()?;
    let holds = conditions
        .iter()
        .find(|condition| condition.type_ == kind && condition.status == "True")?;
    Some(holds.reason.clone().unwrap_or_default())
}

fn phase(pod: &Pod) -> &str {
    let phase = pod
        .status
        .as_ref()
        .and_then(|status| status.phase.as_deref());
    phase.unwrap_or("Pending")
}
