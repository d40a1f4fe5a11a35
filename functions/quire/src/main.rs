//! The `quire` command.

use std::process::ExitCode;

fn main() -> ExitCode {
    quire::main(quire::local_engine)
}
