//! Why generation stopped.

/// Why the text of a page ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StopReason {
    /// The model generated its end token.
    EndOfText,
    /// The token limit was reached; the page may have more text.
    TokenLimit,
    /// The repetition guard stopped the model.
    Repetition,
}
