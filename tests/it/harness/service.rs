//! The service as a process, as its users run it.

use std::fs::File;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::Duration;

use super::{Kafka, TestDatabase, eventually};

/// The model bundle that the repository ships.
pub fn default_model() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("models/default")
}

/// A config file for one test; start as many services from it as the test needs.
pub struct ServiceConfig {
    folder: tempfile::TempDir,
}

impl ServiceConfig {
    /// Writes a config over the test's topics and database; `more` is TOML added at its end.
    pub fn new(kafka: &Kafka, database: &TestDatabase, more: &str) -> Self {
        Self::with_decoder(kafka, database, "json", more)
    }

    /// As [`ServiceConfig::new`], with the decoder of the input named.
    pub fn with_decoder(kafka: &Kafka, database: &TestDatabase, decoder: &str, more: &str) -> Self {
        Self::written(kafka, database, decoder, &default_model(), "", more)
    }

    /// As [`ServiceConfig::new`], with another model and further lines of `[kafka]`.
    pub fn with_model(
        kafka: &Kafka,
        database: &TestDatabase,
        model: &Path,
        kafka_lines: &str,
        more: &str,
    ) -> Self {
        Self::written(kafka, database, "json", model, kafka_lines, more)
    }

    /// With the decoder of the input, the model and further lines of `[kafka]`.
    pub fn written(
        kafka: &Kafka,
        database: &TestDatabase,
        decoder: &str,
        model: &Path,
        kafka_lines: &str,
        more: &str,
    ) -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder can be made");
        let text = format!(
            r#"
[kafka]
bootstrap_servers = "{bootstrap}"
group = "{group}"
{kafka_lines}

[[input]]
topic = "{input}"
decoder = "{decoder}"

[output]
results = "{results}"
dead_letters = "{dead}"

[model]
path = "{model}"
device = "cpu"

[postgres]
url = "{url}"

[http]
listen = "127.0.0.1:0"

[log]
format = "json"
{more}
"#,
            bootstrap = kafka.bootstrap,
            group = kafka.group,
            input = kafka.input,
            results = kafka.results,
            dead = kafka.dead_letters,
            model = model.display(),
            url = database.url,
        );
        std::fs::write(folder.path().join("tidewatch.toml"), text)
            .expect("the config can be written");
        Self { folder }
    }

    pub fn path(&self) -> PathBuf {
        self.folder.path().join("tidewatch.toml")
    }

    /// Runs a subcommand with `--config` to its end.
    pub fn command(&self, subcommand: &str) -> std::process::Output {
        self.run(subcommand, &[])
    }

    /// As [`ServiceConfig::command`], with more arguments.
    pub fn run(&self, subcommand: &str, more: &[&str]) -> std::process::Output {
        Command::new(env!("CARGO_BIN_EXE_tidewatch"))
            .arg(subcommand)
            .arg("--config")
            .arg(self.path())
            .args(more)
            .output()
            .expect("the binary starts")
    }

    /// Runs `tidewatch verify --json` with these arguments, and returns its exit code and its line.
    pub fn verify(&self, more: &[&str]) -> (i32, serde_json::Value) {
        let output = self.run("verify", &[&["--json"], more].concat());
        let line = String::from_utf8_lossy(&output.stdout);
        let value = serde_json::from_str(&line).unwrap_or_else(|error| {
            panic!(
                "verify said {line:?} ({error}), {}:\n{}",
                output.status,
                String::from_utf8_lossy(&output.stderr)
            )
        });
        (output.status.code().unwrap_or(-1), value)
    }

    /// Prepares the database with `tidewatch migrate`.
    pub fn migrate(&self) {
        let output = self.command("migrate");
        assert!(
            output.status.success(),
            "migrate: {}",
            String::from_utf8_lossy(&output.stderr)
        );
    }

    /// Starts `tidewatch run` as the instance of this name.
    pub fn start(&self, instance: &str) -> Service {
        self.start_with(instance, &[])
    }

    /// As [`ServiceConfig::start`], armed to kill (`kill`) or suspend (`stop`) itself when it passes a point of
    /// `src/fault.rs` for the `count`th time.
    pub fn start_armed(&self, instance: &str, point: &str, count: u64, action: &str) -> Service {
        let fault = format!("{point}@{count}={action}");
        self.start_with(instance, &[("TIDEWATCH_FAULT", &fault)])
    }

    fn start_with(&self, instance: &str, variables: &[(&str, &str)]) -> Service {
        let log = self
            .folder
            .path()
            .join(format!("{}.log", super::unique(instance)));
        let child = Command::new(env!("CARGO_BIN_EXE_tidewatch"))
            .arg("run")
            .arg("--config")
            .arg(self.path())
            .env("TIDEWATCH__KAFKA__INSTANCE", instance)
            .envs(variables.iter().copied())
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(File::create(&log).expect("the log can be created"))
            .spawn()
            .expect("the binary starts");
        Service { child, log }
    }
}

