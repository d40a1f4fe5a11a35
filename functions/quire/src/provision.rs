//! `quire provision`: the bucket, the table, the queues and the secret, where no Terraform makes them.

use anyhow::ensure;

use crate::aws;

/// Only on an emulator: they are without encryption, policies and everything else that `infra/` gives them.
pub(crate) async fn provision() -> anyhow::Result<()> {
    ensure!(std::env::var_os("AWS_ENDPOINT_URL").is_some(), "AWS_ENDPOINT_URL does not name an emulator");
    aws::provision().await
}
