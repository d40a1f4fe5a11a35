//! Reservations against the quotas of a tenant, shared by all processes of a backend.
//!
//! ```text
//! limits  {tenant}/pages             the account: bucket of pages, reservations, open tasks, sum of stored bytes
//! limits  {tenant}/stored.{task}     the bytes of a task's documents; deleted with them, which happens once
//! ```
//!
//! A tenant without quotas has no such records, and a reservation costs it one cached read every few seconds.

use quire_platform::{
    Backend, Collection, Error, Result,
    records::{self, RecordUpdate, UpdateOptions},
    retry_with_backoff,
};
use quire_tasks::{DocumentState, MAX_RETENTION, Task, TaskId, Tenant, UnixMillis};
use serde::{Deserialize, Serialize};
use tokio::task::JoinSet;
use tracing::warn;

use crate::{
    RateLimiter, TenantLimits,
    account::{Account, Held, QuotaRefusal, Reservation, daily_rate},
    rate_limit::RateLimitPolicy,
    record,
};

/// Options of an account's update. Each conflict means that another submission of the tenant made progress.
const UPDATE: UpdateOptions = UpdateOptions { what: "limits", attempts: 200, retry_busy: false };
/// Tasks that are read concurrently to find the ended ones.
const READ_CONCURRENCY: usize = 16;
/// Overdue reservations that are resolved at a time.
const MAX_RESOLVED: usize = 20;
/// Page size when listing the stored bytes of tasks.
const LIST_PAGE_SIZE: usize = 500;

/// Why a reservation was not taken.
#[derive(Debug, thiserror::Error)]
pub enum ReserveError {
    /// A quota or limit does not suffice. Decision: refuse the request, or fail the document.
    #[error(transparent)]
    Refused(#[from] QuotaRefusal),
    /// An error of the backend. Decision: that of the error.
    #[error(transparent)]
    Backend(#[from] Error),
}

/// What a tenant uses of its quotas.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct QuotaUse {
    /// Pages used of the day's.
    pub pages_per_day: u64,
    /// Bytes of stored documents.
    pub stored_bytes: u64,
    /// Open tasks.
    pub open_tasks: u64,
}

/// The bytes of a task's documents.
#[derive(Debug, Clone, Copy, Default, Serialize, Deserialize)]
struct StoredBytes {
    bytes: u64,
}

impl RateLimiter {
    /// Takes a reservation from the tenant's quotas, atomically under concurrent requests of all processes, and
    /// idempotently. It must be followed by [`RateLimiter::commit`] or [`RateLimiter::release`]; after a crash it is
    /// resolved by a later one.
    ///
    /// # Errors
    /// [`ReserveError`]; then nothing is taken.
    pub async fn reserve(&self, tenant: &Tenant, asks: &Reservation, now: UnixMillis) -> Result<(), ReserveError> {
        let limits = self.limits(tenant, now).await?;
        // The pages of a retried task were accepted before.
        let is_new = asks.document > 0 || asks.round == 1;
        if let Some(allowed) = limits.pages_per_task.filter(|allowed| is_new && asks.pages > allowed.get()) {
            return Err(QuotaRefusal::TaskPages { asked: asks.pages, allowed: allowed.get() }.into());
        }
        if !has_quota(&limits) {
            return Ok(());
        }
        match self.take(tenant, asks, &limits, now).await? {
            Err(QuotaRefusal::OpenTasks { .. }) if self.searches().begin(tenant, now) => {
                self.close_ended(tenant).await?;
            }
            Err(QuotaRefusal::StoredBytes { .. }) if self.recounts().begin(tenant, now) => {
                self.recount(tenant).await?;
            }
            taken => return Ok(taken?),
        }
        Ok(self.take(tenant, asks, &limits, now).await??)
    }

    async fn take(
        &self,
        tenant: &Tenant,
        asks: &Reservation,
        limits: &TenantLimits,
        now: UnixMillis,
    ) -> Result<Result<(), QuotaRefusal>> {
        let mut overdue = Vec::new();
        let taken = self
            .update(tenant, |account| {
                overdue = account.overdue(now);
                account.reserve(asks, limits, now)
            })
            .await?;
        overdue.retain(|held| !held.is_of(asks));
        if overdue.is_empty() {
            return Ok(taken);
        }
        for held in overdue.into_iter().take(MAX_RESOLVED) {
            self.resolve(tenant, held, limits, now).await?;
        }
        if taken.is_ok() { Ok(taken) } else { self.update(tenant, |account| account.reserve(asks, limits, now)).await }
    }

