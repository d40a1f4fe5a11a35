//! `quire provision`: creates the bucket, table, queues and secret on an AWS emulator.

use anyhow::ensure;

use crate::aws;

/// Creates the resources. Only on an emulator: they have no encryption, no policies and nothing else that `infra/`
/// adds.
pub(crate) async fn provision() -> anyhow::Result<()> {
    ensure!(
        std::env::var_os("AWS_ENDPOINT_URL").is_some(),
        "AWS_ENDPOINT_URL is not set: it must name an AWS emulator"
    );
    aws::provision().await
}
