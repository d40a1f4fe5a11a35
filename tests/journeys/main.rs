//! The end-to-end tests: the real command, through its public door.
//!
//! Each test has a data folder and a server of its own, or tasks of its own on a stack; libtest runs as many at a time as there are processors.

mod ahead;
mod alone;
mod callbacks;
mod canary;
mod clients;
mod contract;
mod deliveries;
mod doctor;
mod door;
mod fallbacks;
mod harness;
mod hostile_pages;
mod kills;
mod modes;
mod on_aws;
mod openapi;
mod outages;
mod poison;
mod progress;
mod read;
mod review;
mod searchable;
mod shutdown;
mod storage;
mod tenants;
mod with_engines;
