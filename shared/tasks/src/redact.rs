//! What is to be blacked out of a task's text before anybody keeps it: the policy, and the report of what was.

use serde::{Deserialize, Serialize};

use crate::Polygon;

/// The most patterns of a customer's own.
pub const MAX_PATTERNS: usize = 16;
/// The longest of them, in bytes.
pub const MAX_PATTERN_BYTES: usize = 512;

/// What is to be found and taken out. It is decided when the task is made, and travels with every page.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct RedactPolicy {
    /// The kinds that are known.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub kinds: Vec<RedactKind>,
    /// A customer's own.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub patterns: Vec<RedactPattern>,
}

/// The kinds of text that are known.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RedactKind {
    /// An e-mail address.
    Email,
    /// A telephone number.
    Phone,
    /// A payment card's number: 12 to 19 digits whose last one is right by Luhn's formula (ISO/IEC 7812-1).
    BankCard,
    /// An international bank account number whose check digits are right (ISO 13616).
    Iban,
    /// A resident identity number of the People's Republic of China whose check character is right (GB 11643).
    CnId,
}

impl RedactKind {
    /// All of them.
    pub const ALL: [Self; 5] = [Self::Email, Self::Phone, Self::BankCard, Self::Iban, Self::CnId];

    /// As it is written in requests, reports and in place of what it names.
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

/// A pattern of a customer's own.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RedactPattern {
    /// What stands in place of what it finds: letters, digits, `_` and `-`.
    pub name: String,
    /// A regular expression, without look-around and back-references.
    pub regex: String,
}

/// Something that was taken out of a page.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Redaction {
    /// A [`RedactKind`], or the name of a customer's own pattern.
    pub kind: String,
    /// In which of the page's lines, from 0; `None` for one of its fields.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub line: Option<u32>,
    /// In which of the page's fields.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub field: Option<String>,
    /// From which character of the text as it is kept, from 0, Unicode scalar values counted.
    pub start: u32,
    /// Up to which, not included.
    pub end: u32,
    /// Where it stood on the page, with a margin, if the engine says where the line stands.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub polygon: Option<Polygon>,
}
