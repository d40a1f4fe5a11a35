//! Metrics, as lines that `CloudWatch` reads out of a log: its embedded metric format.

use std::{
    io::Write,
    sync::OnceLock,
    time::{SystemTime, UNIX_EPOCH},
};

use serde_json::{Value, json};

use crate::env;

const NAMESPACE: &str = "QUIRE_METRICS_NAMESPACE";

/// As the format takes them in one member.
const MOST_VALUES: usize = 100;

/// What a value is counted in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unit {
    /// A number of things.
    Count,
    /// A duration.
    Milliseconds,
    /// A share, from 0 to 100.
    Percent,
}

/// Values of a metric.
#[derive(Debug, Clone, PartialEq)]
pub struct Measure {
    /// The metric's name.
    pub name: &'static str,
    /// What they are counted in.
    pub unit: Unit,
    /// All of them count, the first hundred at most.
    pub values: Vec<f64>,
}

/// Counts `value` more of `name`, by a line on standard output; does nothing where `QUIRE_METRICS_NAMESPACE` is unset.
///
/// What is counted has no dimensions: each combination of them would be a metric of its own, to be paid for and summed
/// up again.
pub fn count(name: &'static str, value: u64) {
    write(&[(name, Unit::Count, json!(value))]);
}

/// Measures several things at once, by one line, as [`count`] does. What has no value is left out.
pub fn measure(measures: &[Measure]) {
    write(&members(measures));
}

fn members(measures: &[Measure]) -> Vec<(&'static str, Unit, Value)> {
    let valued = measures.iter().filter(|measure| !measure.values.is_empty());
    let most = |values: &[f64]| json!(values[..values.len().min(MOST_VALUES)]);
    valued.map(|measure| (measure.name, measure.unit, most(&measure.values))).collect()
}

fn write(members: &[(&'static str, Unit, Value)]) {
    static SET: OnceLock<Option<String>> = OnceLock::new();
    let Some(namespace) = SET.get_or_init(|| env::text(NAMESPACE).ok().flatten()) else { return };
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    let line = format!("{}\n", line(namespace, members, now.as_millis() as u64));
    // One write, so that lines of several threads stay whole. A metric that cannot be written stops nobody's work.
    let _ = std::io::stdout().lock().write_all(line.as_bytes());
}

/// The values as one line. A set without dimensions must be there all the same: without any set there is no metric.
fn line(namespace: &str, members: &[(&'static str, Unit, Value)], unix_millis: u64) -> Value {
    let metrics: Vec<Value> =
        members.iter().map(|(name, unit, _)| json!({"Name": name, "Unit": format!("{unit:?}")})).collect();
    let mut line = json!({
        "_aws": {
            "Timestamp": unix_millis,
            "CloudWatchMetrics": [{"Namespace": namespace, "Dimensions": [[]], "Metrics": metrics}],
        },
    });
    for (name, _, value) in members {
        line[*name] = value.clone();
    }
    line
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_count_has_every_member_that_the_embedded_metric_format_asks_for() {
        let line = line("Quire/prod", &[("PagesQueued", Unit::Count, json!(3000))], 1_700_000_000_123);
        let about = &line["_aws"];
        assert_eq!(about["Timestamp"], 1_700_000_000_123_u64, "milliseconds");
        let directive = &about["CloudWatchMetrics"][0];
        assert_eq!(directive["Namespace"], "Quire/prod");
        assert_eq!(directive["Dimensions"], json!([[]]));
        assert_eq!(directive["Metrics"], json!([{"Name": "PagesQueued", "Unit": "Count"}]));
        // The value is a target member: at the root, under the metric's name.
        assert_eq!(line["PagesQueued"], 3000);
        assert_eq!(line.as_object().map(serde_json::Map::len), Some(2));
        assert!(!line.to_string().contains('\n'), "one event is one line");
    }
    #[test]
    fn several_values_with_units_are_one_line() {
        let waits = Measure { name: "PageWait", unit: Unit::Milliseconds, values: vec![0.5; 120] };
        let none = Measure { name: "DeviceBusy", unit: Unit::Percent, values: Vec::new() };
        let pages = Measure { name: "BatchPages", unit: Unit::Count, values: vec![120.0] };
        let line = line("Quire", &members(&[waits, none, pages]), 1);
        let expected = json!([{"Name": "PageWait", "Unit": "Milliseconds"}, {"Name": "BatchPages", "Unit": "Count"}]);
        assert_eq!(line["_aws"]["CloudWatchMetrics"][0]["Metrics"], expected);
        assert_eq!(line["BatchPages"], json!([120.0]));
        assert_eq!(line["PageWait"].as_array().map(Vec::len), Some(100), "the format takes no more");
        assert_eq!(line.get("DeviceBusy"), None);
    }
}
