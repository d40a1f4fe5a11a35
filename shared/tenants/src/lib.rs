//! Whose a request is, how much each tenant may ask for, and what their callbacks are signed with.
//!
//! An operator makes API keys ([`create_key`]), each for one tenant; [`Keys`] tells whose a key is. What a tenant may ask
//! for is said in [`Limits`]; [`Allowance`] tells what is left of it, over all processes of a backend. [`Signing`] has the
//! secrets that callbacks are signed with. All of it is kept as records: without keys and without limits nothing is
//! written, and next to nothing is read.

#![warn(missing_docs)]

mod aging;
mod allowance;
mod bucket;
mod keys;
mod limits;
mod record;
mod signing;
mod verify;

pub use allowance::{Allowance, Policy, Taken};
pub use keys::{ApiKey, InvalidKey, KeyEntry, any_key, create_key, list_keys, revoke_key};
pub use limits::Limits;
pub use signing::{BOTH_SIGN_FOR, Rotated, Signing, SigningError};
pub use verify::{Identity, Keys, REMEMBERED_MILLIS};
