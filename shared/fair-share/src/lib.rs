//! Shares a pool of permits between tenants, so that none can take the capacity of the others.
//!
//! - [`FairShare`] is a semaphore whose permits belong to tenants. Waiting tenants take turns (round-robin), and the
//!   permits that one tenant may hold depend on how many are free.
//! - `scheduler` is its policy, without I/O and without a clock.
//! - [`WeightedShare`] is a semaphore for amounts, e.g. of memory, in which each tenant has a limit.
//! - [`with_tenant`] marks a future as the work of a tenant, so that pools below, e.g. that of database connections,
//!   know for which tenant they work.
//!
//! # Policy
//!
//! A tenant may hold at most twice as many permits as are then free ("dynamic thresholds": Choudhury and Hahne, Dynamic
//! Queue Length Thresholds for Shared-Memory Packet Switches, 1998, with α = 2). So one tenant alone gets two thirds of
//! the pool, however many requests it has, and there is always room for the next tenant: the second gets up to two
//! thirds of the rest, and so on. A tenant without permits needs only one that is free. Shares adapt by themselves: no
//! number of tenants is configured, and nothing is reserved for tenants without work beyond the last third.
#![warn(missing_docs)]

mod scheduler;
mod share;
mod tenant_scope;
mod weighted;

pub use share::{Capacity, FairPermit, FairShare};
pub use tenant_scope::{current_tenant, with_tenant};
pub use weighted::{WeightedPermit, WeightedShare};

/// Returns the size of a pool in which one tenant alone may hold `permits`.
///
/// ```
/// assert_eq!(quire_fair_share::pool_size(16), 24);
/// assert_eq!(quire_fair_share::pool_size(1), 2);
/// ```
pub const fn pool_size(permits: usize) -> usize {
    permits + permits.div_ceil(2)
}
