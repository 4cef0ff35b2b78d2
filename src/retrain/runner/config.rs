//! The `[retrain.runner]` section.

use std::collections::BTreeMap;
use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::job::{Job, Limits, Task};

/// What trains, and what it may take.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct RunnerConfig {
    /// The program and its arguments. `{recipe}`, `{bundle}` and `{folder}` stand for the paths of the recipe to train,
    /// of the bundle to write, and of the folder to work in. A `tidewatch-finetune` that lies beside this program is
    /// preferred to one along `PATH`.
    pub command: Vec<String>,
    /// Further variables that the command gets from this process's environment, beside those of [`PASSED`]. Their
    /// values do not appear in what is told of a run.
    pub environment: Vec<String>,
    /// Niceness, 0 to 19.
    pub nice: i32,
    /// Processors to run on; 0: all.
    pub cpus: usize,
    /// Memory that a process of the command may ask for, in MiB; 0: no limit.
    pub memory_mib: u64,
    /// Time for a training, all attempts together.
    pub time_limit_minutes: u64,
    /// Time without a word of progress after which the command is taken for dead.
    pub silence_seconds: u64,
    /// Time that the command has to end when it is asked to.
    pub grace_seconds: u64,
    /// How often a training that is killed is started in all.
    pub attempts: u32,
}

/// Variables of this process's environment that every command gets.
pub const PASSED: [&str; 21] = [
    "PATH",
    "HOME",
    "USER",
    "LANG",
    "LC_ALL",
    "TZ",
    "TMPDIR",
    "LD_LIBRARY_PATH",
    "ORT_DYLIB_PATH",
    "CUDA_VISIBLE_DEVICES",
    "TIDEWATCH_DATA",
    "HF_ENDPOINT",
    "HF_HOME",
    "SSL_CERT_FILE",
    "SSL_CERT_DIR",
    "http_proxy",
    "https_proxy",
    "no_proxy",
    "HTTP_PROXY",
    "HTTPS_PROXY",
    "NO_PROXY",
];

pub(super) const FINETUNE: &str = "tidewatch-finetune";

impl Default for RunnerConfig {
    fn default() -> Self {
        // The data's folder is said, since TIDEWATCH_DATA may name another one.
        let command = [
            FINETUNE, "--recipe", "{recipe}", "--data", "{folder}", "--out", "{bundle}",
            "--resume", "--json",
        ];
        Self {
            command: command.map(str::to_owned).to_vec(),
            environment: Vec::new(),
            nice: 15,
            cpus: 0,
            memory_mib: 0,
            time_limit_minutes: 720,
            silence_seconds: 120,
            grace_seconds: 60,
            attempts: 5,
        }
    }
}

impl RunnerConfig {
    /// Says what makes no sense, if anything does.
    ///
    /// # Errors
    /// A sentence that says what to change.
    pub fn check(&self) -> Result<(), String> {
        let wrong = [
            (
                self.command.first().is_none_or(String::is_empty),
                "command names no program",
            ),
            (
                !self.command.iter().any(|part| part.contains("{recipe}")),
                "command does not use {recipe}, so it would not know what to train",
            ),
            (
                !self.command.iter().any(|part| part.contains("{bundle}")),
                "command does not use {bundle}, so it would not know where its result belongs",
            ),
            (
                !(0..=19).contains(&self.nice),
                "nice must be at least 0 and at most 19",
            ),
            (
                self.time_limit_minutes == 0,
                "time_limit_minutes must be at least 1",
            ),
            (
                self.silence_seconds < 10,
                "silence_seconds must be at least 10, since tidewatch-finetune gives a sign of life every 5 seconds",
            ),
            (self.attempts == 0, "attempts must be at least 1"),
        ];
        match wrong.iter().find(|(wrong, _)| *wrong) {
            Some((_, reason)) => Err(format!("[retrain.runner] {reason}")),
            None => Ok(()),
        }
    }

    /// The job for a task: the command with its paths, and this process's environment but for what it need not know.
    #[must_use]
    pub fn job(&self, task: &Task) -> Job {
        self.job_with(task, |name| std::env::var(name).ok())
    }

