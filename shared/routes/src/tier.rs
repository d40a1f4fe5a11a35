//! The tiers of PP-OCR's models.

use std::{fmt, str::FromStr};

use serde::Deserialize;

/// Which models PP-OCR reads with: a compromise between speed and accuracy.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Tier {
    /// PP-OCRv6 tiny: the fastest; 6,904 characters, without kana.
    Tiny,
    /// PP-OCRv6 small: 18,708 characters.
    #[default]
    Small,
    /// Tiny, and small for every line that tiny is not certain of.
    Auto,
}

/// Error: the text is not a tier. Decision: do not start.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("expected one of tiny, small, auto")]
pub struct InvalidTier;

impl Tier {
    /// All tiers.
    pub const ALL: [Self; 3] = [Self::Tiny, Self::Small, Self::Auto];

    /// Returns the name in the configuration and, behind `v6-`, in the version of the engine.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Tiny => "tiny",
            Self::Small => "small",
            Self::Auto => "auto",
        }
    }

    /// Returns whether the tier needs the models of PP-OCRv6 tiny.
    pub const fn uses_tiny(self) -> bool {
        matches!(self, Self::Tiny | Self::Auto)
    }

    /// Returns whether the tier needs the models of PP-OCRv6 small.
    pub const fn uses_small(self) -> bool {
        matches!(self, Self::Small | Self::Auto)
    }
}

impl fmt::Display for Tier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for Tier {
    type Err = InvalidTier;

    fn from_str(text: &str) -> Result<Self, InvalidTier> {
        Self::ALL.into_iter().find(|tier| tier.as_str() == text).ok_or(InvalidTier)
    }
}
