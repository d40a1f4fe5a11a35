//! Manners: which endpoint is called now, which later, and which not at all.
//!
//! What is wrong with an endpoint is a record that every notifier reads, written only when something changes. How many calls
//! are under way to one that works is each notifier's own business.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

use quire_callback::{Admission, Change, Condition, Endpoint, EndpointState, admission, after, endpoint_key};
use quire_platform::{Backend, Collection, Result};
use quire_tasks::{MAX_RETENTION, Tenant, UnixMillis};
use quire_telemetry::metrics;
use tokio::{
    sync::{OwnedSemaphorePermit, Semaphore},
    time::timeout,
};
use tracing::{info, warn};

use crate::{
    now,
    turns::{AT_ONCE, Turns},
};

/// So long a place at a busy endpoint is waited for in hand: a fast one has one by then, and nobody else is kept from being
/// taken in hand for longer.
const WORTH_WAITING: Duration = Duration::from_millis(100);
/// So long a record is taken to be as it was.
const FRESH: Duration = Duration::from_secs(2);
/// While one finds out how an endpoint is, the others look again after this.
const WHILE_TRIED: Duration = Duration::from_secs(1);
/// Endpoints that are remembered. What is forgotten of one is how often it has just failed, and how long its calls last.
const MOST_KNOWN: usize = 4096;
/// So long after its pause the record of an endpoint is kept that nobody has called since.
const KEPT: Duration = Duration::from_hours(24);

/// The endpoints that callbacks go to.
#[derive(Debug)]
pub(crate) struct Endpoints {
    backend: Backend,
    known: Mutex<HashMap<String, Arc<Known>>>,
}

/// What an endpoint lets us do.
#[derive(Debug)]
pub(crate) enum Manners {
    /// It is called now.
    Now(Turn),
    /// It is busy with others of ours: later.
    Busy { after: Duration },
    /// It does not work: later, and after a while not at all.
    LeftAlone { after: Duration, why: String },
    /// It is gone: never.
    Disabled { why: String },
}

/// The right to call an endpoint now.
#[derive(Debug)]
pub(crate) struct Turn {
    known: Arc<Known>,
    call: u64,
    probe: bool,
    _place: Option<OwnedSemaphorePermit>,
}

#[derive(Debug)]
struct Known {
    key: String,
    url: String,
    places: Arc<Semaphore>,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    record: Option<Seen>,
    read_at: Option<Instant>,
    /// In a row, while there is no record.
    failures: u32,
    probing: bool,
    turns: Turns,
}

/// A record as it was read.
#[derive(Debug, Clone)]
struct Seen {
    endpoint: Endpoint,
    version: u64,
}

impl Endpoints {
    pub(crate) fn new(backend: Backend) -> Self {
        Self { backend, known: Mutex::default() }
    }

    /// Whether a tenant's callback to this URL is made now. A record that cannot be read keeps nobody from being told.
    pub(crate) async fn turn(&self, tenant: &Tenant, url: &str) -> Manners {
        let known = self.known(tenant, url);
        let seen = known.record(&self.backend).await;
        match admission(seen.as_ref().map(|seen| &seen.endpoint), now()) {
            Admission::Free => known.place().await,
            Admission::Disabled => Manners::Disabled { why: why("has said that it is gone", seen) },
            Admission::LeftAlone { until } => known.left_alone(until, seen),
            Admission::Probe => self.probe(&known, seen).await,
        }
    }

    /// What the call has shown of the endpoint.
    pub(crate) async fn report(&self, turn: &Turn, condition: Condition, error: &str) {
        if let Err(error) = turn.known.changed(&self.backend, turn.probe, condition, error).await {
            warn!(%error, "what is wrong with an endpoint could not be written down");
        }
    }

    fn known(&self, tenant: &Tenant, url: &str) -> Arc<Known> {
        let key = endpoint_key(tenant, url);
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        if known.len() >= MOST_KNOWN && !known.contains_key(&key) {
            // Those in hand, which are few, stay.
            known.retain(|_, known| Arc::strong_count(known) > 1);
        }
        let made = || Arc::new(Known::new(key.clone(), url.to_owned()));
        Arc::clone(known.entry(key.clone()).or_insert_with(made))
    }

    /// Whoever writes the record first finds out for all.
    async fn probe(&self, known: &Arc<Known>, seen: Option<Seen>) -> Manners {
        let Some(Seen { endpoint, version }) = seen else { return known.place().await };
        if known.with(|state| std::mem::replace(&mut state.probing, true)) {
            return known.left_alone(now(), None);
        }
        let turn = known.turn(true, None);
        match known.write(&self.backend, &endpoint.clone().tried(now()), Some(version)).await {
            Ok(true) => Manners::Now(turn),
            Ok(false) => known.left_alone(now(), None),
            Err(error) => {
                warn!(%error, "an endpoint that was left alone cannot be tried");
                known.left_alone(now(), Some(Seen { endpoint, version }))
            }
        }
    }
}

impl Known {
    fn new(key: String, url: String) -> Self {
        Self { key, url, places: Arc::new(Semaphore::new(AT_ONCE)), state: Mutex::default() }
    }

