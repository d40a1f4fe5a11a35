//! The AWS backend, if this build has it (feature `aws`).

use quire_platform::Backend;

/// Connects to the AWS backend that the environment names.
///
/// # Errors
/// If the configuration is missing or invalid, or if this build has no AWS support.
#[cfg(feature = "aws")]
pub(crate) async fn connect() -> anyhow::Result<Backend> {
    Ok(quire_platform_aws::Aws::from_env().await?.backend())
}

/// Creates the bucket, the table, the queues and the secret.
///
/// # Errors
/// If the configuration is missing or invalid, a call to AWS fails, or this build has no AWS support.
#[cfg(feature = "aws")]
pub(crate) async fn provision() -> anyhow::Result<()> {
    use quire_platform_aws::{Aws, AwsSettings};

    Ok(Aws::provision(&AwsSettings::from_env()?).await?)
}

#[cfg(not(feature = "aws"))]
const NO_AWS: &str = "this build of quire has no AWS support: build it with `--features aws`";

#[cfg(not(feature = "aws"))]
#[expect(clippy::unused_async, reason = "the signature is the same with and without AWS support")]
pub(crate) async fn connect() -> anyhow::Result<Backend> {
    anyhow::bail!(NO_AWS)
}

#[cfg(not(feature = "aws"))]
#[expect(clippy::unused_async, reason = "the signature is the same with and without AWS support")]
pub(crate) async fn provision() -> anyhow::Result<()> {
    anyhow::bail!(NO_AWS)
}
