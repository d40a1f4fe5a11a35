//! Logging to standard error.

use std::{io::IsTerminal, str::FromStr};

use tracing_subscriber::{EnvFilter, fmt};

use crate::env::{self, Misconfigured};

/// The format of log lines.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LogFormat {
    /// Human-readable text.
    Text,
    /// One JSON object per line.
    Json,
}

impl FromStr for LogFormat {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text {
            "text" => Ok(Self::Text),
            "json" => Ok(Self::Json),
            _ => Err("must be text or json"),
        }
    }
}

/// Starts logging to standard error. `QUIRE_LOG` is the filter, e.g. `info` or `quire_worker=debug` (default:
/// `default`); `QUIRE_LOG_FORMAT` is `text` or `json` (default: `text`).
///
/// # Errors
/// [`Misconfigured`] if a variable is invalid.
pub fn start_tracing(default: &str) -> Result<(), Misconfigured> {
    let filter = env::text("QUIRE_LOG")?.unwrap_or_else(|| default.to_owned());
    let filter = EnvFilter::try_new(&filter).map_err(|error| Misconfigured {
        name: "QUIRE_LOG",
        value: filter,
        why: error.to_string(),
    })?;
    let format = env::text("QUIRE_LOG_FORMAT")?.unwrap_or_else(|| "text".to_owned());
    let parsed = format.parse().map_err(|why: &str| Misconfigured {
        name: "QUIRE_LOG_FORMAT",
        value: format,
        why: why.to_owned(),
    })?;
    let subscriber = fmt().with_env_filter(filter).with_writer(std::io::stderr);
    match parsed {
        LogFormat::Text => subscriber.with_target(false).with_ansi(std::io::stderr().is_terminal()).init(),
        LogFormat::Json => subscriber.json().init(),
    }
    Ok(())
}
