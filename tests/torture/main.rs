//! `scripts/torture`: random faults under load, and the checker. See `--help`.

#[path = "../it/harness/mod.rs"]
mod harness;

mod args;
mod check;
mod diary;
mod draw;
mod faults;
mod feed;
mod fleet;
mod pipeline;
mod process;
mod run;
mod schedule;
mod servers;
mod summary;

use std::fs::{self, File};
use std::io::BufReader;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

use clap::Parser;
use tokio::signal::unix::{SignalKind, signal};

use args::Args;
use draw::{Wish, draw};
use run::{Run, free_bytes};
use schedule::Schedule;

/// What a minute of load may take up on the disk, by measurement with room to spare.
const BYTES_PER_MINUTE: f64 = 0.5e9;
/// Logs, and what the servers take whatever happens.
const BYTES_BESIDE: f64 = 5e9;

fn main() -> ExitCode {
    tidewatch::model::telemetry::turn_off();
    let args = Args::parse();
    let interrupted = Arc::new(AtomicBool::new(false));
    heed_signals(Arc::clone(&interrupted));
    match torture(&args, &interrupted) {
        Ok(code) => code,
        Err(problem) => {
            eprintln!("scripts/torture: {problem}");
            ExitCode::from(2)
        }
    }
}

fn torture(args: &Args, interrupted: &AtomicBool) -> Result<ExitCode, String> {
    let schedule = schedule(args)?;
    let wanted = schedule.header.minutes * BYTES_PER_MINUTE + BYTES_BESIDE;
    if let Some(free) = free_bytes(&args.work)
        && (free as f64) < wanted
    {
        return Err(format!(
            "{} has {:.0} GB free, and a run of {} minutes may take {:.0}: set TMPDIR to a larger place",
            args.work.display(),
            free as f64 / 1e9,
            schedule.header.minutes,
            wanted / 1e9
        ));
    }
    let folder = args.work.join("run");
    log_to(&folder.join("logs"))?;
    let mut run = Run::start(args, &folder, schedule)?;
    run.play(interrupted);
    let summary = run.finish(args.keep);

    let json = summary.json();
    // With what is kept, so that it speaks for itself.
    let _ = fs::write(folder.join("summary.json"), json.to_string());
    if summary.has_failed() && args.keep {
        // Tells scripts/torture to leave what the servers hold.
        let _ = fs::write(args.work.join("keep"), "");
    }
    if summary.has_failed() || args.keep {
        let kept = keep(&folder, &args.logs, summary.header.seed)?;
        eprintln!("logs and schedule are in {}", kept.display());
        if summary.has_failed() {
            eprintln!(
                "to play it again: scripts/torture --replay {}/schedule.jsonl",
                kept.display()
            );
        }
    }
    if args.json {
        println!("{json}");
    } else {
        println!("{summary}");
    }
    Ok(match () {
        () if summary.has_failed() => ExitCode::from(1),
        () if interrupted.load(Ordering::SeqCst) => ExitCode::from(130),
        () => ExitCode::SUCCESS,
    })
}

fn schedule(args: &Args) -> Result<Schedule, String> {
    let Some(file) = &args.replay else {
        return Ok(draw(Wish {
            seed: args
                .seed
                .unwrap_or_else(|| u64::from(rand::random::<u32>())),
            minutes: args.minutes,
            every: args.every,
            quiet: args.quiet,
            brokers: args.brokers,
            swaps: args.swaps,
            faults: !args.without_faults,
        }));
    };
    let named = |problem: String| format!("{}: {problem}", file.display());
    let opened = File::open(file).map_err(|error| named(error.to_string()))?;
    Schedule::read(BufReader::new(opened)).map_err(named)
}

/// What the clients of the torture itself say, in a file of its own.
fn log_to(logs: &Path) -> Result<(), String> {
    let file = fs::create_dir_all(logs).and_then(|()| File::create(logs.join("torture.log")));
    let file = file.map_err(|error| format!("{}: {error}", logs.display()))?;
    tracing_subscriber::fmt()
        .with_writer(Mutex::new(file))
        .with_ansi(false)
        .with_max_level(tracing::Level::DEBUG)
        .init();
    Ok(())
}

/// Copies what the run has left to where it stays.
fn keep(folder: &Path, logs: &Path, seed: u64) -> Result<PathBuf, String> {
    let time = chrono::Utc::now().format("%Y%m%dT%H%M%S");
    let kept = logs.join(format!("{time}-seed-{seed}"));
    fs::create_dir_all(logs).map_err(|error| format!("{}: {error}", logs.display()))?;
    let copied = Command::new("cp").arg("-r").args([folder, &kept]).status();
    match copied {
        Ok(status) if status.success() => Ok(kept),
        _ => Err(format!(
            "the logs could not be copied to {}; they are in {}",
            kept.display(),
            folder.display()
        )),
    }
}

/// Ctrl-C and SIGTERM end the run in order: nothing is left running, nothing stopped.
fn heed_signals(interrupted: Arc<AtomicBool>) {
    std::thread::spawn(move || {
        let Ok(runtime) = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
        else {
            return;
        };
        runtime.block_on(async {
            let (Ok(mut interrupt), Ok(mut terminate)) = (
                signal(SignalKind::interrupt()),
                signal(SignalKind::terminate()),
            ) else {
                return;
            };
            tokio::select! {
                _ = interrupt.recv() => {}
                _ = terminate.recv() => {}
            }
            interrupted.store(true, Ordering::SeqCst);
        });
    });
}
