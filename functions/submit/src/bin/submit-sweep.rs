//! The sweeps as a Lambda function, called every minute: it sends the messages of tasks whose submitter died, and removes
//! what has expired.

use std::{process::ExitCode, time::Duration};

use lambda_runtime::{LambdaEvent, service_fn};
use quire_platform::now;
use quire_platform_aws::Aws;
use quire_submit::{sweep, sweep_expired};
use quire_tasks::UnixMillis;
use serde_json::Value;

/// How old a task is at least: its submitter has no more than half a minute, and may still be at it.
const SWEEP_AFTER: Duration = Duration::from_mins(1);

fn main() -> ExitCode {
    quire_telemetry::run(serve())
}

async fn serve() -> anyhow::Result<()> {
    let backend = Aws::from_env().await?.backend();
    let sweep = async |_: LambdaEvent<Value>| {
        let now = now();
        let swept = sweep(&backend, UnixMillis(now.0 - SWEEP_AFTER.as_millis() as i64)).await;
        // Whatever became of the other: neither waits for the other's trouble to end.
        let removed = sweep_expired(&backend, now).await;
        anyhow::Ok(serde_json::json!({ "swept": swept?, "removed": removed? }))
    };
    lambda_runtime::run(service_fn(sweep)).await.map_err(anyhow::Error::from_boxed)
}
