//! Configuration from environment variables. An invalid value is an error at startup.
//!
//! A default always applies where a variable is unset or empty.

use std::{env::VarError, fmt::Display, ops::RangeInclusive, str::FromStr, time::Duration};

/// Error: an environment variable is invalid. Decision: do not start.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{name}={value:?}: {why}")]
pub struct Misconfigured {
    /// The variable's name.
    pub name: &'static str,
    /// Its value.
    pub value: String,
    /// Why it is invalid.
    pub why: String,
}

/// Returns the variable's text; `None` if it is unset or empty.
///
/// # Errors
/// [`Misconfigured`] if it is not UTF-8.
pub fn text(name: &'static str) -> Result<Option<String>, Misconfigured> {
    match std::env::var(name) {
        Ok(value) if value.is_empty() => Ok(None),
        Ok(value) => Ok(Some(value)),
        Err(VarError::NotPresent) => Ok(None),
        Err(VarError::NotUnicode(raw)) => {
            let value = raw.to_string_lossy().into_owned();
            Err(Misconfigured { name, value, why: "not UTF-8".to_owned() })
        }
    }
}

/// Returns the variable's parsed value. Default: `default`.
///
/// # Errors
/// [`Misconfigured`] if it cannot be parsed or is outside `range`.
pub fn within<T>(name: &'static str, default: T, range: RangeInclusive<T>) -> Result<T, Misconfigured>
where
    T: FromStr<Err: Display> + PartialOrd + Display,
{
    text(name)?.map_or(Ok(default), |value| parse(name, value, &range))
}

fn parse<T>(name: &'static str, value: String, range: &RangeInclusive<T>) -> Result<T, Misconfigured>
where
    T: FromStr<Err: Display> + PartialOrd + Display,
{
    let why = match value.parse() {
        Ok(parsed) if range.contains(&parsed) => return Ok(parsed),
        Ok(_) => format!("must be from {} to {}", range.start(), range.end()),
        Err(error) => error.to_string(),
    };
    Err(Misconfigured { name, value, why })
}

/// Returns a duration from whole seconds. Default: `default_secs`.
///
/// # Errors
/// As [`within`].
pub fn secs_within(
    name: &'static str,
    default_secs: u64,
    range: RangeInclusive<u64>,
) -> Result<Duration, Misconfigured> {
    within(name, default_secs, range).map(Duration::from_secs)
}

/// Returns whether a flag is on (`1`). Default: off (`0`).
///
/// # Errors
/// [`Misconfigured`] if it is neither `1` nor `0`.
pub fn switch(name: &'static str) -> Result<bool, Misconfigured> {
    text(name)?.map_or(Ok(false), |value| on(name, value))
}

fn on(name: &'static str, value: String) -> Result<bool, Misconfigured> {
    match value.as_str() {
        "1" => Ok(true),
        "0" => Ok(false),
        _ => Err(Misconfigured { name, value, why: "must be 1 or 0".to_owned() }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_invalid_value_is_an_error_with_name_and_range() {
        assert_eq!(parse("QUIRE_X", "7".to_owned(), &(1..=9)), Ok(7));
        let error = parse("QUIRE_X", "10".to_owned(), &(1..=9)).expect_err("out of range");
        assert_eq!(error.to_string(), "QUIRE_X=\"10\": must be from 1 to 9");
        assert!(parse("QUIRE_X", "seven".to_owned(), &(1..=9)).is_err());
    }

    #[test]
    fn a_flag_is_1_or_0() {
        assert_eq!(on("QUIRE_X", "1".to_owned()), Ok(true));
        assert_eq!(on("QUIRE_X", "0".to_owned()), Ok(false));
        assert!(on("QUIRE_X", "yes".to_owned()).is_err());
        assert_eq!(switch("QUIRE_SURELY_UNSET"), Ok(false));
    }

    #[test]
    fn an_unset_variable_means_the_default() {
        assert_eq!(within("QUIRE_SURELY_UNSET", 3, 1..=9), Ok(3));
        assert_eq!(secs_within("QUIRE_SURELY_UNSET", 3, 1..=9), Ok(Duration::from_secs(3)));
    }
}
