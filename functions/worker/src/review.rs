//! Which pages are filed for review.

use quire_routes::ReadPlan;
use quire_tasks::{Failure, FailureCode, PageMessage, PageText, ReviewEntry, ReviewReason, UnixMillis};

use crate::outcome::is_below;

/// Returns the review entry of a page that was read with a confidence below its route's `review_below` or of which text
/// is missing, or that no engine could read. A page that no engine offers to read is not filed.
pub(crate) fn review_entry(
    message: &PageMessage,
    plan: &ReadPlan<'_>,
    read: Result<&PageText, &Failure>,
    filed_at: UnixMillis,
) -> Option<ReviewEntry> {
    let (reason, detail, engine, confidence) = match read {
        Ok(text) => {
            if !is_below(text, plan.review_below) {
                return None;
            }
            let confidence = text.confidence();
            let (reason, detail) = match confidence {
                _ if text.is_text_missing() => (ReviewReason::TextMissing, describe_warnings(text)),
                Some(confidence) => {
                    (ReviewReason::LowConfidence, format!("{confidence:.3} < {:.3}", plan.review_below))
                }
                None => return None,
            };
            (reason, detail, &text.engine, confidence)
        }
        Err(failure) if failure.code == FailureCode::NotOffered => return None,
        Err(failure) => (ReviewReason::Unreadable, failure.to_string(), &plan.first.engine, None),
    };
    let engine = Some(engine.clone());
    let PageMessage { page, round, .. } = *message;
    Some(ReviewEntry { page, round, reason, detail, engine, confidence, filed_at, claim: None })
}

fn describe_warnings(text: &PageText) -> String {
    let missing = text.warnings.iter().filter(|warning| warning.code().is_text_missing());
    let messages: Vec<String> = missing.map(|warning| warning.kind.to_string()).collect();
    messages.join("; ")
}
