//! Webhook signing secrets: one per tenant, derived from the backend's root secret, with rotation.

use std::{fmt, sync::Arc, time::Duration};

use hmac::{Hmac, KeyInit, Mac};
use quire_callback::{InvalidSecret, Secret, Secrets};
use quire_platform::{Backend, Collection, Error, SecretName, retry_with_backoff};
use quire_tasks::{Tenant, UnixMillis};
use quire_telemetry::env;
use serde::{Deserialize, Serialize};
use sha2::Sha256;

use crate::record;

/// How long the previous secret still signs after a rotation: a day, so that receivers can be reconfigured.
pub const SECRET_OVERLAP: Duration = Duration::from_hours(24);
/// Maximum number of older secrets that still sign, so that the signature header stays bounded. More frequent rotations
/// are refused: dropping an older secret early would break receivers that are not yet reconfigured, which an attacker
/// with an API key, or a script in a loop, could cause.
const MAX_OLDER: usize = 4;
const VARIABLE: &str = "QUIRE_WEBHOOK_SECRET";
/// Domain separation: a key derived from the root secret for another purpose differs.
const PURPOSE: &[u8] = b"quire webhook secret";

/// Error: no signing secret can be loaded or rotated.
#[derive(Debug, Clone, thiserror::Error)]
pub enum SigningError {
    /// The environment variable does not contain secrets. Decision: do not start.
    #[error("{VARIABLE} is not a list of webhook secrets: {0}")]
    Variable(InvalidSecret),
    /// The environment variable cannot be read. Decision: do not start.
    #[error(transparent)]
    Misconfigured(#[from] env::Misconfigured),
    /// The stored root secret is invalid. Decision: do not start; an operator must act.
    #[error("the stored webhook root secret is invalid: {0}")]
    Root(InvalidSecret),
    /// The tenant's secret is configured by the environment variable. Decision: refuse the rotation.
    #[error("the secret is configured by {VARIABLE} and must be rotated there")]
    Fixed,
    /// Four older secrets still sign. Decision: refuse the rotation; it is possible after this time.
    #[error(
        "the secret was rotated too often: each older one signs for 24 hours; retry in {} minutes",
        retry_after.as_secs() / 60 + 1
    )]
    TooManyRotations {
        /// Until the oldest secret no longer signs.
        retry_after: Duration,
    },
    /// An error of the backend. Decision: that of the error.
    #[error(transparent)]
    Backend(#[from] Error),
}

/// The signing secrets of all tenants. Cheap to clone.
#[derive(Clone)]
pub struct Signing(Arc<SigningRoots>);

struct SigningRoots {
    root: Secret,
    /// The configured secrets of the tenant `default`, if any.
    fixed: Option<Secrets>,
}

/// A rotated secret.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RotatedSecret {
    /// The new secret.
    pub secret: Secret,
    /// Until when the previous secret still signs.
    pub both_until: UnixMillis,
}

/// The generations of a tenant's secrets. It contains no secret.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
struct SecretGenerations {
    /// The newest generation, from 0.
    newest: u32,
    /// Older generations that still sign, newest first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    older: Vec<OlderSecret>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct OlderSecret {
    generation: u32,
    until: UnixMillis,
}

impl SecretGenerations {
    fn in_force(&self, now: UnixMillis) -> impl Iterator<Item = u32> {
        self.older.iter().filter(move |older| now < older.until).map(|older| older.generation)
    }

    /// Returns the generations after a rotation. Error: the time until it is possible, if all older secrets sign.
    fn next(self, now: UnixMillis) -> Result<Self, Duration> {
        let in_force = || self.older.iter().filter(|older| now < older.until);
        if in_force().count() >= MAX_OLDER {
            let first_end = in_force().map(|older| older.until.0).min().unwrap_or(now.0);
            return Err(Duration::from_millis(first_end.abs_diff(now.0)));
        }
        let until = UnixMillis(now.0.saturating_add(SECRET_OVERLAP.as_millis() as i64));
        let before = OlderSecret { generation: self.newest, until };
        let older = self.older.into_iter().filter(|older| now < older.until);
        let older = std::iter::once(before).chain(older).collect();
        Ok(Self { newest: self.newest + 1, older })
    }
}