/// A running service; killed when dropped.
pub struct Service {
    child: Child,
    log: PathBuf,
}

impl Service {
    /// What it has logged.
    pub fn log(&self) -> String {
        std::fs::read_to_string(&self.log).unwrap_or_default()
    }

    /// Waits until `/readyz` says so.
    pub fn wait_ready(&mut self) {
        eventually("the service to be ready", Duration::from_secs(90), || {
            if let Some(status) = self.child.try_wait().expect("the process can be asked") {
                panic!("the service ended with {status}:\n{}", self.log());
            }
            (self.get("/readyz")?.0 == 200).then_some(())
        });
    }

    /// The address of its probes, once it has logged it.
    fn address(&self) -> Option<SocketAddr> {
        self.log()
            .lines()
            .filter_map(|line| serde_json::from_str::<serde_json::Value>(line).ok())
            .find_map(|line| line["fields"]["address"].as_str()?.parse().ok())
    }

    /// Status and body of a GET on its HTTP address; `None` while it does not answer.
    pub fn get(&self, path: &str) -> Option<(u16, String)> {
        self.ask(&format!("GET {path}"), "")
    }

    /// Status and body of a POST of JSON on its HTTP address; `None` while it does not answer.
    pub fn post(&self, path: &str, body: &serde_json::Value) -> Option<(u16, String)> {
        self.ask(&format!("POST {path}"), &body.to_string())
    }

    fn ask(&self, asked: &str, body: &str) -> Option<(u16, String)> {
        let mut stream =
            TcpStream::connect_timeout(&self.address()?, Duration::from_secs(2)).ok()?;
        stream
            .set_read_timeout(Some(Duration::from_secs(10)))
            .ok()?;
        write!(
            stream,
            "{asked} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nContent-Type: application/json\r\n\
             Content-Length: {}\r\n\r\n{body}",
            body.len()
        )
        .ok()?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer).ok()?;
        let status = answer.split(' ').nth(1)?.parse().ok()?;
        Some((status, answer.split_once("\r\n\r\n")?.1.to_owned()))
    }

    /// SIGKILL: no clean-up of any kind.
    pub fn kill(&mut self) {
        self.child.kill().expect("the process can be killed");
        self.child.wait().expect("the process ends");
    }

    /// SIGTERM, and its exit status.
    pub fn terminate(&mut self) -> ExitStatus {
        self.signal("TERM");
        self.wait(Duration::from_secs(60))
    }

    /// Sends a signal by its name.
    pub fn signal(&self, name: &str) {
        let sent = Command::new("kill")
            .args([&format!("-{name}"), &self.child.id().to_string()])
            .status()
            .expect("kill can be run");
        assert!(sent.success(), "the process was already gone");
    }

    /// Whether it is suspended.
    pub fn is_stopped(&self) -> bool {
        let stat = std::fs::read_to_string(format!("/proc/{}/stat", self.child.id()))
            .expect("the process exists");
        // The state follows the name, which is in parentheses.
        stat.rsplit(") ")
            .next()
            .is_some_and(|rest| rest.starts_with('T'))
    }

    /// Its resident memory in bytes.
    pub fn resident_bytes(&self) -> u64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.child.id()))
            .expect("the process exists");
        let line = status
            .lines()
            .find_map(|line| line.strip_prefix("VmRSS:"))
            .expect("a process has memory");
        let kib: u64 = line
            .trim()
            .trim_end_matches(" kB")
            .parse()
            .expect("VmRSS is a number");
        kib * 1024
    }

    /// The sum of a metric over its labels; `None` while it cannot be read.
    pub fn metric(&self, name: &str) -> Option<f64> {
        let (_, body) = self.get("/metrics").filter(|(status, _)| *status == 200)?;
        let values: Vec<f64> = body
            .lines()
            .filter(|line| {
                line.strip_prefix(name)
                    .is_some_and(|rest| rest.starts_with([' ', '{']))
            })
            .filter_map(|line| line.rsplit(' ').next()?.parse().ok())
            .collect();
        (!values.is_empty()).then(|| values.iter().sum())
    }

    /// Its exit status, if it has ended.
    pub fn ended(&mut self) -> Option<ExitStatus> {
        self.child.try_wait().expect("the process can be asked")
    }

    /// Waits for its end.
    pub fn wait(&mut self, limit: Duration) -> ExitStatus {
        eventually("the service to end", limit, || {
            self.child.try_wait().expect("the process can be asked")
        })
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        if matches!(self.child.try_wait(), Ok(None)) {
            let _ = self.child.kill();
            let _ = self.child.wait();
        }
        if std::thread::panicking() {
            let log = self.log();
            let tail: Vec<_> = log.lines().rev().take(40).collect();
            eprintln!("the last lines of the service's log:");
            for line in tail.into_iter().rev() {
                eprintln!("  {line}");
            }
        }
    }
}
