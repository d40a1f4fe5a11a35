//! What is to be made of a page: text, or something that only a model which reads whole pages can give.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Serialize};

/// More keys than this make a prompt that no model follows.
pub const MAX_FIELD_KEYS: usize = 64;
/// The longest key, and the longest name of a language, in characters.
pub const MAX_WORD_CHARS: usize = 100;

/// What is to be made of a page, with all that must be said for it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "name")]
pub enum Mode {
    /// Its text.
    #[default]
    Text,
    /// Its text as markdown: tables as HTML, formulas as LaTeX.
    Markdown,
    /// Its text with the place of each line.
    Spotting,
    /// Its tables as HTML.
    Table,
    /// Its formulas as LaTeX.
    Formula,
    /// The values of certain fields.
    Fields {
        /// What the fields are called.
        keys: Vec<String>,
    },
    /// The subtitles of a frame of a film.
    Subtitles,
    /// Its text in another language.
    Translate {
        /// The language, in words that a model knows: `English`, say.
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

/// Why there is no such mode. Decision for all of them: refuse the request.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InvalidMode {
    /// No mode has this name.
    #[error("there is no such mode; there are {}", ModeName::ALL.map(ModeName::as_str).join(", "))]
    Unknown,
    /// The mode asks for something that is not said.
    #[error("the mode {mode} asks for {what}")]
    Missing {
        /// The mode.
        mode: ModeName,
        /// `keys` or `language`.
        what: &'static str,
    },
    /// Something is said that the mode has no use for.
    #[error("the mode {mode} has no use for {what}")]
    Superfluous {
        /// The mode.
        mode: ModeName,
        /// `keys` or `language`.
        what: &'static str,
    },
    /// A key or a language is empty, too long, or no plain text; or there are too many keys.
    #[error("{what} must be up to {MAX_FIELD_KEYS} texts of 1 to {MAX_WORD_CHARS} characters without line breaks")]
    Malformed {
        /// `keys` or `language`.
        what: &'static str,
    },
}

impl InvalidMode {
    /// The part of the request that is at fault: `mode`, `keys` or `language`.
    pub const fn field(&self) -> &'static str {
        match self {
            Self::Unknown => "mode",
            Self::Missing { what, .. } | Self::Superfluous { what, .. } | Self::Malformed { what } => what,
        }
    }
}

impl Mode {
    /// The mode with this name, and with what is said for it.
    ///
    /// # Errors
    /// [`InvalidMode`] when something lacks, is too much, or makes no sense.
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

    /// Its name.
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
    // These two are in no message that SQS takes.
    let odd = |character: char| character.is_control() || matches!(character, '\u{FFFE}' | '\u{FFFF}');
    let plain = !text.chars().any(odd) && !text.trim().is_empty();
    plain && text.chars().count() <= MAX_WORD_CHARS
}

impl ModeName {
    /// All of them.
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

    /// As it is written in requests and answers.
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
    fn a_mode_is_written_with_what_is_said_for_it() {
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
    fn what_lacks_what_is_too_much_and_what_makes_no_sense_is_refused_by_its_field() {
        let refused = |name, keys: &[&str], language: Option<&str>| {
            let keys = keys.iter().map(|key| (*key).to_owned()).collect();
            Mode::new(name, keys, language.map(str::to_owned)).err().map(|error| error.field())
        };
        assert_eq!(refused(ModeName::Fields, &[], None), Some("keys"));
        assert_eq!(refused(ModeName::Text, &["a"], None), Some("keys"));
        assert_eq!(refused(ModeName::Fields, &["a\nb"], None), Some("keys"));
        assert_eq!(refused(ModeName::Fields, &[" "], None), Some("keys"));
        assert_eq!(refused(ModeName::Fields, &["\u{FFFE}"], None), Some("keys"));
        assert_eq!(refused(ModeName::Fields, &["a"; MAX_FIELD_KEYS + 1], None), Some("keys"));
        assert_eq!(refused(ModeName::Translate, &[], None), Some("language"));
        assert_eq!(refused(ModeName::Translate, &[], Some("")), Some("language"));
        assert_eq!(refused(ModeName::Translate, &[], Some(&"x".repeat(MAX_WORD_CHARS + 1))), Some("language"));
        assert_eq!(refused(ModeName::Markdown, &[], Some("English")), Some("language"));
        assert_eq!("poem".parse::<ModeName>().err().map(|error| error.field()), Some("mode"));
    }
}
