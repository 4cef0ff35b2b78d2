//! `tidewatch-finetune`: fine-tunes an encoder as a recipe says. See `--help`.

use std::process::ExitCode;

fn main() -> ExitCode {
    tidewatch::train::cli::main()
}
