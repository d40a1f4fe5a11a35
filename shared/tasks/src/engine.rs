//! Which engine reads, and how a task is to be read.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Serialize};

use crate::Mode;

/// Which engine read a page.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct EngineName {
    /// `pp-ocr`, say.
    pub name: String,
    /// `v6-small`, say.
    pub version: String,
}

/// Why a text names no engine.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("an engine is named as `name@version`, each of letters, digits, `.`, `_` and `-`")]
pub struct InvalidEngineName;

impl fmt::Display for EngineName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}@{}", self.name, self.version)
    }
}

impl FromStr for EngineName {
    type Err = InvalidEngineName;

    fn from_str(text: &str) -> Result<Self, InvalidEngineName> {
        let plain = |part: &str| {
            let known = part.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"._-".contains(&byte));
            (1..=64).contains(&part.len()) && known
        };
        let (name, version) = text.split_once('@').ok_or(InvalidEngineName)?;
        if !plain(name) || !plain(version) {
            return Err(InvalidEngineName);
        }
        Ok(Self { name: name.to_owned(), version: version.to_owned() })
    }
}

/// How a task's pages are read. It is decided once, when the task is made, and travels with every page: a task never
/// mixes versions because a configuration changed meanwhile.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct ReadAs {
    /// What is to be made of each page.
    #[serde(default)]
    pub mode: Mode,
    /// The engine that reads it first; where none is named, the one that the workers' routes name for the mode.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub engine: Option<EngineName>,
    /// Whether the customer named the engine: then no other may answer.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub pinned: bool,
}

impl ReadAs {
    /// Whether nothing is said that is not usual: text, by whichever engine comes first.
    pub fn is_default(&self) -> bool {
        *self == Self::default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_engine_is_written_with_its_version() {
        let engine: EngineName = "pp-ocr@v6-small".parse().expect("an engine");
        assert_eq!((engine.name.as_str(), engine.version.as_str()), ("pp-ocr", "v6-small"));
        assert_eq!(engine.to_string(), "pp-ocr@v6-small");
        for wrong in ["", "pp-ocr", "@1", "a@", "a@b@c", "a b@1", "a@1/2", &"x".repeat(80)] {
            assert!(wrong.parse::<EngineName>().is_err(), "{wrong}");
        }
    }

    #[test]
    fn what_is_usual_is_what_is_not_said() {
        assert!(serde_json::from_str::<ReadAs>("{}").expect("all is optional").is_default());
        let pinned = ReadAs { mode: Mode::Markdown, engine: "a@1".parse().ok(), pinned: true };
        assert!(!pinned.is_default());
        let text = serde_json::to_string(&pinned).expect("JSON");
        assert_eq!(serde_json::from_str::<ReadAs>(&text).expect("reads back"), pinned);
    }
}
