//! Endpoints with which something is wrong, and how much they are still asked.
//!
//! An endpoint is where a tenant's callbacks go: an origin and a path. A record of it is kept only while something is
//! wrong: it has failed several times in a row and is left alone for a while, or it has said that it is gone for good.

use std::time::Duration;

use quire_tasks::{Tenant, UnixMillis};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use url::Url;

/// After so many failures in a row an endpoint is left alone: more than one callback's bad luck, and few enough that little
/// is spent on one that is down.
pub const FAILURES_TO_OPEN: u32 = 5;
/// For how long at first; each failure of the one that is then let through doubles it.
const FIRST_BACKOFF: Duration = Duration::from_secs(10);
/// For how long at most: then somebody looks again whether it is back.
const MAX_BACKOFF: Duration = Duration::from_mins(10);
/// For so long others leave it to whoever is just trying it: longer than a receiver has for its answer.
const PROBE: Duration = Duration::from_secs(20);
/// Bytes of an id's hash: 64 bits, among the few endpoints of one tenant.
const ID_BYTES: usize = 8;

/// An endpoint with which something is wrong.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Endpoint {
    /// Its name among its tenant's: 16 hexadecimal digits.
    pub id: String,
    /// Its origin and path; a query may hold a secret, and belongs to one callback only.
    pub url: String,
    /// What is done about it.
    #[serde(flatten)]
    pub state: EndpointState,
    /// Since when there is something wrong.
    pub since: UnixMillis,
    /// How often in a row it has failed.
    pub failures: u32,
    /// Why, the last time.
    pub last_error: Option<String>,
}

/// What is done about an endpoint with which something is wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "state")]
pub enum EndpointState {
    /// It is left alone, as by an open circuit breaker.
    Open {
        /// Until then; the next callback after that finds out how it is.
        until: UnixMillis,
    },
    /// It said that it is gone: it is not called until somebody enables it.
    Disabled,
}

/// Whether an endpoint may be called.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EndpointAdmission {
    /// It may.
    Allowed,
    /// By one, to find out how it is: whoever writes the record as [`Endpoint::tried`] first.
    Probe,
    /// Not before then.
    BackingOff {
        /// When.
        until: UnixMillis,
    },
    /// Not until somebody enables it.
    Disabled,
}

/// What an endpoint was like when it was called.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EndpointCondition {
    /// It is there, whatever it said.
    Responsive,
    /// No answer, or one that says that it is out of order.
    Failing,
    /// It said that it is gone for good.
    Gone,
}

impl EndpointCondition {
    /// By the status of its answer, `None` where there was none. `410` means what Standard Webhooks says it means.
    pub const fn from_status(status: Option<u16>) -> Self {
        match status {
            Some(410) => Self::Gone,
            Some(..=499) => Self::Responsive,
            _ => Self::Failing,
        }
    }
}

/// What is to become of an endpoint's record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum EndpointChange {
    /// It stays as it is.
    None,
    /// Nothing is wrong any more: it is deleted.
    Delete,
    /// This is written.
    Put(Endpoint),
}

impl Endpoint {
    /// An endpoint that is left alone after so many failures in a row.
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
        let (state, last_error) = (EndpointState::Disabled, Some(why.to_owned()));
        Self { id: endpoint_id(url), url: origin_and_path(url), state, since, failures, last_error }
    }

    /// The same, while somebody tries it: others leave it alone for so long. Should whoever tries it die, somebody else
    /// tries it after that.
    #[must_use]
    pub fn with_probe(self, now: UnixMillis) -> Self {
        Self { state: EndpointState::Open { until: now.plus(PROBE) }, ..self }
    }
}

/// Whether an endpoint with this record may be called.
pub fn endpoint_admission(record: Option<&Endpoint>, now: UnixMillis) -> EndpointAdmission {
    match record.map(|record| record.state) {
        None => EndpointAdmission::Allowed,
        Some(EndpointState::Disabled) => EndpointAdmission::Disabled,
        Some(EndpointState::Open { until }) if until <= now => EndpointAdmission::Probe,
        Some(EndpointState::Open { until }) => EndpointAdmission::BackingOff { until },
    }
}

/// What becomes of an endpoint's record after a call. `failures` is how often it had failed in a row before, as far as this
/// process knows, and `probe` whether the call was the one that was let through to find out how it is: others may still
/// be under way when it is left alone, and say nothing new.
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

/// For how long an endpoint is left alone that has failed so often in a row.
fn backoff(failures: u32) -> Duration {
    let doublings = failures.saturating_sub(FAILURES_TO_OPEN).min(16);
    FIRST_BACKOFF.saturating_mul(1 << doublings).min(MAX_BACKOFF)
}

/// The key of an endpoint's record: its tenant and, behind a slash, its id. What follows the path of `url` does not matter.
pub fn endpoint_key(tenant: &Tenant, url: &str) -> String {
    format!("{tenant}/{}", endpoint_id(url))
}

fn endpoint_id(url: &str) -> String {
    use std::fmt::Write as _;
    Sha256::digest(origin_and_path(url)).iter().take(ID_BYTES).fold(String::new(), |mut id, byte| {
        write!(id, "{byte:02x}").expect("a string takes everything");
        id
    })
}

