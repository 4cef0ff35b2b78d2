//! `tidewatch verify`.

mod progress;

use std::time::Duration;

use clap::Args;
use tokio::runtime::{Handle, Runtime};

use self::progress::Bar;
use super::ConfigArgs;
use super::exit::{BadInput, End};
use super::model::log_sparingly;
use super::signals;
use super::time;
use crate::model::manifest::Bundle;
use crate::repair::{RepairError, repair};
use crate::verify::{Watch, Window, verify};

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
/// With --repair, rows that are missing, doubled or different are made anew from the results and the dead letters, and counts per
/// minute that are not those of the rows are counted anew: so a database restored from a backup catches up. Only committed
/// messages are touched, so the service may go on; a row of which Kafka says nothing is left as it is. What is told in the
/// end is how it is then.
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
    /// Make the rows anew that are not what Kafka says, then check again
    #[arg(long)]
    repair: bool,
    /// First wait until the service has nothing left to read, but at most so long
    #[arg(
        long,
        value_name = "SECONDS",
        default_value_t = 0,
        hide_default_value = true
    )]
    wait_settled: u64,
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
    let settle = Duration::from_secs(args.wait_settled);
    let runtime = Runtime::new()?;
    let result = runtime.block_on(async {
        let asked = signals::listen()?;
        let handle = Handle::current();
        let work = tokio::task::spawn_blocking(move || {
            let mut bar = Bar::new();
            let mut tell = |progress| bar.tell(progress);
            let mut watch = Watch::new(&mut tell);
            let done = if args.repair {
                let bundle = Bundle::open(&config.model.path).ok();
                let known = bundle.map(|bundle| bundle.model_version());
                repair(
                    &config,
                    &window,
                    settle,
                    known.as_ref(),
                    &handle,
                    &mut watch,
                )
                .map(|(report, repaired)| (report, Some(repaired)))
            } else {
                let report = verify(&config, &window, settle, &handle, &mut watch);
                report
                    .map(|report| (report, None))
                    .map_err(RepairError::from)
            };
            bar.finish();
            done
        });
        tokio::select! {
            done = work => anyhow::Ok(Some(done??)),
            () = asked.end.cancelled() => Ok(None),
        }
    });
    // After Ctrl-C the thread still waits for the brokers.
    runtime.shutdown_background();
    let Some((report, repaired)) = result? else {
        return Ok(End::Interrupted);
    };
    if args.json {
        let mut line = report.json();
        if let Some(repaired) = &repaired {
            line["repaired"] = repaired.json();
        }
        println!("{line}");
    } else {
        println!("{}", report.table());
        if let Some(repaired) = &repaired {
            println!("{}", repaired.words());
        }
    }
    Ok(if report.adds_up() {
        End::Done
    } else {
        End::Failed
    })
}
