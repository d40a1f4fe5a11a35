//! Pages that somebody is to look at.

use serde::{Deserialize, Serialize};

use crate::{EngineName, PageRef, UnixMillis};

/// A page that no engine could read, or that its engine was less sure of than its route asks for. It lies on the review
/// shelf under [`ReviewEntry::key`] until somebody has accepted or corrected it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ReviewEntry {
    /// Which.
    pub page: PageRef,
    /// The round in which it ended like this.
    pub round: u32,
    /// Why somebody is to look at it.
    pub reason: ReviewReason,
    /// The same, for a reader: what failed, or the figures. No text of the document.
    pub detail: String,
    /// Who read it, or was the last to try.
    pub engine: Option<EngineName>,
    /// How sure that engine was of its text.
    pub confidence: Option<f32>,
    /// Since when it lies here.
    pub filed_at: UnixMillis,
    /// Who has it in hand.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub claim: Option<ReviewClaim>,
}

/// Why somebody is to look at a page.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ReviewReason {
    /// It was read, and less surely than its route asks for.
    LowConfidence,
    /// No engine could read it.
    Unreadable,
}

/// Somebody is at work on a page.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReviewClaim {
    /// Who, as they call themselves.
    pub by: String,
    /// Since when.
    pub at: UnixMillis,
}

impl ReviewReason {
    /// As it is written in answers.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::LowConfidence => "low_confidence",
            Self::Unreadable => "unreadable",
        }
    }
}

impl ReviewEntry {
    /// What it is called on the shelf.
    pub fn key(&self) -> String {
        Self::key_for(self.page)
    }

    /// What the entry of a page is called: `task_…-1-2`. Those of one task stand together, oldest task first.
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
    fn an_entry_reads_back_and_is_named_after_its_page() {
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
