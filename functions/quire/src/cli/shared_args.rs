//! Arguments that several subcommands share: the backend and the engines.

use std::path::PathBuf;

use clap::{
    Args, ValueEnum,
    builder::{PossibleValue, PossibleValuesParser, TypedValueParser},
};
use quire_routes::{Config, Tier};

/// The backend that a command works on.
#[derive(Debug, Clone, Args)]
pub(crate) struct DeploymentArgs {
    /// The backend: a folder on this machine, or AWS, configured by `QUIRE_AWS_BUCKET` and related variables.
    #[arg(long, value_enum, env = "QUIRE_PLATFORM", default_value_t = BackendKind::Embedded)]
    pub(crate) platform: BackendKind,
    #[command(flatten)]
    pub(crate) data: DataDirArgs,
}

/// The kinds of backends.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum BackendKind {
    Embedded,
    Aws,
}

/// The folder of an embedded backend.
#[derive(Debug, Clone, Args)]
pub(crate) struct DataDirArgs {
    /// The data folder [default: quire in the user's data folder].
    #[arg(long = "data", value_name = "DIR", env = "QUIRE_DATA")]
    dir: Option<PathBuf>,
}

impl DataDirArgs {
    /// Returns the given folder. Default: `quire` in the data folder of the XDG base directory specification, or in
    /// `Application Support` on macOS.
    ///
    /// # Errors
    /// When no folder is given and the user has no home folder.
    pub(crate) fn dir(&self) -> anyhow::Result<PathBuf> {
        if let Some(dir) = &self.dir {
            return Ok(dir.clone());
        }
        if let Some(base) = std::env::var_os("XDG_DATA_HOME") {
            return Ok(PathBuf::from(base).join("quire"));
        }
        let base = if cfg!(target_os = "macos") { "Library/Application Support" } else { ".local/share" };
        match std::env::home_dir() {
            Some(home) => Ok(home.join(base).join("quire")),
            None => Err(anyhow::anyhow!("the user has no home folder: name a data folder with --data DIR")),
        }
    }
}

/// The configured engines.
#[derive(Debug, Clone, Args)]
pub(crate) struct RoutesArgs {
    /// Engines and routes: a JSON file, or the JSON itself [default: PP-OCR reads text].
    #[arg(long = "engines", value_name = "FILE", env = "QUIRE_ENGINES", hide_env_values = true)]
    pub(crate) engines: Option<String>,
    /// The models of PP-OCR engines that name none.
    #[arg(long, env = "QUIRE_TIER", default_value_t, value_parser = tier_parser())]
    pub(crate) tier: Tier,
}

/// Parses `--tier`, with a help text for each value.
fn tier_parser() -> impl TypedValueParser<Value = Tier> {
    let values = Tier::ALL.map(|tier| {
        PossibleValue::new(tier.as_str()).help(match tier {
            Tier::Tiny => "PP-OCRv6 tiny: the fastest, with more errors and fewer characters",
            Tier::Small => "PP-OCRv6 small",
            Tier::Auto => "Tiny, and small for every line that tiny is not certain of; only on a CPU",
        })
    });
    PossibleValuesParser::new(values).try_map(|name| name.parse())
}

impl RoutesArgs {
    /// Loads the configuration.
    ///
    /// # Errors
    /// When it cannot be read or is invalid.
    pub(crate) fn config(&self) -> anyhow::Result<Config> {
        Ok(Config::load(self.engines.as_deref(), self.tier)?)
    }
}
