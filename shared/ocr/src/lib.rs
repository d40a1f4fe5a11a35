//! What all OCR engines share: the streaming interface, prompts, answer parsing and the repetition guard.
//!
//! * [`PageStream`] is an engine that reads many pages concurrently; it takes [`PageJob`]s from a [`PageFeed`].
//! * [`Instruction`] is a prompt; [`default_prompts`] returns those that HunyuanOCR was trained on.
//! * [`parse_answer`] parses a model's answer, e.g. JSON fields or HTML tables, according to the mode.
//! * [`StreamRepetitionGuard`] stops a model that repeats itself.
//!
//! No I/O and no inference runtime.
#![warn(missing_docs)]

mod answer;
mod instruction;
mod page_stream;
mod repetition;
mod stop_reason;

pub use answer::parse_answer;
pub use instruction::{Instruction, InstructionError, default_prompts};
pub use page_stream::{PageFeed, PageJob, PageReading, PageStream, ReadError};
pub use repetition::{
    RepetitionGuard, RepetitionRule, StreamRepetitionGuard, length_without_repetition, without_repetition,
};
pub use stop_reason::StopReason;
