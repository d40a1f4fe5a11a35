//! The settings of submit, with their defaults.

use std::{num::NonZero, ops::RangeInclusive, time::Duration};

use quire_document::DocumentLimits;
use quire_telemetry::env::{self, Misconfigured};
use quire_tenants::TenantLimits;
use url::Url;

/// The valid range of timeouts, in seconds. The upper bound of a day catches typing errors.
const UP_TO_A_DAY: RangeInclusive<u64> = 1..=86_400;

/// The shortest time over which the rate of a body is measured.
const MIN_RATE_WINDOW: Duration = Duration::from_secs(2);

/// Which requests need an API key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum KeyPolicy {
    /// All requests, even before the first key exists.
    Required,
    /// All requests, as soon as the first key exists.
    Auto,
    /// None: a proxy authenticates requests, and all belong to the default tenant.
    Off,
}

/// The settings of the HTTP API and of ingest.
#[derive(Debug, Clone)]
pub struct SubmitSettings {
    /// The maximum time that `POST /ocr` and `POST /ocr/batch` wait for their task before they respond with `202`.
    /// Default: 2 minutes, which common clients and proxies wait for.
    pub sync_limit: Duration,
    /// The maximum size of a request body, all files together. Default: 500 MiB.
    pub max_body_bytes: u64,
    /// The maximum number of files in a request. Default: 1000.
    pub max_files: usize,
    /// The maximum of `?wait=`; larger values are cut. Default: 1 minute, below the idle timeout of most proxies.
    pub longest_wait: Duration,
    /// The limits of a document.
    pub limits: DocumentLimits,
    /// The timeout for fetching an `image_url`. Default: 1 minute.
    pub fetch_limit: Duration,
    /// The maximum number of documents of one tenant that ingest fetches concurrently; half as many again can be
    /// fetched for other tenants. Default: 16. Fetching is mostly waiting, but each may take the maximum size of a
    /// document in the spool.
    pub max_fetches: usize,
    /// The minimum rate of a fetch in bytes per second. Default: 10,000. 0 disables it.
    pub min_fetch_rate: u64,
    /// The time over which the rate is averaged, and the time before the first byte that does not count. Default: 10
    /// seconds, so that short stalls do not matter.
    pub fetch_rate_window: Duration,
    /// The timeout for the response to a test event. Default: 15 seconds, the same as for a callback.
    pub webhook_test_limit: Duration,
    /// The idle timeout of an upload. Default: 30 seconds. Slow clients are fine; one that sends nothing holds a file.
    pub idle_limit: Duration,
    /// The total timeout of a request body. Default: 1 hour, in which 500 MiB arrive at 1.2 Mbit/s.
    pub upload_limit: Duration,
    /// The minimum rate of a request body, in bytes per second, while this server waits for it: measured over each
    /// period of `idle_limit`, at least 2 seconds. Default: 1024. A response must be taken at the same rate.
    pub min_body_rate: u64,
    /// The timeout for validating a document. Default: 1 minute. Only headers are read and pages counted, so that a
    /// document that takes longer is malicious.
    pub inspect_limit: Duration,
    /// The maximum number of PDFs of one tenant that are validated concurrently, over all requests; half as many again
    /// can be validated for other tenants. The same holds for images. Default: the number of CPUs, since each
    /// validation takes one.
    pub max_inspections: usize,
    /// How long an `Idempotency-Key` is remembered. Default: 24 hours.
    pub keys_kept_for: Duration,
    /// The time beyond all other timeouts after which a request with an `Idempotency-Key` is considered dead, so that
    /// another one takes its place. Default: 1 minute.
    pub keyed_margin: Duration,
    /// The maximum size of a result that is returned in the response if the backend has download URLs; larger ones are
    /// redirected. Default: 4 MiB, below the limit of a Lambda response (6 MB, base64-encoded).
    pub inline_result_bytes: usize,
    /// The maximum number of pages of a searchable PDF. Default: 3000.
    pub max_result_pages: u32,
    /// The maximum size of a searchable PDF, which is in the spool until it is stored. Default: 4 GiB.
    pub max_result_bytes: u64,
    /// The timeout for making a searchable PDF. Default: 15 minutes.
    pub result_limit: Duration,
    /// Which requests need a key. Default: [`KeyPolicy::Auto`].
    pub keys: KeyPolicy,
    /// The limits of tenants without limits of their own. Default: 10,000 pages per task.
    pub default_limits: TenantLimits,
    /// The free disk space, in bytes, below which no task is created. Default, `None`: 1 GiB or 2 % of the disk,
    /// whichever is less.
    pub min_free_bytes: Option<u64>,
    /// The base of `status_url` if the `Host` header is not the public name, e.g. behind a proxy that terminates TLS.
    pub public_url: Option<Url>,
}

