//! Command that packages the Lambda functions as zips.

use std::process::ExitCode;

use clap::Parser;
use quire_package::{Args, package};

fn main() -> ExitCode {
    match package(&Args::parse()) {
        Ok(zips) => {
            for (path, bytes) in zips {
                eprintln!("{:>12} {}", bytes, path.display());
            }
            ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!("quire-package: {error:#}");
            ExitCode::FAILURE
        }
    }
}
