//! Authentication by API key: `Authorization: Bearer`.

use axum::http::{HeaderMap, header};
use quire_platform::{Error, now};
use quire_tasks::Tenant;
use quire_tenants::{KeyOwner, Scopes};

use crate::{http::problem::Problem, settings::KeyPolicy, state::AppState};

/// The credentials of a request.
#[derive(Debug, PartialEq, Eq)]
enum Credentials<'a> {
    None,
    Bearer(&'a str),
    /// Another scheme, a malformed header, or several headers.
    Invalid,
}

impl Credentials<'_> {
    fn from_headers(headers: &HeaderMap) -> Credentials<'_> {
        let mut values = headers.get_all(header::AUTHORIZATION).iter();
        let Some(value) = values.next() else { return Credentials::None };
        let parts = value.to_str().ok().and_then(|value| value.split_once(' '));
        match parts {
            Some((scheme, key)) if scheme.eq_ignore_ascii_case("bearer") && values.next().is_none() => {
                Credentials::Bearer(key.trim())
            }
            _ => Credentials::Invalid,
        }
    }
}

impl AppState {
    /// Whether requests need an API key. If the keys cannot be read, they count as absent: this decides about further
    /// checks, which are stricter without keys.
    pub(crate) async fn requires_keys(&self) -> bool {
        match self.settings.keys {
            KeyPolicy::Required => true,
            KeyPolicy::Off => false,
            KeyPolicy::Auto => self.keys.any(now()).await.unwrap_or(false),
        }
    }

    /// Authenticates a request. Without a key it belongs to the default tenant if keys are off, or if keys are `auto`
    /// and none exists yet. If the keys cannot be read, the request is refused with `busy`: authentication fails
    /// closed.
    pub(crate) async fn identify(&self, headers: &HeaderMap) -> Result<KeyOwner, Problem> {
        let unreadable = |error: Error| Problem::busy(&error);
        let anonymous = KeyOwner { tenant: Tenant::default(), key_id: None, scopes: Scopes::all() };
        let policy = self.settings.keys;
        if policy == KeyPolicy::Off {
            // The header then belongs to the proxy in front of this server.
            return Ok(anonymous);
        }
        match Credentials::from_headers(headers) {
            Credentials::None => {
                if policy == KeyPolicy::Required || self.keys.any(now()).await.map_err(unreadable)? {
                    return Err(Problem::unauthorized("An API key is required: Authorization: Bearer quire_…"));
                }
                Ok(anonymous)
            }
            Credentials::Bearer(key) => {
                let identity = self.keys.verify(key, now()).await.map_err(unreadable)?;
                identity.ok_or_else(|| Problem::unauthorized("Invalid, revoked or expired API key."))
            }
            Credentials::Invalid => {
                Err(Problem::unauthorized("Unsupported credentials; expected Authorization: Bearer quire_…"))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use axum::http::HeaderValue;

    use super::*;

    fn headers(values: &[&'static str]) -> HeaderMap {
        values.iter().map(|value| (header::AUTHORIZATION, HeaderValue::from_static(value))).collect()
    }

    #[test]
    fn only_a_single_bearer_key_is_accepted() {
        assert_eq!(Credentials::from_headers(&headers(&[])), Credentials::None);
        for valid in ["Bearer k", "bearer k", "BEARER  k "] {
            assert_eq!(Credentials::from_headers(&headers(&[valid])), Credentials::Bearer("k"), "{valid}");
        }
        for invalid in ["", "k", "Bearer", "Basic k", "Bearerk"] {
            assert_eq!(Credentials::from_headers(&headers(&[invalid])), Credentials::Invalid, "{invalid}");
        }
        let mut two = headers(&["Bearer k"]);
        two.append(header::AUTHORIZATION, HeaderValue::from_static("Bearer l"));
        assert_eq!(Credentials::from_headers(&two), Credentials::Invalid);
    }
}
