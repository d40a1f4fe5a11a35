//! End-to-end tests of the real `quire` command through its public interfaces: HTTP, the command line and webhooks.
//!
//! Each test uses its own data folder and server, or its own tasks on a shared stack on an AWS emulator. libtest runs
//! the tests in parallel, one per processor.

mod aws_startup;
mod callbacks;
mod canary;
mod clients;
mod configured_engines;
mod connections;
mod contract;
mod crash_recovery;
mod delivery_log;
mod doctor;
mod engine_outages;
mod fallbacks;
mod harness;
mod hostile_pages;
mod modes;
mod on_aws;
mod openapi;
mod pdf_warnings;
mod poison_pages;
mod private_files;
mod progress;
mod read_command;
mod refusals;
mod review;
mod safe_output;
mod searchable_pdf;
mod shutdown;
mod storage_faults;
mod tenants;
mod text_layers;
mod worker_process;
