//! Circuit breaker per endpoint.
//!
//! An endpoint is the origin and path that a tenant's callbacks are sent to. It has a record only while it fails:
//! after several failures in a row its circuit breaker is open, and calls back off; after a `410 Gone` it is
//! disabled.

use std::time::Duration;

use quire_tasks::{Tenant, UnixMillis, to_hex};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use url::Url;

/// Consecutive failures that open the circuit breaker: more than one callback's bad luck, and few enough to waste
/// little on an endpoint that is down.
pub const FAILURES_TO_OPEN: u32 = 5;
/// First backoff; each failed probe doubles it.
const FIRST_BACKOFF: Duration = Duration::from_secs(10);
/// Maximum backoff.
const MAX_BACKOFF: Duration = Duration::from_mins(10);
/// Backoff of other calls while a probe is in flight: longer than the notifier's timeout for a response.
const PROBE: Duration = Duration::from_secs(20);
/// Bytes of the hash in an endpoint id: 64 bits are enough for the few endpoints of one tenant.
const ID_BYTES: usize = 8;

/// The record of a failing or disabled endpoint.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Endpoint {
    /// The id, unique per tenant: 16 hexadecimal digits.
    pub id: String,
    /// The origin and path. The query is not stored: it may contain a secret, and differs between callbacks.
    pub url: String,
    /// The state of its circuit breaker.
    #[serde(flatten)]
    pub state: EndpointState,
    /// Time of the first failure.
    pub since: UnixMillis,
    /// Number of consecutive failures.
    pub failures: u32,
    /// The last error.
    pub last_error: Option<String>,
}

/// The state of a failing endpoint.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "state")]
pub enum EndpointState {
    /// The circuit breaker is open: calls back off.
    Open {
        /// End of the backoff. The next call after it is a probe.
        until: UnixMillis,
    },
    /// It returned `410 Gone`: it is not called until it is enabled.
    Disabled,
}

/// Whether an endpoint may be called.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EndpointAdmission {
    /// It may be called.
    Allowed,
    /// One call may probe it: the one that first writes the record of [`Endpoint::with_probe`].
    Probe,
    /// It must not be called during its backoff.
    BackingOff {
        /// End of the backoff.
        until: UnixMillis,
    },
    /// It must not be called until it is enabled.
    Disabled,
}

/// The condition of an endpoint, as shown by a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EndpointCondition {
    /// It responds, with any status below 500 except 410.
    Responsive,
    /// No response, or a server error (5xx).
    Failing,
    /// It is permanently gone (410).
    Gone,
}

impl EndpointCondition {
    /// Returns the condition for a response status, or for no response (`None`). Standard Webhooks defines `410 Gone`
    /// as "disable this endpoint".
    pub const fn from_status(status: Option<u16>) -> Self {
        match status {
            Some(410) => Self::Gone,
            Some(..=499) => Self::Responsive,
            _ => Self::Failing,
        }
    }
}

/// The change that a call makes to an endpoint's record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum EndpointChange {
    /// The record stays unchanged.
    None,
    /// The record is deleted: the endpoint works.
    Delete,
    /// The record is written.
    Put(Endpoint),
}

impl Endpoint {
    /// Returns the record of an endpoint whose circuit breaker is open after `failures` failures.
    fn backing_off(url: &str, since: UnixMillis, failures: u32, why: &str, now: UnixMillis) -> Self {
        let state = EndpointState::Open { until: now.plus(backoff(failures)) };
        Self {
            id: endpoint_id(url),
            url: origin_and_path(url),
            state,
            since,
            failures,
            last_error: Some(why.to_owned()),
        }
    }

    fn disabled(url: &str, since: UnixMillis, failures: u32, why: &str) -> Self {
        Self {
            id: endpoint_id(url),
            url: origin_and_path(url),
            state: EndpointState::Disabled,
            since,
            failures,
            last_error: Some(why.to_owned()),
        }
    }

    /// Returns the record while a probe is in flight: other calls back off. If the process of the probe dies, another
    /// call probes after this time.
    #[must_use]
    pub fn with_probe(self, now: UnixMillis) -> Self {
        Self { state: EndpointState::Open { until: now.plus(PROBE) }, ..self }
    }
}

