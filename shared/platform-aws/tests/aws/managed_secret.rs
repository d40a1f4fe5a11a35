//! The secret that Terraform makes without a value, and no value is put over another.

use quire_platform::{Error, SecretName};
use quire_platform_aws::AwsSettings;

use crate::{connected, open, settings};

#[tokio::test]
async fn a_secret_without_a_value_is_none_until_somebody_writes_it() {
    let (backend, ()) = open().await;
    assert_eq!(backend.secrets.read(SecretName::Webhook).await.expect("read"), None);
    assert_eq!(backend.secrets.put_new(SecretName::Webhook, "whsec_AAAA").await.expect("put"), "whsec_AAAA");
    assert_eq!(backend.secrets.read(SecretName::Webhook).await.expect("read").as_deref(), Some("whsec_AAAA"));
}

#[tokio::test]
async fn a_secret_that_is_not_there_is_none_but_cannot_be_written() {
    let backend = connected(&settings()).await;
    assert_eq!(backend.secrets.read(SecretName::Webhook).await.expect("read"), None);
    assert!(backend.secrets.put_new(SecretName::Webhook, "whsec_AAAA").await.is_err());
}

#[tokio::test]
async fn without_its_name_the_secret_is_refused_by_the_variable_that_lacks() {
    let backend = connected(&AwsSettings { webhook_secret: None, ..settings() }).await;
    let refused = backend.secrets.read(SecretName::Webhook).await;
    assert!(
        matches!(&refused, Err(Error::Failed { why, .. }) if why.contains("QUIRE_AWS_WEBHOOK_SECRET")),
        "{refused:?}"
    );
}
