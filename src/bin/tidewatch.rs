//! `tidewatch`: the service and its tools. See `--help`.

use std::process::ExitCode;

fn main() -> ExitCode {
    tidewatch::cli::main()
}
