//! What the command takes; what the operator's part of it takes is in `operator` and `tenants`.

mod operator;
mod tenants;

use std::{net::SocketAddr, path::PathBuf};

use clap::{Args, Parser, Subcommand, ValueEnum};
use quire_routes::Config;
use quire_tasks::{Mode, ModeName};

use crate::provider::Wish;

pub(crate) use operator::{DeadLetters, Decision, Engines, Named, Review};
pub(crate) use tenants::{Keys, Tenants, WebhookSecret};

/// Reads documents: PDF, PNG, JPEG, TIFF, WebP and BMP to text.
#[derive(Debug, Parser)]
#[command(name = "quire", version)]
pub(crate) struct Cli {
    #[command(subcommand)]
    pub(crate) command: Command,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Read files and print their text.
    Read(Read),
    /// Serve the HTTP API, with workers, callbacks and dead letters.
    Serve(Serve),
    /// See whether this machine can read, with what, and what to do where it cannot.
    Doctor(Doctor),
    /// See what could not be done, and have it tried again.
    #[command(subcommand)]
    DeadLetters(DeadLetters),
    /// See how the engines do, and say which are asked.
    #[command(subcommand)]
    Engines(Engines),
    /// See pages that no engine could read or was sure of, and say what they say.
    #[command(subcommand)]
    Review(Review),
    /// Say who may call the API.
    #[command(subcommand)]
    Keys(Keys),
    /// Say what each tenant may ask for.
    #[command(subcommand)]
    Tenants(Tenants),
    /// Print the secret that a tenant's callbacks are signed with.
    WebhookSecret(WebhookSecret),
    /// Read pages that somebody else takes in, until told to stop.
    Worker(Worker),
    /// Succeed if the worker that gives signs of life is alive: what a container's health check asks.
    #[command(hide = true)]
    Alive,
    /// Make what is kept in: bucket, table, queues, on an emulator of AWS, where no Terraform makes them.
    #[command(hide = true)]
    Provision,
    /// Check a file and print what it is: in a process of its own, since PDFs are opened by native code.
    #[command(hide = true)]
    Inspect(Inspect),
    /// Make pictures of a file's pages as standard input asks for them: in a process of its own likewise.
    #[command(hide = true)]
    Picture(Inspect),
}

#[derive(Debug, Args)]
pub(crate) struct Read {
    /// What to read.
    #[arg(required = true, value_name = "FILE")]
    pub(crate) files: Vec<PathBuf>,
    /// How to print it. `json` is what `POST /ocr/batch` answers.
    #[arg(long, value_enum, default_value_t = Format::Text)]
    pub(crate) format: Format,
    /// Keep the tasks and results in this folder; without it they are gone at the end.
    #[arg(long, value_name = "DIR")]
    pub(crate) data: Option<PathBuf>,
    #[command(flatten)]
    pub(crate) wanted: Wanted,
    /// How many workers read at the same time [default: one a processor where PP-OCR reads on a processor; else one, which
    /// holds many pages].
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=256))]
    pub(crate) workers: Option<u16>,
    #[command(flatten)]
    pub(crate) engine: Engine,
}

/// How files are to be read.
#[derive(Debug, Args)]
pub(crate) struct Wanted {
    /// What to make of each page: text, markdown, spotting, table, formula, fields, subtitles or translate. PP-OCR makes
    /// text only.
    #[arg(long, value_name = "MODE", default_value_t = ModeName::Text)]
    mode: ModeName,
    /// In the mode fields: a field to look for; again for each further one.
    #[arg(long = "key", value_name = "KEY")]
    keys: Vec<String>,
    /// In the mode translate: the language to translate to, as `English`.
    #[arg(long, value_name = "LANGUAGE")]
    language: Option<String>,
    /// Only this engine, as `name@version`, or without a version where there is one only; by the routes unless given.
    #[arg(long = "engine", value_name = "NAME")]
    named: Option<String>,
}

impl Wanted {
    /// The same, once it makes sense.
    pub(crate) fn checked(self) -> anyhow::Result<quire_submit::ReadOptions> {
        let mode = Mode::new(self.mode, self.keys, self.language)?;
        Ok(quire_submit::ReadOptions { mode, engine: self.named })
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Format {
    Text,
    Json,
    Markdown,
}

#[derive(Debug, Args)]
pub(crate) struct Serve {
    /// Where to listen. Beyond this machine only once there is a key: see `quire keys create`.
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:8000")]
    pub(crate) listen: SocketAddr,
    #[command(flatten)]
    pub(crate) place: Place,
    /// How many workers read at the same time, each a process; 0 if that is others' work [default: one a processor where
    /// PP-OCR reads on a processor; else one, which holds many pages].
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(0..=256))]
    pub(crate) workers: Option<u16>,
    #[command(flatten)]
    pub(crate) engine: Engine,
    /// For development: let callbacks and `image_url` use plain HTTP to this machine.
    #[arg(long)]
    pub(crate) dev: bool,
}

/// Which backend.
#[derive(Debug, Clone, Args)]
pub(crate) struct Place {
    /// Where everything is kept: in a folder on this machine, or on AWS, as `QUIRE_AWS_BUCKET` and its like say.
    #[arg(long, value_enum, env = "QUIRE_PLATFORM", default_value_t = Platform::Embedded)]
    pub(crate) platform: Platform,
    #[command(flatten)]
    pub(crate) data: Data,
}