/// Origin and path, in their one notation.
fn origin_and_path(url: &str) -> String {
    match Url::parse(url) {
        Ok(mut url) => {
            url.set_query(None);
            url.set_fragment(None);
            url.into()
        }
        // No URL is ever called that is none. It gets a name all the same.
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
    fn an_endpoint_is_left_alone_after_five_failures_in_a_row() {
        assert_eq!(failed(None, 3, false, 7), EndpointChange::None);
        let EndpointChange::Put(record) = failed(None, 4, false, 7) else { panic!("it is left alone") };
        assert_eq!((record.failures, record.since), (5, at(7)));
        assert_eq!(endpoint_admission(Some(&record), at(16)), EndpointAdmission::BackingOff { until: at(17) });
        assert_eq!(endpoint_admission(Some(&record), at(17)), EndpointAdmission::Probe);
        assert_eq!(record.url, "https://example.com/hook", "a query is nobody else's business");
        assert_eq!(endpoint_key(&Tenant::default(), URL), format!("default/{}", record.id));
    }

    #[test]
    fn a_probe_that_fails_doubles_the_pause_up_to_ten_minutes_and_one_that_is_answered_ends_it() {
        let mut record = opened(5, 0);
        let mut pauses = Vec::new();
        for _ in 0..8 {
            let EndpointChange::Put(next) = failed(Some(&record), 0, true, 0) else { panic!("it is left alone") };
            let EndpointState::Open { until } = next.state else { panic!("not gone") };
            pauses.push(until.0 / 1000);
            record = next;
        }
        assert_eq!(pauses, [20, 40, 80, 160, 320, 600, 600, 600]);
        assert_eq!(
            endpoint_change(Some(&record), URL, EndpointCondition::Responsive, 0, true, "", at(0)),
            EndpointChange::Delete
        );
    }

    #[test]
    fn while_one_tries_it_the_others_wait_and_if_he_dies_somebody_else_tries() {
        let tried = opened(5, 0).with_probe(at(100));
        assert_eq!(endpoint_admission(Some(&tried), at(101)), EndpointAdmission::BackingOff { until: at(120) });
        assert_eq!(endpoint_admission(Some(&tried), at(120)), EndpointAdmission::Probe);
    }

    #[test]
    fn what_was_under_way_when_it_was_left_alone_says_nothing_new_unless_it_was_answered() {
        let record = opened(5, 0);
        assert_eq!(failed(Some(&record), 0, false, 5), EndpointChange::None);
        assert_eq!(
            endpoint_change(Some(&record), URL, EndpointCondition::Responsive, 0, false, "", at(5)),
            EndpointChange::Delete
        );
    }

    #[test]
    fn one_that_is_gone_is_disabled_until_somebody_enables_it() {
        let EndpointChange::Put(record) = endpoint_change(None, URL, EndpointCondition::Gone, 0, false, "410", at(0))
        else {
            panic!("kept")
        };
        assert_eq!(endpoint_admission(Some(&record), at(1_000_000_000)), EndpointAdmission::Disabled);
        assert_eq!(
            endpoint_change(Some(&record), URL, EndpointCondition::Gone, 0, false, "410", at(1)),
            EndpointChange::None
        );
        assert_eq!(failed(Some(&record), 9, true, 1), EndpointChange::None, "it stays what it is");
        assert_eq!(
            endpoint_change(Some(&record), URL, EndpointCondition::Responsive, 0, false, "", at(1)),
            EndpointChange::Delete,
            "a test went well"
        );
    }

    #[test]
    fn statuses_say_whether_an_endpoint_is_there() {
        assert_eq!(EndpointCondition::from_status(None), EndpointCondition::Failing);
        assert_eq!(EndpointCondition::from_status(Some(410)), EndpointCondition::Gone);
        for there in [200, 204, 302, 401, 404, 429] {
            assert_eq!(EndpointCondition::from_status(Some(there)), EndpointCondition::Responsive, "{there}");
        }
        for broken in [500, 503, 599] {
            assert_eq!(EndpointCondition::from_status(Some(broken)), EndpointCondition::Failing, "{broken}");
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
    fn a_record_reads_back() {
        let json = serde_json::to_value(opened(5, 0)).expect("JSON");
        assert_eq!((&json["state"], &json["until"]), (&"open".into(), &10_000.into()));
        assert_eq!(serde_json::from_value::<Endpoint>(json).expect("a record"), opened(5, 0));
        let gone = Endpoint::disabled(URL, at(0), 1, "410");
        let text = serde_json::to_string(&gone).expect("JSON");
        assert_eq!(serde_json::from_str::<Endpoint>(&text).expect("a record"), gone);
    }

    proptest! {
        #[test]
        fn no_pause_is_shorter_than_the_one_before_or_longer_than_ten_minutes(failures in 0_u32..1_000_000) {
            prop_assert!(backoff(failures) <= backoff(failures + 1) && backoff(failures) <= MAX_BACKOFF);
            prop_assert!(backoff(failures) >= FIRST_BACKOFF);
        }
    }
}
