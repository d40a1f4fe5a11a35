//! Secrets in Secrets Manager.

use async_trait::async_trait;
use aws_sdk_secretsmanager::Client;
use quire_platform::{Error, Result, SecretName, SecretStore};

use crate::fault::fault;

const WHAT: &str = "secret";
/// Names the first version of every secret, so that of those who write it at the same time one succeeds: Secrets Manager
/// refuses another value under a token that was used.
const FIRST_VERSION: &str = "quire-writes-the-first-version-once";

/// The secrets, by the names that the settings give them.
#[derive(Debug)]
pub(crate) struct ManagedSecrets {
    client: Client,
    webhook: Option<String>,
}

impl ManagedSecrets {
    pub(crate) const fn new(client: Client, webhook: Option<String>) -> Self {
        Self { client, webhook }
    }

    fn id(&self, name: SecretName) -> Result<&str> {
        let SecretName::Webhook = name;
        let unnamed = || Error::Failed { what: WHAT, why: "QUIRE_AWS_WEBHOOK_SECRET is not set".to_owned() };
        self.webhook.as_deref().ok_or_else(unnamed)
    }
}

#[async_trait]
impl SecretStore for ManagedSecrets {
    /// A secret that Terraform has made and nobody has written is not found either.
    async fn read(&self, name: SecretName) -> Result<Option<String>> {
        match self.client.get_secret_value().secret_id(self.id(name)?).send().await {
            Ok(secret) => Ok(secret.secret_string.map(|text| text.trim().to_owned())),
            Err(error) => match error.as_service_error() {
                Some(service) if service.is_resource_not_found_exception() => Ok(None),
                _ => Err(fault(WHAT, &error)),
            },
        }
    }

    async fn put_new(&self, name: SecretName, value: &str) -> Result<String> {
        if let Some(kept) = self.read(name).await? {
            return Ok(kept);
        }
        let put = self.client.put_secret_value().secret_id(self.id(name)?).secret_string(value);
        match put.client_request_token(FIRST_VERSION).send().await {
            Ok(_) => {}
            Err(error) => match error.as_service_error() {
                Some(service) if service.is_resource_exists_exception() => {}
                _ => return Err(fault(WHAT, &error)),
            },
        }
        let lost = || Error::Busy { what: WHAT, why: "it was written and cannot be read yet".to_owned() };
        self.read(name).await?.ok_or_else(lost)
    }
}
