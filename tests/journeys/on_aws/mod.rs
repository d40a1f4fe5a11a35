//! The journeys on AWS: Terraform deploys the stack to an emulator, and tests use its public interfaces.
//!
//! The Lambda functions are the real ones, each in its zip; workers are processes. See [`stack`].

mod callbacks;
mod contract;
mod emulator;
mod engines;
mod stack;
mod stack_worker;
mod task_api;
mod uploads;
mod worker_faults;

pub(crate) use stack::start_stacks;
