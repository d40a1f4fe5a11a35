//! Whose a request is: `Authorization: Bearer`, and what a backend without keys does.

use axum::http::{HeaderMap, header};
use quire_platform::Error;
use quire_tasks::Tenant;
use quire_tenants::KeyOwner;

use crate::{Door, KeyPolicy, accept::now, problem::Problem};

/// What a request says of itself.
#[derive(Debug, PartialEq, Eq)]
enum Credentials<'a> {
    None,
    Bearer(&'a str),
    /// Something else than one key: it is nobody's.
    Other,
}

impl Credentials<'_> {
    fn of(headers: &HeaderMap) -> Credentials<'_> {
        let mut values = headers.get_all(header::AUTHORIZATION).iter();
        let Some(value) = values.next() else { return Credentials::None };
        let parts = value.to_str().ok().and_then(|value| value.split_once(' '));
        match parts {
            Some((scheme, key)) if scheme.eq_ignore_ascii_case("bearer") && values.next().is_none() => {
                Credentials::Bearer(key.trim())
            }
            _ => Credentials::Other,
        }
    }
}

impl Door {
    /// Whose a request with these headers is. Without a key it is the default tenant's, as long as the backend has no keys and
    /// nobody said that they are needed, or that somebody else checks who calls. What is not known for sure is let in by
    /// nobody.
    pub(crate) async fn identify(&self, headers: &HeaderMap) -> Result<KeyOwner, Problem> {
        let unreadable = |error: Error| Problem::busy(&error);
        let anybody = KeyOwner { tenant: Tenant::default(), key_id: None };
        let policy = self.settings.keys;
        if policy == KeyPolicy::Off {
            // What is in the header then is no key, but what that other asks for.
            return Ok(anybody);
        }
        match Credentials::of(headers) {
            Credentials::None => {
                if policy == KeyPolicy::Required || self.keys.any(now()).await.map_err(unreadable)? {
                    return Err(Problem::unauthorized("This call needs a key: Authorization: Bearer quire_…"));
                }
                Ok(anybody)
            }
            Credentials::Bearer(key) => {
                let identity = self.keys.verify(key, now()).await.map_err(unreadable)?;
                identity.ok_or_else(|| Problem::unauthorized("The key is none that is in force."))
            }
            Credentials::Other => Err(Problem::unauthorized("A key is sent as Authorization: Bearer quire_…")),
        }
    }
}

#[cfg(test)]
mod tests {
    use axum::http::HeaderValue;

    use super::*;

    fn of(values: &[&'static str]) -> HeaderMap {
        values.iter().map(|value| (header::AUTHORIZATION, HeaderValue::from_static(value))).collect()
    }

    #[test]
    fn one_key_with_its_scheme_is_taken_and_nothing_else() {
        assert_eq!(Credentials::of(&of(&[])), Credentials::None);
        for good in ["Bearer k", "bearer k", "BEARER  k "] {
            assert_eq!(Credentials::of(&of(&[good])), Credentials::Bearer("k"), "{good}");
        }
        for other in ["", "k", "Bearer", "Basic k", "Bearerk"] {
            assert_eq!(Credentials::of(&of(&[other])), Credentials::Other, "{other}");
        }
        let mut two = of(&["Bearer k"]);
        two.append(header::AUTHORIZATION, HeaderValue::from_static("Bearer l"));
        assert_eq!(Credentials::of(&two), Credentials::Other);
    }
}
