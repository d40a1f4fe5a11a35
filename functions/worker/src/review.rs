//! Which pages somebody is to look at.

use quire_routes::Plan;
use quire_tasks::{Failure, FailureCode, PageMessage, PageText, ReviewEntry, ReviewReason, UnixMillis};

/// The entry of a page that was read less surely than its route asks for, or that no engine could read. One for which there
/// is no engine at all is no matter of review.
pub(crate) fn entry(
    message: &PageMessage,
    plan: &Plan<'_>,
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
