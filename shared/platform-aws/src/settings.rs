//! Which bucket, table and queues, from the environment.

use std::ops::RangeInclusive;

use quire_platform::{Error, Result};

const WHAT: &str = "configuration";
/// Enough for two of the largest documents that are taken in.
const CACHE_MB: u64 = 1024;
/// Less would fetch one large document again for each of its pages, more than this no machine has.
const CACHE_MB_RANGE: RangeInclusive<u64> = 16..=1_048_576;

/// What the backend on AWS is made of. Region, credentials and endpoint are the SDK's to find: `AWS_REGION`,
/// `AWS_ENDPOINT_URL` and their like.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AwsSettings {
    /// The bucket of the documents and results.
    pub bucket: String,
    /// The task table.
    pub table: String,
    /// What the names of the queues begin with: `quire` makes `quire-pages`, `quire-pages-dead` and so on.
    pub queue_prefix: String,
    /// How many bytes the copies of objects may take in the folder for temporary files.
    pub cache_bytes: u64,
    /// The name or the ARN of the secret that callbacks are signed with. Only who reads or writes it needs it.
    pub webhook_secret: Option<String>,
    /// The address of an emulator, which asks for no credentials and cares for no region. Never from the environment:
    /// there `AWS_ENDPOINT_URL` says the same, and credentials are whatever they are.
    pub emulator: Option<String>,
}

impl AwsSettings {
    /// `QUIRE_AWS_BUCKET` must be set. `QUIRE_AWS_TABLE` and `QUIRE_AWS_QUEUE_PREFIX` are `quire` unless they are set,
    /// and `QUIRE_AWS_CACHE_MB` is 1024. `QUIRE_AWS_WEBHOOK_SECRET` may be missing.
    ///
    /// # Errors
    /// [`Error::Failed`] where one is missing or makes no sense.
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
    fn only_the_bucket_must_be_named() {
        let of = |pairs: &'static [(&str, &str)]| {
            AwsSettings::from_lookup(|name| pairs.iter().find(|pair| pair.0 == name).map(|pair| pair.1.to_owned()))
        };
        let settings = of(&[("QUIRE_AWS_BUCKET", "b"), ("QUIRE_AWS_TABLE", "t")]).expect("settings");
        assert_eq!((settings.bucket.as_str(), settings.table.as_str()), ("b", "t"));
        assert_eq!((settings.queue_prefix.as_str(), settings.cache_bytes >> 20), ("quire", CACHE_MB));
        assert_eq!(settings.webhook_secret, None);
        assert!(of(&[]).is_err_and(|error| error.to_string().contains("QUIRE_AWS_BUCKET")));
        let small = of(&[("QUIRE_AWS_BUCKET", "b"), ("QUIRE_AWS_CACHE_MB", "1")]);
        assert!(small.is_err_and(|error| error.to_string().contains("from 16")));
    }
}
