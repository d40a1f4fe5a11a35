//! An engine that reads pages with the operating system's `tesseract` program, in languages that no other engine reads.
//!
//! Each page is read by a process of its own, with limits on memory, processor time and time, an empty environment and
//! one thread; several run in parallel. The page goes to its standard input as gray pixels (PGM), and the words come
//! from its standard output as tab-separated values. The program never sees the customer's document, only its
//! pixels.
#![warn(missing_docs)]

mod engine;
mod error;
mod settings;
mod tsv;

pub use engine::TesseractEngine;
pub use error::TesseractError;
pub use settings::TesseractSettings;
