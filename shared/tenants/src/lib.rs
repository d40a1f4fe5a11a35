//! Tenants: API keys, rate limits and webhook signing secrets.
//!
//! An operator creates API keys ([`create_key`]), each for one tenant; [`KeyCache`] verifies them. [`TenantLimits`]
//! are a tenant's configured limits, which [`RateLimiter`] enforces across all processes of a backend. [`Signing`]
//! derives the secrets that sign callbacks. The state is stored as records: without keys and limits nothing is
//! written, and reads are cached.

#![warn(missing_docs)]

mod key_cache;
mod keys;
mod limits;
mod lookup_cache;
mod rate_limit;
mod record;
mod signing;
mod token_bucket;

pub use key_cache::{KEY_CACHE_TTL_MILLIS, KeyCache, KeyOwner};
pub use keys::{ApiKey, InvalidApiKey, KeyEntry, any_key_exists, create_key, list_keys, revoke_key};
pub use limits::TenantLimits;
pub use rate_limit::{RateLimitPolicy, RateLimitStatus, RateLimiter};
pub use signing::{RotatedSecret, SECRET_OVERLAP, Signing, SigningError};
