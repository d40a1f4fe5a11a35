//! The command line: subcommands, arguments and their help texts. The operator's subcommands are in `operator` and
//! `tenants`.

mod operator;
mod shared_args;
mod tenants;

use std::{net::SocketAddr, path::PathBuf};

use anyhow::ensure;
use clap::{
    Args, Parser, Subcommand, ValueEnum,
    builder::{PossibleValue, PossibleValuesParser, TypedValueParser},
};
use quire_pp_ocr::Device;
use quire_tasks::{Mode, ModeName, TextLayerPolicy};

use crate::provider::RequestedProvider;

pub(crate) use operator::{DeadLettersCommand, DecisionArgs, EnginesCommand, ReviewCommand};
pub(crate) use shared_args::{BackendKind, DataDirArgs, DeploymentArgs, RoutesArgs};
pub(crate) use tenants::{KeysCommand, TenantsCommand, WebhookSecretArgs};

/// Document OCR: reads text from PDF, PNG, JPEG, TIFF, WebP, BMP, GIF, JPEG 2000 and JPEG XL files.
#[derive(Debug, Parser)]
#[command(name = "quire", version)]
pub(crate) struct Cli {
    #[command(subcommand)]
    pub(crate) command: CliCommand,
}

#[derive(Debug, Subcommand)]
pub(crate) enum CliCommand {
    /// Read files and print their text.
    Read(ReadArgs),
    /// Run the whole service: the HTTP API, workers, callbacks and dead letters.
    Serve(ServeArgs),
    /// Check whether this machine can read documents, and suggest fixes.
    Doctor(DoctorArgs),
    /// Inspect and redrive dead letters.
    #[command(subcommand)]
    DeadLetters(DeadLettersCommand),
    /// Monitor, pause and resume OCR engines.
    #[command(subcommand)]
    Engines(EnginesCommand),
    /// Review and correct pages with low confidence or without a result.
    #[command(subcommand)]
    Review(ReviewCommand),
    /// Manage API keys.
    #[command(subcommand)]
    Keys(KeysCommand),
    /// Manage the rate limits and quotas of tenants.
    #[command(subcommand)]
    Tenants(TenantsCommand),
    /// Print or rotate the secret that signs a tenant's callbacks.
    WebhookSecret(WebhookSecretArgs),
    /// Run a single worker that reads pages from the queue until it is stopped.
    Worker(WorkerArgs),
    /// Check the worker's heartbeat: the health check of a container.
    #[command(hide = true)]
    Alive,
    /// Create the bucket, table, queues and secret on an AWS emulator, where no Terraform does.
    #[command(hide = true)]
    Provision,
}

#[derive(Debug, Args)]
pub(crate) struct ReadArgs {
    /// The files to read.
    #[arg(required = true, value_name = "FILE")]
    pub(crate) files: Vec<PathBuf>,
    /// The output format. `json` is the response of `POST /ocr/batch`.
    #[arg(long, value_enum, default_value_t = OutputFormat::Text)]
    pub(crate) format: OutputFormat,
    /// With `--format text`: print what is in a row of the page on one line, with its columns aligned.
    #[arg(long)]
    pub(crate) layout: bool,
    /// Keep tasks and results in this folder [default: a temporary folder].
    #[arg(long, value_name = "DIR")]
    pub(crate) data: Option<PathBuf>,
    /// With `--format json`: return the words of each line with their positions.
    #[arg(long)]
    pub(crate) words: bool,
    #[command(flatten)]
    pub(crate) mode: ModeArgs,
    /// Number of concurrent workers [default: one per CPU for PP-OCR on CPUs; otherwise one, which batches pages].
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=256))]
    pub(crate) workers: Option<u16>,
    #[command(flatten)]
    pub(crate) engine: EngineArgs,
}

/// How files are read.
#[derive(Debug, Args)]
pub(crate) struct ModeArgs {
    /// The kind of result: text, markdown, spotting, table, formula, fields, subtitles or translate. PP-OCR supports
    /// text, markdown and table.
    #[arg(long, value_name = "MODE", default_value_t = ModeName::Text)]
    mode: ModeName,
    /// With `--mode fields`: a field to extract. May be repeated.
    #[arg(long = "key", value_name = "KEY")]
    keys: Vec<String>,
    /// With `--mode translate`: the target language, e.g. `English`.
    #[arg(long, value_name = "LANGUAGE")]
    language: Option<String>,
    /// Read with this engine only: `name@version`, or `name` if it has one version [default: chosen by the routes].
    #[arg(long = "engine", value_name = "NAME")]
    engine: Option<String>,
    /// Use the text that a PDF itself contains: `auto` (where it agrees with what is printed), `never`, or `only` (read
    /// no page as an image, and do not check the text).
    #[arg(long, value_name = "POLICY", default_value_t = TextLayerPolicy::Auto)]
    text_layer: TextLayerPolicy,
}

