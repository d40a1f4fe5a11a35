//! Logging to standard error.

use std::{
    fmt::Debug,
    io::{self, IsTerminal, Write},
    str::FromStr,
};

use tracing::field::Field;
use tracing_subscriber::{
    EnvFilter,
    field::MakeExt,
    fmt::{
        self,
        format::{Writer, debug_fn},
    },
};

use crate::{
    env::{self, Misconfigured},
    terminal::{escape_json, escape_line},
};

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
    let subscriber = fmt::fmt().with_env_filter(filter);
    match parsed {
        LogFormat::Text => subscriber
            .with_writer(io::stderr)
            .with_target(false)
            .with_ansi(io::stderr().is_terminal())
            .fmt_fields(debug_fn(write_field).delimited(" "))
            .init(),
        LogFormat::Json => subscriber.with_writer(|| JsonWriter(io::stderr())).json().init(),
    }
    Ok(())
}

/// Writes a field so that its value cannot control a terminal or begin a new line: it may come from a document, a file
/// name or a request.
fn write_field(writer: &mut Writer<'_>, field: &Field, value: &dyn Debug) -> std::fmt::Result {
    let text = format!("{value:?}");
    let text = escape_line(&text);
    match field.name() {
        "message" => write!(writer, "{text}"),
        name if writer.has_ansi_escapes() => write!(writer, "\x1b[3m{name}\x1b[0m\x1b[2m=\x1b[0m{text}"),
        name => write!(writer, "{name}={text}"),
    }
}

/// Writes JSON lines without characters that control a terminal.
struct JsonWriter<W>(W);

impl<W: Write> Write for JsonWriter<W> {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        // The subscriber writes whole lines.
        self.0.write_all(escape_json(&String::from_utf8_lossy(line)).as_bytes())?;
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.0.flush()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use tracing::{info, subscriber::with_default};

    use super::*;

    #[derive(Clone, Default)]
    struct Log(Arc<Mutex<Vec<u8>>>);

    impl Write for Log {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().expect("no panic").write(bytes)
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    impl Log {
        fn text(&self) -> String {
            String::from_utf8(self.0.lock().expect("no panic").clone()).expect("UTF-8")
        }
    }

    /// Logs the text as a message and as a field in each of the ways of `tracing`.
    fn log_everywhere(text: &str) {
        info!(%text, debug = ?text, plain = text, "read {text}");
    }

    const HOSTILE: &str = "a\u{1b}]52;c;x\u{7}\u{9b}31m\u{202e}b\nINFO forged";

    #[test]
    fn a_text_log_has_one_safe_line_for_each_event() {
        let log = Log::default();
        let writer = log.clone();
        let subscriber = fmt::fmt().with_writer(move || writer.clone()).with_ansi(false);
        let subscriber = subscriber.fmt_fields(debug_fn(write_field).delimited(" ")).finish();
        with_default(subscriber, || log_everywhere(HOSTILE));
        let text = log.text();
        assert_eq!(text.lines().count(), 1, "{text:?}");
        assert_eq!(escape_line(text.trim_end_matches('\n')), text.trim_end_matches('\n'));
        assert!(text.contains(r"read a\u{1b}]52;c;x\u{7}\u{9b}31m\u{202e}b\nINFO forged"), "{text}");
        assert!(text.contains(r"text=a\u{1b}]52") && text.contains("plain=\"a\\u{1b}]52"), "{text}");
    }

    #[test]
    fn a_json_log_keeps_its_content() {
        let log = Log::default();
        let writer = log.clone();
        let subscriber = fmt::fmt().with_writer(move || JsonWriter(writer.clone())).json().finish();
        with_default(subscriber, || log_everywhere(HOSTILE));
        let text = log.text();
        assert_eq!(escape_line(text.trim_end_matches('\n')), text.trim_end_matches('\n'));
        let event: serde_json::Value = serde_json::from_str(&text).expect("JSON");
        assert_eq!(event["fields"]["plain"], HOSTILE);
    }
}
