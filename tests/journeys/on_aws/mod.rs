//! The same on AWS: deployed by Terraform to an emulator, and used through its front doors.
//!
//! The Lambda functions are the real ones, each in its zip; workers are processes. [`stack`] says what a stack is.

mod callbacks;
mod contract;
mod desk;
mod emulator;
mod engines;
mod faults;
mod inbox;
mod stack;
mod worker;

pub(crate) use stack::begin;
