//! CallPermission: which endpoint is called now, which later, and which not at all.
//!
//! What is wrong with an endpoint is a record that every notifier reads, written only when something changes. How many calls
//! are under way to one that works is each notifier's own business.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

use quire_callback::{
    Endpoint, EndpointAdmission, EndpointChange, EndpointCondition, EndpointState, endpoint_admission, endpoint_change,
    endpoint_key,
};
use quire_platform::{Backend, Collection, Result};
use quire_tasks::{MAX_RETENTION, Tenant, UnixMillis};
use quire_telemetry::metrics;
use tokio::{
    sync::{OwnedSemaphorePermit, Semaphore},
    time::timeout,
};
use tracing::{info, warn};

use crate::{
    endpoint_backoff::{EndpointBackoff, MAX_CONCURRENT_CALLS},
    now,
};

/// So long a place at a busy endpoint is waited for in hand: a fast one has one by then, and nobody else is kept from being
/// taken in hand for longer.
const MAX_SLOT_WAIT: Duration = Duration::from_millis(100);
/// So long a record is taken to be as it was.
const RECORD_TTL: Duration = Duration::from_secs(2);
/// While one finds out how an endpoint is, the others look again after this.
const PROBE_WAIT: Duration = Duration::from_secs(1);
/// EndpointRegistry that are remembered. What is forgotten of one is how often it has just failed, and how long its calls last.
const MAX_TRACKED: usize = 4096;
/// So long after its pause the record of an endpoint is kept that nobody has called since.
const RECORD_RETENTION: Duration = Duration::from_hours(24);

/// The endpoints that callbacks go to.
#[derive(Debug)]
pub(crate) struct EndpointRegistry {
    backend: Backend,
    known: Mutex<HashMap<String, Arc<TrackedEndpoint>>>,
}

/// What an endpoint lets us do.
#[derive(Debug)]
pub(crate) enum CallPermission {
    /// It is called now.
    Granted(CallPermit),
    /// It is busy with others of ours: later.
    Busy { after: Duration },
    /// It does not work: later, and after a while not at all.
    BackingOff { after: Duration, why: String },
    /// It is gone: never.
    Disabled { why: String },
}

/// The right to call an endpoint now.
#[derive(Debug)]
pub(crate) struct CallPermit {
    endpoint: Arc<TrackedEndpoint>,
    call: u64,
    probe: bool,
    _slot: Option<OwnedSemaphorePermit>,
}

#[derive(Debug)]
struct TrackedEndpoint {
    key: String,
    url: String,
    slots: Arc<Semaphore>,
    state: Mutex<LocalEndpointState>,
}

#[derive(Debug, Default)]
struct LocalEndpointState {
    record: Option<VersionedEndpoint>,
    read_at: Option<Instant>,
    /// In a row, while there is no record.
    failures: u32,
    probing: bool,
    backoff: EndpointBackoff,
}

/// A record as it was read.
#[derive(Debug, Clone)]
struct VersionedEndpoint {
    endpoint: Endpoint,
    version: u64,
}

impl EndpointRegistry {
    pub(crate) fn new(backend: Backend) -> Self {
        Self { backend, known: Mutex::default() }
    }

    /// Whether a tenant's callback to this URL is made now. A record that cannot be read keeps nobody from being told.
    pub(crate) async fn request_permit(&self, tenant: &Tenant, url: &str) -> CallPermission {
        let known = self.known(tenant, url);
        let seen = known.record(&self.backend).await;
        match endpoint_admission(seen.as_ref().map(|seen| &seen.endpoint), now()) {
            EndpointAdmission::Allowed => known.acquire_slot().await,
            EndpointAdmission::Disabled => CallPermission::Disabled { why: describe("has said that it is gone", seen) },
            EndpointAdmission::BackingOff { until } => known.back_off(until, seen),
            EndpointAdmission::Probe => self.probe(&known, seen).await,
        }
    }

    /// What the call has shown of the endpoint.
    pub(crate) async fn report(&self, permit: &CallPermit, condition: EndpointCondition, error: &str) {
        if let Err(error) = permit.endpoint.record_condition(&self.backend, permit.probe, condition, error).await {
            warn!(%error, "what is wrong with an endpoint could not be written down");
        }
    }

