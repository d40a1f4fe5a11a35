//! A secret that Terraform created without a value, and concurrent first writes.

use quire_platform::{Error, SecretName};
use quire_platform_aws::AwsSettings;

use crate::{connected, open, settings};

#[tokio::test]
async fn a_secret_without_a_value_does_not_exist_until_it_is_written() {
    let (backend, ()) = open().await;
    assert_eq!(backend.secrets.read(SecretName::Webhook).await.expect("read"), None);
    assert_eq!(backend.secrets.put_new(SecretName::Webhook, "whsec_AAAA").await.expect("put"), "whsec_AAAA");
    assert_eq!(backend.secrets.read(SecretName::Webhook).await.expect("read").as_deref(), Some("whsec_AAAA"));
}

#[tokio::test]
async fn a_missing_secret_does_not_exist_and_cannot_be_written() {
    let backend = connected(&settings()).await;
    assert_eq!(backend.secrets.read(SecretName::Webhook).await.expect("read"), None);
    assert!(backend.secrets.put_new(SecretName::Webhook, "whsec_AAAA").await.is_err());
}

#[tokio::test]
async fn the_error_names_the_missing_variable() {
    let backend = connected(&AwsSettings { webhook_secret: None, ..settings() }).await;
    let refused = backend.secrets.read(SecretName::Webhook).await;
    assert!(
        matches!(&refused, Err(Error::Failed { why, .. }) if why.contains("QUIRE_AWS_WEBHOOK_SECRET")),
        "{refused:?}"
    );
}
