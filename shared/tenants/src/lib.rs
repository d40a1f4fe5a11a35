//! Tenants: API keys, rate limits, quotas and webhook signing secrets.
//!
//! An operator creates API keys ([`create_key`]), each for one tenant and with [`Scopes`]; [`KeyCache`] verifies them.
//! [`TenantLimits`] are a tenant's configured limits, which [`RateLimiter`] enforces across all processes of a backend:
//! requests by prefetched tokens, and pages, stored bytes and open tasks by a [`Reservation`] before anything is
//! stored. [`Signing`] derives the secrets that sign callbacks. The state is stored as records: without keys and limits
//! nothing is written, and reads are cached.

#![warn(missing_docs)]

mod account;
mod key_cache;
mod keys;
mod limits;
mod lookup_cache;
mod rate_limit;
mod record;
mod reservations;
mod scopes;
mod searches;
mod signing;
mod token_bucket;

pub use account::{QuotaRefusal, Reservation};
pub use key_cache::{KEY_CACHE_TTL_MILLIS, KeyCache, KeyOwner, LAST_USE_INTERVAL_MILLIS};
pub use keys::{
    ApiKey, InvalidApiKey, KeyEntry, NewKey, any_key_exists, create_key, create_restricted_key, list_keys, revoke_key,
};
pub use limits::{DEFAULT_PAGES_PER_TASK, Exemptions, TenantLimits};
pub use rate_limit::{RateLimitPolicy, RateLimitStatus, RateLimiter};
pub use reservations::{QuotaUse, ReserveError};
pub use scopes::{InvalidScope, Scope, Scopes};
pub use signing::{RotatedSecret, SECRET_OVERLAP, Signing, SigningError};
