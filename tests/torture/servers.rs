//! The private Kafka and Postgres, and what is done to them.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use sqlx::{Connection, PgConnection};

use super::process::{await_end, children, signal};

/// How long the end of a killed server may take.
const END: Duration = Duration::from_secs(20);
/// Beside what scripts/kafka sets: small segments, so that a broker that was killed has little to read through when it
/// comes back, and no time-out that makes the group wait.
const BROKER: [&str; 3] = [
    "log.segment.bytes=67108864",
    "log.retention.ms=-1",
    "num.network.threads=2",
];
const BROKER_HEAP: &str = "768m";
/// Beside what scripts/postgres sets: a checkpoint less often, since the disk is the machine's and not what is tested.
const POSTGRES: [&str; 4] = [
    "max_wal_size = '4GB'",
    "checkpoint_timeout = '15min'",
    "wal_level = 'minimal'",
    "max_wal_senders = 0",
];

/// Why something could not be done to a server.
pub type Problem = String;

fn script(name: &str, arguments: &[&str], heap: Option<&str>) -> Result<String, Problem> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("scripts")
        .join(name);
    let mut command = Command::new(path);
    command.args(arguments).stdin(Stdio::null());
    if let Some(heap) = heap {
        command.env("KAFKA_HEAP", heap);
    }
    let output = command
        .output()
        .map_err(|error| format!("scripts/{name} cannot be run: {error}"))?;
    if output.status.success() {
        return Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned());
    }
    let said = String::from_utf8_lossy(&output.stderr).trim().to_owned();
    Err(format!("scripts/{name} {}: {said}", arguments.join(" ")))
}

/// Keeps a server's log under a number of its own: the next start begins a new one.
fn keep_log(folder: &Path, logs: &Path, name: &str, number: u32) {
    let _ = fs::copy(
        folder.join("log"),
        logs.join(format!("{name}-{number}.log")),
    );
}

/// The broker.
pub struct Broker {
    pub bootstrap: String,
    folder: PathBuf,
    logs: PathBuf,
    starts: u32,
}

impl Broker {
    pub fn start(work: &Path, logs: &Path) -> Result<Self, Problem> {
        let mut broker = Self {
            bootstrap: String::new(),
            folder: work.join("kafka"),
            logs: logs.to_owned(),
            starts: 0,
        };
        broker.bootstrap = broker.launch()?;
        Ok(broker)
    }

    fn launch(&mut self) -> Result<String, Problem> {
        let folder = self.folder.display().to_string();
        let mut arguments = vec!["start", &*folder];
        for setting in BROKER {
            arguments.extend(["--set", setting]);
        }
        self.starts += 1;
        script("kafka", &arguments, Some(BROKER_HEAP))
    }

    fn pid(&self) -> Result<u32, Problem> {
        read_pid(&self.folder)
    }

    /// SIGKILL.
    pub fn kill(&mut self) -> Result<(), Problem> {
        let pid = self.pid()?;
        signal("KILL", &[pid]);
        if !await_end(pid, END) {
            return Err("the killed broker does not end".into());
        }
        keep_log(&self.folder, &self.logs, "kafka", self.starts);
        Ok(())
    }

    /// The same broker again, with its address and data.
    pub fn restart(&mut self) -> Result<(), Problem> {
        self.launch().map(drop)
    }

    pub fn pause(&self) -> Result<(), Problem> {
        signal("STOP", &[self.pid()?]);
        Ok(())
    }

    pub fn resume(&self) -> Result<(), Problem> {
        signal("CONT", &[self.pid()?]);
        Ok(())
    }

    /// Ends it; its data go unless they are to be kept.
    pub fn stop(&self, keep: bool) {
        keep_log(&self.folder, &self.logs, "kafka", self.starts);
        stop("kafka", &self.folder, keep);
    }
}

fn read_pid(folder: &Path) -> Result<u32, Problem> {
    let path = folder.join("pid");
    let text = fs::read_to_string(&path).map_err(|error| format!("{}: {error}", path.display()))?;
    text.trim()
        .parse()
        .map_err(|_| format!("{} holds no number", path.display()))
}

fn stop(name: &str, folder: &Path, keep: bool) {
    let folder = folder.display().to_string();
    let mut arguments = vec!["stop", &*folder];
    if keep {
        arguments.push("--keep");
    }
    if let Err(problem) = script(name, &arguments, None) {
        eprintln!("{problem}");
    }
}

