//! The secret store on Secrets Manager.

use async_trait::async_trait;
use aws_sdk_secretsmanager::Client;
use quire_platform::{Error, Result, SecretName, SecretStore};

use crate::fault::to_error;

const WHAT: &str = "secret";
/// The client request token of the first version of every secret. It makes the first write atomic: Secrets Manager
/// refuses another value with a used token.
const FIRST_VERSION: &str = "quire-writes-the-first-version-once";

/// The secret store, with the configured names.
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
    /// A secret that Terraform created without a value does not exist either.
    async fn read(&self, name: SecretName) -> Result<Option<String>> {
        match self.client.get_secret_value().secret_id(self.id(name)?).send().await {
            Ok(secret) => Ok(secret.secret_string.map(|text| text.trim().to_owned())),
            Err(error) => match error.as_service_error() {
                Some(service) if service.is_resource_not_found_exception() => Ok(None),
                _ => Err(to_error(WHAT, &error)),
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
                _ => return Err(to_error(WHAT, &error)),
            },
        }
        let lost = || Error::Busy { what: WHAT, why: "the secret was written but cannot be read yet".to_owned() };
        self.read(name).await?.ok_or_else(lost)
    }
}
