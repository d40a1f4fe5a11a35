//! The secret store.

use crate::{Backend, SecretName};

/// The first writer wins, and every writer returns the stored secret.
pub async fn a_secret_is_written_once(backend: &Backend) {
    let kept = backend.secrets.put_new(SecretName::Webhook, "whsec_the-first").await.expect("put");
    let again = backend.secrets.put_new(SecretName::Webhook, "whsec_the-second").await.expect("not put");
    assert_eq!(again, kept);
    assert_ne!(again, "whsec_the-second");
    assert_eq!(backend.secrets.read(SecretName::Webhook).await.expect("read"), Some(kept));
}
