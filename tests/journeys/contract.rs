//! The four calls that existing clients make, made by such a client.

use serde_json::{Value, json};

use crate::harness::{Delivery, Launch, Receiver, Serve, Sheet, Upload, pdf, png, python, squeezed, text_of};

/// What a client was answered by each call, and which callbacks came of them.
pub(crate) struct Answered {
    shown: Value,
    deliveries: Vec<Delivery>,
}

/// Has the Python client make every call, with a PNG, a PDF of two pages and a file that is neither.
pub(crate) async fn answered(base: String) -> Answered {
    let folder = tempfile::tempdir().expect("a folder");
    let receiver = Receiver::start().await;
    let sheets = [Sheet::new("First page of two"), Sheet::new("Second page of two")];
    let files = [
        ("card.png", png(&Sheet::new("A single card"))),
        ("信件 2.pdf", pdf(&sheets)),
        ("broken.pdf", b"%PDF-1.4 and then nothing of the kind".to_vec()),
    ];
    let paths = files.map(|(name, bytes)| {
        let path = folder.path().join(name);
        std::fs::write(&path, bytes).expect("a file");
        path.to_string_lossy().into_owned()
    });
    let image_url = receiver.file("/card", png(&Sheet::new("Fetched from afar")));
    let callback_url = receiver.url();
    let shown = tokio::task::spawn_blocking(move || {
        let [png, pdf, broken] = &paths;
        python("client.py", &[&base, &image_url, &callback_url, png, pdf, broken], "")
    });
    let shown = shown.await.expect("the client does its work");
    Answered { shown, deliveries: receiver.received(2).await }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_with_nothing_but_requests_is_served() {
    let folder = tempfile::tempdir().expect("a folder");
    let serve = Serve::start(Launch::new(folder.path()).workers(2).dev()).await;
    let base = serve.api().base;
    is_as_agreed(&answered(base.clone()).await, &base);
}

/// Every answer and callback is what such a client relies on; links lead to `public_url`.
pub(crate) fn is_as_agreed(Answered { shown, deliveries }: &Answered, public_url: &str) {
    one_document_is_answered_with_its_text(&shown["ocr"]);
    a_batch_is_answered_in_order_and_its_bad_file_harms_nobody(&shown["batch"]);
    for accepted in ["by_url", "by_upload"] {
        let Value::Object(answer) = &shown[accepted] else { panic!("no answer {accepted}") };
        assert_eq!(answer["status"], 202, "{answer:#?}");
        assert_eq!(answer["location"], answer["body"]["status_url"]);
        let url = answer["body"]["status_url"].as_str().expect("a status URL");
        let id = answer["body"]["task_id"].as_str().expect("a task id");
        assert_eq!(url, format!("{public_url}/task/{id}"));
    }
    tasks_end_as_they_were_read(shown);
    callbacks_say_the_same(shown, deliveries);
}

fn one_document_is_answered_with_its_text(answer: &Value) {
    assert_eq!(answer["status"], 200, "{answer:#}");
    let body = &answer["body"];
    assert_eq!(squeezed(text_of(body)), "Asinglecard");
    assert_eq!(body["pages"].as_array().map(Vec::len), Some(1), "{body:#}");
    assert!(body["avg_confidence"].as_f64().is_some_and(|confidence| confidence > 0.8), "{body:#}");
    assert!(body["task_id"].is_string(), "{body:#}");
}

fn a_batch_is_answered_in_order_and_its_bad_file_harms_nobody(answer: &Value) {
    assert_eq!(answer["status"], 200, "{answer:#}");
    let Value::Array(entries) = &answer["body"] else { panic!("no array: {answer:#}") };
    let [card, letter, broken] = &entries[..] else { panic!("three entries: {answer:#}") };
    assert_eq!(squeezed(text_of(card)), "Asinglecard");
    assert_eq!(letter["file"], "信件 2.pdf");
    assert_eq!(squeezed(text_of(letter)), "FirstpageoftwoSecondpageoftwo");
    let pages = letter["pages"].as_array().expect("pages");
    let texts: Vec<String> = pages.iter().map(|page| squeezed(text_of(page))).collect();
    assert_eq!(texts, ["Firstpageoftwo", "Secondpageoftwo"]);
    for line in pages.iter().flat_map(|page| page["lines"].as_array().expect("lines")) {
        assert!(line["text"].is_string() && line["confidence"].is_number(), "{line:#}");
        assert_eq!(line["polygon"].as_array().map(Vec::len), Some(4), "{line:#}");
    }
    assert_eq!(text_of(broken), "");
    assert_eq!(broken["error"]["code"], "unreadable_document");
    assert!(broken["error"]["message"].as_str().is_some_and(|message| !message.is_empty()));
    assert!(card.get("error").is_none() && letter.get("error").is_none(), "{answer:#}");
}

fn tasks_end_as_they_were_read(shown: &Value) {
    let texts = |task: &Value| -> Vec<String> {
        let documents = task["documents"].as_array().expect("documents");
        documents.iter().map(|document| squeezed(text_of(document))).collect()
    };
    for (task, expected) in [
        (&shown["tasks"][0], vec!["Fetchedfromafar"]),
        (&shown["tasks"][1], vec!["Asinglecard", "FirstpageoftwoSecondpageoftwo"]),
    ] {
        assert_eq!(task["status"], "succeeded", "{task:#}");
        assert_eq!(texts(task), expected);
        assert_eq!(task["progress"]["open"], 0, "{task:#}");
    }
}

fn callbacks_say_the_same(shown: &Value, deliveries: &[Delivery]) {
    for task in shown["tasks"].as_array().expect("tasks") {
        let body = deliveries.iter().map(Delivery::json).find(|body| body["task_id"] == task["task_id"]);
        let body = body.unwrap_or_else(|| panic!("no callback for {task:#}"));
        assert_eq!(body["status"], "succeeded");
        assert!(body["avg_confidence"].as_f64().is_some_and(|confidence| confidence > 0.8), "{body:#}");
        let documents = task["documents"].as_array().expect("documents");
        let pages = documents.iter().flat_map(|document| document["pages"].as_array().expect("pages"));
        let told = body["pages"].as_array().expect("pages");
        assert_eq!(told.len(), pages.clone().count());
        for (told, page) in told.iter().zip(pages) {
            for member in ["page", "status", "text", "confidence"] {
                assert_eq!(told[member], page[member], "{member} of {told:#}");
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_member_that_nobody_knows_is_refused_with_a_pointer_to_it() {
    let folder = tempfile::tempdir().expect("a folder");
    let serve = Serve::start(Launch::new(folder.path()).dev()).await;
    let file = Upload::new("a.png", png(&Sheet::new("Any")));
    let answer = serve.api().ocr_with("picture", file).await;
    assert_eq!(answer.body["pointer"], json!("#/picture"), "{answer:#?}");
    assert_eq!(answer.problem(422), "unknown_field");
}
