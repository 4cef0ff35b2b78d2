//! A private, throw-away Postgres server.

use std::fs;
use std::net::TcpListener;
use std::os::unix::fs::{PermissionsExt, chown};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use rand::RngExt;
use tempfile::TempDir;

use super::error::DemoError;

const USER: &str = "tidewatch";
/// A free port can be taken by another program before the server binds it.
const PORT_ATTEMPTS: u32 = 5;

/// A running server in a temporary folder; dropping it stops the server and removes the folder.
///
/// It listens on the loopback interface only, on a port that the system chose, and asks for a password made for it.
#[derive(Debug)]
pub struct PrivatePostgres {
    runner: Runner,
    folder: TempDir,
    url: String,
    durability: Durability,
}

/// What a server promises of a committed transaction.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Durability {
    /// Nothing beyond the server's own life (no fsync): for data that nobody needs afterwards.
    Throwaway,
    /// That it outlives a power cut, as a production server does: for measuring what that costs.
    Full,
}

/// Runs the server's programs, as an ordinary user where this process is root.
#[derive(Debug)]
struct Runner {
    binaries: PathBuf,
    user: Option<Account>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Account {
    uid: u32,
    gid: u32,
}

impl PrivatePostgres {
    /// Initialises and starts a server with an empty database; takes a second or two.
    ///
    /// # Errors
    ///
    /// The server's binaries are missing, or the server does not come up; the message tells what its log says.
    pub fn start(durability: Durability) -> Result<Self, DemoError> {
        let binaries = find_binaries().ok_or(DemoError::NoPostgres)?;
        let folder = tempfile::Builder::new()
            .prefix("tidewatch-postgres-")
            .tempdir()
            .map_err(|source| files("create a folder in", &std::env::temp_dir(), source))?;
        let user = if owner(folder.path())? == 0 {
            let accounts = fs::read_to_string("/etc/passwd").unwrap_or_default();
            Some(ordinary_account(&accounts).ok_or(DemoError::NoOrdinaryUser)?)
        } else {
            None
        };
        let runner = Runner { binaries, user };
        runner.give(folder.path())?;
        let password = random_password();
        runner.initialise(folder.path(), &password, durability)?;
        let port = runner.launch(folder.path())?;
        // From here on dropping stops the server, also when creating the database fails.
        let server = Self {
            runner,
            folder,
            url: format!("postgres://{USER}:{password}@127.0.0.1:{port}/{USER}"),
            durability,
        };
        let mut createdb = server.runner.command("createdb");
        createdb
            .env("PGPASSWORD", &password)
            .args(["--host=127.0.0.1", &format!("--port={port}")])
            .args(["--username", USER, USER]);
        run(createdb, None)?;
        Ok(server)
    }

    /// `postgres://user:password@127.0.0.1:port/database`.
    #[must_use]
    pub fn url(&self) -> &str {
        &self.url
    }

    /// What it is, for a report.
    #[must_use]
    pub fn kind(&self) -> &'static str {
        match self.durability {
            Durability::Throwaway => "private Postgres on this machine, without fsync",
            Durability::Full => "private Postgres on this machine, with fsync",
        }
    }

    /// `host:port`.
    #[must_use]
    pub fn address(&self) -> &str {
        let after_user = self.url.rsplit('@').next().unwrap_or_default();
        after_user.split('/').next().unwrap_or_default()
    }

    fn stop(&self) -> Result<(), DemoError> {
        let mut last = Ok(());
        // `fast` ends sessions in order; `immediate` ends a server that would not.
        for mode in ["fast", "immediate"] {
            let mut stop = self.runner.command("pg_ctl");
            stop.arg("--pgdata").arg(self.folder.path().join("data"));
            stop.args(["--wait", "--timeout=20", "--silent", "--mode", mode, "stop"]);
            last = run(stop, None);
            if last.is_ok() {
                break;
            }
        }
        last
    }
}

impl Drop for PrivatePostgres {
    fn drop(&mut self) {
        if let Err(error) = self.stop() {
            tracing::warn!(folder = %self.folder.path().display(), "the private Postgres did not stop: {error}");
        }
        // The folder goes with `TempDir`, after the server that writes in it.
    }
}