    fn job_with(&self, task: &Task, variable: impl Fn(&str) -> Option<String>) -> Job {
        let fill = |part: &String| {
            part.replace("{recipe}", &task.recipe.to_string_lossy())
                .replace("{bundle}", &task.bundle.to_string_lossy())
                .replace("{folder}", &task.folder.to_string_lossy())
        };
        let mut words = self.command.iter().map(fill);
        let program = words.next().unwrap_or_default();
        let passed = PASSED.iter().copied();
        let named = self.environment.iter().map(String::as_str);
        let mut environment: BTreeMap<String, String> = passed
            .chain(named)
            .filter_map(|name| Some((name.to_owned(), variable(name)?)))
            .collect();
        // What computes in threads makes no more of them than it may use.
        let cpus = NonZeroUsize::new(self.cpus);
        if let Some(cpus) = cpus {
            for name in ["RAYON_NUM_THREADS", "OMP_NUM_THREADS"] {
                environment.insert(name.into(), cpus.to_string());
            }
        }
        let proxies = PASSED
            .iter()
            .filter(|name| name.to_lowercase().ends_with("_proxy"));
        Job {
            program: beside_this(&program).unwrap_or_else(|| program.into()),
            arguments: words.collect(),
            folder: task.folder.clone(),
            bundle: task.bundle.clone(),
            environment,
            // A proxy's address may hold a password.
            secrets: self
                .environment
                .iter()
                .cloned()
                .chain(proxies.map(|name| (*name).to_owned()))
                .collect(),
            limits: Limits {
                nice: self.nice,
                cpus,
                memory: (self.memory_mib > 0).then(|| self.memory_mib.saturating_mul(1 << 20)),
                time: Duration::from_secs(self.time_limit_minutes.saturating_mul(60)),
                silence: Duration::from_secs(self.silence_seconds),
                grace: Duration::from_secs(self.grace_seconds),
            },
        }
    }
}

/// Our own trainer, where it lies in this program's folder.
fn beside_this(program: &str) -> Option<PathBuf> {
    if program != FINETUNE {
        return None;
    }
    let this = std::env::current_exe().ok()?;
    let path: &Path = &this.with_file_name(FINETUNE);
    path.is_file().then(|| path.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn task() -> Task {
        Task {
            recipe: "/srv/a b.toml".into(),
            bundle: "/srv/model".into(),
            folder: "/work".into(),
        }
    }

    fn variable(name: &str) -> Option<String> {
        let known = [
            ("PATH", "/bin"),
            ("DATABASE_URL", "postgres://secret"),
            ("TIDEWATCH__KAFKA__CLIENT", "secret"),
            ("HF_TOKEN", "hf_secret"),
            ("https_proxy", "http://user:word@proxy"),
        ];
        let found = known.iter().find(|(known, _)| *known == name);
        found.map(|(_, value)| (*value).to_owned())
    }

    #[test]
    fn the_default_command_trains_from_where_it_was() {
        let config = RunnerConfig::default();
        config.check().unwrap();
        let job = config.job_with(&task(), variable);
        assert_eq!(
            job.arguments,
            [
                "--recipe",
                "/srv/a b.toml",
                "--data",
                "/work",
                "--out",
                "/srv/model",
                "--resume",
                "--json"
            ]
        );
        assert!(job.program.ends_with(FINETUNE));
        assert_eq!(toml::from_str::<RunnerConfig>("").unwrap(), config);
    }

    #[test]
    fn a_job_gets_of_the_environment_what_it_needs_and_what_it_is_given_by_name() {
        let config = RunnerConfig {
            environment: vec!["HF_TOKEN".into(), "NOT_SET".into()],
            cpus: 3,
            ..RunnerConfig::default()
        };
        let job = config.job_with(&task(), variable);
        let names: Vec<&str> = job.environment.keys().map(String::as_str).collect();
        assert_eq!(
            names,
            [
                "HF_TOKEN",
                "OMP_NUM_THREADS",
                "PATH",
                "RAYON_NUM_THREADS",
                "https_proxy"
            ]
        );
        assert_eq!(job.environment["RAYON_NUM_THREADS"], "3");
        let secret: Vec<String> = job
            .secret_values()
            .into_iter()
            .map(|(name, _)| name)
            .collect();
        assert_eq!(secret, ["HF_TOKEN", "https_proxy"]);
    }

    #[test]
    fn what_makes_no_sense_is_refused_by_name() {
        for (text, said) in [
            ("command = []", "names no program"),
            ("command = [\"train\", \"{bundle}\"]", "{recipe}"),
            ("command = [\"train\", \"{recipe}\"]", "{bundle}"),
            ("nice = -5", "nice"),
            ("silence_seconds = 5", "silence_seconds"),
            ("attempts = 0", "attempts"),
            ("time_limit_minutes = 0", "time_limit_minutes"),
        ] {
            let config: RunnerConfig = toml::from_str(text).unwrap();
            let refusal = config.check().unwrap_err();
            assert!(refusal.contains(said), "{refusal}");
        }
        assert!(toml::from_str::<RunnerConfig>("comand = []").is_err());
    }
}