    fn with<T>(&self, change: impl FnOnce(&mut State) -> T) -> T {
        change(&mut self.state.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// The endpoint's record, as it was a moment ago at worst.
    async fn record(&self, backend: &Backend) -> Option<Seen> {
        let (fresh, record) = self.with(|state| {
            let fresh = state.read_at.is_some_and(|read_at| read_at.elapsed() < FRESH);
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

    async fn read(&self, backend: &Backend) -> Result<Option<Seen>> {
        let record = backend.records.read(Collection::Endpoints, &self.key).await?;
        // A record of a later version of this program is none that keeps us from anything.
        let seen = record.and_then(|record| {
            let endpoint = serde_json::from_str(&record.body).ok()?;
            Some(Seen { endpoint, version: record.version })
        });
        self.with(|state| (state.record, state.read_at) = (seen.clone(), Some(Instant::now())));
        Ok(seen)
    }

    /// A place at an endpoint that works: at once, or after a moment where it is fast.
    async fn place(self: &Arc<Self>) -> Manners {
        let mut place = Arc::clone(&self.places).try_acquire_owned().ok();
        if place.is_none() && self.with(|state| state.turns.expected_wait(Instant::now())) <= WORTH_WAITING {
            let _waiting = Waiting::new(self);
            place = timeout(WORTH_WAITING, Arc::clone(&self.places).acquire_owned()).await.ok().and_then(Result::ok);
        }
        match place {
            Some(place) => Manners::Now(self.turn(false, Some(place))),
            None => Manners::Busy { after: self.with(|state| state.turns.when_busy(Instant::now(), rand::random())) },
        }
    }

    fn turn(self: &Arc<Self>, probe: bool, place: Option<OwnedSemaphorePermit>) -> Turn {
        let call = self.with(|state| state.turns.begin(Instant::now()));
        Turn { known: Arc::clone(self), call, probe, _place: place }
    }

    fn left_alone(&self, until: UnixMillis, seen: Option<Seen>) -> Manners {
        let left = Duration::from_millis(until.0.saturating_sub(now().0).max(0) as u64);
        let after = self.with(|state| {
            let left = if state.probing { WHILE_TRIED } else { left.max(WHILE_TRIED) };
            let now = Instant::now();
            state.turns.not_before(now + left, now, rand::random())
        });
        let seen = seen.or_else(|| self.with(|state| state.record.clone()));
        Manners::LeftAlone { after, why: why("is left alone for a while, since it does not work", seen) }
    }

    async fn changed(&self, backend: &Backend, probe: bool, condition: Condition, why: &str) -> Result<()> {
        let change = |seen: Option<&Seen>, failures| {
            after(seen.map(|seen| &seen.endpoint), &self.url, condition, failures, probe, why, now())
        };
        let (record, failures) = self.with(|state| {
            let before = state.failures;
            state.failures = if condition == Condition::Answers { 0 } else { before.saturating_add(1) };
            (state.record.clone(), before)
        });
        if change(record.as_ref(), failures) == Change::Nothing {
            return Ok(());
        }
        // Only what changes something looks closer: others may have changed it meanwhile.
        let record = self.read(backend).await?;
        let version = record.as_ref().map(|seen| seen.version);
        match change(record.as_ref(), failures) {
            Change::Nothing => {}
            Change::Forget => {
                backend.records.delete(Collection::Endpoints, &self.key, version).await?;
                self.forget();
                info!(endpoint = self.key, "an endpoint works again");
            }
            Change::Keep(endpoint) => {
                if self.write(backend, &endpoint, version).await? {
                    self.tell_of(&endpoint);
                }
            }
        }
        Ok(())
    }

    async fn write(&self, backend: &Backend, endpoint: &Endpoint, seen: Option<u64>) -> Result<bool> {
        let body = serde_json::to_string(endpoint).expect("plain data becomes JSON");
        let expires_at = match endpoint.state {
            EndpointState::Open { until } => until.plus(KEPT),
            // No task that calls it is kept for longer, and whoever is gone for good may say so again.
            EndpointState::Disabled => now().plus(MAX_RETENTION),
        };
        let written = backend.records.put(Collection::Endpoints, &self.key, body, seen, Some(expires_at)).await?;
        self.read(backend).await?;
        Ok(written)
    }

    fn forget(&self) {
        self.with(|state| (state.record, state.read_at, state.failures) = (None, Some(Instant::now()), 0));
    }

    fn tell_of(&self, endpoint: &Endpoint) {
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

impl Drop for Turn {
    fn drop(&mut self) {
        self.known.with(|state| {
            state.turns.end(self.call, Instant::now());
            if self.probe {
                state.probing = false;
            }
        });
    }
}

/// Somebody who waits for a place, also when he is broken off.
struct Waiting<'a>(&'a Known);

impl<'a> Waiting<'a> {
    fn new(known: &'a Known) -> Self {
        known.with(|state| state.turns.wait());
        Self(known)
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.0.with(|state| state.turns.waited());
    }
}

fn why(what: &str, seen: Option<Seen>) -> String {
    match seen.and_then(|seen| seen.endpoint.last_error) {
        Some(error) => format!("the receiver {what}: {error}"),
        None => format!("the receiver {what}"),
    }
}
