//! The words of a line.

use serde::{Deserialize, Serialize};

use crate::Polygon;

/// A word of a line: a run of characters without white space. In scripts that are written without spaces, e.g. Chinese,
/// it is everything up to the next white space or the end of the line.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Word {
    /// The text.
    pub text: String,
    /// The probability that the word is correct, from 0 to 1; `None` if the engine does not report it.
    pub confidence: Option<f32>,
    /// Its position, close around its ink where that can be told.
    pub polygon: Polygon,
}
