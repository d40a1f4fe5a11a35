//! The `quire` command: the whole service on one machine or on AWS, a single worker, and the operator's tools.
//!
//! `read` runs everything in one process. `serve` runs the API, the notifier and the dead-letter function in one
//! process, and each worker in a separate child process (module `supervisor`): native code that crashes on a page
//! takes down only the pages of that worker. Documents are parsed in child processes with few rights (`quire_sandbox`).

mod aws;
mod cli;
mod data_dir;
mod dead_letters;
mod deployment;
mod doctor;
mod engine;
mod engines;
mod heartbeat;
mod keys;
mod model_choice;
mod output;
mod process;
mod provider;
mod provision;
mod read;
mod review;
mod rows;
mod sandbox;
mod serve;
mod shutdown;
mod supervisor;
mod tenants;
mod webhook_secret;
mod worker;

use std::{process::ExitCode, time::Duration};

use clap::Parser;

use quire_telemetry::terminal::escape_text;

pub use engine::{EngineResources, MakeEngine, local_engine, policy, pp_ocr_model};
pub use provider::RequestedProvider;

use crate::cli::{Cli, CliCommand};

/// How long the end of the process waits for threads that are still running.
const RUNTIME_SHUTDOWN_TIMEOUT: Duration = Duration::from_millis(500);

/// Runs the command. Prints an error with its causes and returns a failure. Must be called before any thread is
/// started.
pub fn main(make_engine: MakeEngine) -> ExitCode {
    return_large_blocks();
    // First: a child has no environment, and needs none.
    if let Some(code) = quire_sandbox::run_if_child() {
        return exit_without_destructors(code);
    }
    prepare_environment();
    process::restrict_new_files();
    process::raise_descriptor_limit();
    let cli = Cli::try_parse().unwrap_or_else(|error| exit_with_usage(&error));
    let code = match run(cli.command, make_engine) {
        Ok(code) => code,
        Err(error) => {
            rows::report_error(&error);
            ExitCode::FAILURE
        }
    };
    exit_without_destructors(code)
}

/// Prints the help, or why the arguments are invalid, and ends the process. An invalid argument may be a hostile file
/// name that the shell expanded.
fn exit_with_usage(error: &clap::Error) -> ! {
    if error.use_stderr() {
        eprint!("{}", escape_text(&error.render().to_string()));
    } else {
        // Standard output may be closed.
        let _ = error.print();
    }
    std::process::exit(error.exit_code())
}

/// Ends the process without running the destructors of native libraries: a thread that still runs inside one of them,
/// or frees its memory, would crash the process. All results are in the store by now.
fn exit_without_destructors(code: ExitCode) -> ExitCode {
    use std::io::Write as _;
    if std::io::stdout().flush().is_err() {
        return ExitCode::FAILURE;
    }
    #[cfg(unix)]
    #[expect(unsafe_code, reason = "no safe function ends a process without destructors")]
    // SAFETY: `_exit` takes a number, and the buffered output has been flushed.
    unsafe {
        libc::_exit(i32::from(code != ExitCode::SUCCESS));
    }
    #[cfg(not(unix))]
    code
}

/// Fixes glibc's mmap threshold at 1 MiB. By default glibc raises it with every large block that is freed, and
/// fragments the memory below it: with the fixed value, two workers that read pages of many sizes use 15 % less memory
/// in the same time.
fn return_large_blocks() {
    #[cfg(all(target_os = "linux", target_env = "gnu"))]
    #[expect(unsafe_code, reason = "no safe function sets this option of glibc")]
    // SAFETY: `mallopt` takes two numbers and may be called at any time.
    unsafe {
        libc::mallopt(libc::M_MMAP_THRESHOLD, 1 << 20);
    }
}

/// Sets the environment variables that native libraries read when they are loaded. Child processes inherit them.
fn prepare_environment() {
    let variables = [
        // ONNX Runtime's builds for Linux send telemetry from the moment they are loaded, and keep a database for it in
        // the user's cache folder. Only this variable disables it that early.
        ("ORT_DISABLE_TELEMETRY", "1"),
        // OpenVINO caches compiled shapes up to a configured limit. oneDNN below it would cache the same primitives
        // again: 1,024 of them, which is 100 MB after pages of many sizes.
        ("ONEDNN_PRIMITIVE_CACHE_CAPACITY", "0"),
    ];
    for (name, value) in variables {
        #[expect(unsafe_code, reason = "no other thread runs yet that could read the environment")]
        // SAFETY: see the reason above; the documentation of `main` requires it.
        unsafe {
            std::env::set_var(name, value);
        }
    }
}

fn run(command: CliCommand, make_engine: MakeEngine) -> anyhow::Result<ExitCode> {
    // `read` and the tools print their results; `serve` and its children log events.
    let is_service = matches!(command, CliCommand::Serve(_) | CliCommand::Worker(_));
    let default_log = if is_service { "info,ort=warn" } else { "error,quire::provider=warn" };
    quire_telemetry::start_tracing(default_log)?;
    process::restrict_cache();
    match &command {
        CliCommand::Doctor(args) => return doctor::doctor(args),
        CliCommand::Alive => return heartbeat::check().map(|()| ExitCode::SUCCESS),
        _ => {}
    }
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let code = runtime.block_on(run_async(command, make_engine));
    // Drops what is still running, and with it child processes. Waits only shortly for blocking threads, e.g. inside a
    // native run: all results are in the store by now.
    runtime.shutdown_timeout(RUNTIME_SHUTDOWN_TIMEOUT);
    code
}

async fn run_async(command: CliCommand, make_engine: MakeEngine) -> anyhow::Result<ExitCode> {
    match command {
        CliCommand::Read(args) => return read::read(args, make_engine).await,
        CliCommand::Serve(args) => Box::pin(serve::serve(args)).await?,
        CliCommand::Worker(args) => worker::worker(args, make_engine).await?,
        CliCommand::DeadLetters(command) => dead_letters::run(command).await?,
        CliCommand::Engines(command) => engines::run(command).await?,
        CliCommand::Review(command) => review::run(command).await?,
        CliCommand::Keys(command) => keys::run(command).await?,
        CliCommand::Tenants(command) => tenants::run(command).await?,
        CliCommand::WebhookSecret(args) => webhook_secret::print(&args).await?,
        CliCommand::Provision => provision::provision().await?,
        CliCommand::Doctor(_) | CliCommand::Alive => {
            unreachable!("these commands run without the async runtime")
        }
    }
    Ok(ExitCode::SUCCESS)
}
