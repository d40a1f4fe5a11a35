//! Which pages are filed for review.

use quire_routes::ReadPlan;
use quire_tasks::{Failure, FailureCode, PageMessage, PageText, ReviewEntry, ReviewReason, UnixMillis};

/// Returns the review entry of a page that was read with a confidence below its route's `review_below`, or that no
/// engine could read. A page that no engine offers to read is not filed.
pub(crate) fn review_entry(
    message: &PageMessage,
    plan: &ReadPlan<'_>,
    read: Result<&PageText, &Failure>,
    filed_at: UnixMillis,
) -> Option<ReviewEntry> {
    let (reason, detail, engine, confidence) = match read {
        Ok(text) => {
            let confidence = text.confidence().filter(|confidence| *confidence < plan.review_below)?;
            let detail = format!("{confidence:.3} < {:.3}", plan.review_below);
            (ReviewReason::LowConfidence, detail, &text.engine, Some(confidence))
        }
        Err(failure) if failure.code == FailureCode::NotOffered => return None,
        Err(failure) => (ReviewReason::Unreadable, failure.to_string(), &plan.first.engine, None),
    };
    let engine = Some(engine.clone());
    let PageMessage { page, round, .. } = *message;
    Some(ReviewEntry { page, round, reason, detail, engine, confidence, filed_at, claim: None })
}
