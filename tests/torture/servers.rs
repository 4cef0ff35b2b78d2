//! The private Kafka and Postgres, and what is done to them.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use sqlx::{Connection, PgConnection};

/// Beside what scripts/kafka sets: small segments, so that a broker that was killed has little to read through when it
/// comes back, and no time-out that makes the group wait.
const BROKER: [&str; 3] = [
    "log.segment.bytes=67108864",
    "log.retention.ms=-1",
    "num.network.threads=2",
];
const BROKER_HEAP: &str = "768m";
/// Of each of several.
const NODE_HEAP: &str = "512m";
/// Beside what scripts/postgres sets: a checkpoint less often, since the disk is the machine's and not what is tested.
const POSTGRES: [&str; 4] = [
    "max_wal_size = '4GB'",
    "checkpoint_timeout = '15min'",
    "wal_level = 'minimal'",
    "max_wal_senders = 0",
];

/// Long enough for the service to come between.
const BETWEEN_LOCKS: Duration = Duration::from_millis(20);

/// Why something could not be done to a server.
pub type Problem = String;

/// A server that has just come up, on a busy machine, may not do it at once.
const ATTEMPTS: u32 = 6;

/// Tries a few times.
pub fn again(mut work: impl FnMut() -> Result<(), Problem>) -> Result<(), Problem> {
    let mut result = work();
    for _ in 1..ATTEMPTS {
        if result.is_ok() {
            break;
        }
        std::thread::sleep(Duration::from_secs(2));
        result = work();
    }
    result
}

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

/// The broker, or a cluster of them.
pub struct Broker {
    pub bootstrap: String,
    folder: PathBuf,
    logs: PathBuf,
    nodes: u32,
    starts: u32,
}

impl Broker {
    pub fn start(work: &Path, logs: &Path, nodes: u32) -> Result<Self, Problem> {
        let mut broker = Self {
            bootstrap: String::new(),
            folder: work.join("kafka"),
            logs: logs.to_owned(),
            nodes,
            starts: 0,
        };
        broker.bootstrap = broker.launch()?;
        Ok(broker)
    }

    fn launch(&mut self) -> Result<String, Problem> {
        let (folder, nodes) = (self.folder.display().to_string(), self.nodes.to_string());
        let mut arguments = vec!["start", &*folder, "--nodes", &*nodes];
        for setting in BROKER {
            arguments.extend(["--set", setting]);
        }
        let heap = if self.nodes == 1 {
            BROKER_HEAP
        } else {
            NODE_HEAP
        };
        self.starts += 1;
        script("kafka", &arguments, Some(heap))
    }

    fn signal(&self, node: u32, name: &str) -> Result<(), Problem> {
        let (folder, node) = (self.folder.display().to_string(), node.to_string());
        let mut arguments = vec!["signal", &*folder, name];
        if self.nodes > 1 {
            arguments.push(&node);
        }
        script("kafka", &arguments, None).map(drop)
    }

    /// SIGKILL.
    pub fn kill(&mut self, node: u32) -> Result<(), Problem> {
        self.signal(node, "KILL")?;
        keep_log(
            &self.node(node),
            &self.logs,
            &format!("kafka-{node}"),
            self.starts,
        );
        Ok(())
    }

    /// The same broker again, with its address and data.
    pub fn restart(&mut self) -> Result<(), Problem> {
        self.launch().map(drop)
    }

    pub fn pause(&self, node: u32) -> Result<(), Problem> {
        self.signal(node, "STOP")
    }

    pub fn resume(&self, node: u32) -> Result<(), Problem> {
        self.signal(node, "CONT")
    }

    fn node(&self, node: u32) -> PathBuf {
        if self.nodes == 1 {
            return self.folder.clone();
        }
        self.folder.join(format!("node-{node}"))
    }

    /// Ends it; its data go unless they are to be kept.
    pub fn stop(&self, keep: bool) {
        for node in 1..=self.nodes {
            keep_log(
                &self.node(node),
                &self.logs,
                &format!("kafka-{node}"),
                self.starts,
            );
        }
        stop("kafka", &self.folder, keep);
    }
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
        let folder = self.folder.display().to_string();
        script(
            "postgres",
            &["stop", &folder, "--immediate", "--keep"],
            None,
        )?;
        keep_log(&self.folder, &self.logs, "postgres", self.starts);
        Ok(())
    }

    /// The same server again, with its address and data.
    pub fn restart(&mut self) -> Result<(), Problem> {
        self.launch().map(drop)
    }

    /// Suspends all its processes.
    pub fn pause(&self) -> Result<(), Problem> {
        self.signal("STOP")
    }

    /// Lets them go on.
    pub fn resume(&self) -> Result<(), Problem> {
        self.signal("CONT")
    }

    fn signal(&self, name: &str) -> Result<(), Problem> {
        let folder = self.folder.display().to_string();
        script("postgres", &["signal", &folder, name], None).map(drop)
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

    /// Takes the rows of a database's epochs one by one, in the order that nobody else takes them in, until it is over.
    pub fn deadlock_epochs(&self, url: &str, is_over: impl Fn() -> bool) -> Result<(), Problem> {
        block_on(async {
            let mut connection = PgConnection::connect(url).await?;
            let rows: Vec<(String, i32)> = sqlx::query_as(
                "SELECT topic, \"partition\" FROM partition_epochs ORDER BY 1 DESC, 2 DESC",
            )
            .fetch_all(&mut connection)
            .await?;
            while !is_over() {
                let mut transaction = connection.begin().await?;
                for (topic, partition) in &rows {
                    let locked = sqlx::query(
                        "SELECT FROM partition_epochs WHERE topic = $1 AND \"partition\" = $2 FOR UPDATE",
                    )
                    .bind(topic)
                    .bind(partition)
                    .execute(&mut *transaction)
                    .await;
                    // The server has chosen us, and not the service, to give way.
                    if locked.is_err() {
                        break;
                    }
                    tokio::time::sleep(BETWEEN_LOCKS).await;
                }
                transaction.rollback().await?;
            }
            Ok(())
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
