//! The operator's configuration of engines and routes.

mod file;

use std::{
    collections::{BTreeMap, BTreeSet},
    path::PathBuf,
};

use quire_tasks::{ApiDialect, EngineName, ModeName, Script};
use quire_telemetry::env::{self, Misconfigured};
use serde::Deserialize;

use crate::{BreakerSettings, CanaryLimits, InvalidTier, Tier};

const VARIABLE: &str = "QUIRE_ENGINES";
const TIER: &str = "QUIRE_TIER";
/// The default for `QUIRE_ENGINES`, with a placeholder for the tier.
const DEFAULT_CONFIG: &str = r#"{
    "engines": {"pp-ocr@v6-TIER": {"kind": "pp-ocr"}},
    "routes": [{"modes": ["text", "markdown", "table"], "primary": "pp-ocr@v6-TIER"}]
}"#;

/// Engines, and for each mode a route through them.
///
/// ```
/// use quire_routes::Config;
/// use quire_tasks::ModeName;
///
/// let config = Config::parse(
///     r#"{
///         "engines": {
///             "pp-ocr@v6-small": {"kind": "pp-ocr"},
///             "hunyuan@1": {"kind": "openai", "url": "http://127.0.0.1:8080/v1", "model": "HunyuanOCR"}
///         },
///         "routes": [
///             {"modes": ["text"], "primary": "pp-ocr@v6-small", "fallback": "hunyuan@1", "fallback_below": 0.8},
///             {"modes": ["markdown", "table"], "primary": "hunyuan@1"}
///         ]
///     }"#,
/// )?;
/// let route = config.route(ModeName::Text).expect("text has a route");
/// assert_eq!(route.primary.to_string(), "pp-ocr@v6-small");
/// assert!(config.route(ModeName::Formula).is_none());
/// # Ok::<(), quire_routes::InvalidConfig>(())
/// ```
#[derive(Debug, Clone, PartialEq)]
pub struct Config {
    /// The engines, by name.
    pub engines: BTreeMap<EngineName, EngineEntry>,
    /// The routes. Each mode has at most one.
    pub routes: Vec<Route>,
    /// The engines for scripts that the routes' engines cannot read. Each script has at most one.
    pub script_routes: Vec<ScriptRoute>,
    /// When an engine's circuit breaker opens.
    pub breaker: BreakerSettings,
    /// When a canary is rolled back.
    pub canary: CanaryLimits,
}

/// A configured engine.
#[derive(Debug, Clone, PartialEq)]
pub struct EngineEntry {
    /// The name and version, which every result of the engine carries.
    pub engine: EngineName,
    /// The kind of engine and its settings.
    pub kind: EngineKind,
    /// The modes that the engine offers.
    pub modes: BTreeSet<ModeName>,
}

/// The kind of an engine, with its settings.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(tag = "kind", rename_all = "kebab-case")]
pub enum EngineKind {
    /// PP-OCR: lines of text with their polygons.
    PpOcr(PpOcrEntry),
    /// HunyuanOCR with ONNX Runtime, in the worker.
    HunyuanOcr(HunyuanEntry),
    /// A server with an OpenAI-compatible API.
    Openai(OpenAiEntry),
    /// The operating system's `tesseract` program.
    Tesseract(TesseractEntry),
}

/// Settings of PP-OCR. Without any, its models are downloaded automatically.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PpOcrEntry {
    /// Which of the downloaded models are used. Default: that of the worker's `--tier`.
    #[serde(default)]
    pub tier: Option<Tier>,
    /// The folder of another model of the PP-OCR family, with its manifest.
    #[serde(default)]
    pub folder: Option<PathBuf>,
}

/// Settings of HunyuanOCR in the worker.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct HunyuanEntry {
    /// The folder with the exported model.
    pub folder: PathBuf,
    /// Pages decoded at the same time. Default: by the device.
    pub slots: Option<usize>,
    /// Tokens of one page, those of its image included. Default: by the device.
    pub slot_tokens: Option<usize>,
    /// Larger pages are downscaled to this many pixels. Default: by the device.
    pub max_pixels: Option<usize>,
}

/// Settings of a server with an OpenAI-compatible API.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct OpenAiEntry {
    /// The base URL, up to and including `/v1`.
    pub url: String,
    /// The model's name on the server.
    pub model: String,
    /// The fields that the server accepts beyond the protocol's. Default: none.
    #[serde(default)]
    pub dialect: ApiDialect,
    /// Concurrent requests of each worker. Default: 16.
    #[serde(default = "default_concurrency")]
    pub concurrency: usize,
    /// Timeout for one page in seconds, all retries included. Default: 110.
    #[serde(default = "default_timeout_secs")]
    pub timeout_secs: u64,
    /// The name of the environment variable with the API key. Default: no key.
    pub api_key_env: Option<String>,
    /// The largest number of tokens of an answer. Default: 4096.
    #[serde(default = "default_max_tokens")]
    pub max_tokens: u32,
    /// The modes that the server offers. Default: all.
    pub modes: Option<BTreeSet<ModeName>>,
    /// Prompts by mode, for another model than HunyuanOCR. `{keys}` and `{language}` are replaced by the task's values.
    #[serde(default)]
    pub prompts: BTreeMap<ModeName, String>,
}