    /// Ends a reservation: its task, document or round exists.
    ///
    /// # Errors
    /// Any [`Error`]; a later reservation then resolves this one.
    pub async fn commit(&self, tenant: &Tenant, of: &Reservation, now: UnixMillis) -> Result<()> {
        let limits = self.limits(tenant, now).await?;
        if !has_quota(&limits) {
            return Ok(());
        }
        match self.update(tenant, |account| account.commit(of)).await? {
            Some(Held { task, bytes, .. }) if bytes > 0 => self.store_bytes(tenant, task, bytes).await,
            _ => Ok(()),
        }
    }

    /// Ends a reservation for nothing: its task, document or round does not exist. What it took is given back.
    ///
    /// # Errors
    /// Any [`Error`]; a later reservation then resolves this one.
    pub async fn release(&self, tenant: &Tenant, of: &Reservation, now: UnixMillis) -> Result<()> {
        let limits = self.limits(tenant, now).await?;
        if !has_quota(&limits) {
            return Ok(());
        }
        self.update(tenant, |account| account.release(of, &limits, now)).await.map(drop)
    }

    /// Gives back pages that will never be read, e.g. of a canceled task. Must be called once for each page.
    ///
    /// # Errors
    /// Any [`Error`].
    pub async fn give_back(&self, tenant: &Tenant, pages: u64, now: UnixMillis) -> Result<()> {
        let limits = self.limits(tenant, now).await?;
        if pages == 0 || limits.pages_per_day.is_none() {
            return Ok(());
        }
        self.update(tenant, |account| account.give_back_pages(pages, &limits, now)).await
    }

    /// Gives back the bytes of a task whose documents are being deleted. Idempotent.
    ///
    /// # Errors
    /// Any [`Error`].
    pub async fn forget(&self, task: &Task) -> Result<()> {
        let records = self.backend().records.as_ref();
        let key = stored_key(&task.tenant, task.id);
        let Some(record) = records.read(Collection::Limits, &key).await? else { return Ok(()) };
        let StoredBytes { bytes } = record::parse(&record.body)?;
        // Only one of several concurrent calls deletes the record.
        if records.delete(Collection::Limits, &key, Some(record.version)).await? {
            self.update(&task.tenant, |account| account.give_back_bytes(bytes)).await?;
        }
        Ok(())
    }

    /// Returns what a tenant uses of its quotas.
    ///
    /// # Errors
    /// Any [`Error`].
    pub async fn quota_use(&self, tenant: &Tenant, now: UnixMillis) -> Result<QuotaUse> {
        let limits = self.limits(tenant, now).await?;
        if limits.open_tasks.is_some() {
            self.close_ended(tenant).await?;
        }
        let account = read_account(self.backend(), tenant).await?;
        let pages_per_day = daily_rate(&limits).map_or(0, |rate| {
            let used = rate.capacity - account.pages_left(&rate, now);
            used.max(0.0).round() as u64
        });
        Ok(QuotaUse { pages_per_day, stored_bytes: account.stored_bytes(), open_tasks: account.open_count() })
    }

    /// Changes the account of a tenant. An unchanged one is not written.
    async fn update<R>(&self, tenant: &Tenant, mut change: impl FnMut(&mut Account) -> R) -> Result<R> {
        let key = RateLimitPolicy::Pages.record_key(tenant);
        records::update(self.backend().records.as_ref(), Collection::Limits, &key, UPDATE, |stored: Option<Account>| {
            let before = stored.unwrap_or_default();
            let mut account = before.clone();
            let result = change(&mut account);
            if account == before { RecordUpdate::Keep(result) } else { RecordUpdate::Put { value: account, result } }
        })
        .await
    }

