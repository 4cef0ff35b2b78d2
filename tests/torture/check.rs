//! The checker, and waiting until there is nothing left to do.

use std::io::Read;
use std::path::Path;
use std::process::Stdio;
use std::time::{Duration, Instant};

use chrono::{DateTime, SecondsFormat, Utc};
use serde::{Deserialize, Serialize};

use super::pipeline::Pipeline;
use super::servers::Problem;

/// How long everything may take to be committed after the last fault has been healed.
const DRAIN: Duration = Duration::from_secs(180);
/// How long the checker may take.
const CHECK: Duration = Duration::from_secs(1_800);
const LOOK: Duration = Duration::from_millis(250);

/// What `tidewatch verify --json` says.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct Verdict {
    pub messages: u64,
    pub scored: u64,
    pub dead: u64,
    pub unread: u64,
    pub ahead: u64,
    pub lost: u64,
    pub doubled: u64,
    pub disagreeing: u64,
    pub uncommitted: u64,
    pub rollups_differing: u64,
    #[serde(default)]
    pub examples: Vec<serde_json::Value>,
}

impl Verdict {
    /// Nothing is wrong, and nothing is open.
    pub fn adds_up(&self) -> bool {
        let wrong = [
            self.unread,
            self.ahead,
            self.lost,
            self.doubled,
            self.disagreeing,
            self.uncommitted,
            self.rollups_differing,
        ];
        wrong.iter().all(|&count| count == 0) && self.scored + self.dead == self.messages
    }
}

/// Waits until a group has committed everything in its input; how many messages that is.
pub fn drain(pipeline: &Pipeline, mut meanwhile: impl FnMut()) -> Result<u64, Problem> {
    let begun = Instant::now();
    let asker = pipeline.asker(true)?;
    loop {
        let progress = pipeline.progress(&asker);
        if let Ok(progress) = progress
            && progress.committed >= progress.stored
        {
            return Ok(progress.stored);
        }
        if begun.elapsed() >= DRAIN {
            let (name, limit) = (pipeline.name, DRAIN.as_secs());
            return Err(format!(
                "{name} is stuck: not everything is committed {limit} s after the last fault was healed ({progress:?})"
            ));
        }
        meanwhile();
        std::thread::sleep(LOOK);
    }
}

/// Runs the checker over the messages since `from`.
pub fn verify(
    pipeline: &Pipeline,
    from: Option<DateTime<Utc>>,
    log: &Path,
    mut meanwhile: impl FnMut(),
) -> Result<Verdict, Problem> {
    let mut command = pipeline.command("verify");
    command.arg("--json");
    if let Some(from) = from {
        command
            .arg("--from")
            .arg(from.to_rfc3339_opts(SecondsFormat::Millis, true));
    }
    let stderr = std::fs::File::create(log).map_err(|error| error.to_string())?;
    let mut child = command
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(stderr)
        .spawn()
        .map_err(|error| error.to_string())?;
    let mut pipe = child.stdout.take().expect("standard output is a pipe");
    let reader = std::thread::spawn(move || {
        let mut text = String::new();
        pipe.read_to_string(&mut text).map(|_| text)
    });
    let begun = Instant::now();
    let status = loop {
        if let Ok(Some(status)) = child.try_wait() {
            break status;
        }
        if begun.elapsed() >= CHECK {
            let _ = child.kill();
            let _ = child.wait();
            return Err(format!("the checker took more than {} s", CHECK.as_secs()));
        }
        meanwhile();
        std::thread::sleep(LOOK);
    };
    let text = reader
        .join()
        .map_err(|_| "the checker's output could not be read".to_owned())?
        .map_err(|error| error.to_string())?;
    serde_json::from_str(text.trim()).map_err(|error| {
        let log = log.display();
        format!("the checker ended with {status} and no verdict ({error}); see {log}")
    })
}