impl Signing {
    /// Loads the backend's root secret, or creates it, and `QUIRE_WEBHOOK_SECRET`.
    ///
    /// # Errors
    /// [`SigningError`].
    pub async fn load(backend: &Backend) -> Result<Self, SigningError> {
        let fixed = env::text(VARIABLE)?.map(|text| text.parse()).transpose().map_err(SigningError::Variable)?;
        Self::new(backend, fixed).await
    }

    /// Loads the backend's root secret, or creates it. The tenant `default` signs with `fixed`, if given.
    ///
    /// # Errors
    /// [`SigningError::Root`] and [`SigningError::Backend`].
    pub async fn new(backend: &Backend, fixed: Option<Secrets>) -> Result<Self, SigningError> {
        let kept = retry_with_backoff(|| backend.secrets.read(SecretName::Webhook)).await?;
        let text = if let Some(text) = kept {
            text
        } else {
            let made = Secret::generate(rand::random()).reveal();
            retry_with_backoff(|| backend.secrets.put_new(SecretName::Webhook, &made)).await?
        };
        let root = text.trim().parse().map_err(SigningError::Root)?;
        Ok(Self(Arc::new(SigningRoots { root, fixed })))
    }

    /// Returns the valid secrets of a tenant, newest first: several during a rotation.
    ///
    /// # Errors
    /// Any [`Error`].
    pub async fn secrets(&self, backend: &Backend, tenant: &Tenant, now: UnixMillis) -> Result<Secrets, Error> {
        if let Some(fixed) = self.fixed(tenant) {
            return Ok(fixed.clone());
        }
        let read = || record::read::<SecretGenerations>(backend, Collection::Webhooks, tenant.as_str());
        let (generations, _) = retry_with_backoff(read).await?;
        let older = generations.in_force(now).map(|generation| self.derive_secret(tenant, generation));
        Ok(Secrets::new(self.derive_secret(tenant, generations.newest), older))
    }

    /// Returns until when an older secret of a tenant still signs; `None` if only the newest signs or the secrets are
    /// configured.
    ///
    /// # Errors
    /// Any [`Error`].
    pub async fn older_until(
        &self,
        backend: &Backend,
        tenant: &Tenant,
        now: UnixMillis,
    ) -> Result<Option<UnixMillis>, Error> {
        if self.fixed(tenant).is_some() {
            return Ok(None);
        }
        let (generations, _) =
            record::read::<SecretGenerations>(backend, Collection::Webhooks, tenant.as_str()).await?;
        Ok(generations.older.first().map(|older| older.until).filter(|until| now < *until))
    }

    /// Rotates a tenant's secret. The previous one still signs for [`SECRET_OVERLAP`].
    ///
    /// # Errors
    /// [`SigningError::Fixed`], [`SigningError::TooManyRotations`] and [`SigningError::Backend`].
    pub async fn rotate(
        &self,
        backend: &Backend,
        tenant: &Tenant,
        now: UnixMillis,
    ) -> Result<RotatedSecret, SigningError> {
        if self.fixed(tenant).is_some() {
            return Err(SigningError::Fixed);
        }
        let next = record::try_change(backend, Collection::Webhooks, tenant.as_str(), |before: SecretGenerations| {
            before.next(now)
        })
        .await?
        .map_err(|retry_after| SigningError::TooManyRotations { retry_after })?;
        let both_until = next.older.first().map_or(now, |older| older.until);
        Ok(RotatedSecret { secret: self.derive_secret(tenant, next.newest), both_until })
    }

    fn fixed(&self, tenant: &Tenant) -> Option<&Secrets> {
        self.0.fixed.as_ref().filter(|_| *tenant == Tenant::default())
    }

    /// Derives a tenant's secret by HMAC. It reveals nothing about the root secret or other secrets.
    fn derive_secret(&self, tenant: &Tenant, generation: u32) -> Secret {
        let root = self.0.root.reveal();
        let mut mac = Hmac::<Sha256>::new_from_slice(root.as_bytes()).expect("HMAC accepts keys of any length");
        // The zero byte separates the parts: no tenant name contains it.
        for part in [PURPOSE, tenant.as_str().as_bytes()] {
            mac.update(part);
            mac.update(&[0]);
        }
        mac.update(generation.to_string().as_bytes());
        Secret::generate(mac.finalize().into_bytes().into())
    }
}

impl fmt::Debug for Signing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Signing(…)")
    }
}
