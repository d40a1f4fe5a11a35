//! Whether the text that a PDF itself contains is used.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Serialize};

use crate::ModeName;

/// Whether the text that a page of a PDF contains is used instead of reading its image.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TextLayerPolicy {
    /// Where it is complete and agrees with what is printed.
    #[default]
    Auto,
    /// Never: every page is read as an image.
    Never,
    /// Only: no page is read as an image, and the text is not checked.
    Only,
}

/// Error: the text is not a [`TextLayerPolicy`]. Decision: refuse the request.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("unknown text layer policy; expected one of auto, never, only")]
pub struct InvalidTextLayerPolicy;

impl TextLayerPolicy {
    /// All policies.
    pub const ALL: [Self; 3] = [Self::Auto, Self::Never, Self::Only];

    /// Returns the name as it is serialized.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Auto => "auto",
            Self::Never => "never",
            Self::Only => "only",
        }
    }
}

impl TextLayerPolicy {
    /// Returns whether the policy is possible with this mode: what only a model can answer needs an image.
    pub const fn is_possible_with(self, mode: ModeName) -> bool {
        !matches!(self, Self::Only) || matches!(mode, ModeName::Text | ModeName::Markdown | ModeName::Table)
    }
}

impl fmt::Display for TextLayerPolicy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for TextLayerPolicy {
    type Err = InvalidTextLayerPolicy;

    fn from_str(text: &str) -> Result<Self, InvalidTextLayerPolicy> {
        Self::ALL.into_iter().find(|policy| policy.as_str() == text).ok_or(InvalidTextLayerPolicy)
    }
}

/// Where the text of a page comes from.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TextSource {
    /// From its image.
    #[default]
    Ocr,
    /// From the text that its PDF contains.
    TextLayer,
    /// From both: images or drawings on the page were read as well.
    Mixed,
}
