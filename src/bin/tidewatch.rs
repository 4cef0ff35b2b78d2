//! `tidewatch`: the service and its tools. See `--help`.

use std::process::ExitCode;

fn main() -> ExitCode {
    tidewatch::fault::arm();
    tidewatch::model::telemetry::turn_off();
    tidewatch::cli::main()
}
