//! Configuration from the environment. A value that makes no sense refuses to start.

use std::{env::VarError, fmt::Display, ops::RangeInclusive, str::FromStr, time::Duration};

/// A setting that cannot be used. Decision: do not start.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{name}={value:?}: {why}")]
pub struct Misconfigured {
    /// The variable.
    pub name: &'static str,
    /// What it holds.
    pub value: String,
    /// What is wrong with it.
    pub why: String,
}

/// The variable's text; `None` where it is unset or empty.
///
/// # Errors
/// [`Misconfigured`] when it is no UTF-8.
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

/// The variable's value; `default` where it is unset or empty.
///
/// # Errors
/// [`Misconfigured`] when it cannot be parsed or lies outside of `range`.
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

/// A duration given in whole seconds; `default_secs` where the variable is unset or empty.
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

/// Whether something is switched on: `1`; off where the variable is `0`, unset or empty.
///
/// # Errors
/// [`Misconfigured`] when it is anything else.
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
    fn an_impossible_value_is_refused_with_its_name_and_range() {
        assert_eq!(parse("QUIRE_X", "7".to_owned(), &(1..=9)), Ok(7));
        let error = parse("QUIRE_X", "10".to_owned(), &(1..=9)).expect_err("out of range");
        assert_eq!(error.to_string(), "QUIRE_X=\"10\": must be from 1 to 9");
        assert!(parse("QUIRE_X", "seven".to_owned(), &(1..=9)).is_err());
    }

    #[test]
    fn a_switch_is_on_by_1_only() {
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
