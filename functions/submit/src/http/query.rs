//! The parameters of a query. Those that a call does not know are left alone: clients and proxies add their own.

use std::{borrow::Cow, collections::BTreeMap};

use jiff::Timestamp;
use quire_tasks::UnixMillis;
use serde::{
    de::value::Error,
    de::{DeserializeOwned, IntoDeserializer},
};
use url::form_urlencoded;

use crate::http::problem::Problem;

/// How many entries a list has unless its client wants others.
const USUAL_LIMIT: usize = 20;
/// The most.
const MOST_LIMIT: usize = 100;
const NANOS_IN_A_MILLI: i128 = 1_000_000;

/// What a query says, by name.
#[derive(Debug)]
pub(crate) struct QueryParameters<'a>(BTreeMap<Cow<'a, str>, Vec<Cow<'a, str>>>);

impl<'a> QueryParameters<'a> {
    /// Those of a query.
    pub(crate) fn of(query: Option<&'a str>) -> Self {
        let mut parameters = BTreeMap::<_, Vec<_>>::new();
        for (name, value) in form_urlencoded::parse(query.unwrap_or_default().as_bytes()) {
            parameters.entry(name).or_default().push(value);
        }
        Self(parameters)
    }

    /// One that is there once, if it is.
    pub(crate) fn text(&self, name: &str) -> Result<Option<&str>, Problem> {
        match self.0.get(name).map(Vec::as_slice) {
            None | Some([]) => Ok(None),
            Some([value]) => Ok(Some(value)),
            Some(_) => Err(Problem::invalid_field(name, "The parameter is there more than once.")),
        }
    }

    /// One of a few words; `known` lists them.
    pub(crate) fn word<T: DeserializeOwned>(&self, name: &str, known: &str) -> Result<Option<T>, Problem> {
        let unknown = |_: Error| Problem::invalid_field(name, format!("The parameter {name} is one of {known}."));
        self.text(name)?.map(|text| T::deserialize(text.into_deserializer()).map_err(unknown)).transpose()
    }

    /// A time, as [`time`] reads it.
    pub(crate) fn time(&self, name: &str) -> Result<Option<UnixMillis>, Problem> {
        self.text(name)?.map(|text| time(name, text)).transpose()
    }

    /// How many entries are wanted.
    pub(crate) fn limit(&self) -> Result<usize, Problem> {
        let detail = || format!("The parameter limit is a whole number from 1 to {MOST_LIMIT}.");
        let limit = |text: &str| {
            let digits = text.bytes().all(|byte| byte.is_ascii_digit());
            text.parse().ok().filter(|limit| digits && (1..=MOST_LIMIT).contains(limit))
        };
        match self.text("limit")? {
            None => Ok(USUAL_LIMIT),
            Some(text) => limit(text).ok_or_else(|| Problem::invalid_field("limit", detail())),
        }
    }

    /// Where the list is to go on, as `read` reads it.
    pub(crate) fn cursor<T>(&self, read: impl FnOnce(&str) -> Result<T, Problem>) -> Result<Option<T>, Problem> {
        self.text("cursor")?.map(read).transpose()
    }
}

/// A time as RFC 3339 has it. Between two milliseconds it is the later one: our times are whole milliseconds, so that
/// neither "from then on" nor "before" changes by it.
pub(crate) fn time(name: &str, text: &str) -> Result<UnixMillis, Problem> {
    let detail = "This is no time as RFC 3339 has it, as 2026-01-31T08:00:00Z is; in a query, its + is written %2B.";
    let time: Timestamp = text.parse().map_err(|_| Problem::invalid_field(name, detail))?;
    let (whole, rest) = (time.as_millisecond(), time.as_nanosecond() % NANOS_IN_A_MILLI);
    Ok(UnixMillis(if rest > 0 { whole + 1 } else { whole }))
}

#[cfg(test)]
mod tests {
    use quire_tasks::TaskStatus;

    use super::*;

    fn limit(query: &str) -> Option<usize> {
        QueryParameters::of(Some(query)).limit().ok()
    }

    fn at(text: &str) -> Option<i64> {
        let query = format!("at={}", text.replace('+', "%2B"));
        QueryParameters::of(Some(&query)).time("at").ok().flatten().map(|time| time.0)
    }

    #[test]
    fn a_limit_is_a_plain_number_within_bounds() {
        assert_eq!(
            (QueryParameters::of(None).limit().ok(), limit("limit=1"), limit("limit=100")),
            (Some(20), Some(1), Some(100))
        );
        for wrong in ["", "0", "101", "-1", "%2B5", "1.0", "null", "5 ", "99999999999999999999999"] {
            assert_eq!(limit(&format!("limit={wrong}")), None, "{wrong}");
        }
        assert_eq!(limit("limit=1&limit=1"), None, "twice");
    }

    #[test]
    fn a_time_between_two_milliseconds_is_the_later_one() {
        assert_eq!(at("1970-01-01T00:00:01Z"), Some(1000));
        assert_eq!(at("1970-01-01T01:00:00.0011+01:00"), Some(2));
        assert_eq!(at("1969-12-31T23:59:59.9999Z"), Some(0));
        assert_eq!(at("1969-12-31T23:59:59.9981Z"), Some(-1));
        for wrong in ["", "yesterday", "2026-01-31", "2026-01-31T08:00:00", "1700000000"] {
            assert_eq!(at(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn a_word_is_one_of_those_that_are_known() {
        let parameters = QueryParameters::of(Some("a=partially_succeeded&b=Queued&c&unknown=1"));
        let word = |name| parameters.word::<TaskStatus>(name, "…").ok();
        assert_eq!(word("a"), Some(Some(TaskStatus::PartiallySucceeded)));
        assert_eq!((word("b"), word("c"), word("d")), (None, None, Some(None)));
    }
}
