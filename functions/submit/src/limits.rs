//! Whether a request may come in now: whose it is, and what is left of what that tenant may ask for.
//!
//! The headers are those of draft-ietf-httpapi-ratelimit-headers.

use std::fmt::Write;

use axum::http::{HeaderMap, HeaderName, HeaderValue, Method};
use quire_tasks::{Document, DocumentState, Task};
use quire_tenants::{KeyOwner, RateLimitPolicy, RateLimitStatus, TenantLimits};
use tracing::warn;

use crate::{Door, accept::now, problem::Problem};

/// What the limits are.
const POLICY: HeaderName = HeaderName::from_static("ratelimit-policy");
/// How they stand.
const STANDING: HeaderName = HeaderName::from_static("ratelimit");
/// What anybody may ask, and as often as they like.
const OPEN: [&str; 2] = ["/healthz", "/openapi.json"];
/// What makes pages to be read.
const CREATES: [&str; 5] = ["/ocr", "/ocr/batch", "/ocr/async", "/uploads", "/task/{task_id}/retry"];

/// What came of a request at the door.
#[derive(Debug, Default)]
pub(crate) struct Admission {
    /// Whose it is; `None` where that does not matter, or is not known.
    pub(crate) identity: Option<KeyOwner>,
    /// How the tenant's limits stand.
    pub(crate) headers: HeaderMap,
    /// Why it may not come in.
    pub(crate) refused: Option<Problem>,
}

/// Lets a request in, or not.
pub(crate) async fn admit(door: &Door, method: &Method, route: &str, headers: &HeaderMap) -> Admission {
    if OPEN.contains(&route) {
        return Admission::default();
    }
    let identity = match door.identify(headers).await {
        Ok(identity) => identity,
        Err(problem) => return Admission { refused: Some(problem), ..Admission::default() },
    };
    let creates = method == Method::POST && CREATES.contains(&route);
    let (headers, refused) = match standing(door, &identity, creates).await {
        Ok((limits, taken)) => (rate_limit_headers(&limits, &taken), taken.iter().find_map(refusal)),
        Err(problem) => (HeaderMap::new(), Some(problem)),
    };
    Admission { identity: Some(identity), headers, refused }
}

/// Takes the request out of its tenant's limits, and says how they stand then.
async fn standing(
    door: &Door,
    identity: &KeyOwner,
    creates: bool,
) -> Result<(TenantLimits, Vec<RateLimitStatus>), Problem> {
    let (tenant, now) = (&identity.tenant, now());
    let limits = door.allowance.limits(tenant, now).await?;
    let mut taken: Vec<RateLimitStatus> = door.allowance.take_request(tenant, now).await?.into_iter().collect();
    if creates && taken.iter().all(|taken| taken.allowed) {
        taken.extend(door.allowance.pages(tenant, now).await?);
    }
    Ok((limits, taken))
}

fn refusal(taken: &RateLimitStatus) -> Option<Problem> {
    let secs = taken.retry_after_secs;
    let problem = match taken.policy {
        RateLimitPolicy::Requests => Problem::rate_limited,
        RateLimitPolicy::Pages => Problem::quota_exceeded,
    };
    (!taken.allowed).then(|| problem(taken.quota, secs))
}

fn rate_limit_headers(limits: &TenantLimits, taken: &[RateLimitStatus]) -> HeaderMap {
    let by_minute = limits.requests_per_minute.map(|quota| (RateLimitPolicy::Requests, quota, 60));
    let by_day = limits.pages_per_day.map(|quota| (RateLimitPolicy::Pages, quota, 86_400));
    let policies = by_minute.into_iter().chain(by_day);
    let policies = list(policies.map(|(policy, quota, window)| format!("{:?};q={quota};w={window}", policy.as_str())));
    let standings = taken.iter().map(|taken| {
        let RateLimitStatus { policy, remaining, reset_secs, .. } = taken;
        format!("{:?};r={remaining};t={reset_secs}", policy.as_str())
    });
    let headers = [(POLICY, policies), (STANDING, list(standings))];
    let plain = |value: String| HeaderValue::try_from(value).expect("names and numbers are plain");
    headers.into_iter().filter(|(_, value)| !value.is_empty()).map(|(name, value)| (name, plain(value))).collect()
}

/// A list as structured fields have it (RFC 9651).
fn list(items: impl Iterator<Item = String>) -> String {
    items.fold(String::new(), |mut list, item| {
        let separator = if list.is_empty() { "" } else { ", " };
        write!(list, "{separator}{item}").expect("text is written to memory");
        list
    })
}

/// Charges a new task's tenant for the pages that are known already.
pub(crate) async fn charge(door: &Door, task: &Task) {
    charge_for(door, task, task.documents.iter()).await;
}

/// Charges a task's tenant for the pages of a document that has just been split.
pub(crate) async fn charge_document(door: &Door, task: &Task, number: u32) {
    charge_for(door, task, task.document(number).into_iter()).await;
}

/// Charges a task's tenant for the pages that are read again. A document that is fetched again is charged when it is split.
pub(crate) async fn charge_again(door: &Door, task: &Task) {
    let pending = task.documents.iter().filter(|document| matches!(document.state, DocumentState::Pending { .. }));
    let pages = u64::from(task.counts.open).saturating_sub(pending.count() as u64);
    charge_pages(door, task, pages).await;
}

async fn charge_for(door: &Door, task: &Task, documents: impl Iterator<Item = &Document>) {
    let pages = |document: &Document| match &document.state {
        DocumentState::Split(split) => u64::from(split.pages),
        _ => 0,
    };
    charge_pages(door, task, documents.map(pages).sum()).await;
}

/// A charge that cannot be written is nobody's debt: the pages are read all the same.
async fn charge_pages(door: &Door, task: &Task, pages: u64) {
    if let Err(error) = door.allowance.charge_pages(&task.tenant, pages, now()).await {
        let tenant = task.tenant.as_str();
        warn!(task.id = %task.id, tenant, task.pages = pages, %error, "pages could not be charged");
    }
}

#[cfg(test)]
mod tests {
    use std::num::NonZero;

    use super::*;

    #[test]
    fn limits_are_written_as_structured_fields() {
        let limits =
            TenantLimits { requests_per_minute: NonZero::new(600), burst: None, pages_per_day: NonZero::new(9) };
        let taken = |policy| RateLimitStatus {
            policy,
            allowed: true,
            remaining: 599,
            reset_secs: 1,
            retry_after_secs: 0,
            quota: 600,
            window_secs: 60,
        };
        let headers = rate_limit_headers(&limits, &[taken(RateLimitPolicy::Requests), taken(RateLimitPolicy::Pages)]);
        assert_eq!(headers[POLICY], r#""requests";q=600;w=60, "pages";q=9;w=86400"#);
        assert_eq!(headers[STANDING], r#""requests";r=599;t=1, "pages";r=599;t=1"#);
        assert!(rate_limit_headers(&TenantLimits::default(), &[]).is_empty());
    }
}