impl Default for SubmitSettings {
    fn default() -> Self {
        Self {
            sync_limit: Duration::from_mins(2),
            max_body_bytes: 500 << 20,
            max_files: 1000,
            longest_wait: Duration::from_mins(1),
            limits: DocumentLimits::default(),
            fetch_limit: Duration::from_mins(1),
            max_fetches: 16,
            min_fetch_rate: 10_000,
            fetch_rate_window: Duration::from_secs(10),
            webhook_test_limit: Duration::from_secs(15),
            idle_limit: Duration::from_secs(30),
            upload_limit: Duration::from_hours(1),
            min_body_rate: 1024,
            inspect_limit: Duration::from_mins(1),
            max_inspections: std::thread::available_parallelism().map_or(1, NonZero::get),
            keys_kept_for: Duration::from_hours(24),
            keyed_margin: Duration::from_mins(1),
            inline_result_bytes: 4 << 20,
            max_result_pages: 3_000,
            max_result_bytes: 4 << 30,
            result_limit: Duration::from_mins(15),
            keys: KeyPolicy::Auto,
            default_limits: TenantLimits::built_in_defaults(),
            min_free_bytes: None,
            public_url: None,
        }
    }
}

impl SubmitSettings {
    /// Reads the settings from these environment variables; each has the default above:
    /// `QUIRE_SYNC_LIMIT_SECS`, `QUIRE_MAX_BODY_BYTES`, `QUIRE_MAX_FILES`, `QUIRE_LONGEST_WAIT_SECS`,
    /// `QUIRE_FETCH_LIMIT_SECS`, `QUIRE_MAX_FETCHES`, `QUIRE_MIN_FETCH_RATE`, `QUIRE_IDLE_LIMIT_SECS`,
    /// `QUIRE_UPLOAD_LIMIT_SECS`, `QUIRE_MIN_BODY_BYTES_PER_SEC`, `QUIRE_INSPECT_LIMIT_SECS`, `QUIRE_MAX_INSPECTIONS`,
    /// `QUIRE_INLINE_RESULT_BYTES`, `QUIRE_MAX_RESULT_PAGES`, `QUIRE_MAX_RESULT_BYTES`, `QUIRE_RESULT_LIMIT_SECS`,
    /// `QUIRE_KEYS`, `QUIRE_MIN_FREE_BYTES`, `QUIRE_PUBLIC_URL`, and those of [`TenantLimits::defaults_from_env`].
    ///
    /// # Errors
    /// [`Misconfigured`] if a variable has an invalid value.
    pub fn from_env() -> Result<Self, Misconfigured> {
        let default = Self::default();
        Ok(Self {
            sync_limit: timeout("QUIRE_SYNC_LIMIT_SECS", default.sync_limit)?,
            max_body_bytes: env::within("QUIRE_MAX_BODY_BYTES", default.max_body_bytes, 1024..=1 << 40)?,
            max_files: env::within("QUIRE_MAX_FILES", default.max_files, 1..=10_000)?,
            longest_wait: timeout("QUIRE_LONGEST_WAIT_SECS", default.longest_wait)?,
            limits: default.limits,
            fetch_limit: timeout("QUIRE_FETCH_LIMIT_SECS", default.fetch_limit)?,
            max_fetches: env::within("QUIRE_MAX_FETCHES", default.max_fetches, 1..=1024)?,
            min_fetch_rate: env::within("QUIRE_MIN_FETCH_RATE", default.min_fetch_rate, 0..=1 << 30)?,
            fetch_rate_window: default.fetch_rate_window,
            webhook_test_limit: default.webhook_test_limit,
            idle_limit: timeout("QUIRE_IDLE_LIMIT_SECS", default.idle_limit)?,
            upload_limit: timeout("QUIRE_UPLOAD_LIMIT_SECS", default.upload_limit)?,
            min_body_rate: env::within("QUIRE_MIN_BODY_BYTES_PER_SEC", default.min_body_rate, 0..=1 << 30)?,
            inspect_limit: timeout("QUIRE_INSPECT_LIMIT_SECS", default.inspect_limit)?,
            max_inspections: env::within("QUIRE_MAX_INSPECTIONS", default.max_inspections, 1..=1024)?,
            keys_kept_for: default.keys_kept_for,
            keyed_margin: default.keyed_margin,
            inline_result_bytes: env::within("QUIRE_INLINE_RESULT_BYTES", default.inline_result_bytes, 0..=1 << 30)?,
            max_result_pages: env::within("QUIRE_MAX_RESULT_PAGES", default.max_result_pages, 1..=100_000)?,
            max_result_bytes: env::within("QUIRE_MAX_RESULT_BYTES", default.max_result_bytes, 1..=9_000_000_000)?,
            result_limit: timeout("QUIRE_RESULT_LIMIT_SECS", default.result_limit)?,
            keys: env::text("QUIRE_KEYS")?.map_or(Ok(default.keys), parse_key_policy)?,
            default_limits: TenantLimits::defaults_from_env()?,
            min_free_bytes: min_free_bytes()?,
            public_url: env::text("QUIRE_PUBLIC_URL")?.map(parse_public_url).transpose()?,
        })
    }

