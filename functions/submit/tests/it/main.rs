//! The front door, through a real listener, on the embedded home.

mod asynchronous;
mod batch;
mod faults;
mod ingest;
mod ocr;
mod refusals;
mod support;
mod sweep;
mod task;
