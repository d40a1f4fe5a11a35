//! Where secrets are kept.

use std::fmt::Debug;

use async_trait::async_trait;

use crate::Result;

/// What is kept secret.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum SecretName {
    /// What callbacks are signed with.
    Webhook,
}

/// Secrets, as text. Each is written once, by whoever is first; an operator changes it by the backend's own means.
#[async_trait]
pub trait SecretStore: Debug + Send + Sync {
    /// The secret, where it has been written.
    ///
    /// # Errors
    /// Any [`crate::Error`].
    async fn read(&self, name: SecretName) -> Result<Option<String>>;

    /// Writes the secret unless there is one; returns what is kept from now on, `value` or what somebody else wrote
    /// before.
    ///
    /// # Errors
    /// Any [`crate::Error`].
    async fn put_new(&self, name: SecretName, value: &str) -> Result<String>;
}
