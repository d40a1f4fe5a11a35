//! The `quire` command.

use std::process::ExitCode;

fn main() -> ExitCode {
    quire::main(quire::pp_ocr)
}