impl ModeArgs {
    /// Validates the combination of arguments.
    ///
    /// # Errors
    /// When the mode lacks a key or a language, or does not use one.
    pub(crate) fn validate(self) -> anyhow::Result<quire_submit::ReadOptions> {
        let mode = Mode::new(self.mode, self.keys, self.language)?;
        let text_layer = self.text_layer;
        ensure!(text_layer.is_possible_with(self.mode), "the mode {} needs an image", self.mode);
        Ok(quire_submit::ReadOptions { mode, engine: self.engine, text_layer })
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum OutputFormat {
    Text,
    Json,
    Markdown,
    /// The tables as comma-separated values.
    Csv,
}

#[derive(Debug, Args)]
pub(crate) struct ServeArgs {
    /// The address to listen on. Other addresses than loopback require an API key: see `quire keys create`.
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:8000")]
    pub(crate) listen: SocketAddr,
    #[command(flatten)]
    pub(crate) deployment: DeploymentArgs,
    /// Number of worker processes; 0 if workers run elsewhere [default: one per CPU for PP-OCR on CPUs; otherwise one,
    /// which batches pages].
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(0..=256))]
    pub(crate) workers: Option<u16>,
    #[command(flatten)]
    pub(crate) engine: EngineArgs,
    /// Development mode: allow plain HTTP to this machine for callbacks and `image_url`.
    #[arg(long)]
    pub(crate) dev: bool,
}

#[derive(Debug, Clone, Args)]
pub(crate) struct EngineArgs {
    /// The device that runs the models.
    #[arg(long, env = "QUIRE_DEVICE", default_value = "cpu", value_parser = device_parser())]
    pub(crate) device: Device,
    /// The library that runs PP-OCR's models. `quire doctor` shows which one is selected, and why.
    #[arg(long, value_enum, env = "QUIRE_PROVIDER", default_value_t = RequestedProvider::Auto)]
    pub(crate) provider: RequestedProvider,
    #[command(flatten)]
    pub(crate) routes: RoutesArgs,
}

/// Parses `--device`, with a help text for each value.
fn device_parser() -> impl TypedValueParser<Value = Device> {
    let values = [
        PossibleValue::new(device_name(Device::Cpu)).help("The CPU"),
        PossibleValue::new(device_name(Device::Cuda))
            .help("The first NVIDIA GPU; needs a build with `--features cuda`"),
    ];
    PossibleValuesParser::new(values)
        .map(|name| if name == device_name(Device::Cuda) { Device::Cuda } else { Device::Cpu })
}

/// Returns the value of `--device` for a device.
pub(crate) const fn device_name(device: Device) -> &'static str {
    match device {
        Device::Cpu => "cpu",
        Device::Cuda => "cuda",
    }
}

#[derive(Debug, Args)]
pub(crate) struct DoctorArgs {
    /// The output format.
    #[arg(long, value_enum, default_value_t = ReportFormat::Text)]
    pub(crate) format: ReportFormat,
    /// Download missing libraries and models first.
    #[arg(long)]
    pub(crate) fetch: bool,
    #[command(flatten)]
    pub(crate) data: DataDirArgs,
    #[command(flatten)]
    pub(crate) engine: EngineArgs,
    /// Only read a test page and print the result as JSON. Runs in a separate process, since native code may crash.
    #[arg(long, hide = true)]
    pub(crate) trial: bool,
}

/// The output format of a report.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum ReportFormat {
    Text,
    Json,
}

#[derive(Debug, Args)]
pub(crate) struct WorkerArgs {
    #[command(flatten)]
    pub(crate) deployment: DeploymentArgs,
    #[command(flatten)]
    pub(crate) engine: EngineArgs,
    /// For a child process of `serve`, which it watches through standard input: the name under which it holds leases.
    #[arg(long, hide = true)]
    pub(crate) holder: Option<String>,
    /// For a child process of `serve`, which shares the CPUs with others: its number of CPUs.
    #[arg(long, hide = true)]
    pub(crate) threads: Option<usize>,
}

#[cfg(test)]
pub(crate) mod tests;
