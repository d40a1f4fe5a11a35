//! The steps of tests.

use std::{path::Path, time::Duration};

use quire_platform::{Completion, Consumer, Delivery, QueueName};
use quire_tasks::{DocumentMessage, ObjectKey, Outcome, PageRef, Task, TaskId, UnixMillis};

use super::{TestResponse, TestWorld, fakes::page_text, images};

/// Returns the current time.
pub(crate) fn now() -> UnixMillis {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).expect("after 1970");
    UnixMillis(since.as_millis() as i64)
}

/// Parses a task id.
pub(crate) fn id(text: &str) -> TaskId {
    text.parse().expect("a task id")
}

impl TestWorld {
    /// Creates a task of these documents and waits until its messages are sent.
    pub(crate) async fn submitted(&self, contents: &[&str]) -> String {
        let answer = self.post("/ocr/async", &images(contents)).await;
        assert_eq!(answer.status, 202, "{}", answer.text);
        let id = answer.json()["task_id"].as_str().expect("a task id").to_owned();
        while !self.task(&id).await.dispatched {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        id
    }

    pub(crate) async fn task(&self, task_id: &str) -> Task {
        self.backend.tasks.task(id(task_id)).await.expect("the task")
    }

    pub(crate) async fn post_empty(&self, path: &str) -> TestResponse {
        TestResponse::read(self.client.post(self.url(path)).send().await.expect("an answer")).await
    }

    pub(crate) async fn delete(&self, path: &str) -> TestResponse {
        TestResponse::read(self.client.delete(self.url(path)).send().await.expect("an answer")).await
    }

    /// Does what a worker does with a page, without the queue.
    pub(crate) async fn read_page(&self, task_id: &str, document: u32, page: u32, text: &str) -> Completion {
        let round = self.task(task_id).await.round;
        let page = PageRef { task_id: id(task_id), document, page };
        let read = serde_json::to_vec(&page_text(text)).expect("JSON");
        let key = ObjectKey::PageText { page, round }.to_string();
        self.backend.objects.put_new(&key, read.into()).await.expect("the result is stored");
        self.backend
            .tasks
            .complete_page(page, round, Outcome::succeeded(Some(0.9)))
            .await
            .expect("the page is completed")
    }

    /// Receives the next delivery of the documents queue, with the consumer that extends its lease.
    pub(crate) async fn document_delivery(&self) -> (Consumer<DocumentMessage>, Delivery<DocumentMessage>) {
        let consumer = Consumer::new(self.backend.queue(QueueName::Documents), Duration::from_mins(1));
        let mut received = consumer.receive(1, Duration::from_secs(10)).await.expect("a receive");
        let delivery = received.pop().expect("a delivery").expect("a readable message");
        (consumer, delivery)
    }

    /// Returns the files of the backend that contain this, in their content or name.
    pub(crate) fn files_with(&self, what: &str) -> Vec<String> {
        let mut found = Vec::new();
        search(self.folder.path(), what.as_bytes(), &mut found);
        found
    }
}

fn search(folder: &Path, what: &[u8], found: &mut Vec<String>) {
    for entry in std::fs::read_dir(folder).expect("a folder") {
        let path = entry.expect("an entry").path();
        if path.is_dir() {
            search(&path, what, found);
        } else {
            // Sockets cannot be read.
            let bytes = std::fs::read(&path).unwrap_or_default();
            let name = path.display().to_string();
            if [&bytes[..], name.as_bytes()].iter().any(|text| text.windows(what.len()).any(|part| part == what)) {
                found.push(name);
            }
        }
    }
}
