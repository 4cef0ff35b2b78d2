//! Servers of a test's own, which it may kill, suspend and bring back.

use std::path::{Path, PathBuf};
use std::process::Command;

use tempfile::TempDir;
use tokio::sync::{Mutex, MutexGuard};

use super::Relay;

/// One Kafka of a test's own at a time: each broker takes some hundred megabytes, and the machine may be small.
static TURN: Mutex<()> = Mutex::const_new(());

/// A broker, or a cluster of them, in processes of their own (`scripts/kafka`).
pub struct OwnKafka {
    pub bootstrap: String,
    folder: Folder,
    _turn: MutexGuard<'static, ()>,
}

impl OwnKafka {
    /// Starts one that its clients reach through the relay only.
    pub async fn behind(relay: &Relay) -> Self {
        let turn = TURN.lock().await;
        let folder = Folder::new("kafka");
        // The broker is taken for started when it answers, there as well.
        relay.to(folder.server.join("bootstrap"));
        let setting = format!("advertised.listeners=PLAINTEXT://{}", relay.address);
        folder.run("start", &["--set", &setting]);
        Self {
            bootstrap: relay.address.to_string(),
            folder,
            _turn: turn,
        }
    }

    /// Starts so many brokers.
    pub async fn start(nodes: usize) -> Self {
        let turn = TURN.lock().await;
        let folder = Folder::new("kafka");
        let bootstrap = folder.run("start", &["--nodes", &nodes.to_string()]);
        Self {
            bootstrap,
            folder,
            _turn: turn,
        }
    }

    /// Sends a signal to every broker.
    pub fn signal(&self, name: &str) {
        self.folder.run("signal", &[name]);
    }

    /// Ends one of a cluster's brokers by SIGKILL; they are numbered from 1.
    pub fn kill_node(&self, node: usize) {
        self.folder.run("signal", &["KILL", &node.to_string()]);
    }

    /// Starts those that do not run.
    pub fn bring_back(&self) {
        self.folder.run("start", &[]);
    }
}

/// A Postgres server of a test's own (`scripts/postgres`). By its own default (`synchronous_commit = off`) it confirms
/// commits that a crash of it loses: the service has to ask for better.
pub struct OwnPostgres {
    pub url: String,
    folder: Folder,
}

impl OwnPostgres {
    /// Starts a server.
    pub fn start() -> Self {
        let folder = Folder::new("postgres");
        Self {
            url: folder.run("start", &[]),
            folder,
        }
    }

    /// Sends a signal to all of its processes.
    pub fn signal(&self, name: &str) {
        self.folder.run("signal", &[name]);
    }

    /// Ends it as a crash would.
    pub fn crash(&self) {
        self.folder.run("stop", &["--immediate", "--keep"]);
    }

    /// Starts it again.
    pub fn bring_back(&self) {
        self.folder.run("start", &[]);
    }
}

/// The folder of a server, and the script that starts and stops it there; stopped and removed when dropped.
struct Folder {
    script: PathBuf,
    server: PathBuf,
    _parent: TempDir,
}

impl Folder {
    fn new(script: &str) -> Self {
        let parent = tempfile::Builder::new()
            .prefix("tidewatch-fault.")
            // The database's server may run as another user.
            .permissions(std::os::unix::fs::PermissionsExt::from_mode(0o755))
            .tempdir()
            .expect("a temporary folder can be made");
        Self {
            script: Path::new(env!("CARGO_MANIFEST_DIR"))
                .join("scripts")
                .join(script),
            server: parent.path().join("server"),
            _parent: parent,
        }
    }

    /// Runs the script, and returns what it prints.
    fn run(&self, command: &str, arguments: &[&str]) -> String {
        let output = Command::new(&self.script)
            .arg(command)
            .arg(&self.server)
            .args(arguments)
            .env("KAFKA_HEAP", "256m")
            .output()
            .expect("the script can be run");
        assert!(
            output.status.success(),
            "{} {command} {arguments:?}: {}",
            self.script.display(),
            String::from_utf8_lossy(&output.stderr)
        );
        String::from_utf8_lossy(&output.stdout).trim().to_owned()
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let stopped = Command::new(&self.script)
            .arg("stop")
            .arg(&self.server)
            .status();
        if !stopped.is_ok_and(|status| status.success()) {
            eprintln!("the server in {} was not stopped", self.server.display());
        }
    }
}
