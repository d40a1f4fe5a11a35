//! The notifier and its settings.

use std::time::Duration;

use quire_callback::Schedule;
use quire_egress::Client;
use quire_platform::Backend;
use quire_tenants::Signing;

use crate::{endpoints::EndpointRegistry, payload::PayloadBuilder};

/// Timeout for a receiver's response, including the DNS lookup.
const RESPONSE_TIMEOUT: Duration = Duration::from_secs(15);
/// How long after a task's end its callback waits for a failing endpoint without spending attempts.
const BACKOFF_GRACE: Duration = Duration::from_hours(1);

/// Delivers callbacks.
#[derive(Debug)]
pub struct Notifier {
    pub(crate) backend: Backend,
    pub(crate) egress: Client,
    pub(crate) signing: Signing,
    pub(crate) schedule: Schedule,
    pub(crate) response_timeout: Duration,
    pub(crate) backoff_grace: Duration,
    pub(crate) endpoints: EndpointRegistry,
    pub(crate) payloads: PayloadBuilder,
}

impl Notifier {
    /// Returns a notifier that signs with each tenant's secrets and retries by `schedule`.
    pub fn new(backend: Backend, egress: Client, signing: Signing, schedule: Schedule) -> Self {
        Self {
            endpoints: EndpointRegistry::new(backend.clone()),
            backend,
            egress,
            signing,
            schedule,
            response_timeout: RESPONSE_TIMEOUT,
            backoff_grace: BACKOFF_GRACE,
            payloads: PayloadBuilder::default(),
        }
    }

    /// Sets the timeout for a receiver's response. Default: 15 seconds.
    #[must_use]
    pub fn with_response_timeout(self, response_timeout: Duration) -> Self {
        Self { response_timeout, ..self }
    }

    /// Sets how long after a task's end its callback waits for a failing endpoint without spending attempts. Default:
    /// one hour.
    #[must_use]
    pub fn with_backoff_grace(self, backoff_grace: Duration) -> Self {
        Self { backoff_grace, ..self }
    }
}
