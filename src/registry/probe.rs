//! Trying a bundle in a process of its own, which may crash, hang or eat its words without harm to this one.

use std::ffi::OsString;
use std::os::unix::process::ExitStatusExt;
use std::path::PathBuf;
use std::process::{ExitStatus, Stdio};
use std::thread;
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process_group};
use tokio::io::{AsyncRead, AsyncReadExt};
use tokio::process::{Child, Command};
use tokio::sync::oneshot;

use super::error::RegistryError;
use super::trial::{Finding, Passed, Trial};
use crate::model::config::ModelConfig;
use crate::model::manifest::Bundle;

/// This program, as the system has it in memory, also after its file was replaced.
const THIS_PROGRAM: &str = "/proc/self/exe";
/// Most bytes that are kept of what the process says.
const MOST_SAID: usize = 64 << 10;
/// Most characters of its last words that are shown.
const LAST_WORDS: usize = 300;
/// Variables that hold secrets: a bundle has no business with them.
const SECRET: [&str; 4] = ["TIDEWATCH__", "AWS_", "PG", "DATABASE_URL"];

/// How bundles are tried.
#[derive(Debug, Clone)]
pub(super) struct Probe {
    program: PathBuf,
    limit: Duration,
    model: ModelConfig,
}

/// How the process ended.
enum Ended {
    /// By itself.
    Itself {
        status: ExitStatus,
        said: Vec<u8>,
        complained: Vec<u8>,
    },
    /// It was killed, since its time was up.
    Late,
}

impl Probe {
    /// With this very program.
    pub(super) fn new(limit: Duration, model: &ModelConfig) -> Self {
        Self {
            program: THIS_PROGRAM.into(),
            limit,
            model: model.clone(),
        }
    }

    /// With another program, which must have `tidewatch model probe`.
    pub(super) fn by(self, program: PathBuf) -> Self {
        Self { program, ..self }
    }

    /// Loads a bundle and scores some texts.
    ///
    /// If the caller does not wait for it, the process is killed; if the caller's process dies, so does the other.
    pub(super) async fn run(&self, bundle: &Bundle) -> Result<Passed, RegistryError> {
        let trial = Trial {
            parent: i32::try_from(std::process::id()).unwrap_or_default(),
            model: ModelConfig {
                path: bundle.dir.clone(),
                ..self.model.clone()
            },
        };
        let trial = serde_json::to_string(&trial).map_err(|error| {
            RegistryError::Config(format!("the bundle's folder has no usable name: {error}"))
        })?;
        let mut command = Command::new(&self.program);
        command
            .arg0("tidewatch")
            .args(["model", "probe", &trial])
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .process_group(0)
            .kill_on_drop(true);
        for name in secrets() {
            command.env_remove(name);
        }
        let ended = supervised(command, self.limit)
            .await
            .map_err(RegistryError::Start)?;
        let failed = |what: String| RegistryError::Probe {
            version: bundle.version.clone(),
            what,
        };
        match judge(&ended, self.limit) {
            // Nothing but a changed file can have happened in between.
            Ok(passed) if passed.version != bundle.version => {
                Err(failed(format!("was the model {} by then", passed.version)))
            }
            Ok(passed) => Ok(passed),
            Err(what) => Err(failed(what)),
        }
    }
}

fn secrets() -> impl Iterator<Item = OsString> {
    std::env::vars_os().map(|(name, _)| name).filter(|name| {
        SECRET
            .iter()
            .any(|secret| name.to_string_lossy().starts_with(secret))
    })
}

/// Runs a process to its end or to the limit.
///
/// On a thread of its own: the system kills the process when the thread ends that has started it, and those of the runtime
/// come and go.
async fn supervised(command: Command, limit: Duration) -> std::io::Result<Ended> {
    let (mut answer, ended) = oneshot::channel();
    thread::Builder::new()
        .name("probe".to_owned())
        .spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread()
                .enable_all()
                .build();
            let result = runtime.and_then(|runtime| {
                runtime.block_on(async {
                    tokio::select! {
                        result = watch(command, limit) => result,
                        // Nobody waits any more.
                        () = answer.closed() => Ok(Ended::Late),
                    }
                })
            });
            let _ = answer.send(result);
        })?;
    ended
        .await
        .unwrap_or_else(|_| Err(std::io::Error::other("its thread has panicked")))
}

async fn watch(mut command: Command, limit: Duration) -> std::io::Result<Ended> {
    let child = command.spawn()?;
    let mut group = Group(child);
    let (said, complained) = (group.0.stdout.take(), group.0.stderr.take());
    let all = async {
        tokio::join!(
            first(said, MOST_SAID),
            last(complained, MOST_SAID),
            group.0.wait()
        )
    };
    match tokio::time::timeout(limit, all).await {
        Ok((said, complained, status)) => Ok(Ended::Itself {
            status: status?,
            said: said?,
            complained: complained?,
        }),
        Err(_) => {
            group.kill();
            group.0.wait().await?;
            Ok(Ended::Late)
        }
    }
}

/// A process with all that it has started; killed when dropped, if it still runs.
struct Group(Child);

impl Group {
    fn kill(&self) {
        // No number means that it has ended: then the number may be another's.
        let pid = self.0.id().and_then(|id| i32::try_from(id).ok());
        if let Some(pid) = pid.and_then(Pid::from_raw) {
            let _ = kill_process_group(pid, Signal::KILL);
        }
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        self.kill();
    }
}

/// All that is said, of which the first bytes are kept.
async fn first(from: Option<impl AsyncRead + Unpin>, most: usize) -> std::io::Result<Vec<u8>> {
    read(from, |kept, more| {
        let room = most.saturating_sub(kept.len()).min(more.len());
        kept.extend_from_slice(&more[..room]);
    })
    .await
}

