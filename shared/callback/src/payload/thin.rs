//! The bodies of callbacks without pages: thin ones, those of progress, and the one of a test.

use quire_tasks::{Page, Task, TaskId, TaskStatus, Tenant, UnixMillis, average_confidence};
use serde::Serialize;

use super::common_fields::{PROGRESS_EVENT, PageCounts, TEST_EVENT, completion_event, result_url, rfc3339, to_json};

#[derive(Serialize)]
struct ThinPayload {
    r#type: String,
    timestamp: Option<String>,
    task_id: TaskId,
    status: TaskStatus,
    avg_confidence: Option<f32>,
    progress: PageCounts,
    result_url: Option<String>,
}

#[derive(Serialize)]
struct ProgressPayload {
    r#type: &'static str,
    timestamp: Option<String>,
    task_id: TaskId,
    status: TaskStatus,
    progress: PageCounts,
    percent: u32,
}

#[derive(Serialize)]
struct TestPayload<'a> {
    r#type: &'static str,
    timestamp: Option<String>,
    tenant: &'a Tenant,
}

/// What the customer is told of an ended task who wants to know no more than how it ended and where the result is: the
/// same bytes on every attempt.
pub fn thin_payload(task: &Task, pages: &[Page]) -> String {
    to_json(&ThinPayload {
        r#type: completion_event(task),
        timestamp: task.ended_at.and_then(rfc3339),
        task_id: task.id,
        status: task.status(),
        avg_confidence: average_confidence(pages.iter().map(|page| page.confidence)),
        progress: task.counts.into(),
        result_url: result_url(task),
    })
}

/// How far an open task is at `now`.
pub fn progress_payload(task: &Task, now: UnixMillis) -> String {
    let counts = task.counts;
    to_json(&ProgressPayload {
        r#type: PROGRESS_EVENT,
        timestamp: rfc3339(now),
        task_id: task.id,
        status: task.status(),
        progress: counts.into(),
        // Rounded down: 100 is the end, which is told as such.
        percent: (u64::from(counts.ended()) * 100 / u64::from(counts.total().max(1))) as u32,
    })
}

/// What is told when a tenant wants to see something arrive.
pub fn test_payload(tenant: &Tenant, now: UnixMillis) -> String {
    to_json(&TestPayload { r#type: TEST_EVENT, timestamp: rfc3339(now), tenant })
}

#[cfg(test)]
mod tests {
    use quire_tasks::Counts;
    use serde_json::{Value, json};

    use super::*;

    fn task(counts: Counts) -> Task {
        let id: TaskId = "task_0192abcd000070008000000000000001".parse().expect("an id");
        let url = Some("https://example.com/hook?token=abc".to_owned());
        let mut task = Task::new(id, Tenant::default(), UnixMillis(0), Vec::new(), url);
        task.counts = counts;
        task.callback.as_mut().expect("a callback").base_url = "https://ocr.example.com/".to_owned();
        task
    }

    fn read(text: &str) -> Value {
        serde_json::from_str(text).expect("JSON")
    }

    #[test]
    fn a_thin_callback_says_how_it_ended_and_where_the_result_is() {
        let mut task = task(Counts { open: 0, succeeded: 2, failed: 0, canceled: 1 });
        task.ended_at = Some(UnixMillis(1_700_000_000_123));
        let told = thin_payload(&task, &[]);
        assert_eq!(
            read(&told),
            json!({
                "type": "task.canceled",
                "timestamp": "2023-11-14T22:13:20.123Z",
                "task_id": task.id.to_string(),
                "status": "canceled",
                "avg_confidence": null,
                "progress": { "pages": 3, "open": 0, "succeeded": 2, "failed": 0, "canceled": 1 },
                "result_url": format!("https://ocr.example.com/task/{}/result", task.id),
            })
        );
        assert!(!told.contains("token=abc"));
    }

    #[test]
    fn a_result_whose_address_nobody_knows_has_none() {
        let mut task = task(Counts { succeeded: 1, ..Counts::default() });
        task.callback.as_mut().expect("a callback").base_url.clear();
        assert_eq!(read(&thin_payload(&task, &[]))["result_url"], Value::Null);
    }

    #[test]
    fn progress_is_told_in_pages_and_in_percent() {
        let task = task(Counts { open: 1, succeeded: 1, failed: 1, canceled: 0 });
        let expected = json!({
            "type": "task.progress",
            "timestamp": "1970-01-01T00:00:07Z",
            "task_id": task.id.to_string(),
            "status": "processing",
            "progress": { "pages": 3, "open": 1, "succeeded": 1, "failed": 1, "canceled": 0 },
            "percent": 66,
        });
        assert_eq!(read(&progress_payload(&task, UnixMillis(7000))), expected);
    }

    #[test]
    fn a_test_says_that_it_is_one() {
        let expected = json!({ "type": "webhook.test", "timestamp": "1970-01-01T00:00:07Z", "tenant": "default" });
        assert_eq!(read(&test_payload(&Tenant::default(), UnixMillis(7000))), expected);
    }
}
