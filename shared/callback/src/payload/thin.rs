//! Callback bodies without pages: thin, progress and test payloads.

use quire_tasks::{Task, TaskId, TaskStatus, Tenant, UnixMillis};
use serde::Serialize;

use super::common_fields::{PROGRESS_EVENT, PageCounts, TEST_EVENT, completion_event, result_url, to_json};

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

/// Returns the thin body for an ended task, with its status and the URL of its result: the same bytes on every attempt.
pub fn thin_payload(task: &Task, avg_confidence: Option<f32>) -> String {
    to_json(&ThinPayload {
        r#type: completion_event(task),
        timestamp: task.ended_at.and_then(UnixMillis::to_rfc3339),
        task_id: task.id,
        status: task.status(),
        avg_confidence,
        progress: task.counts.into(),
        result_url: result_url(task),
    })
}

/// Returns the body of a progress event of an open task.
pub fn progress_payload(task: &Task, now: UnixMillis) -> String {
    let counts = task.counts;
    to_json(&ProgressPayload {
        r#type: PROGRESS_EVENT,
        timestamp: now.to_rfc3339(),
        task_id: task.id,
        status: task.status(),
        progress: counts.into(),
        // Rounded down: 100 percent is reported by the final event only.
        percent: (u64::from(counts.ended()) * 100 / u64::from(counts.total().max(1))) as u32,
    })
}

/// Returns the body of a test event, which a tenant requests to test its endpoint.
pub fn test_payload(tenant: &Tenant, now: UnixMillis) -> String {
    to_json(&TestPayload { r#type: TEST_EVENT, timestamp: now.to_rfc3339(), tenant })
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
    fn a_thin_payload_has_the_status_and_the_result_url() {
        let mut task = task(Counts { open: 0, succeeded: 2, failed: 0, canceled: 1 });
        task.ended_at = Some(UnixMillis(1_700_000_000_123));
        let payload = thin_payload(&task, None);
        assert_eq!(
            read(&payload),
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
        assert!(!payload.contains("token=abc"));
    }

    #[test]
    fn without_a_base_url_there_is_no_result_url() {
        let mut task = task(Counts { succeeded: 1, ..Counts::default() });
        task.callback.as_mut().expect("a callback").base_url.clear();
        assert_eq!(read(&thin_payload(&task, None))["result_url"], Value::Null);
    }

    #[test]
    fn a_progress_payload_has_pages_and_percent() {
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
    fn a_test_payload_has_the_test_event_type() {
        let expected = json!({ "type": "webhook.test", "timestamp": "1970-01-01T00:00:07Z", "tenant": "default" });
        assert_eq!(read(&test_payload(&Tenant::default(), UnixMillis(7000))), expected);
    }
}
