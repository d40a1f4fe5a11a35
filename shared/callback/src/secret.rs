//! Secrets that sign callbacks.

use std::{fmt, str::FromStr};

use base64::{Engine, engine::general_purpose::STANDARD};

/// Error: the text is not a webhook secret. The error never contains the text. Decision: do not start.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum InvalidSecret {
    /// The text has no secret.
    #[error("no webhook secret given")]
    Missing,
    /// The prefix is missing.
    #[error("a webhook secret must begin with {}", Secret::PREFIX)]
    Prefix,
    /// The rest is not base64.
    #[error("a webhook secret must be {} followed by base64", Secret::PREFIX)]
    Encoding,
    /// The key is too short to be safe, or longer than Standard Webhooks allows.
    #[error("a webhook secret must have {} to {} bytes", Secret::MIN_BYTES, Secret::MAX_BYTES)]
    Length,
}

/// A signing key shared with the receiver, written as `whsec_` and base64 (Standard Webhooks).
///
/// ```
/// use quire_callback::Secret;
///
/// let secret = Secret::generate([7; 32]);
/// assert_eq!(secret.reveal().parse(), Ok(secret.clone()));
///
/// // `Debug` never shows it.
/// assert_eq!(format!("{secret:?}"), "Secret(…)");
/// ```
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(Vec<u8>);

impl Secret {
    const PREFIX: &str = "whsec_";
    const MIN_BYTES: usize = 24;
    const MAX_BYTES: usize = 64;

    /// Returns a new secret of random bytes.
    pub fn generate(random: [u8; 32]) -> Self {
        Self(random.to_vec())
    }

    fn new(bytes: Vec<u8>) -> Result<Self, InvalidSecret> {
        let fits = (Self::MIN_BYTES..=Self::MAX_BYTES).contains(&bytes.len());
        if fits { Ok(Self(bytes)) } else { Err(InvalidSecret::Length) }
    }

    /// Returns the secret as text. Note: it must never be logged.
    pub fn reveal(&self) -> String {
        format!("{}{}", Self::PREFIX, STANDARD.encode(&self.0))
    }

    pub(crate) fn key(&self) -> &[u8] {
        &self.0
    }
}

impl FromStr for Secret {
    type Err = InvalidSecret;

    fn from_str(text: &str) -> Result<Self, InvalidSecret> {
        let encoded = text.trim().strip_prefix(Self::PREFIX).ok_or(InvalidSecret::Prefix)?;
        Self::new(STANDARD.decode(encoded).map_err(|_| InvalidSecret::Encoding)?)
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(…)")
    }
}

/// The valid secrets of a tenant, at least one. During a rotation callbacks are signed with both.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Secrets(Vec<Secret>);

impl Secrets {
    /// Returns a single secret.
    pub fn one(secret: Secret) -> Self {
        Self(vec![secret])
    }

    /// Returns several secrets: the newest, and the older ones that are still valid, newest first.
    pub fn new(newest: Secret, older: impl IntoIterator<Item = Secret>) -> Self {
        Self(std::iter::once(newest).chain(older).collect())
    }

    /// Returns the newest secret.
    pub fn newest(&self) -> &Secret {
        &self.0[0]
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = &Secret> {
        self.0.iter()
    }
}

/// Parses secrets separated by white space.
impl FromStr for Secrets {
    type Err = InvalidSecret;

    fn from_str(text: &str) -> Result<Self, InvalidSecret> {
        let secrets = text.split_whitespace().map(str::parse).collect::<Result<Vec<Secret>, _>>()?;
        if secrets.is_empty() { Err(InvalidSecret::Missing) } else { Ok(Self(secrets)) }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
    fn a_secret_is_parsed_from_its_text(bytes in prop::collection::vec(any::<u8>(), 24..=64)) {
            let secret = Secret::new(bytes).expect("a length that fits");
            prop_assert_eq!(secret.reveal().parse(), Ok(secret));
        }

        #[test]
    fn debug_does_not_show_a_secret(bytes in prop::collection::vec(any::<u8>(), 24..=64)) {
            let secrets = Secrets::one(Secret::new(bytes).expect("a length that fits"));
            prop_assert_eq!(format!("{secrets:?}"), "Secrets([Secret(…)])");
        }
    }

    #[test]
    fn an_invalid_secret_is_refused_with_its_reason() {
        let short = format!("whsec_{}", STANDARD.encode([7; 23]));
        let long = format!("whsec_{}", STANDARD.encode([7; 65]));
        assert_eq!(short.parse::<Secret>(), Err(InvalidSecret::Length));
        assert_eq!(long.parse::<Secret>(), Err(InvalidSecret::Length));
        assert_eq!("whsec_!".parse::<Secret>(), Err(InvalidSecret::Encoding));
        assert_eq!("MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw".parse::<Secret>(), Err(InvalidSecret::Prefix));
        assert_eq!("  ".parse::<Secrets>(), Err(InvalidSecret::Missing));
    }
}
