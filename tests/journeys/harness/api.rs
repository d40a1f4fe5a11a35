//! A client of the HTTP API.

use std::time::Duration;

use reqwest::{
    Client, RequestBuilder,
    header::{self, HeaderMap},
    multipart::{Form, Part},
};
use serde_json::{Value, json};
use tokio::time::Instant;

use super::PATIENCE;

/// The API of one server.
#[derive(Debug, Clone)]
pub(crate) struct Api {
    pub(crate) base: String,
    http: Client,
}

/// A file to be sent.
#[derive(Debug, Clone)]
pub(crate) struct Upload {
    name: String,
    content_type: &'static str,
    bytes: Vec<u8>,
}

impl Upload {
    pub(crate) fn new(name: &str, bytes: impl Into<Vec<u8>>) -> Self {
        Self { name: name.to_owned(), content_type: "application/octet-stream", bytes: bytes.into() }
    }

    pub(crate) fn called(self, content_type: &'static str) -> Self {
        Self { content_type, ..self }
    }

    fn part(self) -> Part {
        let part = Part::bytes(self.bytes).file_name(self.name);
        part.mime_str(self.content_type).expect("a content type")
    }
}

/// What was answered.
#[derive(Debug, Clone)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Value,
}

impl Answer {
    /// The body, of an answer with this status.
    pub(crate) fn body(self, status: u16) -> Value {
        assert_eq!(self.status, status, "{self:#?}");
        self.body
    }

    /// The id of the task that was accepted.
    pub(crate) fn accepted(self) -> String {
        let body = self.body(202);
        body["task_id"].as_str().unwrap_or_else(|| panic!("no task_id in {body}")).to_owned()
    }

    /// The code of a problem with this status.
    pub(crate) fn problem(self, status: u16) -> String {
        assert_eq!(self.header("content-type"), Some("application/problem+json"), "{self:#?}");
        let body = self.body(status);
        assert_eq!(body["status"], status, "{body}");
        assert!(body["detail"].is_string() && body["retryable"].is_boolean(), "{body}");
        body["code"].as_str().unwrap_or_else(|| panic!("no code in {body}")).to_owned()
    }

    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name)?.to_str().ok()
    }
}

impl Api {
    pub(crate) fn new(base: String) -> Self {
        // An error says that the process has one already, which is as good.
        let _ = rustls::crypto::ring::default_provider().install_default();
        Self { base, http: client(HeaderMap::new()) }
    }

    /// The same, as somebody who has this key.
    pub(crate) fn with_key(self, key: &str) -> Self {
        let value = format!("Bearer {key}").parse().expect("a key is plain");
        Self { http: client(HeaderMap::from_iter([(header::AUTHORIZATION, value)])), ..self }
    }

    pub(crate) async fn try_get(&self, path: &str) -> reqwest::Result<Answer> {
        answer(self.http.get(self.url(path))).await
    }

    pub(crate) async fn get(&self, path: &str) -> Answer {
        self.try_get(path).await.unwrap_or_else(|error| panic!("GET {path}: {error:?}"))
    }

    pub(crate) async fn ocr(&self, file: Upload) -> Answer {
        self.ocr_with("image", file).await
    }

    pub(crate) async fn batch(&self, files: impl IntoIterator<Item = Upload>) -> Answer {
        self.post("/ocr/batch", form(files)).await
    }

    /// `POST /ocr` with the file in a field of this name.
    pub(crate) async fn ocr_with(&self, field: &'static str, file: Upload) -> Answer {
        self.post("/ocr", Form::new().part(field, file.part())).await
    }

    pub(crate) async fn try_submit(
        &self,
        files: impl IntoIterator<Item = Upload>,
        callback_url: &str,
    ) -> reqwest::Result<Answer> {
        let form = form(files).text("callback_url", callback_url.to_owned());
        answer(self.http.post(self.url("/ocr/async")).multipart(form)).await
    }

    pub(crate) async fn submit(&self, files: impl IntoIterator<Item = Upload>, callback_url: &str) -> Answer {
        self.try_submit(files, callback_url).await.expect("an answer to POST /ocr/async")
    }

