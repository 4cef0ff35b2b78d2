//! `tidewatch verify`.

mod progress;
mod time;

use clap::Args;
use tokio::runtime::{Handle, Runtime};

use self::progress::Bar;
use super::ConfigArgs;
use super::exit::{BadInput, End};
use super::model::log_sparingly;
use super::signals;
use crate::verify::{Report, VerifyError, Watch, Window, verify};

const EXAMPLES: &str = "Examples:
  tidewatch verify --config my.toml
  tidewatch verify --config my.toml --from 24h
  tidewatch verify --config my.toml --from 2026-11-24T00:00:00Z --to 2026-11-25T00:00:00Z --json";

/// Check that every message has exactly one outcome in Kafka and one in Postgres, and that both agree
///
/// Reads the input topics, the output topics as readers with isolation.level=read_committed see them, the group's committed
/// offsets and the tables, and counts what is lost (committed, and nothing in Kafka or nothing in Postgres), doubled, disagreeing
/// (kind, label, probabilities, model or reason), uncommitted (an outcome that the group has not committed), and counts per
/// minute that are not those of the rows. It changes nothing, joins no group, and may run beside the service.
///
/// Exit codes: 0 it adds up; 1 it does not, or something could not be read (then there is no line of JSON); 2 the command line
/// or the config cannot be used; 130 stopped by Ctrl-C.
#[derive(Debug, Args)]
#[command(after_long_help = EXAMPLES)]
pub(super) struct VerifyArgs {
    #[command(flatten)]
    config: ConfigArgs,
    /// Look at messages from this time on, by Kafka's time of them: RFC 3339, or so long ago (30m, 2h, 7d)
    /// [default: from the first that is there]
    #[arg(long, value_name = "TIME", value_parser = time::parse)]
    from: Option<chrono::DateTime<chrono::Utc>>,
    /// Look at messages before this time [default: to the last]
    #[arg(long, value_name = "TIME", value_parser = time::parse)]
    to: Option<chrono::DateTime<chrono::Utc>>,
    /// Print one JSON line
    #[arg(long)]
    json: bool,
}

pub(super) fn run(args: VerifyArgs) -> anyhow::Result<End> {
    log_sparingly();
    let config = args.config.load()?;
    let window = Window {
        from: args.from,
        to: args.to,
    };
    if let (Some(from), Some(to)) = (window.from, window.to)
        && from >= to
    {
        return Err(BadInput::from("--from must be before --to"));
    }
    let runtime = Runtime::new()?;
    let result = runtime.block_on(async {
        let asked = signals::listen()?;
        let handle = Handle::current();
        let work = tokio::task::spawn_blocking(move || {
            let mut bar = Bar::new();
            let mut tell = |progress| bar.tell(progress);
            let report = verify(&config, &window, &handle, &mut Watch::new(&mut tell));
            bar.finish();
            report
        });
        tokio::select! {
            report = work => Ok::<_, anyhow::Error>(Some(report?)),
            () = asked.end.cancelled() => Ok(None),
        }
    });
    // After Ctrl-C the thread still waits for the brokers.
    runtime.shutdown_background();
    match result? {
        Some(report) => end(report, args.json),
        None => Ok(End::Interrupted),
    }
}

fn end(report: Result<Report, VerifyError>, json: bool) -> anyhow::Result<End> {
    let report = report?;
    if json {
        println!("{}", report.json());
    } else {
        println!("{}", report.table());
    }
    Ok(if report.adds_up() {
        End::Done
    } else {
        End::Failed
    })
}
