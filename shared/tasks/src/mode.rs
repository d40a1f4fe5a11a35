//! Output modes: what a page is converted to. Modes other than text need a model that reads whole pages.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Serialize};

/// Maximum number of field keys. Models do not follow longer prompts.
pub const MAX_FIELD_KEYS: usize = 64;
/// Maximum length of a field key or a language name, in characters.
pub const MAX_WORD_CHARS: usize = 100;

/// The output mode of a page, with its parameters.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "name")]
pub enum Mode {
    /// Plain text.
    #[default]
    Text,
    /// Markdown, with tables as HTML and formulas as LaTeX.
    Markdown,
    /// Plain text with the position of each line.
    Spotting,
    /// Tables as HTML.
    Table,
    /// Formulas as LaTeX.
    Formula,
    /// Values of the given fields.
    Fields {
        /// Names of the fields.
        keys: Vec<String>,
    },
    /// Subtitles of a film frame.
    Subtitles,
    /// A translation of the text.
    Translate {
        /// The target language, in words that a model knows, e.g. `English`.
        language: String,
    },
}

/// The name of a [`Mode`].
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ModeName {
    /// [`Mode::Text`]
    #[default]
    Text,
    /// [`Mode::Markdown`]
    Markdown,
    /// [`Mode::Spotting`]
    Spotting,
    /// [`Mode::Table`]
    Table,
    /// [`Mode::Formula`]
    Formula,
    /// [`Mode::Fields`]
    Fields,
    /// [`Mode::Subtitles`]
    Subtitles,
    /// [`Mode::Translate`]
    Translate,
}

/// Error: the mode or its parameters are invalid. Decision: refuse the request.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InvalidMode {
    /// The mode is unknown.
    #[error("unknown mode: must be one of {}", ModeName::ALL.map(ModeName::as_str).join(", "))]
    Unknown,
    /// A required parameter is missing.
    #[error("mode {mode} requires {what}")]
    Missing {
        /// The mode.
        mode: ModeName,
        /// `keys` or `language`.
        what: &'static str,
    },
    /// A parameter does not belong to the mode.
    #[error("mode {mode} does not accept {what}")]
    Superfluous {
        /// The mode.
        mode: ModeName,
        /// `keys` or `language`.
        what: &'static str,
    },
    /// A key or a language is empty, too long or not plain text, or there are too many keys.
    #[error("{what} must be at most {MAX_FIELD_KEYS} texts of 1 to {MAX_WORD_CHARS} characters without line breaks")]
    Malformed {
        /// `keys` or `language`.
        what: &'static str,
    },
}

impl InvalidMode {
    /// Returns the request field with the error: `mode`, `keys` or `language`.
    pub const fn field(&self) -> &'static str {
        match self {
            Self::Unknown => "mode",
            Self::Missing { what, .. } | Self::Superfluous { what, .. } | Self::Malformed { what } => what,
        }
    }
}

impl Mode {
    /// Returns the mode with its parameters validated.
    ///
    /// # Errors
    /// [`InvalidMode`] if a parameter is missing, superfluous or malformed.
    pub fn new(name: ModeName, keys: Vec<String>, language: Option<String>) -> Result<Self, InvalidMode> {
        let superfluous = |what| Err(InvalidMode::Superfluous { mode: name, what });
        if !keys.is_empty() && name != ModeName::Fields {
            return superfluous("keys");
        }
        if language.is_some() && name != ModeName::Translate {
            return superfluous("language");
        }
        match name {
            ModeName::Text => Ok(Self::Text),
            ModeName::Markdown => Ok(Self::Markdown),
            ModeName::Spotting => Ok(Self::Spotting),
            ModeName::Table => Ok(Self::Table),
            ModeName::Formula => Ok(Self::Formula),
            ModeName::Subtitles => Ok(Self::Subtitles),
            ModeName::Fields if keys.is_empty() => Err(InvalidMode::Missing { mode: name, what: "keys" }),
            ModeName::Fields if keys.len() > MAX_FIELD_KEYS || !keys.iter().all(|key| is_word(key)) => {
                Err(InvalidMode::Malformed { what: "keys" })
            }
            ModeName::Fields => Ok(Self::Fields { keys }),
            ModeName::Translate => match language {
                None => Err(InvalidMode::Missing { mode: name, what: "language" }),
                Some(language) if is_word(&language) => Ok(Self::Translate { language }),
                Some(_) => Err(InvalidMode::Malformed { what: "language" }),
            },
        }
    }

