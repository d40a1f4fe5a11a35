//! Engine names, and the options by which a task's pages are read.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Serialize};

use crate::{Mode, TextLayerPolicy, is_default};

/// The name and version of an engine.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct EngineName {
    /// The name, e.g. `pp-ocr`.
    pub name: String,
    /// The version, e.g. `v6-small`.
    pub version: String,
}

/// Error: the text is not an engine name. Decision: refuse the request.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("an engine name must be `name@version`, each of 1 to 64 letters, digits, `.`, `_` and `-`")]
pub struct InvalidEngineName;

impl fmt::Display for EngineName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}@{}", self.name, self.version)
    }
}

impl FromStr for EngineName {
    type Err = InvalidEngineName;

    fn from_str(text: &str) -> Result<Self, InvalidEngineName> {
        let is_valid_part = |part: &str| {
            let valid = part.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"._-".contains(&byte));
            (1..=64).contains(&part.len()) && valid
        };
        let (name, version) = text.split_once('@').ok_or(InvalidEngineName)?;
        if !is_valid_part(name) || !is_valid_part(version) {
            return Err(InvalidEngineName);
        }
        Ok(Self { name: name.to_owned(), version: version.to_owned() })
    }
}

/// The options by which a task's pages are read. They are resolved once, when the task is created, and are part of
/// every page message: a later configuration change does not affect the task.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct ReadAs {
    /// The output mode. Default: text.
    #[serde(default)]
    pub mode: Mode,
    /// The engine that reads first. Default: the engine that the workers' routes name for the mode.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub engine: Option<EngineName>,
    /// Whether the customer chose the engine, which disables the fallback to other engines.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub pinned: bool,
    /// Whether the text that a PDF itself contains is used. Default: where it agrees with what is printed.
    #[serde(default, skip_serializing_if = "is_default")]
    pub text_layer: TextLayerPolicy,
}

impl ReadAs {
    /// Returns whether all options have their default values. Defaults are not serialized.
    pub fn is_default(&self) -> bool {
        *self == Self::default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_engine_name_has_a_version() {
        let engine: EngineName = "pp-ocr@v6-small".parse().expect("an engine");
        assert_eq!((engine.name.as_str(), engine.version.as_str()), ("pp-ocr", "v6-small"));
        assert_eq!(engine.to_string(), "pp-ocr@v6-small");
        for wrong in ["", "pp-ocr", "@1", "a@", "a@b@c", "a b@1", "a@1/2", &"x".repeat(80)] {
            assert!(wrong.parse::<EngineName>().is_err(), "{wrong}");
        }
    }

    #[test]
    fn default_read_options_are_not_serialized() {
        assert!(serde_json::from_str::<ReadAs>("{}").expect("all fields are optional").is_default());
        let pinned = ReadAs { mode: Mode::Markdown, engine: "a@1".parse().ok(), pinned: true, ..ReadAs::default() };
        assert!(!pinned.is_default());
        let never = ReadAs { text_layer: TextLayerPolicy::Never, ..ReadAs::default() };
        assert_eq!(serde_json::to_string(&never).expect("JSON"), r#"{"mode":{"name":"text"},"text_layer":"never"}"#);
        let text = serde_json::to_string(&pinned).expect("JSON");
        assert_eq!(serde_json::from_str::<ReadAs>(&text).expect("reads back"), pinned);
    }
}
