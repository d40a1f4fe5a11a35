//! Admission of requests: authentication, the key's scopes, free disk space, the tenant's rate limit and its quota of
//! pages.
//!
//! The response headers are those of draft-ietf-httpapi-ratelimit-headers.

use std::fmt::Write;

use axum::http::{HeaderMap, HeaderName, HeaderValue, Method};
use quire_platform::now;
use quire_tenants::{KeyOwner, RateLimitPolicy, RateLimitStatus, TenantLimits};

use crate::{
    http::{problem::Problem, scopes::required_scope},
    state::AppState,
};

/// The response header with the limits.
const POLICY: HeaderName = HeaderName::from_static("ratelimit-policy");
/// The response header with what remains of the limits.
const REMAINING: HeaderName = HeaderName::from_static("ratelimit");
/// The default of the free disk space below which no task is created: this, or a share (1/50) of the disk if less.
const MIN_FREE_BYTES: u64 = 1 << 30;
const MIN_FREE_SHARE: u64 = 50;
/// The routes without authentication and limits.
const PUBLIC: [&str; 2] = ["/healthz", "/openapi.json"];
/// The routes that count against the quota of pages.
const CREATES: [&str; 5] = ["/ocr", "/ocr/batch", "/ocr/async", "/uploads", "/task/{task_id}/retry"];

/// The result of [`admit`].
#[derive(Debug, Default)]
pub(crate) struct RequestAdmission {
    /// The authenticated identity; `None` for a public route or an unauthenticated request.
    pub(crate) identity: Option<KeyOwner>,
    /// The rate limit headers of the response.
    pub(crate) headers: HeaderMap,
    /// Why the request is refused.
    pub(crate) refused: Option<Problem>,
}

/// Authenticates a request and takes it from its tenant's limits.
pub(crate) async fn admit(app: &AppState, method: &Method, route: &str, headers: &HeaderMap) -> RequestAdmission {
    if PUBLIC.contains(&route) {
        return RequestAdmission::default();
    }
    let identity = match app.identify(headers).await {
        Ok(identity) => identity,
        Err(problem) => return RequestAdmission { refused: Some(problem), ..RequestAdmission::default() },
    };
    if let Some(scope) = required_scope(method, route).filter(|scope| !identity.scopes.allow(*scope)) {
        let refused = Some(Problem::insufficient_scope(scope.as_str()));
        return RequestAdmission { identity: Some(identity), refused, ..RequestAdmission::default() };
    }
    let creates = method == Method::POST && CREATES.contains(&route);
    if creates && let Some(problem) = full_disk(app) {
        return RequestAdmission { identity: Some(identity), refused: Some(problem), ..RequestAdmission::default() };
    }
    let (headers, refused) = match take(app, &identity, creates).await {
        Ok((limits, taken)) => (rate_limit_headers(&limits, &taken), taken.iter().find_map(refusal)),
        Err(problem) => (HeaderMap::new(), Some(problem)),
    };
    RequestAdmission { identity: Some(identity), headers, refused }
}

/// Refuses to create a task while the disk is nearly full. Everything else still works, so that tasks can be deleted.
fn full_disk(app: &AppState) -> Option<Problem> {
    let disk = app.backend.objects.disk_space()?;
    let needed = app.settings.min_free_bytes.unwrap_or_else(|| MIN_FREE_BYTES.min(disk.total / MIN_FREE_SHARE));
    let full = disk.free < needed;
    full.then(|| Problem::storage_full(&format!("{} bytes are free; at least {needed} must be", disk.free)))
}

/// Takes the request from its tenant's limits and returns what remains.
async fn take(
    app: &AppState,
    identity: &KeyOwner,
    creates: bool,
) -> Result<(TenantLimits, Vec<RateLimitStatus>), Problem> {
    let tenant = &identity.tenant;
    let now = now();
    let limits = app.allowance.limits(tenant, now).await?;
    let mut taken: Vec<RateLimitStatus> = app.allowance.take_request(tenant, now).await?.into_iter().collect();
    if creates && taken.iter().all(|taken| taken.allowed) {
        taken.extend(app.allowance.pages(tenant, now).await?);
    }
    Ok((limits, taken))
}

fn refusal(taken: &RateLimitStatus) -> Option<Problem> {
    if taken.allowed {
        return None;
    }
    match taken.policy {
        RateLimitPolicy::Requests => Some(Problem::rate_limited(taken.quota, taken.retry_after_secs)),
        RateLimitPolicy::Pages => Some(Problem::quota_exceeded(taken.quota, taken.retry_after_secs)),
    }
}

fn rate_limit_headers(limits: &TenantLimits, taken: &[RateLimitStatus]) -> HeaderMap {
    let by_minute = limits.requests_per_minute.map(|quota| (RateLimitPolicy::Requests, quota, 60));
    let by_day = limits.pages_per_day.map(|quota| (RateLimitPolicy::Pages, quota, 86_400));
    let policies = by_minute.into_iter().chain(by_day);
    let policies = policies.map(|(policy, quota, window)| format!("{:?};q={quota};w={window}", policy.as_str()));
    let remaining = taken.iter().map(|taken| {
        let RateLimitStatus { policy, remaining, reset_secs, .. } = taken;
        format!("{:?};r={remaining};t={reset_secs}", policy.as_str())
    });
    let mut headers = HeaderMap::new();
    for (name, value) in [(POLICY, structured_list(policies)), (REMAINING, structured_list(remaining))] {
        if !value.is_empty() {
            headers.insert(name, HeaderValue::try_from(value).expect("names and numbers are ASCII"));
        }
    }
    headers
}

/// Serializes a list of structured fields (RFC 9651).
fn structured_list(items: impl Iterator<Item = String>) -> String {
    items.fold(String::new(), |mut list, item| {
        let separator = if list.is_empty() { "" } else { ", " };
        write!(list, "{separator}{item}").expect("writing to a String does not fail");
        list
    })
}

#[cfg(test)]
mod tests {
    use std::num::NonZero;

    use super::*;

    #[test]
    fn limits_are_structured_fields() {
        let limits = TenantLimits {
            requests_per_minute: NonZero::new(600),
            pages_per_day: NonZero::new(9),
            ..TenantLimits::default()
        };
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
        assert_eq!(headers[REMAINING], r#""requests";r=599;t=1, "pages";r=599;t=1"#);
        assert!(rate_limit_headers(&TenantLimits::default(), &[]).is_empty());
    }
}
