//! The API of existing tasks on AWS: listing, searchable PDFs, deletion, and isolation of tenants.

use serde_json::{Value, json};

use crate::harness::{ApiClient, TestPage, UploadFile, eventually, pdf, png, without_whitespace};

use super::{emulator::send, stack::EmulatedStack};

/// Returns the XML list of all object versions under a prefix.
async fn object_versions(stack: &EmulatedStack, prefix: &str) -> String {
    let endpoint = stack.variable("AWS_ENDPOINT_URL");
    let bucket = stack.variable("QUIRE_AWS_BUCKET");
    let answer = send("GET", &format!("{endpoint}/{bucket}?versions&prefix={prefix}"), &[], Vec::new()).await;
    assert_eq!(answer.status(), 200, "{answer:?}");
    answer.text().await.expect("XML")
}

/// Returns the number of items of a task in the table.
async fn item_count(stack: &EmulatedStack, id: &str) -> u64 {
    let query = json!({
        "TableName": stack.variable("QUIRE_AWS_TABLE"), "ConsistentRead": true, "KeyConditionExpression": "pk = :p",
        "ExpressionAttributeValues": { ":p": { "S": id } }, "Select": "COUNT",
    });
    let headers = [("x-amz-target", "DynamoDB_20120810.Query"), ("content-type", "application/x-amz-json-1.0")];
    let answer = send("POST", stack.variable("AWS_ENDPOINT_URL"), &headers, query.to_string().into_bytes()).await;
    let answer: Value = answer.json().await.expect("JSON");
    answer["Count"].as_u64().unwrap_or_else(|| panic!("no count in {answer}"))
}

#[tokio::test(flavor = "multi_thread")]
async fn deleting_a_task_deletes_all_object_versions_and_items() {
    let stack = EmulatedStack::shared().await;
    let card = UploadFile::new("card.png", png(&TestPage::new("Soon forgotten")));
    let body = stack.api().ocr(card).await.expect_status(200);
    let id = body["task_id"].as_str().expect("a task id");
    let folders = ["documents", "pages"];
    for folder in folders {
        assert!(
            object_versions(stack, &format!("{folder}/{id}/")).await.contains("<Version>"),
            "{folder} has objects of the task"
        );
    }
    assert!(item_count(stack, id).await > 1);

    let url = format!("{}/task/{id}", stack.api().base);
    let answer = send("DELETE", &url, &[], Vec::new()).await;
    assert_eq!(answer.status(), 204, "{answer:?}");
    for folder in folders {
        let left = object_versions(stack, &format!("{folder}/{id}/")).await;
        assert!(!left.contains(id.trim_start_matches("task_")) || !left.contains("<Key>"), "{left}");
    }
    assert_eq!(item_count(stack, id).await, 0);
    assert_eq!(send("DELETE", &url, &[], Vec::new()).await.status(), 404);
    assert_eq!(stack.api().get(&format!("/task/{id}")).await.problem_code(404), "task_not_found");
}

#[tokio::test(flavor = "multi_thread")]
async fn new_tasks_are_listed_newest_first() {
    let stack = EmulatedStack::shared().await;
    let mut ids = Vec::new();
    for text in ["The first of two", "The second of two"] {
        let file = UploadFile::new("card.png", png(&TestPage::new(text)));
        ids.push(stack.api().post_form("/ocr/async", [file], &[("tags", "listed-here")]).await.accepted_task_id());
    }
    ids.reverse();
    // The secondary index is eventually consistent.
    eventually("both are listed", || async {
        let listed = stack.api().get("/task?tag=listed-here&limit=100").await.expect_status(200);
        let tasks = listed["tasks"].as_array().expect("tasks");
        let found: Vec<_> = tasks.iter().filter_map(|task| task["task_id"].as_str()).collect();
        (found == ids).then_some(())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_searchable_pdf_is_created_by_the_documents_queue() {
    let stack = EmulatedStack::shared().await;
    let document = pdf(&[TestPage::new("Seek and find"), TestPage::new("On both pages")]);
    let id = stack.api().submit_without_callback([UploadFile::new("two.pdf", document)]).await.accepted_task_id();
    stack.api().await_end(&id).await;
    let url = format!("{}/task/{id}/result?format=pdf&wait=20", stack.api().base);
    let pdf_bytes = eventually("the PDF is created", || async {
        let answer = send("GET", &url, &[], Vec::new()).await;
        match answer.status().as_u16() {
            200 => Some(answer.bytes().await.expect("a body")),
            202 => None,
            _ => panic!("{answer:?}"),
        }
    })
    .await;
    assert!(pdf_bytes.starts_with(b"%PDF-"), "{:?}", &pdf_bytes[..pdf_bytes.len().min(20)]);
    let text = stack.api().get(&format!("/task/{id}")).await.expect_status(200);
    assert_eq!(without_whitespace(text["documents"][0]["text"].as_str().expect("text")), "SeekandfindOnbothpages");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_first_key_enables_authentication_and_isolates_tenants() {
    let stack = EmulatedStack::apart("keys").await;
    let [ours, theirs] = ["acme", "globex"].map(|tenant| {
        let stack = &stack;
        async move { stack.quire(&["keys", "create", "--tenant", tenant]).await.expect_stdout().trim().to_owned() }
    });
    let ours = ours.await;
    let theirs = theirs.await;
    let ApiClient { base, .. } = stack.api();
    let call = async |method: &str, path: &str, key: Option<&str>, body: Option<Value>| {
        let bearer = key.map(|key| format!("Bearer {key}"));
        let headers = bearer.iter().map(|bearer| ("authorization", bearer.as_str()));
        let headers: Vec<_> = headers.chain([("content-type", "application/json")]).collect();
        let body = body.map_or_else(Vec::new, |body| body.to_string().into_bytes());
        send(method, &format!("{base}{path}"), &headers, body).await
    };
    let url = json!({ "image_url": "https://example.com/a.pdf" });
    eventually("requests without a key are rejected", || async {
        (call("POST", "/ocr/async", None, Some(url.clone())).await.status() == 401).then_some(())
    })
    .await;
    let accepted: Value = call("POST", "/ocr/async", Some(&ours), Some(url)).await.json().await.expect("JSON");
    let path = format!("/task/{}", accepted["task_id"].as_str().expect("a task id"));
    for (key, status) in [(None, 401), (Some("quire_nonsense"), 401), (Some(&*theirs), 404), (Some(&*ours), 200)] {
        assert_eq!(call("GET", &path, key, None).await.status(), status, "{key:?}");
    }
    assert_eq!(call("GET", "/healthz", None, None).await.status().as_u16() / 100, 2);
}
