//! The home on AWS, on an emulator: what every home promises, and what is its own.

use quire_platform::{Aws, AwsSettings, Home, conformance};
use uuid::Uuid;

mod emulator;
mod large_files;
mod large_tasks;
mod messages;

/// A home of its own for each test.
fn settings() -> AwsSettings {
    let name = format!("quire-{}", Uuid::now_v7().simple());
    AwsSettings {
        bucket: name.clone(),
        table: name.clone(),
        queue_prefix: name,
        cache_bytes: 64 * 1024 * 1024,
        emulator: Some(emulator::address()),
    }
}

async fn open() -> (Home, ()) {
    let settings = settings();
    Aws::provision_with(&settings, conformance::settings).await.expect("provisioned");
    (connected(&settings).await, ())
}

async fn connected(settings: &AwsSettings) -> Home {
    Aws::connect_with(settings.clone(), conformance::settings).await.expect("a home").home()
}

// The emulator does not know fair queues.
conformance::every_home_promises!(open except turns);