impl Runner {
    /// The program from the server's own folder, in a process group of its own, so that Ctrl-C in the terminal reaches
    /// only this process, which then stops the server in order.
    fn command(&self, program: &str) -> Command {
        let mut command = Command::new(self.binaries.join(program));
        command
            .process_group(0)
            .stdin(Stdio::null())
            .current_dir("/");
        if let Some(Account { uid, gid }) = self.user {
            // Also leaves root's supplementary groups behind.
            command.uid(uid).gid(gid);
        }
        command
    }

    fn give(&self, path: &Path) -> Result<(), DemoError> {
        match self.user {
            Some(Account { uid, gid }) => chown(path, Some(uid), Some(gid))
                .map_err(|source| files("change the owner of", path, source)),
            None => Ok(()),
        }
    }

    fn initialise(
        &self,
        folder: &Path,
        password: &str,
        durability: Durability,
    ) -> Result<(), DemoError> {
        // Through a file: everybody can read a command line.
        let secret = folder.join("password");
        write_private(&secret, password)?;
        self.give(&secret)?;
        let mut initdb = self.command("initdb");
        initdb.arg("--pgdata").arg(folder.join("data"));
        initdb.arg("--pwfile").arg(&secret);
        initdb.args(["--username", USER, "--auth=scram-sha-256"]);
        initdb.args([
            "--encoding=UTF8",
            "--locale=C.UTF-8",
            "--no-sync",
            "--no-instructions",
        ]);
        run(initdb, None)?;
        fs::remove_file(&secret).map_err(|source| files("remove", &secret, source))?;
        let settings = folder.join("data/postgresql.auto.conf");
        let lines = "listen_addresses = '127.0.0.1'\nunix_socket_directories = ''\ntimezone = 'UTC'\n\
                     max_connections = 50\nshared_buffers = 128MB\nmax_wal_size = 1GB\n";
        let speed = match durability {
            Durability::Throwaway => {
                "fsync = off\nsynchronous_commit = off\nfull_page_writes = off\n"
            }
            Durability::Full => "",
        };
        fs::write(&settings, format!("{lines}{speed}"))
            .map_err(|source| files("write", &settings, source))
    }

    /// Starts the server on a free port, which it returns.
    fn launch(&self, folder: &Path) -> Result<u16, DemoError> {
        let log = folder.join("log");
        let mut detail = String::new();
        for _ in 0..PORT_ATTEMPTS {
            let port = free_port()
                .map_err(|source| files("bind a port on", Path::new("127.0.0.1"), source))?;
            write_private(&log, "")?;
            self.give(&log)?;
            let mut start = self.command("pg_ctl");
            start.arg("--pgdata").arg(folder.join("data"));
            start.arg("--log").arg(&log);
            start.args(["--wait", "--timeout=60", "--silent", "start"]);
            start.arg(format!("--options=-p {port}"));
            match run(start, Some(&log)) {
                Ok(()) => return Ok(port),
                Err(error) => {
                    detail = error.to_string();
                    if !detail.contains("Address already in use") {
                        return Err(error);
                    }
                }
            }
        }
        Err(DemoError::NoPort {
            attempts: PORT_ATTEMPTS,
            detail,
        })
    }
}

/// Runs a program to its end; a failure carries what it said, or the end of its log.
fn run(mut command: Command, log: Option<&Path>) -> Result<(), DemoError> {
    let program = command.get_program().to_string_lossy().into_owned();
    let failed = |detail: String| DemoError::Program {
        program: program.clone(),
        detail,
    };
    if log.is_some() {
        // A server inherits the pipes of the program that starts it, and reading them would wait for the server's end.
        command.stdout(Stdio::null()).stderr(Stdio::null());
    }
    let output = command
        .output()
        .map_err(|error| failed(error.to_string()))?;
    if output.status.success() {
        return Ok(());
    }
    let said = match log {
        Some(log) => fs::read_to_string(log).unwrap_or_default(),
        None => String::from_utf8_lossy(&output.stderr).into_owned(),
    };
    Err(failed(format!(
        "{}: {}",
        output.status,
        last_lines(&said, 10)
    )))
}

fn last_lines(text: &str, count: usize) -> String {
    let lines: Vec<&str> = text.trim_end().lines().collect();
    lines[lines.len().saturating_sub(count)..].join("\n")
}