/// The database server.
pub struct Postgres {
    url: String,
    folder: PathBuf,
    logs: PathBuf,
    starts: u32,
}

impl Postgres {
    pub fn start(work: &Path, logs: &Path) -> Result<Self, Problem> {
        let mut postgres = Self {
            url: String::new(),
            folder: work.join("postgres"),
            logs: logs.to_owned(),
            starts: 0,
        };
        postgres.url = postgres.launch()?;
        for setting in POSTGRES {
            postgres.run(&format!("ALTER SYSTEM SET {setting}"))?;
        }
        postgres.crash()?;
        postgres.restart()?;
        Ok(postgres)
    }

    fn launch(&mut self) -> Result<String, Problem> {
        self.starts += 1;
        script(
            "postgres",
            &["start", &self.folder.display().to_string()],
            None,
        )
    }

    /// A new database on it; returns its URL.
    pub fn create(&self, name: &str) -> Result<String, Problem> {
        self.run(&format!("CREATE DATABASE {name}"))?;
        let (server, _) = self
            .url
            .rsplit_once('/')
            .ok_or("the URL names no database")?;
        Ok(format!("{server}/{name}"))
    }

    /// Immediate shutdown: no process of it does anything more.
    pub fn crash(&mut self) -> Result<(), Problem> {
        let pid = read_pid(&self.folder)?;
        signal("QUIT", &[pid]);
        if !await_end(pid, END) {
            return Err("Postgres does not end after an immediate shutdown".into());
        }
        keep_log(&self.folder, &self.logs, "postgres", self.starts);
        Ok(())
    }

    /// The same server again, with its address and data.
    pub fn restart(&mut self) -> Result<(), Problem> {
        self.launch().map(drop)
    }

    /// Stops all its processes; returns them.
    pub fn pause(&self) -> Result<Vec<u32>, Problem> {
        let parent = read_pid(&self.folder)?;
        // The parent first, so that no child is made meanwhile.
        signal("STOP", &[parent]);
        let mut all = children(parent);
        signal("STOP", &all);
        all.push(parent);
        Ok(all)
    }

    /// Lets them go on; some may have ended meanwhile.
    pub fn resume(&self, processes: &[u32]) {
        signal("CONT", processes);
    }

    /// Cuts every connection of the service.
    pub fn cut(&self) -> Result<(), Problem> {
        self.run(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'tidewatch'",
        )
    }

    /// From now on new transactions may only read, or may write again.
    pub fn read_only(&self, on: bool) -> Result<(), Problem> {
        self.run(if on {
            "ALTER SYSTEM SET default_transaction_read_only = on"
        } else {
            "ALTER SYSTEM RESET default_transaction_read_only"
        })?;
        self.run("SELECT pg_reload_conf()")
    }

    /// Holds the rows of a database's epochs while `wait` runs.
    pub fn hold_epochs(&self, url: &str, wait: impl FnOnce()) -> Result<(), Problem> {
        block_on(async {
            let mut connection = PgConnection::connect(url).await?;
            let mut transaction = connection.begin().await?;
            sqlx::query("SELECT FROM partition_epochs ORDER BY topic, \"partition\" FOR UPDATE")
                .fetch_all(&mut *transaction)
                .await?;
            wait();
            transaction.rollback().await
        })
    }

    fn run(&self, statement: &str) -> Result<(), Problem> {
        block_on(async {
            let mut connection = PgConnection::connect(&self.url).await?;
            sqlx::query("SET default_transaction_read_only = off")
                .execute(&mut connection)
                .await?;
            sqlx::query(sqlx::AssertSqlSafe(statement))
                .execute(&mut connection)
                .await?;
            connection.close().await
        })
        .map_err(|problem| format!("{statement}: {problem}"))
    }

    /// Ends it; its data go unless they are to be kept.
    pub fn stop(&self, keep: bool) {
        keep_log(&self.folder, &self.logs, "postgres", self.starts);
        stop("postgres", &self.folder, keep);
    }
}

fn block_on(work: impl Future<Output = Result<(), sqlx::Error>>) -> Result<(), Problem> {
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| error.to_string())?
        .block_on(work)
        .map_err(|error| error.to_string())
}
