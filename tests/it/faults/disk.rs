//! Postgres has no room left.

use std::fs::File;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use sqlx::{Connection, PgConnection};

use super::{LONG, Line, drain, stays_unready, wait_unready};
use crate::harness::{Kafka, OwnPostgres, TestDatabase, eventually};

/// A file system of its own in memory, unmounted when dropped.
struct SmallDisk {
    folder: tempfile::TempDir,
}

impl SmallDisk {
    /// Mounts one; `None`, said loudly, where this user may not.
    fn mounted(test: &str, size: &str) -> Option<Self> {
        let folder = tempfile::tempdir().unwrap();
        let options = format!("size={size},mode=1777");
        let mounted = as_root("mount")
            .args(["-t", "tmpfs", "-o", &options, "tmpfs"])
            .arg(folder.path())
            .output();
        match mounted {
            Ok(output) if output.status.success() => Some(Self { folder }),
            refused => {
                eprintln!("SKIPPED {test}: no file system can be mounted here ({refused:?})");
                None
            }
        }
    }

    fn path(&self) -> &Path {
        self.folder.path()
    }

    /// Takes all the room there is.
    fn fill(&self) -> PathBuf {
        let path = self.path().join("ballast");
        let mut file = File::create(&path).unwrap();
        let block = [0_u8; 4096];
        while file.write_all(&block).is_ok() {}
        path
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        let unmounted = as_root("umount").arg("--lazy").arg(self.path()).status();
        if !unmounted.is_ok_and(|status| status.success()) {
            eprintln!("{} is still mounted", self.path().display());
        }
    }
}

/// A command as root, who need not be asked for a password.
fn as_root(program: &str) -> Command {
    let is_root = std::fs::metadata("/proc/self")
        .is_ok_and(|process| std::os::unix::fs::MetadataExt::uid(&process) == 0);
    if is_root {
        return Command::new(program);
    }
    let mut command = Command::new("sudo");
    command.args(["-n", program]);
    command
}

#[tokio::test(flavor = "multi_thread")]
async fn a_full_disk_is_waited_for_until_there_is_room_again() {
    let Some(disk) =
        SmallDisk::mounted("a_full_disk_is_waited_for_until_there_is_room_again", "64m")
    else {
        return;
    };
    let server = OwnPostgres::start();
    // The server's user may only use a folder of its own.
    let space = disk.path().join("space");
    let mut connection = PgConnection::connect(&server.url).await.unwrap();
    let data: String = sqlx::query_scalar("SHOW data_directory")
        .fetch_one(&mut connection)
        .await
        .unwrap();
    std::fs::create_dir(&space).unwrap();
    let owner = std::fs::metadata(&data).unwrap();
    std::os::unix::fs::chown(
        &space,
        Some(std::os::unix::fs::MetadataExt::uid(&owner)),
        Some(std::os::unix::fs::MetadataExt::gid(&owner)),
    )
    .unwrap();
    let statement = format!("CREATE TABLESPACE small LOCATION '{}'", space.display());
    sqlx::query(sqlx::AssertSqlSafe(statement))
        .execute(&mut connection)
        .await
        .unwrap();
    let database = TestDatabase::on(&server.url, "TABLESPACE small").await;
    let line = Line::new(Kafka::new(3).await, database, &[]);
    let mut service = line.config.start("one");
    let feed = line.feed();
    line.wait_for_more(200);
    let ballast = disk.fill();
    let said = wait_unready(&service, "postgres");
    assert!(said.contains("its disk is full"), "{said}");
    // Here and there a page still has room for some rows, so a chunk may yet get through.
    eventually("the disk to be full for good", LONG, || {
        let limit = Duration::from_secs(2);
        (stays_unready(&service, "postgres", limit) >= limit).then_some(())
    });
    std::fs::remove_file(ballast).unwrap();
    service.wait_ready();
    line.wait_for_more(200);
    line.close(feed).await;
    drain(&mut service, Duration::from_secs(10));
}