/// Settings of the `tesseract` program.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TesseractEntry {
    /// The languages by Tesseract's names, e.g. `rus`, the most frequent one first.
    pub languages: Vec<String>,
    /// The program: a path, or a name that is looked up in `PATH`. Default: `tesseract`.
    #[serde(default = "default_program")]
    pub program: PathBuf,
    /// Pages at once, per worker. Default: 2.
    #[serde(default = "default_processes")]
    pub concurrency: usize,
    /// Timeout for one page in seconds. Default: 60.
    #[serde(default = "default_process_timeout_secs")]
    pub timeout_secs: u64,
}

fn default_program() -> PathBuf {
    "tesseract".into()
}

const fn default_processes() -> usize {
    2
}

const fn default_process_timeout_secs() -> u64 {
    60
}

/// Enough to keep a server's batch full, and few enough for any server's queue.
const fn default_concurrency() -> usize {
    16
}

const fn default_timeout_secs() -> u64 {
    110
}

const fn default_max_tokens() -> u32 {
    4_096
}

/// The engines that read the pages of some modes.
#[derive(Debug, Clone, PartialEq)]
pub struct Route {
    /// The modes.
    pub modes: BTreeSet<ModeName>,
    /// The engine that reads first.
    pub primary: EngineName,
    /// The engine that reads what the first could not.
    pub fallback: Option<EngineName>,
    /// The fallback also reads a page if the first engine's confidence is below this, from 0 to 1. Default: 0.
    pub fallback_below: f32,
    /// A page whose confidence is below this is filed for review, from 0 to 1. Default: 0.
    pub review_below: f32,
    /// A new version that gets a share of the tasks.
    pub canary: Option<Canary>,
}

/// The engine that reads lines in some scripts, on pages of the mode `text` whose engine cannot read them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ScriptRoute {
    /// The scripts.
    pub scripts: BTreeSet<Script>,
    /// The engine.
    pub primary: EngineName,
}

/// A new version of an engine on trial.
#[derive(Debug, Clone, PartialEq)]
pub struct Canary {
    /// The engine.
    pub engine: EngineName,
    /// Its share of the tasks, from 0 to 1.
    pub share: f64,
}

/// Why a configuration is invalid. Decision: do not start.
#[derive(Debug, thiserror::Error)]
pub enum InvalidConfig {
    /// The JSON cannot be parsed.
    #[error("{0}")]
    Malformed(#[from] serde_json::Error),
    /// The JSON is well-formed, and its content is invalid.
    #[error("{0}")]
    Contradiction(String),
}

impl Default for Config {
    /// PP-OCR alone.
    fn default() -> Self {
        Self::of_tier(Tier::default())
    }
}

impl Config {
    /// Calls [`Config::load`] with the environment variables `QUIRE_ENGINES` and `QUIRE_TIER`.
    ///
    /// # Errors
    /// [`Misconfigured`] when the configuration cannot be read or is invalid.
    pub fn from_env() -> Result<Self, Misconfigured> {
        let tier = match env::text(TIER)?.filter(|tier| !tier.is_empty()) {
            Some(value) => {
                value.parse().map_err(|why: InvalidTier| Misconfigured { name: TIER, value, why: why.to_string() })?
            }
            None => Tier::default(),
        };
        Self::load(env::text(VARIABLE)?.as_deref(), tier)
    }

    /// Returns the configuration with PP-OCR of this tier alone.
    ///
    /// # Panics
    /// Never: a test parses the configuration of each tier.
    pub fn of_tier(tier: Tier) -> Self {
        Self::parse(&DEFAULT_CONFIG.replace("TIER", tier.as_str())).expect("the default configuration is valid")
    }

    /// Loads a configuration from a value of `QUIRE_ENGINES`: the path of a JSON file, or the JSON itself. Default:
    /// PP-OCR of this tier alone.
    ///
    /// # Errors
    /// [`Misconfigured`] when the configuration cannot be read or is invalid.
    pub fn load(value: Option<&str>, tier: Tier) -> Result<Self, Misconfigured> {
        let Some(value) = value.filter(|value| !value.is_empty()) else { return Ok(Self::of_tier(tier)) };
        let is_inline = value.trim_start().starts_with('{');
        let parsed = if is_inline {
            Self::parse(value).map_err(|error| error.to_string())
        } else {
            let text = std::fs::read_to_string(value).map_err(|error| error.to_string());
            text.and_then(|text| Self::parse(&text).map_err(|error| error.to_string()))
        };
        let shown = if is_inline { "{…}" } else { value };
        parsed.map_err(|why| Misconfigured { name: VARIABLE, value: shown.to_owned(), why })
    }

    /// Returns the route of a mode.
    pub fn route(&self, mode: ModeName) -> Option<&Route> {
        self.routes.iter().find(|route| route.modes.contains(&mode))
    }

    /// Returns the modes that have a route.
    pub fn modes(&self) -> BTreeSet<ModeName> {
        self.routes.iter().flat_map(|route| route.modes.iter().copied()).collect()
    }
}

impl EngineKind {
    fn modes(&self) -> BTreeSet<ModeName> {
        match self {
            // They read lines; Markdown and tables are made of the lines' positions.
            Self::PpOcr(_) | Self::Tesseract(_) => [ModeName::Text, ModeName::Markdown, ModeName::Table].into(),
            Self::HunyuanOcr(_) => ModeName::ALL.into(),
            Self::Openai(entry) => entry.modes.clone().unwrap_or_else(|| ModeName::ALL.into()),
        }
    }
}

#[cfg(test)]
mod tests;
