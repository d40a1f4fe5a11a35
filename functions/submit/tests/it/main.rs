//! The front door, through a real listener, on the embedded home.

mod asynchronous;
mod batch;
mod faults;
mod inbox;
mod ingest;
mod lambda;
mod ocr;
mod refusals;
mod support;
mod sweep;
mod task;
mod trace;
mod uploads;