    /// Returns the mode's name.
    pub const fn name(&self) -> ModeName {
        match self {
            Self::Text => ModeName::Text,
            Self::Markdown => ModeName::Markdown,
            Self::Spotting => ModeName::Spotting,
            Self::Table => ModeName::Table,
            Self::Formula => ModeName::Formula,
            Self::Fields { .. } => ModeName::Fields,
            Self::Subtitles => ModeName::Subtitles,
            Self::Translate { .. } => ModeName::Translate,
        }
    }
}

fn is_word(text: &str) -> bool {
    // SQS refuses messages that contain U+FFFE or U+FFFF.
    let is_forbidden = |character: char| character.is_control() || matches!(character, '\u{FFFE}' | '\u{FFFF}');
    let is_plain = !text.chars().any(is_forbidden) && !text.trim().is_empty();
    is_plain && text.chars().count() <= MAX_WORD_CHARS
}

impl ModeName {
    /// All modes.
    pub const ALL: [Self; 8] = [
        Self::Text,
        Self::Markdown,
        Self::Spotting,
        Self::Table,
        Self::Formula,
        Self::Fields,
        Self::Subtitles,
        Self::Translate,
    ];

    /// Returns the name as it is written in requests and responses.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Text => "text",
            Self::Markdown => "markdown",
            Self::Spotting => "spotting",
            Self::Table => "table",
            Self::Formula => "formula",
            Self::Fields => "fields",
            Self::Subtitles => "subtitles",
            Self::Translate => "translate",
        }
    }
}

impl fmt::Display for ModeName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for ModeName {
    type Err = InvalidMode;

    fn from_str(text: &str) -> Result<Self, InvalidMode> {
        Self::ALL.into_iter().find(|name| name.as_str() == text).ok_or(InvalidMode::Unknown)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mode_is_serialized_with_its_parameters() {
        let fields = Mode::new(ModeName::Fields, vec!["total".to_owned()], None).expect("a mode");
        let written = r#"{"name":"fields","keys":["total"]}"#;
        assert_eq!(serde_json::to_string(&fields).expect("JSON"), written);
        assert_eq!(serde_json::from_str::<Mode>(written).expect("a mode"), fields);
    }

    #[test]
    fn every_mode_has_one_name() {
        for name in ModeName::ALL {
            assert_eq!(name.as_str().parse(), Ok(name));
            assert_eq!(serde_json::to_value(name).ok(), Some(name.as_str().into()));
            let keys = if name == ModeName::Fields { vec!["a".to_owned()] } else { Vec::new() };
            let language = (name == ModeName::Translate).then(|| "English".to_owned());
            assert_eq!(Mode::new(name, keys, language).map(|mode| mode.name()), Ok(name));
        }
    }

    #[test]
    fn an_invalid_mode_names_the_request_field() {
        let invalid_field = |name, keys: &[&str], language: Option<&str>| {
            let keys = keys.iter().map(|key| (*key).to_owned()).collect();
            Mode::new(name, keys, language.map(str::to_owned)).err().map(|error| error.field())
        };
        assert_eq!(invalid_field(ModeName::Fields, &[], None), Some("keys"));
        assert_eq!(invalid_field(ModeName::Text, &["a"], None), Some("keys"));
        assert_eq!(invalid_field(ModeName::Fields, &["a\nb"], None), Some("keys"));
        assert_eq!(invalid_field(ModeName::Fields, &[" "], None), Some("keys"));
        assert_eq!(invalid_field(ModeName::Fields, &["\u{FFFE}"], None), Some("keys"));
        assert_eq!(invalid_field(ModeName::Fields, &["a"; MAX_FIELD_KEYS + 1], None), Some("keys"));
        assert_eq!(invalid_field(ModeName::Translate, &[], None), Some("language"));
        assert_eq!(invalid_field(ModeName::Translate, &[], Some("")), Some("language"));
        assert_eq!(invalid_field(ModeName::Translate, &[], Some(&"x".repeat(MAX_WORD_CHARS + 1))), Some("language"));
        assert_eq!(invalid_field(ModeName::Markdown, &[], Some("English")), Some("language"));
        assert_eq!("poem".parse::<ModeName>().err().map(|error| error.field()), Some("mode"));
    }
}
