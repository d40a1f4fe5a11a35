//! The layout of a page that was read line by line: its tables, and its blocks of text.
//!
//! [`analyze`] finds them by geometry, without a model:
//!
//! ```text
//! image, lines ── upright, ink ──▶ lines with their ink ── rulings, grid, ruled ──▶ ruled tables ─┐
//!                                        │                                                       ├─▶ blocks
//!                                        ├── pieces, unruled ──▶ tables by aligned columns ──────┤
//!                                        └── text_blocks ──▶ titles, headings, paragraphs, lists ┘
//! ```
//!
//! Pure: an image in gray and the lines in, blocks out. All sizes are relative to the height of the lines.
#![warn(missing_docs)]

mod amounts;
mod analysis;
mod draft;
mod figures;
mod gray;
mod grid;
mod ink;
mod markers;
mod pieces;
mod rect;
mod rows;
mod ruled;
mod rulings;
mod sums;
mod text_blocks;
mod text_widths;
mod totals;
mod unruled;
mod upright;

pub use analysis::{Layout, analyze};
pub use gray::GrayImage;
