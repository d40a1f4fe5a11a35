//! What the API does for those who have sent something: it lists, makes files, deletes, and tells tenants apart.

use serde_json::{Value, json};

use crate::harness::{Api, Sheet, Upload, eventually, pdf, png, squeezed};

use super::{emulator::send, stack::Stack};

/// What the bucket has under a prefix, in every version.
async fn versions(stack: &Stack, prefix: &str) -> String {
    let (endpoint, bucket) = (stack.variable("AWS_ENDPOINT_URL"), stack.variable("QUIRE_AWS_BUCKET"));
    let answer = send("GET", &format!("{endpoint}/{bucket}?versions&prefix={prefix}"), &[], Vec::new()).await;
    assert_eq!(answer.status(), 200, "{answer:?}");
    answer.text().await.expect("XML")
}

/// How many records the table has of a task.
async fn records(stack: &Stack, id: &str) -> u64 {
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
async fn of_a_deleted_task_no_version_of_anything_is_left() {
    let stack = Stack::shared().await;
    let card = Upload::new("card.png", png(&Sheet::new("Soon forgotten")));
    let body = stack.api().ocr(card).await.body(200);
    let id = body["task_id"].as_str().expect("a task id");
    let folders = ["documents", "pages"];
    for folder in folders {
        assert!(
            versions(stack, &format!("{folder}/{id}/")).await.contains("<Version>"),
            "{folder} has something of it"
        );
    }
    assert!(records(stack, id).await > 1);

    let url = format!("{}/task/{id}", stack.api().base);
    let answer = send("DELETE", &url, &[], Vec::new()).await;
    assert_eq!(answer.status(), 204, "{answer:?}");
    for folder in folders {
        let left = versions(stack, &format!("{folder}/{id}/")).await;
        assert!(!left.contains(id.trim_start_matches("task_")) || !left.contains("<Key>"), "{left}");
    }
    assert_eq!(records(stack, id).await, 0);
    assert_eq!(send("DELETE", &url, &[], Vec::new()).await.status(), 404);
    assert_eq!(stack.api().get(&format!("/task/{id}")).await.problem(404), "task_not_found");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_just_sent_is_listed_newest_first() {
    let stack = Stack::shared().await;
    let mut ids = Vec::new();
    for text in ["The first of two", "The second of two"] {
        let file = Upload::new("card.png", png(&Sheet::new(text)));
        ids.push(stack.api().ask("/ocr/async", [file], &[("tags", "listed-here")]).await.accepted());
    }
    ids.reverse();
    // The index that it is found by lags behind on AWS.
    eventually("both are listed", || async {
        let listed = stack.api().get("/task?tag=listed-here&limit=100").await.body(200);
        let tasks = listed["tasks"].as_array().expect("tasks");
        let found: Vec<_> = tasks.iter().filter_map(|task| task["task_id"].as_str()).collect();
        (found == ids).then_some(())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_searchable_pdf_is_made_behind_the_documents_queue() {
    let stack = Stack::shared().await;
    let document = pdf(&[Sheet::new("Seek and find"), Sheet::new("On both pages")]);
    let id = stack.api().submit_without_callback([Upload::new("two.pdf", document)]).await.accepted();
    stack.api().ended(&id).await;
    let url = format!("{}/task/{id}/result?format=pdf&wait=20", stack.api().base);
    let made = eventually("it is made", || async {
        let answer = send("GET", &url, &[], Vec::new()).await;
        match answer.status().as_u16() {
            200 => Some(answer.bytes().await.expect("a body")),
            202 => None,
            _ => panic!("{answer:?}"),
        }
    })
    .await;
    assert!(made.starts_with(b"%PDF-"), "{:?}", &made[..made.len().min(20)]);
    let text = stack.api().get(&format!("/task/{id}")).await.body(200);
    assert_eq!(squeezed(text["documents"][0]["text"].as_str().expect("text")), "SeekandfindOnbothpages");
}

#[tokio::test(flavor = "multi_thread")]
async fn as_soon_as_there_is_a_key_everybody_needs_one_and_sees_their_own_tasks_only() {
    let stack = Stack::apart("keys").await;
    let [ours, theirs] = ["acme", "globex"].map(|tenant| {
        let stack = &stack;
        async move { stack.quire(&["keys", "create", "--tenant", tenant]).await.printed().trim().to_owned() }
    });
    let (ours, theirs) = (ours.await, theirs.await);
    let Api { base, .. } = stack.api();
    let call = async |method: &str, path: &str, key: Option<&str>, body: Option<Value>| {
        let bearer = key.map(|key| format!("Bearer {key}"));
        let headers = bearer.iter().map(|bearer| ("authorization", bearer.as_str()));
        let headers: Vec<_> = headers.chain([("content-type", "application/json")]).collect();
        let body = body.map_or_else(Vec::new, |body| body.to_string().into_bytes());
        send(method, &format!("{base}{path}"), &headers, body).await
    };
    let url = json!({ "image_url": "https://example.com/a.pdf" });
    eventually("nobody is let in without a key", || async {
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