/// Returns whether an endpoint with this record may be called.
pub fn endpoint_admission(record: Option<&Endpoint>, now: UnixMillis) -> EndpointAdmission {
    match record.map(|record| record.state) {
        None => EndpointAdmission::Allowed,
        Some(EndpointState::Disabled) => EndpointAdmission::Disabled,
        Some(EndpointState::Open { until }) if until <= now => EndpointAdmission::Probe,
        Some(EndpointState::Open { until }) => EndpointAdmission::BackingOff { until },
    }
}

/// Returns the change to an endpoint's record after a call. `failures` is the number of consecutive failures that
/// this process counted before. `probe` is whether the call was the probe: failures of other calls that were in
/// flight when the circuit breaker opened do not extend the backoff.
pub fn endpoint_change(
    record: Option<&Endpoint>,
    url: &str,
    condition: EndpointCondition,
    failures: u32,
    probe: bool,
    why: &str,
    now: UnixMillis,
) -> EndpointChange {
    let since = record.map_or(now, |record| record.since);
    let known = record.map_or(failures, |record| record.failures);
    let disabled = record.is_some_and(|record| record.state == EndpointState::Disabled);
    match condition {
        EndpointCondition::Gone if disabled => EndpointChange::None,
        EndpointCondition::Gone => EndpointChange::Put(Endpoint::disabled(url, since, known.saturating_add(1), why)),
        EndpointCondition::Responsive if record.is_some() => EndpointChange::Delete,
        EndpointCondition::Failing if !disabled && (record.is_none() || probe) && known + 1 >= FAILURES_TO_OPEN => {
            EndpointChange::Put(Endpoint::backing_off(url, since, known.saturating_add(1), why, now))
        }
        EndpointCondition::Responsive | EndpointCondition::Failing => EndpointChange::None,
    }
}

/// Returns the backoff after a number of consecutive failures.
fn backoff(failures: u32) -> Duration {
    let doublings = failures.saturating_sub(FAILURES_TO_OPEN).min(16);
    FIRST_BACKOFF.saturating_mul(1 << doublings).min(MAX_BACKOFF)
}

/// Returns the key of an endpoint's record: tenant, slash, endpoint id. The query and the fragment of `url` are
/// ignored.
pub fn endpoint_key(tenant: &Tenant, url: &str) -> String {
    format!("{tenant}/{}", endpoint_id(url))
}

fn endpoint_id(url: &str) -> String {
    to_hex(&Sha256::digest(origin_and_path(url))[..ID_BYTES])
}