    /// The time over which the rate of a body is measured: at least the idle timeout, since a client that pauses for
    /// less is not slow.
    pub(crate) fn rate_window(&self) -> Duration {
        self.idle_limit.max(MIN_RATE_WINDOW)
    }

    /// The minimum size of what arrives of a body in [`Self::rate_window`].
    pub(crate) fn min_window_bytes(&self) -> u64 {
        (self.min_body_rate as f64 * self.rate_window().as_secs_f64()) as u64
    }

    /// The maximum duration of a request that creates a task, after all of its body has arrived.
    pub(crate) fn longest_create(&self) -> Duration {
        self.sync_limit + self.inspect_limit + self.keyed_margin
    }
}

/// Reads a timeout in seconds.
fn timeout(name: &'static str, default: Duration) -> Result<Duration, Misconfigured> {
    env::secs_within(name, default.as_secs(), UP_TO_A_DAY)
}

/// Reads the minimum of free disk space, which has no fixed default.
fn min_free_bytes() -> Result<Option<u64>, Misconfigured> {
    let unset = u64::MAX;
    let bytes = env::within("QUIRE_MIN_FREE_BYTES", unset, 0..=unset)?;
    Ok(Some(bytes).filter(|bytes| *bytes != unset))
}

fn parse_key_policy(value: String) -> Result<KeyPolicy, Misconfigured> {
    match value.as_str() {
        "required" => Ok(KeyPolicy::Required),
        "auto" => Ok(KeyPolicy::Auto),
        "off" => Ok(KeyPolicy::Off),
        _ => Err(Misconfigured { name: "QUIRE_KEYS", value, why: "must be required, auto or off".to_owned() }),
    }
}

fn parse_public_url(value: String) -> Result<Url, Misconfigured> {
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
    fn the_key_policy_is_one_of_three_words() {
        assert_eq!(parse_key_policy("required".to_owned()).ok(), Some(KeyPolicy::Required));
        assert_eq!(parse_key_policy("off".to_owned()).ok(), Some(KeyPolicy::Off));
        for wrong in ["", "1", "yes", "Required"] {
            assert!(parse_key_policy(wrong.to_owned()).is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_public_url_with_a_query_is_an_error() {
        assert!(parse_public_url("https://ocr.example.com/base".to_owned()).is_ok());
        for wrong in ["https://ocr.example.com/?a=b", "ftp://ocr.example.com", "ocr.example.com", "/x"] {
            assert!(parse_public_url(wrong.to_owned()).is_err(), "{wrong}");
        }
    }
}
