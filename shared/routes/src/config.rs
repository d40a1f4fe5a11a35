//! What the operator says of engines and routes.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::PathBuf,
};

use quire_tasks::{EngineName, ModeName};
use quire_telemetry::env::{self, Misconfigured};
use serde::Deserialize;

use crate::{BreakerSettings, CanaryLimits};

const VARIABLE: &str = "QUIRE_ENGINES";
/// What `QUIRE_ENGINES` says where it is unset.
const BUILT_IN: &str = r#"{
    "engines": {"pp-ocr@v6-small": {"kind": "pp-ocr"}},
    "routes": [{"modes": ["text"], "primary": "pp-ocr@v6-small"}]
}"#;

/// Engines, and for each mode a route through them.
#[derive(Debug, Clone, PartialEq)]
pub struct Config {
    /// The engines, by name.
    pub engines: BTreeMap<EngineName, EngineEntry>,
    /// The routes. Each mode is in one of them at most.
    pub routes: Vec<Route>,
    /// When an engine is not asked any more.
    pub breaker: BreakerSettings,
    /// When a canary is worse than what it is to replace.
    pub canary: CanaryLimits,
}

/// An engine.
#[derive(Debug, Clone, PartialEq)]
pub struct EngineEntry {
    /// What answers are signed with.
    pub engine: EngineName,
    /// What it is.
    pub kind: Kind,
    /// What can be asked of it.
    pub modes: BTreeSet<ModeName>,
}

/// What an engine is.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(tag = "kind", rename_all = "kebab-case")]
pub enum Kind {
    /// PP-OCR, whose models come with the program: lines of text with their places.
    PpOcr {},
    /// HunyuanOCR through ONNX Runtime, in the worker.
    HunyuanOcr(HunyuanEntry),
    /// A server that speaks OpenAI's protocol.
    Openai(OpenAiEntry),
}

/// HunyuanOCR in the worker.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct HunyuanEntry {
    /// The folder that the exporter has made.
    pub folder: PathBuf,
    /// Pages that are decoded together.
    pub slots: Option<usize>,
    /// Tokens of one page, its picture's included.
    pub slot_tokens: Option<usize>,
    /// Pixels that larger pages are reduced to.
    pub max_pixels: Option<usize>,
}

/// A server that speaks OpenAI's protocol.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct OpenAiEntry {
    /// Where it is: up to and with `/v1`.
    pub url: String,
    /// The model's name there.
    pub model: String,
    /// Which fields it takes beyond the protocol's.
    #[serde(default)]
    pub dialect: Dialect,
    /// Pages that are asked for at the same time, by each worker.
    #[serde(default = "default_concurrency")]
    pub concurrency: usize,
    /// How long one page may take, with all that is tried again.
    #[serde(default = "default_timeout_secs")]
    pub timeout_secs: u64,
    /// The environment variable that holds its key.
    pub api_key_env: Option<String>,
    /// Tokens of an answer.
    #[serde(default = "default_max_tokens")]
    pub max_tokens: u32,
    /// What can be asked of it; everything unless said.
    pub modes: Option<BTreeSet<ModeName>>,
    /// How it is asked, by mode, where it is another model than HunyuanOCR. `{keys}` and `{language}` stand for what the
    /// task wants.
    #[serde(default)]
    pub prompts: BTreeMap<ModeName, String>,
}

/// Which fields a server takes beyond the protocol's.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Dialect {
    /// None.
    #[default]
    Plain,
    /// Those of vLLM and SGLang.
    Vllm,
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

/// The way of a task's pages.
#[derive(Debug, Clone, PartialEq)]
pub struct Route {
    /// Of which modes.
    pub modes: BTreeSet<ModeName>,
    /// Who reads first.
    pub primary: EngineName,
    /// Who reads what the first could not.
    pub fallback: Option<EngineName>,
    /// The fallback is asked, too, where the first is less sure than this.
    pub fallback_below: f32,
    /// A page whose best answer is less sure than this is put on the review queue.
    pub review_below: f32,
    /// A new version that gets a share of the tasks.
    pub canary: Option<Canary>,
}

/// A new version on trial.
#[derive(Debug, Clone, PartialEq)]
pub struct Canary {
    /// Which.
    pub engine: EngineName,
    /// The share of the tasks that it gets, from 0 to 1.
    pub share: f64,
}

