//! Metrics in the embedded metric format of Amazon `CloudWatch`: JSON lines from which it extracts metrics.

use std::{
    io::Write,
    sync::OnceLock,
    time::{SystemTime, UNIX_EPOCH},
};

use serde_json::{Value, json};

use crate::env;

const NAMESPACE: &str = "QUIRE_METRICS_NAMESPACE";

/// Maximum number of values per metric and line, a limit of the format.
const MAX_VALUES: usize = 100;

/// The unit of a metric.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unit {
    /// A count.
    Count,
    /// A duration in milliseconds.
    Milliseconds,
    /// A percentage, from 0 to 100.
    Percent,
}

/// The values of one metric.
#[derive(Debug, Clone, PartialEq)]
pub struct Measure {
    /// The metric's name.
    pub name: &'static str,
    /// Their unit.
    pub unit: Unit,
    /// The values. Beyond the first 100 they are ignored.
    pub values: Vec<f64>,
}

/// Increments the metric `name` by `value`, as a line on standard output. Does nothing if `QUIRE_METRICS_NAMESPACE`
/// is unset.
///
/// Metrics have no dimensions: each combination would be billed as a metric of its own, and would have to be
/// aggregated.
pub fn count(name: &'static str, value: u64) {
    write(&[(name, Unit::Count, json!(value))]);
}

/// Writes several metrics as one line, as [`count`] does. Metrics without values are omitted.
pub fn measure(measures: &[Measure]) {
    write(&members(measures));
}

fn members(measures: &[Measure]) -> Vec<(&'static str, Unit, Value)> {
    let valued = measures.iter().filter(|measure| !measure.values.is_empty());
    let most = |values: &[f64]| json!(values[..values.len().min(MAX_VALUES)]);
    valued.map(|measure| (measure.name, measure.unit, most(&measure.values))).collect()
}

fn write(members: &[(&'static str, Unit, Value)]) {
    static SET: OnceLock<Option<String>> = OnceLock::new();
    let Some(namespace) = SET.get_or_init(|| env::text(NAMESPACE).ok().flatten()) else { return };
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    let line = format!("{}\n", line(namespace, members, now.as_millis() as u64));
    // A single write, so that lines of several threads do not interleave. An error is ignored: metrics must not fail
    // any work.
    let _ = std::io::stdout().lock().write_all(line.as_bytes());
}

/// Returns the line. Note: the empty dimension set is required, since the format defines no metric without one.
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
    fn a_count_follows_the_embedded_metric_format() {
        let line = line("Quire/prod", &[("PagesQueued", Unit::Count, json!(3000))], 1_700_000_000_123);
        let metadata = &line["_aws"];
        assert_eq!(metadata["Timestamp"], 1_700_000_000_123_u64, "milliseconds");
        let directive = &metadata["CloudWatchMetrics"][0];
        assert_eq!(directive["Namespace"], "Quire/prod");
        assert_eq!(directive["Dimensions"], json!([[]]));
        assert_eq!(directive["Metrics"], json!([{"Name": "PagesQueued", "Unit": "Count"}]));
        // The value is a root member with the metric's name.
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
        assert_eq!(line["PageWait"].as_array().map(Vec::len), Some(100), "the format's limit");
        assert_eq!(line.get("DeviceBusy"), None);
    }
}
