//! What the user sees while waiting for a fetch.

use std::io::{self, IsTerminal, Write};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use crate::pinned::Part;

/// How a fetch shows itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Progress {
    /// In the log only.
    Silent,
    /// As a bar for each part on stderr when that is a terminal, as one line for each part when it is not.
    Bar,
}

impl Progress {
    /// Announces a fetch; the gauge then follows it.
    pub(crate) fn fetching(&self, part: &Part) -> Gauge {
        if *self == Self::Bar && io::stderr().is_terminal() {
            return Gauge(Some(bar(part)));
        }
        self.say(&format!("fetching {part} ({:.1} MB)", part.size as f64 / 1e6));
        Gauge(None)
    }

    /// One line, to whoever listens.
    pub(crate) fn say(&self, line: &str) {
        match self {
            Self::Silent => tracing::info!("{line}"),
            // A closed stderr is no reason to stop, which is what `eprintln!` would do.
            Self::Bar => drop(writeln!(io::stderr(), "{line}")),
        }
    }
}

/// Follows one fetch. It stays on the screen when it is done, and vanishes when it is dropped before.
#[derive(Debug)]
pub(crate) struct Gauge(Option<ProgressBar>);

impl Gauge {
    pub(crate) fn set(&self, bytes: u64) {
        if let Some(bar) = &self.0 {
            bar.set_position(bytes.min(bar.length().unwrap_or(u64::MAX)));
        }
    }

    pub(crate) fn finish(self) {
        if let Some(bar) = &self.0 {
            bar.finish();
        }
    }
}

fn bar(part: &Part) -> ProgressBar {
    // Under 80 columns, beyond which it would be cut.
    let style = ProgressStyle::with_template("{msg:34} {bar:20} {decimal_bytes:>9}/{decimal_total_bytes}")
        .expect("a valid template");
    let bar = ProgressBar::with_draw_target(Some(part.size), ProgressDrawTarget::stderr()).with_style(style);
    bar.set_message(part.to_string());
    bar
}
