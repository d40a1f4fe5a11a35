//! The `quire` command: the whole stack on one machine or on AWS's queues and stores, a worker alone, and the operator's
//! tools.
//!
//! `read` runs everything in one process. `serve` runs the API, the notifier and the dead-letter function in one
//! process, and each worker in a child of its own ([`supervisor`](self)): native code that crashes on a page takes down
//! no more than the pages in hand. PDFs are opened for their check at the door in short-lived children likewise.

mod aws;
mod cli;
mod dead_letters;
mod doctor;
mod engine;
mod engines;
mod heartbeat;
mod home_dir;
mod inspect;
mod keys;
mod output;
mod print;
mod provider;
mod provision;
mod read;
mod review;
mod serve;
mod site;
mod supervisor;
mod tenants;
mod webhook_secret;
mod worker;

use std::process::ExitCode;

use clap::Parser;
use quire_routes::EngineEntry;
use quire_worker::LocalEngine;

pub use cli::Device;
pub use engine::{Machine, local_engine, policy, pp_ocr_model};
pub use provider::Wish;

use crate::cli::{Cli, Command};

/// Makes an engine that runs in this process, on the thread that will own it.
pub type MakeEngine = fn(&EngineEntry, Machine) -> anyhow::Result<LocalEngine>;

/// The command. Prints what went wrong, with its causes, and fails. To be called before any other thread is started.
pub fn main(make_engine: MakeEngine) -> ExitCode {
    prepare_environment();
    return_large_blocks();
    let code = run(Cli::parse().command, make_engine).unwrap_or_else(|error| {
        eprintln!("quire: {error:#}");
        ExitCode::FAILURE
    });
    leave(code)
}

/// Ends the process without the destructors of native libraries: a thread that still runs one of them, or gives back what
/// it holds of it, would lose its ground and end the process by a signal. Everything that counts is in the store.
fn leave(code: ExitCode) -> ExitCode {
    use std::io::Write as _;
    if std::io::stdout().flush().is_err() {
        return ExitCode::FAILURE;
    }
    #[cfg(unix)]
    #[expect(unsafe_code, reason = "nothing safe ends a process without them")]
    // SAFETY: it takes a number, and what is buffered has been written.
    unsafe {
        libc::_exit(i32::from(code != ExitCode::SUCCESS));
    }
    #[cfg(not(unix))]
    code
}

/// glibc raises the size from which a block is given back to the system with every large block that is freed, and keeps what
/// is between in pieces: with 1 MiB for good, two workers that read pages of many sizes have 15 % less memory, in the same
/// time.
fn return_large_blocks() {
    #[cfg(all(target_os = "linux", target_env = "gnu"))]
    #[expect(unsafe_code, reason = "glibc's own setting, which nothing safe sets")]
    // SAFETY: it takes two numbers, and may be called at any time.
    unsafe {
        libc::mallopt(libc::M_MMAP_THRESHOLD, 1 << 20);
    }
}

/// Sets what native libraries look for in the environment as they are loaded. Children inherit it.
fn prepare_environment() {
    let variables = [
        // ONNX Runtime's builds for Linux report to their maker from the moment they are loaded, and keep a database for it in
        // the user's cache folder. Only this stops them that early.
        ("ORT_DISABLE_TELEMETRY", "1"),
        // OpenVINO keeps what it makes for a shape, as much as it is told. What is beneath it keeps the same things once more,
        // for longer: 1,024 of them, which after pages of many sizes are 100 MB.
        ("ONEDNN_PRIMITIVE_CACHE_CAPACITY", "0"),
    ];
    for (name, value) in variables {
        #[expect(unsafe_code, reason = "no other thread runs yet that could read the environment")]
        // SAFETY: see the reason above; `main` says so to its callers.
        unsafe {
            std::env::set_var(name, value);
        }
    }
}

fn run(command: Command, make_engine: MakeEngine) -> anyhow::Result<ExitCode> {
    // `read` and the tools speak for themselves; `serve` and its children log what happens.
    let logs = matches!(command, Command::Serve(_) | Command::Worker(_));
    let default_log = if logs { "info,ort=warn" } else { "error,quire::provider=warn" };
    quire_telemetry::start_tracing(default_log)?;
    match &command {
        Command::Inspect(args) => return Ok(inspect::inspect(args)),
        Command::Picture(args) => return Ok(inspect::picture(args)),
        Command::Doctor(args) => return doctor::doctor(args),
        Command::Alive => return heartbeat::alive().map(|()| ExitCode::SUCCESS),
        _ => {}
    }
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let code = match command {
        Command::Read(args) => runtime.block_on(read::read(args, make_engine)),
        Command::Serve(args) => runtime.block_on(serve::serve(args)).map(|()| ExitCode::SUCCESS),
        Command::Worker(args) => runtime.block_on(worker::worker(args, make_engine)).map(|()| ExitCode::SUCCESS),
        Command::DeadLetters(args) => runtime.block_on(dead_letters::dead_letters(args)).map(|()| ExitCode::SUCCESS),
        Command::Engines(args) => runtime.block_on(engines::engines(args)).map(|()| ExitCode::SUCCESS),
        Command::Review(args) => runtime.block_on(review::review(args)).map(|()| ExitCode::SUCCESS),
        Command::Keys(args) => runtime.block_on(keys::keys(args)).map(|()| ExitCode::SUCCESS),
        Command::Tenants(args) => runtime.block_on(tenants::tenants(args)).map(|()| ExitCode::SUCCESS),
        Command::WebhookSecret(args) => runtime.block_on(webhook_secret::print(&args)).map(|()| ExitCode::SUCCESS),
        Command::Provision => runtime.block_on(provision::provision()).map(|()| ExitCode::SUCCESS),
        Command::Inspect(_) | Command::Picture(_) | Command::Doctor(_) | Command::Alive => {
            unreachable!("handled above")
        }
    };
    // What still blocks, a native run say, is not waited for: everything that counts is in the store.
    runtime.shutdown_background();
    code
}
