//! Trace context of a task (W3C Trace Context).

use std::{fmt, str::FromStr};

use serde::{Deserialize, Serialize};

/// Error: the text is not a `traceparent`. Decision: ignore the header.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not a W3C traceparent")]
pub struct InvalidTrace;

/// A W3C `traceparent`: trace id, span id and flags.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct TraceParent {
    trace_id: u128,
    span_id: u64,
    flags: u8,
}

impl TraceParent {
    /// Name of the HTTP header and of the message attribute.
    pub const NAME: &str = "traceparent";
    /// The `sampled` flag, the only one defined: the sender records the trace.
    const SAMPLED: u8 = 1;

    /// Returns a new sampled trace of random numbers. Zero is an invalid id and is replaced by one.
    pub const fn new(trace_id: u128, span_id: u64) -> Self {
        let trace_id = if trace_id == 0 { 1 } else { trace_id };
        let span_id = if span_id == 0 { 1 } else { span_id };
        Self { trace_id, span_id, flags: Self::SAMPLED }
    }

    /// Returns the trace id as it is written in logs: 32 hexadecimal digits.
    pub fn trace_id(&self) -> String {
        format!("{:032x}", self.trace_id)
    }
}

impl fmt::Display for TraceParent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "00-{:032x}-{:016x}-{:02x}", self.trace_id, self.span_id, self.flags)
    }
}

impl FromStr for TraceParent {
    type Err = InvalidTrace;

    /// Parses the known parts of an unknown version, as the specification requires.
    fn from_str(text: &str) -> Result<Self, InvalidTrace> {
        let mut parts = text.split('-');
        let mut part = |digits| hex(parts.next()?, digits);
        let version = part(2).filter(|&version| version != 0xff).ok_or(InvalidTrace)?;
        let trace_id = part(32).filter(|&id| id != 0).ok_or(InvalidTrace)?;
        let span_id = part(16).filter(|&id| id != 0).ok_or(InvalidTrace)? as u64;
        let flags = part(2).ok_or(InvalidTrace)? as u8;
        if version == 0 && parts.next().is_some() {
            return Err(InvalidTrace);
        }
        Ok(Self { trace_id, span_id, flags })
    }
}

impl TryFrom<String> for TraceParent {
    type Error = InvalidTrace;

    fn try_from(text: String) -> Result<Self, InvalidTrace> {
        text.parse()
    }
}

impl From<TraceParent> for String {
    fn from(trace: TraceParent) -> Self {
        trace.to_string()
    }
}

/// Parses a hexadecimal number with an exact number of lowercase digits.
fn hex(text: &str, digits: usize) -> Option<u128> {
    let is_lowercase_hex = text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
    if text.len() == digits && is_lowercase_hex { u128::from_str_radix(text, 16).ok() } else { None }
}

#[cfg(test)]
mod tests {
    use super::*;

    const EXAMPLE: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-00";

    #[test]
    fn a_traceparent_keeps_its_flags() {
        let trace: TraceParent = EXAMPLE.parse().expect("the specification's example is valid");
        assert_eq!((trace.to_string().as_str(), trace.trace_id().as_str()), (EXAMPLE, &EXAMPLE[3..35]));
        let made = TraceParent::new(0, 0);
        assert_eq!(made.to_string().parse(), Ok(made), "zeros are replaced");
    }

    #[test]
    fn the_known_parts_of_a_later_version_are_parsed() {
        let later = EXAMPLE.replacen("00", "cc", 1) + "-what-comes-then";
        assert_eq!(later.parse(), EXAMPLE.parse::<TraceParent>());
    }

    #[test]
    fn an_invalid_traceparent_is_refused() {
        let uppercase = EXAMPLE.to_uppercase();
        let zero_span = EXAMPLE.replace("00f067aa0ba902b7", "0000000000000000");
        let too_long = format!("{EXAMPLE}-01");
        let forbidden_version = EXAMPLE.replacen("00", "ff", 1);
        for wrong in ["", "00", &EXAMPLE[..54], "00-+bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-00", &uppercase] {
            assert!(wrong.parse::<TraceParent>().is_err(), "{wrong}");
        }
        for wrong in [zero_span, too_long, forbidden_version] {
            assert!(wrong.parse::<TraceParent>().is_err(), "{wrong}");
        }
    }
}