/// Returns the origin and path in normalized form.
fn origin_and_path(url: &str) -> String {
    match Url::parse(url) {
        Ok(mut url) => {
            url.set_query(None);
            url.set_fragment(None);
            url.into()
        }
        // Only valid URLs are called. The id of an invalid one must only be stable.
        Err(_) => url.split(['?', '#']).next().unwrap_or_default().to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const URL: &str = "https://example.com/hook?token=abc";

    fn at(seconds: i64) -> UnixMillis {
        UnixMillis(seconds * 1000)
    }

    fn failed(record: Option<&Endpoint>, failures: u32, probe: bool, now: i64) -> EndpointChange {
        endpoint_change(record, URL, EndpointCondition::Failing, failures, probe, "503", at(now))
    }

    fn opened(failures: u32, now: i64) -> Endpoint {
        Endpoint::backing_off(URL, at(0), failures, "503", at(now))
    }

    #[test]
    fn five_failures_in_a_row_open_the_circuit_breaker() {
        assert_eq!(failed(None, 3, false, 7), EndpointChange::None);
        let EndpointChange::Put(record) = failed(None, 4, false, 7) else { panic!("the record must be written") };
        assert_eq!((record.failures, record.since), (5, at(7)));
        assert_eq!(endpoint_admission(Some(&record), at(16)), EndpointAdmission::BackingOff { until: at(17) });
        assert_eq!(endpoint_admission(Some(&record), at(17)), EndpointAdmission::Probe);
        assert_eq!(record.url, "https://example.com/hook", "the query is not stored");
        assert_eq!(endpoint_key(&Tenant::default(), URL), format!("default/{}", record.id));
    }

    #[test]
    fn a_failed_probe_doubles_the_backoff_and_a_successful_one_ends_it() {
        let mut record = opened(5, 0);
        let mut backoffs = Vec::new();
        for _ in 0..8 {
            let EndpointChange::Put(next) = failed(Some(&record), 0, true, 0) else { panic!("no record") };
            let EndpointState::Open { until } = next.state else { panic!("the state must be open") };
            backoffs.push(until.0 / 1000);
            record = next;
        }
        assert_eq!(backoffs, [20, 40, 80, 160, 320, 600, 600, 600]);
        assert_eq!(
            endpoint_change(Some(&record), URL, EndpointCondition::Responsive, 0, true, "", at(0)),
            EndpointChange::Delete
        );
    }

    #[test]
    fn other_calls_wait_for_a_probe_and_one_takes_over_after_its_timeout() {
        let probed = opened(5, 0).with_probe(at(100));
        assert_eq!(endpoint_admission(Some(&probed), at(101)), EndpointAdmission::BackingOff { until: at(120) });
        assert_eq!(endpoint_admission(Some(&probed), at(120)), EndpointAdmission::Probe);
    }

    #[test]
    fn only_a_success_of_a_call_in_flight_changes_an_open_circuit_breaker() {
        let record = opened(5, 0);
        assert_eq!(failed(Some(&record), 0, false, 5), EndpointChange::None);
        assert_eq!(
            endpoint_change(Some(&record), URL, EndpointCondition::Responsive, 0, false, "", at(5)),
            EndpointChange::Delete
        );
    }

    #[test]
    fn a_gone_endpoint_is_disabled_until_it_is_enabled() {
        let EndpointChange::Put(record) = endpoint_change(None, URL, EndpointCondition::Gone, 0, false, "410", at(0))
        else {
            panic!("kept")
        };
        assert_eq!(endpoint_admission(Some(&record), at(1_000_000_000)), EndpointAdmission::Disabled);
        assert_eq!(
            endpoint_change(Some(&record), URL, EndpointCondition::Gone, 0, false, "410", at(1)),
            EndpointChange::None
        );
        assert_eq!(failed(Some(&record), 9, true, 1), EndpointChange::None, "it stays disabled");
        assert_eq!(
            endpoint_change(Some(&record), URL, EndpointCondition::Responsive, 0, false, "", at(1)),
            EndpointChange::Delete,
            "a test call succeeded"
        );
    }

    #[test]
    fn a_status_determines_the_condition() {
        assert_eq!(EndpointCondition::from_status(None), EndpointCondition::Failing);
        assert_eq!(EndpointCondition::from_status(Some(410)), EndpointCondition::Gone);
        for responsive in [200, 204, 302, 401, 404, 429] {
            assert_eq!(EndpointCondition::from_status(Some(responsive)), EndpointCondition::Responsive, "{responsive}");
        }
        for failing in [500, 503, 599] {
            assert_eq!(EndpointCondition::from_status(Some(failing)), EndpointCondition::Failing, "{failing}");
        }
    }

    #[test]
    fn an_endpoint_is_an_origin_and_a_path_of_a_tenant() {
        let key = |url: &str| endpoint_key(&Tenant::default(), url);
        assert_eq!(key(URL), key("https://EXAMPLE.com:443/hook#part"));
        for other in ["https://example.com/hook/", "http://example.com/hook", "https://example.com:8443/hook"] {
            assert_ne!(key(URL), key(other), "{other}");
        }
        assert_ne!(key(URL), endpoint_key(&"acme".parse().expect("a tenant"), URL));
    }

    #[test]
    fn a_record_is_serialized_with_its_state() {
        let json = serde_json::to_value(opened(5, 0)).expect("JSON");
        assert_eq!((&json["state"], &json["until"]), (&"open".into(), &10_000.into()));
        assert_eq!(serde_json::from_value::<Endpoint>(json).expect("a record"), opened(5, 0));
        let gone = Endpoint::disabled(URL, at(0), 1, "410");
        let text = serde_json::to_string(&gone).expect("JSON");
        assert_eq!(serde_json::from_str::<Endpoint>(&text).expect("a record"), gone);
    }

    proptest! {
        #[test]
        fn the_backoff_grows_up_to_ten_minutes(failures in 0_u32..1_000_000) {
            prop_assert!(backoff(failures) <= backoff(failures + 1) && backoff(failures) <= MAX_BACKOFF);
            prop_assert!(backoff(failures) >= FIRST_BACKOFF);
        }
    }
}
