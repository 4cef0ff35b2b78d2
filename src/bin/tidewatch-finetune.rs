//! `tidewatch-finetune`: fine-tunes an encoder as a recipe says. See `--help`.

use std::process::ExitCode;

fn main() -> ExitCode {
    tidewatch::fault::arm();
    tidewatch::model::telemetry::turn_off();
    tidewatch::train::cli::main()
}
