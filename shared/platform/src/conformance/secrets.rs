//! What every secret store promises.

use crate::{Home, SecretName};

/// Whoever is first decides, and everybody learns what was decided.
pub async fn a_secret_is_written_once(home: &Home) {
    let kept = home.secrets.put_new(SecretName::Webhook, "whsec_the-first").await.expect("put");
    let again = home.secrets.put_new(SecretName::Webhook, "whsec_the-second").await.expect("not put");
    assert_eq!(again, kept);
    assert_ne!(again, "whsec_the-second");
    assert_eq!(home.secrets.read(SecretName::Webhook).await.expect("read"), Some(kept));
}
