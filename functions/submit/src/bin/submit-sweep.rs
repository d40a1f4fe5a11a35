//! The sweeper as a Lambda function, invoked every minute: sends the unsent messages of tasks whose submitter crashed,
//! and deletes expired tasks.

use std::{process::ExitCode, time::Duration};

use lambda_runtime::{LambdaEvent, service_fn};
use quire_platform::now;
use quire_platform_aws::Aws;
use quire_submit::{sweep_expired, sweep_undispatched};
use quire_tasks::UnixMillis;
use serde_json::Value;

/// The minimum age of a task: the submitter has half a minute to send its messages itself.
const SWEEP_AFTER: Duration = Duration::from_mins(1);

fn main() -> ExitCode {
    quire_telemetry::run(serve())
}

async fn serve() -> anyhow::Result<()> {
    let backend = Aws::from_env().await?.backend();
    let sweep = async |_: LambdaEvent<Value>| {
        let now = now();
        let swept = sweep_undispatched(&backend, UnixMillis(now.0 - SWEEP_AFTER.as_millis() as i64)).await;
        // Independent of the result of the first sweep, so that its failure does not stop the deletion.
        let removed = sweep_expired(&backend, now).await;
        anyhow::Ok(serde_json::json!({ "swept": swept?, "removed": removed? }))
    };
    lambda_runtime::run(service_fn(sweep)).await.map_err(anyhow::Error::from_boxed)
}
