//! What every engine shares: pages that stream through it, prompts, and what its answers are taken for.
#![warn(missing_docs)]

mod answer;
mod end;
mod instruction;
mod page_stream;
mod repetition;

pub use answer::page_of_answer;
pub use end::End;
pub use instruction::{Instruction, InstructionError, default_prompts};
pub use page_stream::{PageFeed, PageJob, PageStream, ReadError, Reading};
pub use repetition::{RepetitionGuard, RepetitionRule, TailGuard, kept, without_repetition};