    /// Ends a reservation whose submitter may have crashed.
    async fn resolve(&self, tenant: &Tenant, held: Held, limits: &TenantLimits, now: UnixMillis) -> Result<()> {
        let Held { task, document, round, bytes, .. } = held;
        let of = Reservation { task, document, round, pages: 0, bytes, opens: false };
        let exists = match self.backend().tasks.task(task).await {
            Ok(task) => task.round >= round && (document == 0 || is_split(&task, document)),
            Err(Error::NotFound { .. }) => false,
            Err(error) => return Err(error),
        };
        warn!(task.id = %task, document, exists, "resolving the reservation of an interrupted submission");
        if exists {
            return self.commit(tenant, &of, now).await;
        }
        self.update(tenant, |account| account.release(&of, limits, now)).await.map(drop)
    }

    /// Removes ended tasks from those that may be open.
    async fn close_ended(&self, tenant: &Tenant) -> Result<()> {
        let account = read_account(self.backend(), tenant).await?;
        let mut waiting: Vec<TaskId> = account.open().collect();
        let mut reads = JoinSet::new();
        let mut ended = Vec::new();
        loop {
            while reads.len() < READ_CONCURRENCY
                && let Some(task) = waiting.pop()
            {
                let backend = self.backend().clone();
                reads.spawn(async move { has_ended(&backend, task).await.map(|ended| ended.then_some(task)) });
            }
            let Some(read) = reads.join_next().await else { break };
            let read = read.map_err(|error| Error::Failed { what: "tasks", why: error.to_string() })?;
            ended.extend(read?);
        }
        if ended.is_empty() {
            return Ok(());
        }
        self.update(tenant, |account| account.close(&ended)).await
    }

    /// Counts the stored bytes of a tenant again, in case a crash left them too high.
    async fn recount(&self, tenant: &Tenant) -> Result<()> {
        let before = read_account(self.backend(), tenant).await?;
        let prefix = format!("{tenant}/{STORED}");
        let mut after = prefix.clone();
        let mut bytes = 0;
        'all: loop {
            let listed = self
                .backend()
                .records
                .list_partition(Collection::Limits, tenant.as_str(), Some(&after), LIST_PAGE_SIZE)
                .await?;
            for record in &listed {
                if !record.key.starts_with(&prefix) {
                    break 'all;
                }
                bytes += record::parse::<StoredBytes>(&record.body)?.bytes;
            }
            let Some(last) = listed.last() else { break };
            after.clone_from(&last.key);
        }
        // A concurrent change makes the sum obsolete: the next refusal counts again.
        self.update(tenant, |account| {
            if *account == before {
                account.set_stored_bytes(bytes);
            }
        })
        .await
    }

    /// Adds to the stored bytes of a task. A reservation is committed once, so that nothing is added twice.
    async fn store_bytes(&self, tenant: &Tenant, task: TaskId, bytes: u64) -> Result<()> {
        let records = self.backend().records.as_ref();
        let key = stored_key(tenant, task);
        let expires_at = Some(quire_platform::now().plus(2 * MAX_RETENTION));
        for _ in 0..UPDATE.attempts {
            let stored = records.read(Collection::Limits, &key).await?;
            let version = stored.as_ref().map(|record| record.version);
            let before: StoredBytes = stored.map(|record| record::parse(&record.body)).transpose()?.unwrap_or_default();
            let body = record::written(&StoredBytes { bytes: before.bytes + bytes })?;
            if records.put(Collection::Limits, &key, body, version, expires_at).await? {
                return Ok(());
            }
        }
        Err(Error::Busy { what: UPDATE.what, why: "too many conflicting updates".to_owned() })
    }
}

const STORED: &str = "stored.";

fn stored_key(tenant: &Tenant, task: TaskId) -> String {
    format!("{tenant}/{STORED}{task}")
}

const fn has_quota(limits: &TenantLimits) -> bool {
    limits.pages_per_day.is_some() || limits.stored_bytes.is_some() || limits.open_tasks.is_some()
}

fn is_split(task: &Task, document: u32) -> bool {
    matches!(task.document(document).map(|document| &document.state), Some(DocumentState::Split(_)))
}

async fn has_ended(backend: &Backend, task: TaskId) -> Result<bool> {
    match retry_with_backoff(|| backend.tasks.task(task)).await {
        Ok(task) => Ok(task.status().ended()),
        Err(Error::NotFound { .. }) => Ok(true),
        Err(error) => Err(error),
    }
}

pub(crate) async fn read_account(backend: &Backend, tenant: &Tenant) -> Result<Account> {
    Ok(record::read(backend, Collection::Limits, &RateLimitPolicy::Pages.record_key(tenant)).await?.0)
}
