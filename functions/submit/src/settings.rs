//! The door's settings, with their defaults in one place.

use std::{ops::RangeInclusive, time::Duration};

use quire_document::DocumentLimits;
use quire_telemetry::env::{self, Misconfigured};
use url::Url;

/// A day: what a time-out that is longer than any would-be mistake may be.
const UP_TO_A_DAY: RangeInclusive<u64> = 1..=86_400;

/// Who needs an API key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum KeyPolicy {
    /// Everybody, even while there is none.
    Required,
    /// Everybody, as soon as there is one.
    Auto,
    /// Nobody: somebody before us checks who calls, and all are one tenant.
    Off,
}

/// What the door takes, and how long it waits.
#[derive(Debug, Clone)]
pub struct DoorSettings {
    /// How long `POST /ocr` and `POST /ocr/batch` wait for their task before they answer `202`: two minutes, which the
    /// usual clients and proxies still sit through.
    pub sync_limit: Duration,
    /// The largest request body, all files together.
    pub max_body_bytes: u64,
    /// The most files in one request.
    pub max_files: usize,
    /// The longest `?wait=`; a longer one is cut to this. One minute stays below the idle limit of most proxies.
    pub longest_wait: Duration,
    /// What a document may be.
    pub limits: DocumentLimits,
    /// How long the fetch of an `image_url` may take in all.
    pub fetch_limit: Duration,
    /// How long a receiver has for its answer to a test event: as long as for one to a callback.
    pub webhook_test_limit: Duration,
    /// How long an upload may stand still. A slow client is fine, one that sends nothing holds a file for nobody.
    pub idle_limit: Duration,
    /// How long the check of one document may take: headers are read and pages counted, so seconds are plenty, and a
    /// document made to take longer is refused.
    pub inspect_limit: Duration,
    /// How many documents are checked at the same time, over all requests: each takes a processor.
    pub max_inspections: usize,
    /// How long an `Idempotency-Key` is known.
    pub keys_kept_for: Duration,
    /// How much longer than its limits a request with such a key may take before it is believed dead, and another one
    /// takes its place.
    pub keyed_margin: Duration,
    /// The largest result that is answered as it is, where the backend has addresses for larger ones: what a function can
    /// answer, with what its envelope adds.
    pub inline_result_bytes: usize,
    /// The most pages of a searchable PDF.
    pub max_result_pages: u32,
    /// The largest searchable PDF: it lies in the spool until it is stored.
    pub max_result_bytes: u64,
    /// How long making a searchable PDF may take.
    pub result_limit: Duration,
    /// Who needs a key.
    pub keys: KeyPolicy,
    /// What `status_url` begins with, where the `Host` header does not tell, as behind a proxy that ends TLS.
    pub public_url: Option<Url>,
}

impl Default for DoorSettings {
    fn default() -> Self {
        Self {
            sync_limit: Duration::from_mins(2),
            max_body_bytes: 500 << 20,
            max_files: 1000,
            longest_wait: Duration::from_mins(1),
            limits: DocumentLimits::default(),
            fetch_limit: Duration::from_mins(1),
            webhook_test_limit: Duration::from_secs(15),
            idle_limit: Duration::from_secs(30),
            inspect_limit: Duration::from_mins(1),
            max_inspections: quire_telemetry::processors(),
            keys_kept_for: Duration::from_hours(24),
            keyed_margin: Duration::from_mins(1),
            inline_result_bytes: 4 << 20,
            max_result_pages: 3_000,
            max_result_bytes: 4 << 30,
            result_limit: Duration::from_mins(15),
            keys: KeyPolicy::Auto,
            public_url: None,
        }
    }
}

