//! One attempt to tell a receiver by running a command.

use std::io::{Read, Write};
use std::os::unix::process::CommandExt;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process_group};

use super::webhook::{Attempt, Post};

/// Between two looks at whether it has ended.
const LOOK: Duration = Duration::from_millis(20);
/// What a command gets of this process's environment: no setting of the service, some of which are secrets.
const PASSED: [&str; 5] = ["PATH", "HOME", "LANG", "LC_ALL", "TZ"];
/// Most bytes of its complaint that are kept.
const MOST_WORDS: u64 = 4096;

/// Runs it once with the body on its standard input and the notice's id as `TIDEWATCH_NOTICE`; blocks up to `longest`.
pub(super) fn run(command: &[String], post: &Post, longest: Duration) -> Attempt {
    let Some((program, arguments)) = command.split_first() else {
        return Attempt::Failed("it names no program".to_owned(), None);
    };
    let passed = PASSED
        .into_iter()
        .filter_map(|name| Some((name, std::env::var_os(name)?)));
    let spawned = Command::new(program)
        .args(arguments)
        .env_clear()
        .envs(passed)
        .env("TIDEWATCH_NOTICE", &post.id)
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .process_group(0)
        .spawn();
    let mut child = match spawned {
        Ok(child) => child,
        Err(error) => {
            return Attempt::Failed(format!("{program} cannot be started: {error}"), None);
        }
    };
    let (stdin, stderr) = (child.stdin.take(), child.stderr.take());
    let body = post.body.clone();
    // Neither pipe may keep us longer than the command may take, so each has a thread, which ends with the command.
    std::thread::spawn(move || {
        // Whoever does not want to read it may leave it.
        let _ = stdin.map(|mut stdin| stdin.write_all(body.as_bytes()));
    });
    let words = std::thread::spawn(move || {
        let mut words = String::new();
        let _ = stderr.map(|stderr| stderr.take(MOST_WORDS).read_to_string(&mut words));
        words
    });
    match await_end(&mut child, longest) {
        Some(status) if status.success() => Attempt::Delivered,
        Some(status) => {
            let words = words.join().unwrap_or_default();
            let last = words.lines().last().unwrap_or_default();
            Attempt::Failed(format!("{program} has ended with {status}: {last}"), None)
        }
        None => Attempt::InDoubt(format!(
            "{program} did not end within {} s",
            longest.as_secs()
        )),
    }
}

/// Its exit status; none where it had to be killed, with all that it has started.
fn await_end(child: &mut Child, longest: Duration) -> Option<ExitStatus> {
    let begun = Instant::now();
    while begun.elapsed() < longest {
        if let Ok(Some(status)) = child.try_wait() {
            return Some(status);
        }
        std::thread::sleep(LOOK);
    }
    if let Some(group) = i32::try_from(child.id()).ok().and_then(Pid::from_raw) {
        let _ = kill_process_group(group, Signal::KILL);
    }
    let _ = child.wait();
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tell(script: &str, longest: Duration) -> Attempt {
        let command = ["sh", "-c", script].map(str::to_owned);
        let post = Post {
            id: "n-1".into(),
            body: "{\"event\":\"promoted\"}".into(),
            timestamp: 0,
        };
        run(&command, &post, longest)
    }

    #[test]
    fn a_command_reads_the_notice_and_its_exit_status_counts() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("told");
        let script = format!(
            "cat > {}; echo \"$TIDEWATCH_NOTICE\" >> {}",
            file.display(),
            file.display()
        );
        let long = Duration::from_secs(60);
        assert_eq!(tell(&script, long), Attempt::Delivered);
        assert_eq!(
            std::fs::read_to_string(file).unwrap(),
            "{\"event\":\"promoted\"}n-1\n"
        );
        let Attempt::Failed(fault, None) = tell("echo no thanks >&2; exit 3", long) else {
            panic!("it has failed");
        };
        assert!(
            fault.contains("exit status: 3") && fault.ends_with("no thanks"),
            "{fault}"
        );
        let missing = ["/no/such/program".to_owned()];
        let post = Post {
            id: String::new(),
            body: String::new(),
            timestamp: 0,
        };
        assert!(matches!(run(&missing, &post, long), Attempt::Failed(..)));
    }

    #[test]
    fn one_that_does_not_end_is_killed_and_may_have_done_its_work() {
        let told = tell("sleep 600 & wait", Duration::from_millis(200));
        assert!(matches!(told, Attempt::InDoubt(_)), "{told:?}");
    }

    #[test]
    fn no_setting_of_the_service_reaches_it() {
        let names = "env | cut -d= -f1 | grep -vE '^(PATH|HOME|LANG|LC_ALL|TZ|TIDEWATCH_NOTICE|PWD|SHLVL|_|OLDPWD)$'";
        let script = format!("! {names}");
        assert_eq!(tell(&script, Duration::from_secs(60)), Attempt::Delivered);
    }
}
