//! Why a page's text ends where it does.

/// Why a page's text ends where it does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StopReason {
    /// The model said that this is all.
    EndOfText,
    /// It had as many tokens as it may; there may be more on the page.
    TokenLimit,
    /// It went round in circles and was stopped.
    Repetition,
}
