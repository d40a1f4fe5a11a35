//! The AWS backend on an emulator: the conformance suite, and its own guarantees.

use quire_platform::{Backend, conformance, now};
use quire_platform_aws::{Aws, AwsSettings};
use uuid::Uuid;

mod emulator;
mod erased;
mod interrupted_reopening;
mod lambda_batch;
mod large_files;
mod large_tasks;
mod managed_secret;
mod messages;
mod retention;
mod uploads;

/// Returns settings of a separate backend for each test.
fn settings() -> AwsSettings {
    let name = format!("quire-{}", Uuid::now_v7().simple());
    AwsSettings {
        bucket: name.clone(),
        table: name.clone(),
        webhook_secret: Some(name.clone()),
        queue_prefix: name,
        cache_bytes: 64 * 1024 * 1024,
        emulator: Some(emulator::url()),
    }
}

async fn open() -> (Backend, ()) {
    let settings = settings();
    Aws::provision_with(&settings, conformance::settings).await.expect("provisioned");
    (connected(&settings).await, ())
}

async fn connected(settings: &AwsSettings) -> Backend {
    aws(settings).await.backend()
}

async fn aws(settings: &AwsSettings) -> Aws {
    Aws::connect_with(settings.clone(), conformance::settings).await.expect("open the backend")
}

// The emulator does not implement fair queuing.
conformance::conformance_tests!(open except fairness);
