//! Query parameters. Unknown ones are ignored, because clients and proxies add their own.

use std::{borrow::Cow, collections::BTreeMap};

use jiff::Timestamp;
use quire_tasks::UnixMillis;
use serde::{
    de::value::Error,
    de::{DeserializeOwned, IntoDeserializer},
};
use url::form_urlencoded;

use crate::http::problem::Problem;

/// The default page size of a list.
const DEFAULT_LIMIT: usize = 20;
/// The maximum page size of a list.
const MAX_LIMIT: usize = 100;
const NANOS_PER_MILLI: i128 = 1_000_000;

/// The parameters of a query, by name.
#[derive(Debug)]
pub(crate) struct QueryParameters<'a>(BTreeMap<Cow<'a, str>, Vec<Cow<'a, str>>>);

impl<'a> QueryParameters<'a> {
    /// Parses a query.
    pub(crate) fn parse(query: Option<&'a str>) -> Self {
        let mut parameters = BTreeMap::<_, Vec<_>>::new();
        for (name, value) in form_urlencoded::parse(query.unwrap_or_default().as_bytes()) {
            parameters.entry(name).or_default().push(value);
        }
        Self(parameters)
    }

    /// Returns a parameter. Error: `invalid_field` if it is repeated.
    pub(crate) fn text(&self, name: &str) -> Result<Option<&str>, Problem> {
        match self.0.get(name).map(Vec::as_slice) {
            None | Some([]) => Ok(None),
            Some([value]) => Ok(Some(value)),
            Some(_) => Err(Problem::invalid_field(name, "The parameter must not be repeated.")),
        }
    }

    /// Returns an enum parameter; `known` lists its values.
    pub(crate) fn word<T: DeserializeOwned>(&self, name: &str, known: &str) -> Result<Option<T>, Problem> {
        let Some(text) = self.text(name)? else { return Ok(None) };
        let parsed: Result<T, Error> = T::deserialize(text.into_deserializer());
        parsed.map(Some).map_err(|_| Problem::invalid_field(name, format!("Unknown {name}; expected one of {known}.")))
    }

    /// Returns a time parameter; see [`parse_time`].
    pub(crate) fn time(&self, name: &str) -> Result<Option<UnixMillis>, Problem> {
        self.text(name)?.map(|text| parse_time(name, text)).transpose()
    }

    /// Returns the page size. Default: 20.
    pub(crate) fn limit(&self) -> Result<usize, Problem> {
        let Some(text) = self.text("limit")? else { return Ok(DEFAULT_LIMIT) };
        // `parse` accepts a leading plus sign.
        let is_plain = text.bytes().all(|byte| byte.is_ascii_digit());
        match text.parse() {
            Ok(limit) if is_plain && (1..=MAX_LIMIT).contains(&limit) => Ok(limit),
            _ => Err(Problem::invalid_field("limit", format!("Must be an integer between 1 and {MAX_LIMIT}."))),
        }
    }

    /// Returns the pagination cursor, decoded by `parse`.
    pub(crate) fn cursor<T>(&self, parse: impl FnOnce(&str) -> Result<T, Problem>) -> Result<Option<T>, Problem> {
        self.text("cursor")?.map(parse).transpose()
    }
}

/// Parses an RFC 3339 time and rounds it up to milliseconds. Stored times are whole milliseconds, so that the rounding
/// changes neither an inclusive lower nor an exclusive upper bound.
pub(crate) fn parse_time(name: &str, text: &str) -> Result<UnixMillis, Problem> {
    let detail = "Must be an RFC 3339 time, e.g. 2026-01-31T08:00:00Z; in a query, + must be encoded as %2B.";
    let time: Timestamp = text.parse().map_err(|_| Problem::invalid_field(name, detail))?;
    let millis = time.as_millisecond();
    let has_rest = time.as_nanosecond() % NANOS_PER_MILLI > 0;
    Ok(UnixMillis(if has_rest { millis + 1 } else { millis }))
}

#[cfg(test)]
mod tests {
    use quire_tasks::TaskStatus;

    use super::*;

    fn limit(query: &str) -> Option<usize> {
        QueryParameters::parse(Some(query)).limit().ok()
    }

    fn at(text: &str) -> Option<i64> {
        let query = format!("at={}", text.replace('+', "%2B"));
        QueryParameters::parse(Some(&query)).time("at").ok().flatten().map(|time| time.0)
    }

    #[test]
    fn a_limit_is_an_integer_within_bounds() {
        assert_eq!(
            (QueryParameters::parse(None).limit().ok(), limit("limit=1"), limit("limit=100")),
            (Some(20), Some(1), Some(100))
        );
        for wrong in ["", "0", "101", "-1", "%2B5", "1.0", "null", "5 ", "99999999999999999999999"] {
            assert_eq!(limit(&format!("limit={wrong}")), None, "{wrong}");
        }
        assert_eq!(limit("limit=1&limit=1"), None, "twice");
    }

    #[test]
    fn a_time_is_rounded_up_to_milliseconds() {
        assert_eq!(at("1970-01-01T00:00:01Z"), Some(1000));
        assert_eq!(at("1970-01-01T01:00:00.0011+01:00"), Some(2));
        assert_eq!(at("1969-12-31T23:59:59.9999Z"), Some(0));
        assert_eq!(at("1969-12-31T23:59:59.9981Z"), Some(-1));
        for wrong in ["", "yesterday", "2026-01-31", "2026-01-31T08:00:00", "1700000000"] {
            assert_eq!(at(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn an_enum_parameter_has_a_known_value() {
        let parameters = QueryParameters::parse(Some("a=partially_succeeded&b=Queued&c&unknown=1"));
        let word = |name| parameters.word::<TaskStatus>(name, "…").ok();
        assert_eq!(word("a"), Some(Some(TaskStatus::PartiallySucceeded)));
        assert_eq!((word("b"), word("c"), word("d")), (None, None, Some(None)));
    }
}
