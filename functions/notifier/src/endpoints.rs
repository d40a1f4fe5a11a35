//! Grants permits to call endpoints.
//!
//! The record of a failing endpoint is shared by all notifiers and is only written on a change. The number of
//! concurrent calls to an endpoint is limited by each notifier for itself.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
};

use quire_callback::{EndpointAdmission, EndpointCondition, endpoint_admission, endpoint_key};
use quire_platform::{Backend, now};
use quire_tasks::Tenant;
use tracing::warn;

use crate::tracked_endpoint::{CallPermission, CallPermit, DISABLED, TrackedEndpoint, VersionedEndpoint, describe};

/// Maximum number of endpoints in memory. Eviction loses an endpoint's failure count and call durations.
const MAX_TRACKED: usize = 4096;
/// The endpoints of callbacks.
#[derive(Debug)]
pub(crate) struct EndpointRegistry {
    backend: Backend,
    tracked: Mutex<HashMap<String, Arc<TrackedEndpoint>>>,
}

impl EndpointRegistry {
    pub(crate) fn new(backend: Backend) -> Self {
        Self { backend, tracked: Mutex::default() }
    }

    /// Returns whether a tenant's callback to this URL may be sent now. If the record cannot be read, the call is
    /// permitted.
    pub(crate) async fn request_permit(&self, tenant: &Tenant, url: &str) -> CallPermission {
        let tracked = self.track(tenant, url);
        let record = tracked.record(&self.backend).await;
        match endpoint_admission(record.as_ref().map(|record| &record.endpoint), now()) {
            EndpointAdmission::Allowed => tracked.acquire_slot().await,
            EndpointAdmission::Disabled => CallPermission::Disabled { why: describe(DISABLED, record) },
            EndpointAdmission::BackingOff { until } => tracked.back_off(until, record),
            EndpointAdmission::Probe => self.probe(&tracked, record).await,
        }
    }

    /// Records the condition that a call has shown.
    pub(crate) async fn report(&self, permit: &CallPermit, condition: EndpointCondition, error: &str) {
        if let Err(error) = permit.endpoint.record_condition(&self.backend, permit.probe, condition, error).await {
            warn!(%error, "cannot update the record of an endpoint");
        }
    }

    fn track(&self, tenant: &Tenant, url: &str) -> Arc<TrackedEndpoint> {
        let key = endpoint_key(tenant, url);
        let mut tracked = self.tracked.lock().unwrap_or_else(PoisonError::into_inner);
        if tracked.len() >= MAX_TRACKED && !tracked.contains_key(&key) {
            // Endpoints with calls in flight, which are few, are kept.
            tracked.retain(|_, endpoint| Arc::strong_count(endpoint) > 1);
        }
        let new_endpoint = || Arc::new(TrackedEndpoint::new(key.clone(), url.to_owned()));
        Arc::clone(tracked.entry(key.clone()).or_insert_with(new_endpoint))
    }

    /// The call that first writes the record is the probe.
    async fn probe(&self, tracked: &Arc<TrackedEndpoint>, record: Option<VersionedEndpoint>) -> CallPermission {
        let Some(VersionedEndpoint { endpoint, version }) = record else { return tracked.acquire_slot().await };
        if tracked.with_state(|state| std::mem::replace(&mut state.probing, true)) {
            return tracked.back_off(now(), None);
        }
        let permit = tracked.permit(true, None);
        match tracked.write(&self.backend, &endpoint.clone().with_probe(now()), Some(version)).await {
            Ok(true) => CallPermission::Granted(permit),
            Ok(false) => tracked.back_off(now(), None),
            Err(error) => {
                warn!(%error, "cannot probe a failing endpoint");
                tracked.back_off(now(), Some(VersionedEndpoint { endpoint, version }))
            }
        }
    }
}