    pub(crate) async fn submit_without_callback(&self, files: impl IntoIterator<Item = Upload>) -> Answer {
        self.post("/ocr/async", form(files)).await
    }

    /// Sends files to this path, with these fields besides.
    pub(crate) async fn ask(
        &self,
        path: &str,
        files: impl IntoIterator<Item = Upload>,
        fields: &[(&str, &str)],
    ) -> Answer {
        let name = if path == "/ocr" { "image" } else { "images" };
        let files = files.into_iter().fold(Form::new(), |form, file| form.part(name, file.part()));
        let text = |form: Form, (name, value): &(&str, &str)| form.text((*name).to_owned(), (*value).to_owned());
        self.post(path, fields.iter().fold(files, text)).await
    }

    pub(crate) async fn submit_url(&self, image_url: &str, callback_url: Option<&str>) -> Answer {
        self.post_json("/ocr/async", &json!({ "image_url": image_url, "callback_url": callback_url })).await
    }

    pub(crate) async fn post_json(&self, path: &str, body: &Value) -> Answer {
        let answered = answer(self.http.post(self.url(path)).json(body)).await;
        answered.unwrap_or_else(|error| panic!("POST {path}: {error:?}"))
    }

    /// The task, as it is now.
    pub(crate) async fn task(&self, id: &str) -> Value {
        self.get(&format!("/task/{id}")).await.body(200)
    }

    /// The task, once it has changed from the version that has this tag, or after a while.
    pub(crate) async fn task_after(&self, id: &str, etag: &str) -> Answer {
        let request = self.http.get(self.url(&format!("/task/{id}?wait=10")));
        answer(request.header("If-None-Match", etag)).await.expect("an answer to GET /task")
    }

    /// The task, when all its pages have ended.
    pub(crate) async fn ended(&self, id: &str) -> Value {
        self.eventually(id, "ends", |task| !["queued", "processing"].contains(&task["status"].as_str().unwrap_or("")))
            .await
    }

    /// The task, when its callback is in this state.
    pub(crate) async fn told(&self, id: &str, state: &str) -> Value {
        self.eventually(id, &format!("has a callback that is {state}"), |task| task["callback"]["state"] == state).await
    }

    async fn eventually(&self, id: &str, awaited: &str, is_so: impl Fn(&Value) -> bool) -> Value {
        let begun = Instant::now();
        loop {
            let task = self.get(&format!("/task/{id}?wait=1")).await.body(200);
            if is_so(&task) {
                return task;
            }
            assert!(begun.elapsed() < PATIENCE, "waited {PATIENCE:?} in vain: the task {awaited}: {task:#}");
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    async fn post(&self, path: &str, form: Form) -> Answer {
        let answered = answer(self.http.post(self.url(path)).multipart(form)).await;
        answered.unwrap_or_else(|error| panic!("POST {path}: {error:?}"))
    }

    fn url(&self, path: &str) -> String {
        format!("{}{path}", self.base)
    }
}

fn client(headers: HeaderMap) -> Client {
    // No connection is kept: one to a server that was killed would fail the next request.
    let http = Client::builder().no_proxy().pool_max_idle_per_host(0).timeout(PATIENCE).default_headers(headers);
    http.build().expect("a client")
}

fn form(files: impl IntoIterator<Item = Upload>) -> Form {
    files.into_iter().fold(Form::new(), |form, file| form.part("images", file.part()))
}

async fn answer(request: RequestBuilder) -> reqwest::Result<Answer> {
    let response = request.send().await?;
    let (status, headers) = (response.status().as_u16(), response.headers().clone());
    let bytes = response.bytes().await?;
    let body = match &bytes[..] {
        [] => Value::Null,
        bytes => serde_json::from_slice(bytes).unwrap_or_else(|error| {
            panic!("{status} with a body that is no JSON ({error}): {}", String::from_utf8_lossy(bytes))
        }),
    };
    Ok(Answer { status, headers, body })
}

/// The `text` of something that has one.
pub(crate) fn text_of(value: &Value) -> &str {
    value["text"].as_str().unwrap_or_else(|| panic!("no text in {value:#}"))
}
