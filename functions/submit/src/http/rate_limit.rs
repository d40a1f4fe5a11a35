//! Whether a request may come in now: whose it is, and what is left of what that tenant may ask for.
//!
//! The headers are those of draft-ietf-httpapi-ratelimit-headers.

use std::fmt::Write;

use axum::http::{HeaderMap, HeaderName, HeaderValue, Method};
use quire_tenants::{Identity, Limits, Policy, Taken};

use crate::{http::problem::Problem, state::AppState, time::now};

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
pub(crate) struct RequestAdmission {
    /// Whose it is; `None` where that does not matter, or is not known.
    pub(crate) identity: Option<Identity>,
    /// How the tenant's limits stand.
    pub(crate) headers: HeaderMap,
    /// Why it may not come in.
    pub(crate) refused: Option<Problem>,
}

/// Lets a request in, or not.
pub(crate) async fn admit(app: &AppState, method: &Method, route: &str, headers: &HeaderMap) -> RequestAdmission {
    if OPEN.contains(&route) {
        return RequestAdmission::default();
    }
    let identity = match app.identify(headers).await {
        Ok(identity) => identity,
        Err(problem) => return RequestAdmission { refused: Some(problem), ..RequestAdmission::default() },
    };
    let creates = method == Method::POST && CREATES.contains(&route);
    let (headers, refused) = match standing(app, &identity, creates).await {
        Ok((limits, taken)) => (rate_limit_headers(&limits, &taken), taken.iter().find_map(refusal)),
        Err(problem) => (HeaderMap::new(), Some(problem)),
    };
    RequestAdmission { identity: Some(identity), headers, refused }
}

/// Takes the request out of its tenant's limits, and says how they stand then.
async fn standing(app: &AppState, identity: &Identity, creates: bool) -> Result<(Limits, Vec<Taken>), Problem> {
    let (tenant, now) = (&identity.tenant, now());
    let limits = app.allowance.limits(tenant, now).await?;
    let mut taken: Vec<Taken> = app.allowance.take_request(tenant, now).await?.into_iter().collect();
    if creates && taken.iter().all(|taken| taken.allowed) {
        taken.extend(app.allowance.pages(tenant, now).await?);
    }
    Ok((limits, taken))
}

fn refusal(taken: &Taken) -> Option<Problem> {
    let secs = taken.retry_after_secs;
    let problem = match taken.policy {
        Policy::Requests => Problem::rate_limited,
        Policy::Pages => Problem::quota_exceeded,
    };
    (!taken.allowed).then(|| problem(taken.quota, secs))
}

fn rate_limit_headers(limits: &Limits, taken: &[Taken]) -> HeaderMap {
    let by_minute = limits.requests_per_minute.map(|quota| (Policy::Requests, quota, 60));
    let by_day = limits.pages_per_day.map(|quota| (Policy::Pages, quota, 86_400));
    let policies = by_minute.into_iter().chain(by_day);
    let policies = list(policies.map(|(policy, quota, window)| format!("{:?};q={quota};w={window}", policy.as_str())));
    let standings = taken.iter().map(|taken| {
        let Taken { policy, remaining, reset_secs, .. } = taken;
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

#[cfg(test)]
mod tests {
    use std::num::NonZero;

    use super::*;

    #[test]
    fn limits_are_written_as_structured_fields() {
        let limits = Limits { requests_per_minute: NonZero::new(600), burst: None, pages_per_day: NonZero::new(9) };
        let taken = |policy| Taken {
            policy,
            allowed: true,
            remaining: 599,
            reset_secs: 1,
            retry_after_secs: 0,
            quota: 600,
            window_secs: 60,
        };
        let headers = rate_limit_headers(&limits, &[taken(Policy::Requests), taken(Policy::Pages)]);
        assert_eq!(headers[POLICY], r#""requests";q=600;w=60, "pages";q=9;w=86400"#);
        assert_eq!(headers[STANDING], r#""requests";r=599;t=1, "pages";r=599;t=1"#);
        assert!(rate_limit_headers(&Limits::default(), &[]).is_empty());
    }
}
