//! Whose a request is, how much each tenant may ask for, and what their callbacks are signed with.

#![warn(missing_docs)]