    fn known(&self, tenant: &Tenant, url: &str) -> Arc<TrackedEndpoint> {
        let key = endpoint_key(tenant, url);
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        if known.len() >= MAX_TRACKED && !known.contains_key(&key) {
            // Those in hand, which are few, stay.
            known.retain(|_, known| Arc::strong_count(known) > 1);
        }
        let made = || Arc::new(TrackedEndpoint::new(key.clone(), url.to_owned()));
        Arc::clone(known.entry(key.clone()).or_insert_with(made))
    }

    /// Whoever writes the record first finds out for all.
    async fn probe(&self, known: &Arc<TrackedEndpoint>, seen: Option<VersionedEndpoint>) -> CallPermission {
        let Some(VersionedEndpoint { endpoint, version }) = seen else { return known.acquire_slot().await };
        if known.with(|state| std::mem::replace(&mut state.probing, true)) {
            return known.back_off(now(), None);
        }
        let permit = known.permit(true, None);
        match known.write(&self.backend, &endpoint.clone().with_probe(now()), Some(version)).await {
            Ok(true) => CallPermission::Granted(permit),
            Ok(false) => known.back_off(now(), None),
            Err(error) => {
                warn!(%error, "an endpoint that was left alone cannot be tried");
                known.back_off(now(), Some(VersionedEndpoint { endpoint, version }))
            }
        }
    }
}

impl TrackedEndpoint {
    fn new(key: String, url: String) -> Self {
        Self { key, url, slots: Arc::new(Semaphore::new(MAX_CONCURRENT_CALLS)), state: Mutex::default() }
    }