impl DoorSettings {
    /// The settings by these variables, each with the default above where it is unset:
    /// `QUIRE_SYNC_LIMIT_SECS`, `QUIRE_MAX_BODY_BYTES`, `QUIRE_MAX_FILES`, `QUIRE_LONGEST_WAIT_SECS`,
    /// `QUIRE_FETCH_LIMIT_SECS`, `QUIRE_IDLE_LIMIT_SECS`, `QUIRE_INSPECT_LIMIT_SECS`, `QUIRE_MAX_INSPECTIONS`,
    /// `QUIRE_INLINE_RESULT_BYTES`, `QUIRE_MAX_RESULT_PAGES`, `QUIRE_MAX_RESULT_BYTES`, `QUIRE_RESULT_LIMIT_SECS`,
    /// `QUIRE_KEYS` and `QUIRE_PUBLIC_URL`.
    ///
    /// # Errors
    /// [`Misconfigured`] when one of them has an impossible value.
    pub fn from_env() -> Result<Self, Misconfigured> {
        let default = Self::default();
        let secs = |name, default: Duration| env::secs_within(name, default.as_secs(), UP_TO_A_DAY);
        Ok(Self {
            sync_limit: secs("QUIRE_SYNC_LIMIT_SECS", default.sync_limit)?,
            max_body_bytes: env::within("QUIRE_MAX_BODY_BYTES", default.max_body_bytes, 1024..=1 << 40)?,
            max_files: env::within("QUIRE_MAX_FILES", default.max_files, 1..=10_000)?,
            longest_wait: secs("QUIRE_LONGEST_WAIT_SECS", default.longest_wait)?,
            limits: default.limits,
            fetch_limit: secs("QUIRE_FETCH_LIMIT_SECS", default.fetch_limit)?,
            webhook_test_limit: default.webhook_test_limit,
            idle_limit: secs("QUIRE_IDLE_LIMIT_SECS", default.idle_limit)?,
            inspect_limit: secs("QUIRE_INSPECT_LIMIT_SECS", default.inspect_limit)?,
            max_inspections: env::within("QUIRE_MAX_INSPECTIONS", default.max_inspections, 1..=1024)?,
            keys_kept_for: default.keys_kept_for,
            keyed_margin: default.keyed_margin,
            inline_result_bytes: env::within("QUIRE_INLINE_RESULT_BYTES", default.inline_result_bytes, 0..=1 << 30)?,
            max_result_pages: env::within("QUIRE_MAX_RESULT_PAGES", default.max_result_pages, 1..=100_000)?,
            max_result_bytes: env::within("QUIRE_MAX_RESULT_BYTES", default.max_result_bytes, 1..=9_000_000_000)?,
            result_limit: secs("QUIRE_RESULT_LIMIT_SECS", default.result_limit)?,
            keys: env::text("QUIRE_KEYS")?.map_or(Ok(default.keys), key_policy)?,
            public_url: env::text("QUIRE_PUBLIC_URL")?.map(public_url).transpose()?,
        })
    }

    /// How long a request that makes a task may be at work once all of it has arrived.
    pub(crate) fn longest_create(&self) -> Duration {
        self.sync_limit + self.inspect_limit + self.keyed_margin
    }
}

fn key_policy(value: String) -> Result<KeyPolicy, Misconfigured> {
    match value.as_str() {
        "required" => Ok(KeyPolicy::Required),
        "auto" => Ok(KeyPolicy::Auto),
        "off" => Ok(KeyPolicy::Off),
        _ => Err(Misconfigured { name: "QUIRE_KEYS", value, why: "must be required, auto or off".to_owned() }),
    }
}

fn public_url(value: String) -> Result<Url, Misconfigured> {
    let why = match Url::parse(&value) {
        Ok(url) if matches!(url.scheme(), "http" | "https") && url.query().is_none() && url.fragment().is_none() => {
            return Ok(url);
        }
        Ok(_) => "must be http or https, without query or fragment".to_owned(),
        Err(error) => error.to_string(),
    };
    Err(Misconfigured { name: "QUIRE_PUBLIC_URL", value, why })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_needs_a_key_is_said_in_one_of_three_words() {
        assert_eq!(key_policy("required".to_owned()).ok(), Some(KeyPolicy::Required));
        assert_eq!(key_policy("off".to_owned()).ok(), Some(KeyPolicy::Off));
        for wrong in ["", "1", "yes", "Required"] {
            assert!(key_policy(wrong.to_owned()).is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_public_url_with_a_query_refuses_to_start() {
        assert!(public_url("https://ocr.example.com/base".to_owned()).is_ok());
        for wrong in ["https://ocr.example.com/?a=b", "ftp://ocr.example.com", "ocr.example.com", "/x"] {
            assert!(public_url(wrong.to_owned()).is_err(), "{wrong}");
        }
    }
}