/// Why a configuration cannot be followed. Decision: do not start.
#[derive(Debug, thiserror::Error)]
pub enum InvalidConfig {
    /// It is no JSON of the expected form.
    #[error("{0}")]
    Malformed(#[from] serde_json::Error),
    /// It contradicts itself.
    #[error("{0}")]
    Contradiction(String),
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Written {
    engines: BTreeMap<String, Kind>,
    routes: Vec<WrittenRoute>,
    #[serde(default)]
    breaker: BreakerSettings,
    #[serde(default)]
    canary: CanaryLimits,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct WrittenRoute {
    modes: BTreeSet<ModeName>,
    primary: String,
    fallback: Option<String>,
    #[serde(default)]
    fallback_below: f32,
    #[serde(default)]
    review_below: f32,
    canary: Option<WrittenCanary>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct WrittenCanary {
    engine: String,
    share: f64,
}

impl Default for Config {
    /// PP-OCR alone.
    fn default() -> Self {
        Self::parse(BUILT_IN).expect("what is built in is well-formed")
    }
}

impl Config {
    /// As [`Config::load`], of what the variable `QUIRE_ENGINES` says.
    ///
    /// # Errors
    /// [`Misconfigured`] when it cannot be read or followed.
    pub fn from_env() -> Result<Self, Misconfigured> {
        Self::load(env::text(VARIABLE)?.as_deref())
    }

    /// What an operator says: the name of a JSON file, or the JSON itself; PP-OCR alone where nothing is said.
    ///
    /// # Errors
    /// [`Misconfigured`] when it cannot be read or followed.
    pub fn load(said: Option<&str>) -> Result<Self, Misconfigured> {
        let Some(said) = said.filter(|said| !said.is_empty()) else { return Ok(Self::default()) };
        let inline = said.trim_start().starts_with('{');
        let text = if inline { Ok(said.to_owned()) } else { std::fs::read_to_string(said) };
        let parsed =
            text.map_err(|error| error.to_string()).and_then(|text| Self::parse(&text).map_err(|e| e.to_string()));
        let value = if inline { "{…}" } else { said };
        parsed.map_err(|why| Misconfigured { name: VARIABLE, value: value.to_owned(), why })
    }

    /// Reads a configuration.
    ///
    /// # Errors
    /// [`InvalidConfig`] says what is wrong.
    pub fn parse(json: &str) -> Result<Self, InvalidConfig> {
        let Written { engines, routes, breaker, canary } = serde_json::from_str(json)?;
        let engines = engines.into_iter().map(|(name, kind)| Ok((engine_name(&name)?, kind)));
        let entry = |(engine, kind): (EngineName, Kind)| {
            let modes = kind.modes();
            (engine.clone(), EngineEntry { engine, kind, modes })
        };
        let engines = engines.map(|read| read.map(entry)).collect::<Result<_, InvalidConfig>>()?;
        let routes = routes.into_iter().map(WrittenRoute::read).collect::<Result<_, _>>()?;
        let config = Self { engines, routes, breaker, canary };
        config.check().map_err(InvalidConfig::Contradiction)?;
        Ok(config)
    }

    /// The route of a mode.
    pub fn route(&self, mode: ModeName) -> Option<&Route> {
        self.routes.iter().find(|route| route.modes.contains(&mode))
    }

    /// The modes that have a route.
    pub fn modes(&self) -> BTreeSet<ModeName> {
        self.routes.iter().flat_map(|route| route.modes.iter().copied()).collect()
    }

    fn check(&self) -> Result<(), String> {
        let mut routed = BTreeSet::new();
        if self.routes.is_empty() {
            return Err("there is no route".to_owned());
        }
        for route in &self.routes {
            if route.modes.is_empty() {
                return Err("a route has no modes".to_owned());
            }
            if let Some(twice) = route.modes.iter().find(|mode| !routed.insert(**mode)) {
                return Err(format!("the mode {twice} has two routes"));
            }
            self.check_route(route)?;
        }
        self.engines.values().try_for_each(EngineEntry::check)?;
        self.breaker.check()
    }

    fn check_route(&self, route: &Route) -> Result<(), String> {
        let canary = route.canary.as_ref();
        let named = [Some(&route.primary), route.fallback.as_ref(), canary.map(|canary| &canary.engine)];
        let mut seen = BTreeSet::new();
        for engine in named.into_iter().flatten() {
            let entry = self.engines.get(engine).ok_or_else(|| format!("there is no engine {engine}"))?;
            if let Some(mode) = route.modes.iter().find(|mode| !entry.modes.contains(mode)) {
                return Err(format!("{engine} does not read in the mode {mode}"));
            }
            if !seen.insert(engine) {
                return Err(format!("a route names {engine} twice"));
            }
        }
        let shares = [f64::from(route.fallback_below), f64::from(route.review_below)];
        if shares.into_iter().chain(canary.map(|canary| canary.share)).any(|share| !(0.0..=1.0).contains(&share)) {
            return Err("shares and confidences are from 0 to 1".to_owned());
        }
        Ok(())
    }
}

impl WrittenRoute {
    fn read(self) -> Result<Route, InvalidConfig> {
        let canary =
            |WrittenCanary { engine, share }| Ok::<_, InvalidConfig>(Canary { engine: engine_name(&engine)?, share });
        Ok(Route {
            modes: self.modes,
            primary: engine_name(&self.primary)?,
            fallback: self.fallback.as_deref().map(engine_name).transpose()?,
            fallback_below: self.fallback_below,
            review_below: self.review_below,
            canary: self.canary.map(canary).transpose()?,
        })
    }
}

fn engine_name(text: &str) -> Result<EngineName, InvalidConfig> {
    text.parse().map_err(|why| InvalidConfig::Contradiction(format!("{text:?}: {why}")))
}

impl Kind {
    fn modes(&self) -> BTreeSet<ModeName> {
        match self {
            Self::PpOcr {} => [ModeName::Text].into(),
            Self::HunyuanOcr(_) => ModeName::ALL.into(),
            Self::Openai(entry) => entry.modes.clone().unwrap_or_else(|| ModeName::ALL.into()),
        }
    }
}

impl EngineEntry {
    /// Whether it runs in the worker's own process.
    pub const fn is_local(&self) -> bool {
        !matches!(self.kind, Kind::Openai(_))
    }

    fn check(&self) -> Result<(), String> {
        let Kind::Openai(entry) = &self.kind else { return Ok(()) };
        let ranges = (1..=1024).contains(&entry.concurrency) && (1..=3600).contains(&entry.timeout_secs);
        if !ranges || entry.max_tokens == 0 {
            return Err(format!(
                "{}: concurrency is from 1 to 1024, timeout_secs to 3600, max_tokens from 1",
                self.engine
            ));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Two engines that read everything, and a route with these further members.
    fn routed(members: &str) -> String {
        let server = r#"{"kind": "openai", "url": "http://127.0.0.1:1/v1", "model": "m"}"#;
        format!(
            r#"{{"engines": {{"pp-ocr@v6-small": {{"kind": "pp-ocr"}}, "a@1": {server}, "a@2": {server}}},
                "routes": [{{"modes": ["text", "markdown"], "primary": "a@1"{members}}}]}}"#
        )
    }

    fn refused(json: &str) -> String {
        Config::parse(json).expect_err("it is wrong").to_string()
    }

    #[test]
    fn what_is_built_in_reads_text_with_pp_ocr() {
        let config = Config::default();
        assert_eq!(config.modes(), [ModeName::Text].into());
        assert_eq!(config.routes[0].primary.to_string(), "pp-ocr@v6-small");
    }

    #[test]
    fn a_configuration_is_a_file_or_the_json_itself() {
        let json = routed("");
        let dir = tempfile::tempdir().expect("a folder");
        let file = dir.path().join("engines.json");
        std::fs::write(&file, &json).expect("written");
        let file = file.to_str().expect("a plain name");
        let expected = Config::parse(&json).expect("it is right");
        for said in [file, &json, &format!("\n {json}")] {
            assert_eq!(Config::load(Some(said)).as_ref(), Ok(&expected));
        }
        for unsaid in [None, Some("")] {
            assert_eq!(Config::load(unsaid), Ok(Config::default()));
        }
        let missing = Config::load(Some("no-such-file.json")).expect_err("there is none");
        assert!(missing.to_string().starts_with("QUIRE_ENGINES=\"no-such-file.json\": "), "{missing}");
        let wrong = Config::load(Some("{}")).expect_err("it is wrong").to_string();
        assert!(wrong.contains("{…}") && wrong.contains("engines"), "{wrong}");
    }

    #[test]
    fn a_route_has_a_fallback_thresholds_and_a_canary() {
        let members = r#", "fallback": "a@2", "fallback_below": 0.8, "review_below": 0.5"#;
        let config = Config::parse(&routed(members)).expect("it is right");
        let route = config.route(ModeName::Markdown).expect("a route");
        assert_eq!(route.fallback, "a@2".parse().ok());
        assert!((route.fallback_below - 0.8).abs() < 1e-6 && (route.review_below - 0.5).abs() < 1e-6);
        assert_eq!(config.route(ModeName::Table), None);
        let members = r#", "canary": {"engine": "a@2", "share": 0.1}"#;
        let config = Config::parse(&routed(members)).expect("it is right");
        assert_eq!(config.routes[0].canary.as_ref().map(|canary| canary.engine.to_string()), Some("a@2".to_owned()));
    }

    #[test]
    fn a_configuration_that_contradicts_itself_says_where() {
        for (members, why) in [
            (r#", "fallback": "b@1""#, "there is no engine b@1"),
            (r#", "fallback": "a@1""#, "a route names a@1 twice"),
            (r#", "fallback": "pp-ocr@v6-small""#, "pp-ocr@v6-small does not read in the mode markdown"),
            (r#", "fallback": "nonsense""#, "name@version"),
            (r#", "review_below": 1.5"#, "from 0 to 1"),
            (r#", "canary": {"engine": "a@2", "share": -0.1}"#, "from 0 to 1"),
            (r#", "falback": "a@2""#, "unknown field `falback`"),
        ] {
            let said = refused(&routed(members));
            assert!(said.contains(why), "{members}: {said}");
        }
        assert!(refused(r#"{"engines": {}, "routes": []}"#).contains("no route"));
        assert!(refused("{").contains("EOF"));
        assert!(
            refused(&routed("").replace("\"model\": \"m\"", "\"model\": \"m\", \"concurrency\": 0"))
                .contains("concurrency")
        );
    }
}
