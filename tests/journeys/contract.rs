//! The four calls of the API contract, made by a plain Python client.

use serde_json::{Value, json};

use crate::harness::{
    CallbackReceiver, ReceivedCallback, ServeOptions, ServeProcess, TestPage, UploadFile, pdf, png, python, text_of,
    without_whitespace,
};

/// The responses of all calls, and the callbacks they caused.
pub(crate) struct ClientRun {
    responses: Value,
    callbacks: Vec<ReceivedCallback>,
}

/// Runs the Python client, which makes every call with a PNG, a PDF of two pages and a broken file.
pub(crate) async fn run_client(base: String) -> ClientRun {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let receiver = CallbackReceiver::start().await;
    let sheets = [TestPage::new("First page of two"), TestPage::new("Second page of two")];
    let files = [
        ("card.png", png(&TestPage::new("A single card"))),
        ("信件 2.pdf", pdf(&sheets)),
        ("broken.pdf", b"%PDF-1.4 and then nothing of the kind".to_vec()),
    ];
    let paths = files.map(|(name, bytes)| {
        let path = folder.path().join(name);
        std::fs::write(&path, bytes).expect("the file can be written");
        path.to_string_lossy().into_owned()
    });
    let image_url = receiver.serve_file("/card", png(&TestPage::new("Fetched from afar")));
    let callback_url = receiver.url();
    let responses = tokio::task::spawn_blocking(move || {
        let [png, pdf, broken] = &paths;
        python("client.py", &[&base, &image_url, &callback_url, png, pdf, broken], "")
    });
    let responses = responses.await.expect("the client does not panic");
    ClientRun { responses, callbacks: receiver.await_callbacks(2).await }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_plain_http_client_is_served() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let serve = ServeProcess::start(ServeOptions::new(folder.path()).workers(2).dev()).await;
    let base = serve.api().base;
    assert_contract(&run_client(base.clone()).await, &base);
}

/// Asserts that all responses and callbacks follow the contract, with links to `public_url`.
pub(crate) fn assert_contract(ClientRun { responses, callbacks }: &ClientRun, public_url: &str) {
    assert_single_document(&responses["ocr"]);
    assert_batch(&responses["batch"]);
    for accepted in ["by_url", "by_upload"] {
        let Value::Object(answer) = &responses[accepted] else { panic!("no response {accepted}") };
        assert_eq!(answer["status"], 202, "{answer:#?}");
        assert_eq!(answer["location"], answer["body"]["status_url"]);
        let url = answer["body"]["status_url"].as_str().expect("a status URL");
        let id = answer["body"]["task_id"].as_str().expect("a task id");
        assert_eq!(url, format!("{public_url}/task/{id}"));
    }
    assert_tasks(responses);
    assert_callbacks_match_tasks(responses, callbacks);
}

fn assert_single_document(response: &Value) {
    assert_eq!(response["status"], 200, "{response:#}");
    let body = &response["body"];
    assert_eq!(without_whitespace(text_of(body)), "Asinglecard");
    assert_eq!(body["pages"].as_array().map(Vec::len), Some(1), "{body:#}");
    assert!(body["avg_confidence"].as_f64().is_some_and(|confidence| confidence > 0.8), "{body:#}");
    assert!(body["task_id"].is_string(), "{body:#}");
}

/// The entries are in the order of the files; a broken file does not affect the others.
fn assert_batch(response: &Value) {
    assert_eq!(response["status"], 200, "{response:#}");
    let Value::Array(entries) = &response["body"] else { panic!("no array: {response:#}") };
    let [card, letter, broken] = &entries[..] else { panic!("three entries: {response:#}") };
    assert_eq!(without_whitespace(text_of(card)), "Asinglecard");
    assert_eq!(letter["file"], "信件 2.pdf");
    assert_eq!(without_whitespace(text_of(letter)), "FirstpageoftwoSecondpageoftwo");
    let pages = letter["pages"].as_array().expect("pages");
    let texts: Vec<String> = pages.iter().map(|page| without_whitespace(text_of(page))).collect();
    assert_eq!(texts, ["Firstpageoftwo", "Secondpageoftwo"]);
    for line in pages.iter().flat_map(|page| page["lines"].as_array().expect("lines")) {
        assert!(line["text"].is_string() && line["confidence"].is_number(), "{line:#}");
        assert_eq!(line["polygon"].as_array().map(Vec::len), Some(4), "{line:#}");
    }
    assert_eq!(text_of(broken), "");
    assert_eq!(broken["error"]["code"], "unreadable_document");
    assert!(broken["error"]["message"].as_str().is_some_and(|message| !message.is_empty()));
    assert!(card.get("error").is_none() && letter.get("error").is_none(), "{response:#}");
}

fn assert_tasks(responses: &Value) {
    let texts = |task: &Value| -> Vec<String> {
        let documents = task["documents"].as_array().expect("documents");
        documents.iter().map(|document| without_whitespace(text_of(document))).collect()
    };
    for (task, expected) in [
        (&responses["tasks"][0], vec!["Fetchedfromafar"]),
        (&responses["tasks"][1], vec!["Asinglecard", "FirstpageoftwoSecondpageoftwo"]),
    ] {
        assert_eq!(task["status"], "succeeded", "{task:#}");
        assert_eq!(texts(task), expected);
        assert_eq!(task["progress"]["open"], 0, "{task:#}");
    }
}

fn assert_callbacks_match_tasks(responses: &Value, callbacks: &[ReceivedCallback]) {
    for task in responses["tasks"].as_array().expect("tasks") {
        let body = callbacks.iter().map(ReceivedCallback::json).find(|body| body["task_id"] == task["task_id"]);
        let body = body.unwrap_or_else(|| panic!("no callback for {task:#}"));
        assert_eq!(body["status"], "succeeded");
        assert!(body["avg_confidence"].as_f64().is_some_and(|confidence| confidence > 0.8), "{body:#}");
        let documents = task["documents"].as_array().expect("documents");
        let pages = documents.iter().flat_map(|document| document["pages"].as_array().expect("pages"));
        let sent = body["pages"].as_array().expect("pages");
        assert_eq!(sent.len(), pages.clone().count());
        for (sent, page) in sent.iter().zip(pages) {
            for member in ["page", "status", "text", "confidence"] {
                assert_eq!(sent[member], page[member], "{member} of {sent:#}");
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_unknown_field_is_rejected_with_a_pointer() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let serve = ServeProcess::start(ServeOptions::new(folder.path()).dev()).await;
    let file = UploadFile::new("a.png", png(&TestPage::new("Any")));
    let answer = serve.api().ocr_in_field("picture", file).await;
    assert_eq!(answer.body["pointer"], json!("#/picture"), "{answer:#?}");
    assert_eq!(answer.problem_code(422), "unknown_field");
}