/// The two kinds of backends.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Platform {
    Embedded,
    Aws,
}

/// Where an embedded backend is.
#[derive(Debug, Clone, Args)]
pub(crate) struct Data {
    /// The folder with everything that is kept [default: quire in the user's data folder].
    #[arg(long = "data", value_name = "DIR", env = "QUIRE_DATA")]
    dir: Option<PathBuf>,
}

impl Data {
    /// The folder that was named, or else the one of this user.
    pub(crate) fn dir(&self) -> anyhow::Result<PathBuf> {
        let named = self
            .dir
            .clone()
            .or_else(|| std::env::var_os("XDG_DATA_HOME").map(|base| PathBuf::from(base).join("quire")));
        let in_home = |backend: PathBuf| {
            let base = if cfg!(target_os = "macos") { "Library/Application Support" } else { ".local/share" };
            backend.join(base).join("quire")
        };
        named
            .or_else(|| std::env::home_dir().map(in_home))
            .ok_or_else(|| anyhow::anyhow!("there is no home folder: name a data folder with --data DIR"))
    }
}

#[derive(Debug, Clone, Args)]
pub(crate) struct Engine {
    /// What runs the models.
    #[arg(long, value_enum, env = "QUIRE_DEVICE", default_value_t = Device::Cpu)]
    pub(crate) device: Device,
    /// Which library runs PP-OCR's models. `quire doctor` says which one is chosen, and why.
    #[arg(long, value_enum, env = "QUIRE_PROVIDER", default_value_t = Wish::Auto)]
    pub(crate) provider: Wish,
    #[command(flatten)]
    pub(crate) routes: Routes,
}

/// Which engines there are.
#[derive(Debug, Clone, Args)]
pub(crate) struct Routes {
    /// The engines, and for each mode who reads: a JSON file, or the JSON itself [default: PP-OCR reads text].
    #[arg(long = "engines", value_name = "FILE", env = "QUIRE_ENGINES", hide_env_values = true)]
    pub(crate) said: Option<String>,
}

impl Routes {
    /// The same, once it makes sense.
    pub(crate) fn config(&self) -> anyhow::Result<Config> {
        Ok(Config::load(self.said.as_deref())?)
    }
}

/// What runs the model.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Device {
    /// The processor.
    Cpu,
    /// The first NVIDIA GPU; needs a build with `--features cuda`.
    Cuda,
}

#[derive(Debug, Args)]
pub(crate) struct Doctor {
    /// How to print it.
    #[arg(long, value_enum, default_value_t = ReportFormat::Text)]
    pub(crate) format: ReportFormat,
    /// Fetch what is not here yet first.
    #[arg(long)]
    pub(crate) fetch: bool,
    #[command(flatten)]
    pub(crate) data: Data,
    #[command(flatten)]
    pub(crate) engine: Engine,
    /// Only try to read, and print how it went as JSON: in a process of its own, since native code may crash.
    #[arg(long, hide = true)]
    pub(crate) trial: bool,
}

/// How a report is printed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum ReportFormat {
    Text,
    Json,
}

#[derive(Debug, Args)]
pub(crate) struct Worker {
    #[command(flatten)]
    pub(crate) place: Place,
    #[command(flatten)]
    pub(crate) engine: Engine,
    /// Given to a child of `serve`, which is tied to it by standard input: the name under which it holds leases.
    #[arg(long, hide = true)]
    pub(crate) holder: Option<String>,
    /// Given to a child of `serve`, which shares the processors with others: how many of them are its own.
    #[arg(long, hide = true)]
    pub(crate) threads: Option<usize>,
}

#[derive(Debug, Args)]
pub(crate) struct Inspect {
    pub(crate) file: PathBuf,
}

#[cfg(test)]
pub(crate) mod tests {
    use clap::CommandFactory;

    use super::*;

    pub(crate) fn parsed(line: &str) -> Result<Command, String> {
        let cli = Cli::try_parse_from(line.split(' '));
        cli.map(|cli| cli.command).map_err(|error| error.to_string())
    }

    #[test]
    fn the_command_line_is_well_formed() {
        Cli::command().debug_assert();
    }

    #[test]
    fn a_mode_is_read_with_what_is_said_for_it() {
        let wanted = |rest: &str| match parsed(&format!("quire read a.pdf {rest}")) {
            Ok(Command::Read(read)) => read.wanted.checked().map_err(|error| error.to_string()),
            Ok(other) => panic!("{other:?}"),
            Err(error) => Err(error),
        };
        let fields = wanted("--mode fields --key total --key date --engine a@1").expect("it makes sense");
        assert_eq!(fields.mode, Mode::Fields { keys: vec!["total".to_owned(), "date".to_owned()] });
        assert_eq!(fields.engine.as_deref(), Some("a@1"));
        assert_eq!(wanted("--format json").expect("text is the default").mode, Mode::Text);
        assert!(wanted("--mode fields").expect_err("no keys").contains("requires keys"));
        assert!(wanted("--language English").expect_err("no use").contains("does not accept language"));
        assert!(wanted("--mode poem").expect_err("no mode").contains("unknown mode"));
    }
}
