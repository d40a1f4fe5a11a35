//! Metrics, as lines that `CloudWatch` reads out of a log: its embedded metric format.

use std::{
    io::Write,
    sync::OnceLock,
    time::{SystemTime, UNIX_EPOCH},
};

use serde_json::{Value, json};

use crate::env;

const NAMESPACE: &str = "QUIRE_METRICS_NAMESPACE";

/// Counts `value` more of `name`, by a line on standard output; does nothing where `QUIRE_METRICS_NAMESPACE` is unset.
///
/// What is counted has no dimensions: each combination of them would be a metric of its own, to be paid for and summed
/// up again.
pub fn count(name: &'static str, value: u64) {
    static SET: OnceLock<Option<String>> = OnceLock::new();
    let Some(namespace) = SET.get_or_init(|| env::text(NAMESPACE).ok().flatten()) else { return };
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    let line = format!("{}\n", line(namespace, name, value, now.as_millis() as u64));
    // One write, so that lines of several threads stay whole. A metric that cannot be written stops nobody's work.
    let _ = std::io::stdout().lock().write_all(line.as_bytes());
}

/// The count as one line. A set without dimensions must be there all the same: without any set there is no metric.
fn line(namespace: &str, name: &str, value: u64, unix_millis: u64) -> Value {
    json!({
        "_aws": {
            "Timestamp": unix_millis,
            "CloudWatchMetrics": [{
                "Namespace": namespace,
                "Dimensions": [[]],
                "Metrics": [{"Name": name, "Unit": "Count"}],
            }],
        },
        name: value,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_count_has_every_member_that_the_embedded_metric_format_asks_for() {
        let line = line("Quire/prod", "PagesQueued", 3000, 1_700_000_000_123);
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
}
