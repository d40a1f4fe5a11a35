//! One endpoint as this notifier sees it: its record, its slots and its waits.

use std::{
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

use quire_callback::{Endpoint, EndpointChange, EndpointCondition, EndpointState, endpoint_change};
use quire_platform::{Backend, Collection, Result, now};
use quire_tasks::{MAX_RETENTION, UnixMillis};
use quire_telemetry::metrics;
use tokio::{
    sync::{OwnedSemaphorePermit, Semaphore},
    time::timeout,
};
use tracing::{info, warn};

use crate::endpoint_backoff::{EndpointBackoff, MAX_CONCURRENT_CALLS};

/// How long a delivery waits for a free slot of a busy endpoint. A fast endpoint has one by then; longer waits would
/// occupy the notifier.
const MAX_SLOT_WAIT: Duration = Duration::from_millis(100);
/// Cache TTL of an endpoint's record.
const RECORD_TTL: Duration = Duration::from_secs(2);
/// Wait of other calls while a probe is in flight.
const PROBE_WAIT: Duration = Duration::from_secs(1);
/// How long after its backoff the record of an unused endpoint is kept.
const RECORD_RETENTION: Duration = Duration::from_hours(24);

/// The reason of an open circuit breaker.
const CIRCUIT_OPEN: &str = "the receiver keeps failing and its circuit breaker is open";
/// The reason of a disabled endpoint.
pub(crate) const DISABLED: &str = "the receiver is disabled since it returned 410 Gone";

/// Whether an endpoint may be called.
#[derive(Debug)]
pub(crate) enum CallPermission {
    /// Yes, now.
    Granted(CallPermit),
    /// Later: all its slots are in use.
    Busy { after: Duration },
    /// Later: its circuit breaker is open.
    BackingOff { after: Duration, why: String },
    /// No: it is disabled.
    Disabled { why: String },
}

/// The permit for one call to an endpoint.
#[derive(Debug)]
pub(crate) struct CallPermit {
    pub(crate) endpoint: Arc<TrackedEndpoint>,
    call: u64,
    pub(crate) probe: bool,
    _slot: Option<OwnedSemaphorePermit>,
}

#[derive(Debug)]
pub(crate) struct TrackedEndpoint {
    key: String,
    url: String,
    slots: Arc<Semaphore>,
    state: Mutex<LocalEndpointState>,
}

#[derive(Debug, Default)]
pub(crate) struct LocalEndpointState {
    record: Option<VersionedEndpoint>,
    read_at: Option<Instant>,
    /// Number of consecutive failures without a record.
    failures: u32,
    pub(crate) probing: bool,
    backoff: EndpointBackoff,
}

/// A record with its version, for optimistic concurrency.
#[derive(Debug, Clone)]
pub(crate) struct VersionedEndpoint {
    pub(crate) endpoint: Endpoint,
    pub(crate) version: u64,
}

impl TrackedEndpoint {
    pub(crate) fn new(key: String, url: String) -> Self {
        Self { key, url, slots: Arc::new(Semaphore::new(MAX_CONCURRENT_CALLS)), state: Mutex::default() }
    }

    pub(crate) fn with_state<T>(&self, change: impl FnOnce(&mut LocalEndpointState) -> T) -> T {
        change(&mut self.state.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Returns the endpoint's record, cached for [`RECORD_TTL`].
    pub(crate) async fn record(&self, backend: &Backend) -> Option<VersionedEndpoint> {
        let (is_fresh, cached) = self.with_state(|state| {
            let is_fresh = state.read_at.is_some_and(|read_at| read_at.elapsed() < RECORD_TTL);
            (is_fresh, state.record.clone())
        });
        if is_fresh {
            return cached;
        }
        self.read(backend).await.unwrap_or_else(|error| {
            warn!(%error, "cannot read the record of an endpoint; using the cached record");
            cached
        })
    }

    async fn read(&self, backend: &Backend) -> Result<Option<VersionedEndpoint>> {
        let record = backend.records.read(Collection::Endpoints, &self.key).await?;
        // A record that a later version wrote in another format is ignored.
        let record = record.and_then(|record| {
            let endpoint = serde_json::from_str(&record.body).ok()?;
            Some(VersionedEndpoint { endpoint, version: record.version })
        });
        self.with_state(|state| {
            state.record.clone_from(&record);
            state.read_at = Some(Instant::now());
        });
        Ok(record)
    }

    /// Acquires a slot of a working endpoint, after a short wait if the endpoint is fast.
    pub(crate) async fn acquire_slot(self: &Arc<Self>) -> CallPermission {
        let mut slot = Arc::clone(&self.slots).try_acquire_owned().ok();
        if slot.is_none() && self.with_state(|state| state.backoff.expected_wait(Instant::now())) <= MAX_SLOT_WAIT {
            let _waiting = WaitingGuard::new(self);
            slot = timeout(MAX_SLOT_WAIT, Arc::clone(&self.slots).acquire_owned()).await.ok().and_then(Result::ok);
        }
        match slot {
            Some(slot) => CallPermission::Granted(self.permit(false, Some(slot))),
            None => CallPermission::Busy {
                after: self.with_state(|state| state.backoff.wait_when_busy(Instant::now(), rand::random())),
            },
        }
    }

    pub(crate) fn permit(self: &Arc<Self>, probe: bool, slot: Option<OwnedSemaphorePermit>) -> CallPermit {
        let call = self.with_state(|state| state.backoff.start_call(Instant::now()));
        CallPermit { endpoint: Arc::clone(self), call, probe, _slot: slot }
    }

    pub(crate) fn back_off(&self, until: UnixMillis, record: Option<VersionedEndpoint>) -> CallPermission {
        let remaining = Duration::from_millis(until.0.saturating_sub(now().0).max(0) as u64);
        let after = self.with_state(|state| {
            let wait = if state.probing { PROBE_WAIT } else { remaining.max(PROBE_WAIT) };
            let now = Instant::now();
            state.backoff.wait_until(now + wait, now, rand::random())
        });
        let record = record.or_else(|| self.with_state(|state| state.record.clone()));
        CallPermission::BackingOff { after, why: describe(CIRCUIT_OPEN, record) }
    }

    pub(crate) async fn record_condition(
        &self,
        backend: &Backend,
        probe: bool,
        condition: EndpointCondition,
        why: &str,
    ) -> Result<()> {
        let change = |record: Option<&VersionedEndpoint>, failures| {
            endpoint_change(record.map(|record| &record.endpoint), &self.url, condition, failures, probe, why, now())
        };
        let (record, failures) = self.with_state(|state| {
            let failures = state.failures;
            state.failures = if condition == EndpointCondition::Responsive { 0 } else { failures.saturating_add(1) };
            (state.record.clone(), failures)
        });
        if change(record.as_ref(), failures) == EndpointChange::None {
            return Ok(());
        }
        // A change is decided again by the current record: another notifier may have changed it.
        let record = self.read(backend).await?;
        let version = record.as_ref().map(|record| record.version);
        match change(record.as_ref(), failures) {
            EndpointChange::None => {}
            EndpointChange::Delete => {
                backend.records.delete(Collection::Endpoints, &self.key, version).await?;
                self.clear();
                info!(endpoint = self.key, "endpoint works again; circuit breaker closed");
            }
            EndpointChange::Put(endpoint) => {
                if self.write(backend, &endpoint, version).await? {
                    self.log_change(&endpoint);
                }
            }
        }
        Ok(())
    }

    pub(crate) async fn write(&self, backend: &Backend, endpoint: &Endpoint, version: Option<u64>) -> Result<bool> {
        let body = serde_json::to_string(endpoint).expect("plain data becomes JSON");
        let expires_at = match endpoint.state {
            EndpointState::Open { until } => until.plus(RECORD_RETENTION),
            // Tasks that use it expire before the record. If it is still gone then, it returns 410 again.
            EndpointState::Disabled => now().plus(MAX_RETENTION),
        };
        let written = backend.records.put(Collection::Endpoints, &self.key, body, version, Some(expires_at)).await?;
        self.read(backend).await?;
        Ok(written)
    }

    fn clear(&self) {
        self.with_state(|state| {
            state.record = None;
            state.read_at = Some(Instant::now());
            state.failures = 0;
        });
    }

    fn log_change(&self, endpoint: &Endpoint) {
        let failures = endpoint.failures;
        let error = endpoint.last_error.as_deref();
        if endpoint.state == EndpointState::Disabled {
            metrics::count("EndpointsDisabled", 1);
            warn!(endpoint = self.key, error, "endpoint is gone (410); disabled until it is enabled again");
        } else {
            metrics::count("EndpointsLeftAlone", 1);
            warn!(endpoint = self.key, failures, error, "endpoint keeps failing; circuit breaker opened");
        }
    }
}

impl Drop for CallPermit {
    fn drop(&mut self) {
        self.endpoint.with_state(|state| {
            state.backoff.finish_call(self.call, Instant::now());
            if self.probe {
                state.probing = false;
            }
        });
    }
}

/// Counts a delivery that waits for a slot, also if it is canceled.
struct WaitingGuard<'a>(&'a TrackedEndpoint);

impl<'a> WaitingGuard<'a> {
    fn new(endpoint: &'a TrackedEndpoint) -> Self {
        endpoint.with_state(|state| state.backoff.start_waiting());
        Self(endpoint)
    }
}

impl Drop for WaitingGuard<'_> {
    fn drop(&mut self) {
        self.0.with_state(|state| state.backoff.stop_waiting());
    }
}

pub(crate) fn describe(reason: &str, record: Option<VersionedEndpoint>) -> String {
    match record.and_then(|record| record.endpoint.last_error) {
        Some(error) => format!("{reason}: {error}"),
        None => reason.to_owned(),
    }
}
