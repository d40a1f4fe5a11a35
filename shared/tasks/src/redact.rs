//! Redaction: the policy of a task, and the report of what was removed from a page.

use serde::{Deserialize, Serialize};

use crate::Polygon;

/// Maximum number of custom patterns.
pub const MAX_PATTERNS: usize = 16;
/// Maximum length of a custom pattern, in bytes.
pub const MAX_PATTERN_BYTES: usize = 512;

/// Which text is removed before anything is stored. It is set when the task is created and is part of every page
/// message.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct RedactPolicy {
    /// Predefined kinds of text.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub kinds: Vec<RedactKind>,
    /// Custom patterns.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub patterns: Vec<RedactPattern>,
}

/// Predefined kinds of text that can be redacted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RedactKind {
    /// An e-mail address.
    Email,
    /// A telephone number.
    Phone,
    /// A payment card number: 12 to 19 digits with a valid Luhn check digit (ISO/IEC 7812-1).
    BankCard,
    /// An international bank account number with valid check digits (ISO 13616).
    Iban,
    /// A resident identity number of the People's Republic of China with a valid check character (GB 11643).
    CnId,
}

impl RedactKind {
    /// All kinds.
    pub const ALL: [Self; 5] = [Self::Email, Self::Phone, Self::BankCard, Self::Iban, Self::CnId];

    /// Returns the name as it is written in requests, in reports and in place of the removed text.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Email => "email",
            Self::Phone => "phone",
            Self::BankCard => "bank_card",
            Self::Iban => "iban",
            Self::CnId => "cn_id",
        }
    }
}

/// A custom pattern.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RedactPattern {
    /// The name written in place of each match: letters, digits, `_` and `-`.
    pub name: String,
    /// A regular expression without look-around and backreferences.
    pub regex: String,
}

/// A match that was removed from a page.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Redaction {
    /// A [`RedactKind`] or the name of a custom pattern.
    pub kind: String,
    /// Index of the page's line, from 0; `None` if the match is in a field.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub line: Option<u32>,
    /// Name of the field, if the match is in a field.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub field: Option<String>,
    /// Start of the replacement in the stored text: index of the first character (Unicode scalar value), from 0.
    pub start: u32,
    /// End of the replacement, exclusive.
    pub end: u32,
    /// Position on the page with a margin, if the engine reports positions.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub polygon: Option<Polygon>,
}