    fn with<T>(&self, change: impl FnOnce(&mut LocalEndpointState) -> T) -> T {
        change(&mut self.state.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// The endpoint's record, as it was a moment ago at worst.
    async fn record(&self, backend: &Backend) -> Option<VersionedEndpoint> {
        let (fresh, record) = self.with(|state| {
            let fresh = state.read_at.is_some_and(|read_at| read_at.elapsed() < RECORD_TTL);
            (fresh, state.record.clone())
        });
        if fresh {
            return record;
        }
        self.read(backend).await.unwrap_or_else(|error| {
            warn!(%error, "what is wrong with an endpoint could not be read");
            record
        })
    }

    async fn read(&self, backend: &Backend) -> Result<Option<VersionedEndpoint>> {
        let record = backend.records.read(Collection::Endpoints, &self.key).await?;
        // A record of a later version of this program is none that keeps us from anything.
        let seen = record.and_then(|record| {
            let endpoint = serde_json::from_str(&record.body).ok()?;
            Some(VersionedEndpoint { endpoint, version: record.version })
        });
        self.with(|state| (state.record, state.read_at) = (seen.clone(), Some(Instant::now())));
        Ok(seen)
    }

    /// A place at an endpoint that works: at once, or after a moment where it is fast.
    async fn acquire_slot(self: &Arc<Self>) -> CallPermission {
        let mut place = Arc::clone(&self.slots).try_acquire_owned().ok();
        if place.is_none() && self.with(|state| state.backoff.expected_wait(Instant::now())) <= MAX_SLOT_WAIT {
            let _waiting = WaitingGuard::new(self);
            place = timeout(MAX_SLOT_WAIT, Arc::clone(&self.slots).acquire_owned()).await.ok().and_then(Result::ok);
        }
        match place {
            Some(place) => CallPermission::Granted(self.permit(false, Some(place))),
            None => CallPermission::Busy {
                after: self.with(|state| state.backoff.wait_when_busy(Instant::now(), rand::random())),
            },
        }
    }

    fn permit(self: &Arc<Self>, probe: bool, place: Option<OwnedSemaphorePermit>) -> CallPermit {
        let call = self.with(|state| state.backoff.start_call(Instant::now()));
        CallPermit { endpoint: Arc::clone(self), call, probe, _slot: place }
    }

    fn back_off(&self, until: UnixMillis, seen: Option<VersionedEndpoint>) -> CallPermission {
        let left = Duration::from_millis(until.0.saturating_sub(now().0).max(0) as u64);
        let after = self.with(|state| {
            let left = if state.probing { PROBE_WAIT } else { left.max(PROBE_WAIT) };
            let now = Instant::now();
            state.backoff.wait_until(now + left, now, rand::random())
        });
        let seen = seen.or_else(|| self.with(|state| state.record.clone()));
        CallPermission::BackingOff { after, why: describe("is left alone for a while, since it does not work", seen) }
    }

    async fn record_condition(
        &self,
        backend: &Backend,
        probe: bool,
        condition: EndpointCondition,
        why: &str,
    ) -> Result<()> {
        let change = |seen: Option<&VersionedEndpoint>, failures| {
            endpoint_change(seen.map(|seen| &seen.endpoint), &self.url, condition, failures, probe, why, now())
        };
        let (record, failures) = self.with(|state| {
            let before = state.failures;
            state.failures = if condition == EndpointCondition::Responsive { 0 } else { before.saturating_add(1) };
            (state.record.clone(), before)
        });
        if change(record.as_ref(), failures) == EndpointChange::None {
            return Ok(());
        }
        // Only what changes something looks closer: others may have changed it meanwhile.
        let record = self.read(backend).await?;
        let version = record.as_ref().map(|seen| seen.version);
        match change(record.as_ref(), failures) {
            EndpointChange::None => {}
            EndpointChange::Delete => {
                backend.records.delete(Collection::Endpoints, &self.key, version).await?;
                self.clear();
                info!(endpoint = self.key, "an endpoint works again");
            }
            EndpointChange::Put(endpoint) => {
                if self.write(backend, &endpoint, version).await? {
                    self.log_change(&endpoint);
                }
            }
        }
        Ok(())
    }

    async fn write(&self, backend: &Backend, endpoint: &Endpoint, seen: Option<u64>) -> Result<bool> {
        let body = serde_json::to_string(endpoint).expect("plain data becomes JSON");
        let expires_at = match endpoint.state {
            EndpointState::Open { until } => until.plus(RECORD_RETENTION),
            // No task that calls it is kept for longer, and whoever is gone for good may say so again.
            EndpointState::Disabled => now().plus(MAX_RETENTION),
        };
        let written = backend.records.put(Collection::Endpoints, &self.key, body, seen, Some(expires_at)).await?;
        self.read(backend).await?;
        Ok(written)
    }

    fn clear(&self) {
        self.with(|state| (state.record, state.read_at, state.failures) = (None, Some(Instant::now()), 0));
    }

    fn log_change(&self, endpoint: &Endpoint) {
        let (failures, error) = (endpoint.failures, endpoint.last_error.as_deref());
        if endpoint.state == EndpointState::Disabled {
            metrics::count("EndpointsDisabled", 1);
            warn!(endpoint = self.key, error, "an endpoint is gone: it is not called until somebody enables it");
        } else {
            metrics::count("EndpointsLeftAlone", 1);
            warn!(endpoint = self.key, failures, error, "an endpoint does not work: it is left alone for a while");
        }
    }
}

impl Drop for CallPermit {
    fn drop(&mut self) {
        self.endpoint.with(|state| {
            state.backoff.finish_call(self.call, Instant::now());
            if self.probe {
                state.probing = false;
            }
        });
    }
}

/// Somebody who waits for a place, also when he is broken off.
struct WaitingGuard<'a>(&'a TrackedEndpoint);

impl<'a> WaitingGuard<'a> {
    fn new(known: &'a TrackedEndpoint) -> Self {
        known.with(|state| state.backoff.start_waiting());
        Self(known)
    }
}

impl Drop for WaitingGuard<'_> {
    fn drop(&mut self) {
        self.0.with(|state| state.backoff.stop_waiting());
    }
}

fn describe(what: &str, seen: Option<VersionedEndpoint>) -> String {
    match seen.and_then(|seen| seen.endpoint.last_error) {
        Some(error) => format!("the receiver {what}: {error}"),
        None => format!("the receiver {what}"),
    }
}
