//! Secrets that callbacks are signed with.

use std::{fmt, str::FromStr};

use base64::{Engine, engine::general_purpose::STANDARD};

/// Why a text is no secret. It never repeats the text.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum InvalidSecret {
    /// No secret at all.
    #[error("no webhook secret is given")]
    Missing,
    /// Another beginning.
    #[error("a webhook secret begins with {}", Secret::PREFIX)]
    Prefix,
    /// The rest is something else.
    #[error("a webhook secret is {} and base64", Secret::PREFIX)]
    Encoding,
    /// Too short to be safe, or longer than the standard permits.
    #[error("a webhook secret has {} to {} bytes", Secret::MIN_BYTES, Secret::MAX_BYTES)]
    Length,
}

/// A key shared with the receiver: written as `whsec_` and base64.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(Vec<u8>);

impl Secret {
    const PREFIX: &str = "whsec_";
    const MIN_BYTES: usize = 24;
    const MAX_BYTES: usize = 64;

    /// A new secret, made of random bytes.
    pub fn generate(random: [u8; 32]) -> Self {
        Self(random.to_vec())
    }

    fn new(bytes: Vec<u8>) -> Result<Self, InvalidSecret> {
        let fits = (Self::MIN_BYTES..=Self::MAX_BYTES).contains(&bytes.len());
        if fits { Ok(Self(bytes)) } else { Err(InvalidSecret::Length) }
    }

    /// The secret as it is written down, for the operator's eyes and the data folder only.
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

/// The secrets in force, at least one: while one is replaced by another, callbacks are signed with both.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Secrets(Vec<Secret>);

impl Secrets {
    /// A single secret.
    pub fn one(secret: Secret) -> Self {
        Self(vec![secret])
    }

    /// Several secrets: the newest, and the older ones that are still in force, newest first.
    pub fn new(newest: Secret, older: impl IntoIterator<Item = Secret>) -> Self {
        Self(std::iter::once(newest).chain(older).collect())
    }

    /// The newest of them: the one to hand out.
    pub fn newest(&self) -> &Secret {
        &self.0[0]
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = &Secret> {
        self.0.iter()
    }
}

/// Reads secrets set apart by white space.
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
        fn a_secret_reads_back(bytes in prop::collection::vec(any::<u8>(), 24..=64)) {
            let secret = Secret::new(bytes).expect("a length that fits");
            prop_assert_eq!(secret.reveal().parse(), Ok(secret));
        }

        #[test]
        fn a_secret_is_not_shown_by_accident(bytes in prop::collection::vec(any::<u8>(), 24..=64)) {
            let secrets = Secrets::one(Secret::new(bytes).expect("a length that fits"));
            prop_assert_eq!(format!("{secrets:?}"), "Secrets([Secret(…)])");
        }
    }

    #[test]
    fn what_is_no_secret_is_refused_with_its_reason() {
        let short = format!("whsec_{}", STANDARD.encode([7; 23]));
        let long = format!("whsec_{}", STANDARD.encode([7; 65]));
        assert_eq!(short.parse::<Secret>(), Err(InvalidSecret::Length));
        assert_eq!(long.parse::<Secret>(), Err(InvalidSecret::Length));
        assert_eq!("whsec_!".parse::<Secret>(), Err(InvalidSecret::Encoding));
        assert_eq!("MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw".parse::<Secret>(), Err(InvalidSecret::Prefix));
        assert_eq!("  ".parse::<Secrets>(), Err(InvalidSecret::Missing));
    }
}
