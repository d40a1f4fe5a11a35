//! Pages that need review by an operator.

use serde::{Deserialize, Serialize};

use crate::{EngineName, PageRef, UnixMillis};

/// A page that no engine could read, or that was read with less confidence than its route requires. It is stored in
/// the review collection under [`ReviewEntry::key`] until an operator accepts or corrects it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ReviewEntry {
    /// The page.
    pub page: PageRef,
    /// The round in which the page ended.
    pub round: u32,
    /// Why it needs review.
    pub reason: ReviewReason,
    /// The failure, or the confidence and its threshold, as text for the operator. It contains no text of the
    /// document.
    pub detail: String,
    /// The engine that read it, or that failed last.
    pub engine: Option<EngineName>,
    /// The confidence of that engine's text.
    pub confidence: Option<f32>,
    /// When the entry was created.
    pub filed_at: UnixMillis,
    /// The claim of an operator while correcting it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub claim: Option<ReviewClaim>,
}

/// Why a page needs review.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ReviewReason {
    /// Its confidence is below its route's threshold.
    LowConfidence,
    /// No engine could read it.
    Unreadable,
    /// Its text is known to be incomplete, by a warning.
    TextMissing,
}

/// A claim: an operator is correcting the page. It expires.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReviewClaim {
    /// The operator, by the name they gave.
    pub by: String,
    /// When the claim was made.
    pub at: UnixMillis,
}

impl ReviewReason {
    /// Returns the name as it is written in responses.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::LowConfidence => "low_confidence",
            Self::Unreadable => "unreadable",
            Self::TextMissing => "text_missing",
        }
    }
}

impl ReviewEntry {
    /// Returns the entry's record key.
    pub fn key(&self) -> String {
        Self::key_for(self.page)
    }

    /// Returns the record key of a page's entry: `task_…-1-2`. Keys sort by task, oldest first.
    pub fn key_for(page: PageRef) -> String {
        format!("{}-{}-{}", page.task_id, page.document, page.page)
    }
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;
    use crate::TaskId;

    #[test]
    fn an_entry_is_named_after_its_page() {
        let page = PageRef { task_id: TaskId::new(Uuid::nil()), document: 1, page: 12 };
        let entry = ReviewEntry {
            page,
            round: 1,
            reason: ReviewReason::LowConfidence,
            detail: "0.41 < 0.60".to_owned(),
            engine: "pp-ocr@v6-small".parse().ok(),
            confidence: Some(0.5),
            filed_at: UnixMillis(1),
            claim: None,
        };
        assert_eq!(entry.key(), format!("{}-1-12", page.task_id));
        let text = serde_json::to_string(&entry).expect("JSON");
        assert!(text.contains(r#""reason":"low_confidence""#) && !text.contains("claim"), "{text}");
        assert_eq!(serde_json::from_str::<ReviewEntry>(&text).expect("reads back"), entry);
        assert_eq!(serde_json::to_value(entry.reason).ok(), Some(entry.reason.as_str().into()));
    }
}
