//! Parses and renders documents in disposable child processes with few rights.
//!
//! A document is hostile until proven otherwise: pdfium is native code, and a PDF of a few hundred bytes can ask for
//! gigabytes or for hours. So documents are opened in children of this process, one document per child:
//!
//! ```text
//! parent                                              child: this program, started as `sandbox-child`
//! Sandbox ── a child, prepared ahead ───────────────▶ binds pdfium, then gives up its rights:
//!   │                                                   rlimits, no_new_privs, landlock, seccomp
//!   │  ◀── ready, with the rights it has given up ───
//!   ├── open, with the document's descriptor ───────▶ never opens a path, never has another document
//!   ├── inspect, page 1, page 2 … ──────────────────▶ one request at a time
//!   │  ◀── page count; size and pixels ──────────────  checked: a hostile child may lie
//!   └── supervision: memory, processor time, time     ended when it exceeds a limit
//! ```
//!
//! The child has no environment, no network, and no file but the document and fonts. What kills it
//! decides what happens to the page: a limit or a crash is the document's fault, a signal from elsewhere (the OOM
//! killer, an operator) is not.
#![warn(missing_docs)]

mod child;
mod copies;
mod error;
mod fonts;
mod large_child;
mod layer;
mod limits;
mod lockdown;
mod pool;
mod probe;
mod process;
mod protocol;
mod small_image;
mod usage;
mod verdict;

pub use child::{run_as_child, run_if_child};
pub use error::SandboxError;
pub use fonts::font_folders_from_env;
pub use limits::SandboxLimits;
pub use lockdown::{Lockdown, Protection};
pub use pool::{RenderedPage, Sandbox, SandboxProgram};
pub use probe::ProbeReport;