/// All that is said, of which the last bytes are kept.
async fn last(from: Option<impl AsyncRead + Unpin>, most: usize) -> std::io::Result<Vec<u8>> {
    read(from, |kept, more| {
        kept.extend_from_slice(more);
        kept.drain(..kept.len().saturating_sub(most));
    })
    .await
}

async fn read(
    from: Option<impl AsyncRead + Unpin>,
    mut keep: impl FnMut(&mut Vec<u8>, &[u8]),
) -> std::io::Result<Vec<u8>> {
    let mut kept = Vec::new();
    let Some(mut from) = from else {
        return Ok(kept);
    };
    let mut buffer = [0; 4096];
    loop {
        match from.read(&mut buffer).await? {
            0 => return Ok(kept),
            count => keep(&mut kept, &buffer[..count]),
        }
    }
}

/// What the end of the process says of the bundle.
fn judge(ended: &Ended, limit: Duration) -> Result<Passed, String> {
    let (status, said, complained) = match ended {
        Ended::Late => {
            return Err(format!(
                "was not done with it after {} s ([registry] probe_seconds)",
                limit.as_secs()
            ));
        }
        Ended::Itself {
            status,
            said,
            complained,
        } => (status, said, complained),
    };
    if let Some(signal) = status.signal() {
        return Err(format!(
            "that was ended by {}{}",
            name_of(signal),
            words(complained)
        ));
    }
    let line = String::from_utf8_lossy(said);
    let finding = line
        .lines()
        .rev()
        .find_map(|line| serde_json::from_str(line).ok());
    match finding {
        Some(Finding::Passed(passed)) if status.success() => Ok(passed),
        Some(Finding::Failed(reason)) => Err(format!("fails: {reason}")),
        _ => Err(format!(
            "that ended with exit code {} before it was done{}",
            status.code().unwrap_or_default(),
            words(complained)
        )),
    }
}

/// The last line that was said, to be put at the end of a sentence.
fn words(complained: &[u8]) -> String {
    let text = String::from_utf8_lossy(complained);
    let line = text.lines().map(str::trim).rfind(|line| !line.is_empty());
    line.map_or_else(String::new, |line| {
        let line: String = line.chars().take(LAST_WORDS).collect();
        format!(", its last words being: {line}")
    })
}

fn name_of(signal: i32) -> String {
    let name = match signal {
        4 => "SIGILL, an instruction that the processor lacks",
        6 => "SIGABRT, its own abort",
        7 => "SIGBUS, a fault of memory",
        8 => "SIGFPE, a fault of arithmetic",
        9 => "SIGKILL, as the system does where memory runs out",
        11 => "SIGSEGV, a fault of memory",
        _ => return format!("signal {signal}"),
    };
    name.to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn script(text: &str) -> Command {
        let mut command = Command::new("sh");
        command
            .args(["-c", text])
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .process_group(0);
        command
    }

    async fn what(text: &str, limit: Duration) -> Result<Passed, String> {
        let ended = supervised(script(text), limit).await.unwrap();
        judge(&ended, limit)
    }

    const LONG: Duration = Duration::from_secs(300);

    #[tokio::test]
    async fn each_way_to_end_is_one_sentence() {
        let passed = r#"{"passed":{"version":"v","device":"cpu","seconds":1.5}}"#;
        let found = what(&format!("echo noise; echo '{passed}'"), LONG).await;
        assert_eq!(found.unwrap().version, "v");
        for (script, words) in [
            (
                "echo '{\"failed\":\"it is bad\"}'; exit 1",
                "fails: it is bad",
            ),
            ("echo dying >&2; kill -ABRT $$", "SIGABRT"),
            (
                "echo dying >&2; kill -ABRT $$",
                "its last words being: dying",
            ),
            ("kill -SEGV $$", "SIGSEGV"),
            (
                "echo broken >&2; exit 3",
                "exit code 3 before it was done, its last words being: broken",
            ),
            ("exit 0", "exit code 0"),
            // What it says counts only with the exit code that goes with it.
            (&format!("echo '{passed}'; exit 1"), "exit code 1"),
        ] {
            let said = what(script, LONG).await.unwrap_err();
            assert!(
                said.contains(words) && !said.contains('\n'),
                "{script}: {said}"
            );
        }
    }

    #[tokio::test]
    async fn a_process_that_hangs_is_killed_with_all_that_it_has_started() {
        let folder = tempfile::tempdir().unwrap();
        let pipe = folder.path().join("pipe");
        let pipe = pipe.to_str().unwrap();
        // The grandchild holds the writing end of a pipe for as long as it lives.
        let made = std::process::Command::new("mkfifo").arg(pipe).status();
        assert!(made.unwrap().success());
        let reader = pipe.to_owned();
        let reader = thread::spawn(move || std::fs::read(reader).unwrap());
        let hanging = format!("(exec 3>'{pipe}'; while :; do sleep 60; done) & wait");
        let said = what(&hanging, Duration::from_secs(1)).await.unwrap_err();
        assert!(said.contains("was not done"), "{said}");
        // Should it have had no time to open the pipe, this ends the wait for it.
        let _ = std::fs::File::options().read(true).write(true).open(pipe);
        assert!(reader.join().unwrap().is_empty());
    }

    #[tokio::test]
    async fn endless_words_are_read_and_not_kept() {
        let said = what(
            "head -c 3000000 /dev/zero | tr '\\0' x; head -c 3000000 /dev/zero | tr '\\0' y >&2; exit 4",
            LONG,
        )
        .await
        .unwrap_err();
        assert!(said.contains("exit code 4") && said.len() < 1_000, "{said}");
    }
}
