//! The store of secrets.

use std::fmt::Debug;

use async_trait::async_trait;

use crate::Result;

/// The secrets.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum SecretName {
    /// The secret that signs webhooks.
    Webhook,
}

/// Secrets, as text. Each is written once, by the first writer; an operator rotates it with the backend's own tools.
#[async_trait]
pub trait SecretStore: Debug + Send + Sync {
    /// Returns the secret, or `None` if it is not written yet.
    ///
    /// # Errors
    /// Any [`crate::Error`].
    async fn read(&self, name: SecretName) -> Result<Option<String>>;

    /// Writes the secret unless it exists. Returns the stored secret: `value`, or the one of an earlier writer.
    ///
    /// # Errors
    /// Any [`crate::Error`].
    async fn put_new(&self, name: SecretName, value: &str) -> Result<String>;
}
