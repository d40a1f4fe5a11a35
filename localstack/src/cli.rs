//! What the command takes.

use std::{net::SocketAddr, num::NonZero, path::PathBuf};

use clap::{Args, Parser, Subcommand, ValueEnum};
use quire_dead_letter::Kind;

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
    /// See what could not be done, and have it tried again.
    #[command(subcommand)]
    DeadLetters(DeadLetters),
    /// Print the secret that callbacks are signed with; it is made on first use.
    WebhookSecret(Place),
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
    /// How many pages are read at the same time [default: one a processor].
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=256))]
    pub(crate) workers: Option<u16>,
    #[command(flatten)]
    pub(crate) engine: Engine,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Format {
    Text,
    Json,
    Markdown,
}

#[derive(Debug, Args)]
pub(crate) struct Serve {
    /// Where to listen.
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:8000")]
    pub(crate) listen: SocketAddr,
    #[command(flatten)]
    pub(crate) place: Place,
    /// How many pages are read at the same time; 0 if that is others' work [default: one a processor].
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(0..=256))]
    pub(crate) workers: Option<u16>,
    #[command(flatten)]
    pub(crate) engine: Engine,
    /// For development: let callbacks and `image_url` use plain HTTP to this machine.
    #[arg(long)]
    pub(crate) dev: bool,
}

/// Which home.
#[derive(Debug, Clone, Args)]
pub(crate) struct Place {
    /// Where everything is kept: in a folder on this machine, or on AWS, as `QUIRE_AWS_BUCKET` and its like say.
    #[arg(long, value_enum, env = "QUIRE_PLATFORM", default_value_t = Platform::Embedded)]
    pub(crate) platform: Platform,
    #[command(flatten)]
    pub(crate) data: Data,
}

/// The two kinds of homes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Platform {
    Embedded,
    Aws,
}

/// Where an embedded home is.
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
        let in_home = |home: PathBuf| {
            let base = if cfg!(target_os = "macos") { "Library/Application Support" } else { ".local/share" };
            home.join(base).join("quire")
        };
        named
            .or_else(|| std::env::home_dir().map(in_home))
            .ok_or_else(|| anyhow::anyhow!("there is no home folder: name a data folder with --data DIR"))
    }
}

#[derive(Debug, Clone, Copy, Args)]
pub(crate) struct Engine {
    /// What runs the model.
    #[arg(long, value_enum, env = "QUIRE_DEVICE", default_value_t = Device::Cpu)]
    pub(crate) device: Device,
}

impl Engine {
    /// How many workers there are to be, unless a number is given. On a CPU several threads in one run only get into each other's way, so there is
    /// a worker for each processor; a GPU is kept busy by one.
    pub(crate) fn workers(self, given: Option<u16>) -> usize {
        let processors = || std::thread::available_parallelism().map_or(1, NonZero::get);
        given.map_or_else(|| if self.device == Device::Cuda { 1 } else { processors() }, usize::from)
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

#[derive(Debug, Subcommand)]
pub(crate) enum DeadLetters {
    /// List them.
    List {
        /// Of one kind only.
        #[arg(value_name = "pages|documents|callbacks")]
        queue: Option<Kind>,
        #[command(flatten)]
        place: Place,
    },
    /// Show one, whole.
    Show {
        /// Its kind.
        #[arg(value_name = "pages|documents|callbacks")]
        queue: Kind,
        /// Its name, as `list` shows it.
        name: String,
        #[command(flatten)]
        place: Place,
    },
    /// Have them tried again. Pages of ended tasks are opened in a new round, at whose end the callback is sent anew.
    Redrive {
        /// Which kind. A failed document must be submitted again instead.
        #[arg(value_name = "pages|callbacks")]
        queue: Kind,
        /// Only these; all of the kind unless given.
        names: Vec<String>,
        #[command(flatten)]
        place: Place,
    },
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
}

#[derive(Debug, Args)]
pub(crate) struct Inspect {
    pub(crate) file: PathBuf,
}
