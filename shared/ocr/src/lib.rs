//! What every engine shares: pages that stream through it, prompts, and what its answers are taken for.
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
