//! The front door, through a real listener, on the embedded home.

mod asynchronous;
mod batch;
mod engines;
mod faults;
mod inbox;
mod ingest;
mod lambda;
mod modes;
mod ocr;
mod refusals;
mod result;
mod support;
mod sweep;
mod task;
mod trace;
mod uploads;
