//! Prints how each provider's batching policy does on recorded arrivals:
//!
//! ```sh
//! cargo run --release -p quire-batch-simulation -- [RECORDING…]
//! ```
//!
//! Default: the recordings in `tests/simulation/recordings`. `QUIRE_POLICY` changes the policies as it does for a
//! worker.
#![expect(clippy::print_stdout, reason = "the command prints its report")]

use std::path::{Path, PathBuf};

use anyhow::Context;
use quire_batch_simulation::{Recording, SimulatedMachine, SimulationReport, simulate};
use quire_pp_ocr::Provider;
use quire_worker::policy_from_env;

fn main() -> anyhow::Result<()> {
    let mut files: Vec<PathBuf> = std::env::args_os().skip(1).map(PathBuf::from).collect();
    if files.is_empty() {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("recordings");
        files = ["trickle", "burst", "full"].map(|name| folder.join(name).with_extension("jsonl")).to_vec();
    }
    println!("| recording | provider | {} |", SimulationReport::COLUMNS);
    println!("|{}", " --- |".repeat(SimulationReport::COLUMNS.split(" | ").count() + 2));
    for file in files {
        let text = std::fs::read_to_string(&file).with_context(|| file.display().to_string())?;
        let recording = Recording::parse(&text).with_context(|| file.display().to_string())?;
        let name = file.file_stem().unwrap_or_default().display();
        for provider in Provider::ALL {
            let report = simulate(&policy_from_env(provider)?, &SimulatedMachine::of(provider), &recording);
            println!("| {name}, {} pages | {provider} | {report} |", recording.pages());
        }
    }
    Ok(())
}
