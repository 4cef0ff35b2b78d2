//! Starting and ending a process with all that it starts.

use std::io;
use std::os::unix::process::CommandExt;
use std::process::{Child, ChildStderr, ChildStdout, Command, ExitStatus, Stdio};

use rustix::process::{
    Pid, Resource, Rlimit, Signal, getppid, kill_process_group, set_parent_process_death_signal,
    setpriority_process, setrlimit,
};
use rustix::thread::{CpuSet, sched_getaffinity, sched_setaffinity};

use super::job::{Job, Limits};
use super::leftover;

/// Where the memory runs short, the kernel shall end the training and not the service (-1000 to 1000).
const BADNESS: &str = "500";

/// A process under way, with its group.
pub(super) struct Running {
    child: Child,
    group: Option<Pid>,
}

/// Starts the job's process. It dies with the thread that calls this.
pub(super) fn start(job: &Job) -> io::Result<Running> {
    let mut command = Command::new(&job.program);
    command
        .args(&job.arguments)
        .current_dir(&job.folder)
        .env_clear()
        .envs(&job.environment)
        .env(leftover::VARIABLE, leftover::mark(&job.folder))
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .process_group(0);
    let limits = job.limits.clone();
    let cpus = limits.cpus.and_then(|count| cpus(count.get()));
    let parent = std::process::id();
    #[expect(
        unsafe_code,
        reason = "there is no other way to set limits before the program begins"
    )]
    // SAFETY: between fork and exec `bound` makes system calls only: it neither allocates nor takes locks.
    unsafe {
        command.pre_exec(move || bound(&limits, cpus.as_ref(), parent));
    }
    let child = command.spawn()?;
    // Not every system lets it be set, and nothing depends on it.
    let _ = std::fs::write(format!("/proc/{}/oom_score_adj", child.id()), BADNESS);
    let group = i32::try_from(child.id()).ok().and_then(Pid::from_raw);
    Ok(Running { child, group })
}

/// In the new process, before its program begins.
fn bound(limits: &Limits, cpus: Option<&CpuSet>, parent: u32) -> io::Result<()> {
    set_parent_process_death_signal(Some(Signal::KILL))?;
    // The parent may have died before it was to be heard of.
    let now = getppid().map(|pid| pid.as_raw_nonzero().get());
    if now != i32::try_from(parent).ok() {
        return Err(io::ErrorKind::Interrupted.into());
    }
    setpriority_process(None, limits.nice)?;
    let none = Rlimit {
        current: Some(0),
        maximum: Some(0),
    };
    setrlimit(Resource::Core, none)?;
    if let Some(bytes) = limits.memory {
        let most = Rlimit {
            current: Some(bytes),
            maximum: Some(bytes),
        };
        setrlimit(Resource::Data, most)?;
    }
    if let Some(cpus) = cpus {
        sched_setaffinity(None, cpus)?;
    }
    Ok(())
}

/// The last so many processors of those that this process may use; none where it may use no more than that.
fn cpus(count: usize) -> Option<CpuSet> {
    let own = sched_getaffinity(None).ok()?;
    let mut set = CpuSet::new();
    let allowed = (0..CpuSet::MAX_CPU).rev().filter(|cpu| own.is_set(*cpu));
    allowed.take(count).for_each(|cpu| set.set(cpu));
    (set.count() < own.count()).then_some(set)
}

impl Running {
    /// The process's number.
    pub(super) fn id(&self) -> u32 {
        self.child.id()
    }

    /// Its standard output and standard error, once.
    pub(super) fn streams(&mut self) -> (Option<ChildStdout>, Option<ChildStderr>) {
        (self.child.stdout.take(), self.child.stderr.take())
    }

    /// How it ended, if it has.
    pub(super) fn ended(&mut self) -> io::Result<Option<ExitStatus>> {
        self.child.try_wait()
    }

    /// Asks it and all that it has started to end.
    pub(super) fn terminate(&self) {
        self.signal(Signal::TERM);
    }

    /// Ends it and all that it has started.
    pub(super) fn kill(&self) {
        self.signal(Signal::KILL);
    }

    fn signal(&self, signal: Signal) {
        if let Some(group) = self.group {
            // It fails only where nobody is left.
            let _ = kill_process_group(group, signal);
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.kill();
        // So that no dead process is left behind; where it has been waited for, this does nothing.
        let _ = self.child.wait();
    }
}
