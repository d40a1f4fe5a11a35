//! Whose a request is, how much each tenant may ask for, and what their callbacks are signed with.
//!
//! An operator makes API keys ([`create_key`]), each for one tenant; [`KeyCache`] tells whose a key is. What a tenant may ask
//! for is said in [`TenantLimits`]; [`RateLimiter`] tells what is left of it, over all processes of a backend. [`Signing`] has the
//! secrets that callbacks are signed with. All of it is kept as records: without keys and without limits nothing is
//! written, and next to nothing is read.

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
