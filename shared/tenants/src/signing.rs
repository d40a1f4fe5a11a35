//! What callbacks are signed with: a secret for each tenant, derived from one root, and replaced by the next on demand.

use std::{fmt, sync::Arc, time::Duration};

use hmac::{Hmac, KeyInit, Mac};
use quire_callback::{InvalidSecret, Secret, Secrets};
use quire_platform::{Backend, Collection, Error, SecretName, retry_with_backoff};
use quire_tasks::{Tenant, UnixMillis};
use quire_telemetry::env;
use serde::{Deserialize, Serialize};
use sha2::Sha256;

use crate::record;

/// For so long an older secret signs too: a day is enough for a receiver's people to put the new one in.
pub const SECRET_OVERLAP: Duration = Duration::from_hours(24);
/// The most older secrets that sign too. Whoever rotates more often within a day than that loses the oldest early: a
/// header with ever more signatures would harm every receiver.
const MOST_OLDER: usize = 4;
const VARIABLE: &str = "QUIRE_WEBHOOK_SECRET";
/// Says what the root is used for here, so that a key derived from it for anything else is another one.
const PURPOSE: &[u8] = b"quire webhook secret";

/// Why there is nothing to sign with, or nothing new.
#[derive(Debug, Clone, thiserror::Error)]
pub enum SigningError {
    /// The variable holds something else than secrets. Decision: do not start.
    #[error("{VARIABLE} holds no secret: {0}")]
    Variable(InvalidSecret),
    /// The variable cannot be read. Decision: do not start.
    #[error(transparent)]
    Misconfigured(#[from] env::Misconfigured),
    /// What is kept as the root is no secret. Decision: do not start; an operator has to act.
    #[error("what is kept as the webhook secret is none: {0}")]
    Root(InvalidSecret),
    /// An operator has said what this tenant's callbacks are signed with. Decision: refuse to replace it.
    #[error("the secret is the one of {VARIABLE}: it is replaced there")]
    Fixed,
    /// Of the backend. Decision: its own.
    #[error(transparent)]
    Backend(#[from] Error),
}

/// What callbacks are signed with. Cheap to clone.
#[derive(Clone)]
pub struct Signing(Arc<SigningRoots>);

struct SigningRoots {
    root: Secret,
    /// What the tenant `default` signs with, where an operator has said so.
    fixed: Option<Secrets>,
}

/// A secret that has just replaced another.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RotatedSecret {
    /// The new one.
    pub secret: Secret,
    /// Until when the one before it signs too.
    pub both_until: UnixMillis,
}

/// Which secrets of a tenant are in force. It holds no secret.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
struct SecretGenerations {
    /// The newest, from 0.
    newest: u32,
    /// Those before it that sign too, newest first.
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

    fn next(self, now: UnixMillis) -> Self {
        let until = UnixMillis(now.0.saturating_add(SECRET_OVERLAP.as_millis() as i64));
        let before = OlderSecret { generation: self.newest, until };
        let older = self.older.into_iter().filter(|older| now < older.until);
        let older = std::iter::once(before).chain(older).take(MOST_OLDER).collect();
        Self { newest: self.newest + 1, older }
    }
}

impl Signing {
    /// The root secret of the backend, made when there is none, and what `QUIRE_WEBHOOK_SECRET` says.
    ///
    /// # Errors
    /// [`SigningError`].
    pub async fn load(backend: &Backend) -> Result<Self, SigningError> {
        let fixed = env::text(VARIABLE)?.map(|text| text.parse()).transpose().map_err(SigningError::Variable)?;
        Self::new(backend, fixed).await
    }

    /// The root secret of the backend, made when there is none; the tenant `default` signs with `fixed`, where that is given.
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

    /// The secrets of a tenant that are in force, newest first: several while one is being replaced.
    ///
    /// # Errors
    /// Any [`Error`].
    pub async fn secrets(&self, backend: &Backend, tenant: &Tenant, now: UnixMillis) -> Result<Secrets, Error> {
        if let Some(fixed) = self.fixed(tenant) {
            return Ok(fixed.clone());
        }
        let read = || record::read::<SecretGenerations>(backend, Collection::Webhooks, tenant.as_str());
        let (generations, _) = retry_with_backoff(read).await?;
        let older = generations.in_force(now).map(|generation| self.derived(tenant, generation));
        Ok(Secrets::new(self.derived(tenant, generations.newest), older))
    }

    /// Until when an older secret of a tenant signs too; `None` where only the newest does, or an operator says which.
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

    /// Replaces the newest secret of a tenant by a new one. The one before it signs too for [`SECRET_OVERLAP`].
    ///
    /// # Errors
    /// [`SigningError::Fixed`] and [`SigningError::Backend`].
    pub async fn rotate(
        &self,
        backend: &Backend,
        tenant: &Tenant,
        now: UnixMillis,
    ) -> Result<RotatedSecret, SigningError> {
        if self.fixed(tenant).is_some() {
            return Err(SigningError::Fixed);
        }
        let next = record::change(backend, Collection::Webhooks, tenant.as_str(), |before: SecretGenerations| {
            before.next(now)
        })
        .await?;
        let both_until = next.older.first().map_or(now, |older| older.until);
        Ok(RotatedSecret { secret: self.derived(tenant, next.newest), both_until })
    }

    fn fixed(&self, tenant: &Tenant) -> Option<&Secrets> {
        self.0.fixed.as_ref().filter(|_| *tenant == Tenant::default())
    }

    /// Whoever has one of a tenant's secrets learns nothing about the root, nor about any other.
    fn derived(&self, tenant: &Tenant, generation: u32) -> Secret {
        let root = self.0.root.reveal();
        let mut mac = Hmac::<Sha256>::new_from_slice(root.as_bytes()).expect("HMAC takes keys of any length");
        // No tenant's name holds a zero byte: no two lists of parts read the same.
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
