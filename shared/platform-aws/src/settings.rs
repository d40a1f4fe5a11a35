//! Configuration from the environment.

use std::ops::RangeInclusive;

use quire_platform::{Error, Result};

const WHAT: &str = "configuration";
/// The default cache size: two of the largest documents fit.
const CACHE_MB: u64 = 1024;
/// A smaller cache would download a large document again for each of its pages.
const CACHE_MB_RANGE: RangeInclusive<u64> = 16..=1_048_576;

/// The configuration of the AWS backend. Region, credentials and endpoint come from the SDK's own variables, e.g.
/// `AWS_REGION` and `AWS_ENDPOINT_URL`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AwsSettings {
    /// The bucket for documents and results.
    pub bucket: String,
    /// The `DynamoDB` table.
    pub table: String,
    /// The prefix of the queues' names: `quire` makes `quire-pages`, `quire-pages-dead` and so on.
    pub queue_prefix: String,
    /// The size of the local object cache, in bytes.
    pub cache_bytes: u64,
    /// The name or ARN of the secret that signs webhooks. Optional: only functions that read or write it need it.
    pub webhook_secret: Option<String>,
    /// The URL of an emulator, which ignores credentials and region. Not read from the environment: use
    /// `AWS_ENDPOINT_URL` there.
    pub emulator: Option<String>,
}

impl AwsSettings {
    /// Reads the configuration: `QUIRE_AWS_BUCKET` (required), `QUIRE_AWS_TABLE` (default: `quire`),
    /// `QUIRE_AWS_QUEUE_PREFIX` (default: `quire`), `QUIRE_AWS_CACHE_MB` (default: 1024) and `QUIRE_AWS_WEBHOOK_SECRET`
    /// (optional).
    ///
    /// # Errors
    /// [`Error::Failed`] if a variable is missing or invalid.
    pub fn from_env() -> Result<Self> {
        Self::from_lookup(|name| std::env::var(name).ok())
    }

    fn from_lookup(lookup: impl Fn(&str) -> Option<String>) -> Result<Self> {
        let text = |name| lookup(name).filter(|value| !value.is_empty());
        let wrong = |why: String| Error::Failed { what: WHAT, why };
        let bucket = text("QUIRE_AWS_BUCKET").ok_or_else(|| wrong("QUIRE_AWS_BUCKET is not set".to_owned()))?;
        let number =
            |name, default: u64, range: RangeInclusive<u64>| match text(name) {
                None => Ok(default),
                Some(value) => value.parse().ok().filter(|number| range.contains(number)).ok_or_else(|| {
                    wrong(format!("{name}={value:?}: must be from {} to {}", range.start(), range.end()))
                }),
            };
        let cache_mb = number("QUIRE_AWS_CACHE_MB", CACHE_MB, CACHE_MB_RANGE)?;
        let named = |name| text(name).unwrap_or_else(|| "quire".to_owned());
        Ok(Self {
            bucket,
            table: named("QUIRE_AWS_TABLE"),
            queue_prefix: named("QUIRE_AWS_QUEUE_PREFIX"),
            cache_bytes: cache_mb * 1024 * 1024,
            webhook_secret: text("QUIRE_AWS_WEBHOOK_SECRET"),
            emulator: None,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_bucket_is_required() {
        let settings_from = |pairs: &'static [(&str, &str)]| {
            AwsSettings::from_lookup(|name| pairs.iter().find(|pair| pair.0 == name).map(|pair| pair.1.to_owned()))
        };
        let settings = settings_from(&[("QUIRE_AWS_BUCKET", "b"), ("QUIRE_AWS_TABLE", "t")]).expect("settings");
        assert_eq!((settings.bucket.as_str(), settings.table.as_str()), ("b", "t"));
        assert_eq!((settings.queue_prefix.as_str(), settings.cache_bytes >> 20), ("quire", CACHE_MB));
        assert_eq!(settings.webhook_secret, None);
        assert!(settings_from(&[]).is_err_and(|error| error.to_string().contains("QUIRE_AWS_BUCKET")));
        let small = settings_from(&[("QUIRE_AWS_BUCKET", "b"), ("QUIRE_AWS_CACHE_MB", "1")]);
        assert!(small.is_err_and(|error| error.to_string().contains("from 16")));
    }
}