fn files(what: &'static str, path: &Path, source: std::io::Error) -> DemoError {
    DemoError::Files {
        what,
        path: path.into(),
        source,
    }
}

fn write_private(path: &Path, content: &str) -> Result<(), DemoError> {
    fs::write(path, content)
        .and_then(|()| fs::set_permissions(path, fs::Permissions::from_mode(0o600)))
        .map_err(|source| files("write", path, source))
}

/// The user this process creates files as.
fn owner(path: &Path) -> Result<u32, DemoError> {
    use std::os::unix::fs::MetadataExt;
    let metadata = fs::metadata(path).map_err(|source| files("look at", path, source))?;
    Ok(metadata.uid())
}

/// The newest of Debian's server folders, else the folder on the PATH that has the server's programs.
fn find_binaries() -> Option<PathBuf> {
    let has_server =
        |folder: &PathBuf| folder.join("initdb").is_file() && folder.join("pg_ctl").is_file();
    let debian = fs::read_dir("/usr/lib/postgresql")
        .ok()
        .and_then(|versions| {
            versions
                .filter_map(|entry| {
                    let entry = entry.ok()?;
                    let version: u32 = entry.file_name().to_str()?.parse().ok()?;
                    Some((version, entry.path().join("bin")))
                        .filter(|(_, folder)| has_server(folder))
                })
                .max()
        });
    debian.map(|(_, folder)| folder).or_else(|| {
        let path = std::env::var_os("PATH")?;
        std::env::split_paths(&path).find(has_server)
    })
}

/// The user `postgres`, else `nobody`, out of the text of /etc/passwd.
fn ordinary_account(passwd: &str) -> Option<Account> {
    let account = |name: &str| {
        passwd.lines().find_map(|line| {
            let mut fields = line.split(':');
            if fields.next() != Some(name) {
                return None;
            }
            Some(Account {
                uid: fields.nth(1)?.parse().ok()?,
                gid: fields.next()?.parse().ok()?,
            })
        })
    };
    account("postgres").or_else(|| account("nobody"))
}

fn free_port() -> std::io::Result<u16> {
    Ok(TcpListener::bind(("127.0.0.1", 0))?.local_addr()?.port())
}

fn random_password() -> String {
    hex::encode(rand::rng().random::<[u8; 16]>())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_server_runs_as_postgres_or_else_as_nobody() {
        let nobody = "root:x:0:0:root:/root:/bin/bash\nnobody:x:65534:65533::/:/bin/false\n";
        assert_eq!(
            ordinary_account(nobody),
            Some(Account {
                uid: 65534,
                gid: 65533
            })
        );
        let both = format!("{nobody}postgres:x:104:106::/var/lib/postgresql:/bin/bash\n");
        assert_eq!(
            ordinary_account(&both),
            Some(Account { uid: 104, gid: 106 })
        );
        assert_eq!(ordinary_account("root:x:0:0::/root:/bin/sh\n"), None);
    }

    #[test]
    fn a_private_server_answers_and_leaves_nothing_behind() {
        if find_binaries().is_none() {
            eprintln!("skipped: there are no Postgres server binaries on this machine");
            return;
        }
        let server = PrivatePostgres::start(Durability::Throwaway).expect("the server starts");
        let folder = server.folder.path().to_owned();
        let mut psql = server.runner.command("psql");
        psql.args(["--no-psqlrc", "--tuples-only", "--command", "SELECT 41 + 1"])
            .arg(server.url());
        let answer = psql.output().expect("psql runs");
        assert_eq!(String::from_utf8_lossy(&answer.stdout).trim(), "42");
        let address = server.address().to_owned();
        let no_password = server.url().replacen(&server.url()[21..53], "wrong", 1);
        let mut psql = server.runner.command("psql");
        let refused = psql
            .args(["--command", "SELECT 1"])
            .arg(no_password)
            .output()
            .expect("psql runs");
        assert!(!refused.status.success(), "a wrong password is refused");
        drop(server);
        assert!(!folder.exists(), "the folder is removed");
        assert!(
            std::net::TcpStream::connect(address).is_err(),
            "nobody listens any more"
        );
    }
}
