//! Hostile multipart forms: the parser's memory is bounded.

use crate::support::{TestResponse, TestWorld, body, boundary, image};

const PART: &str = "--quire-test-boundary\r\nContent-Disposition: form-data; name=\"image\"; filename=\"a.png\"\r\n";

async fn post(world: &TestWorld, path: &str, form: String) -> TestResponse {
    let request = world.client.post(world.url(path)).header("content-type", boundary()).body(form);
    TestResponse::read(request.send().await.expect("an answer")).await
}

async fn world() -> TestWorld {
    let mut world = TestWorld::without_worker(|settings| settings.max_files = 3).await;
    world.start_worker();
    world
}

#[tokio::test]
async fn large_part_headers_and_preambles_are_refused() {
    let world = world().await;
    let filler = "a".repeat(200_000);
    let end = "\r\n\r\npages=1\r\n--quire-test-boundary--\r\n";
    let bombs = [
        format!("{PART}X-Filler: {filler}{end}"),
        format!("{filler}\r\n{PART}{end}"),
        format!("{PART}{}{end}", "X: 1\r\n".repeat(40_000)),
        format!("{PART}\r\npages=1\r\n--quire-test-boundary\r\nX-Filler: {filler}{end}"),
        format!("--quire-test-boundary{}\r\n{end}", " ".repeat(200_000)),
        // No end at all: without a limit, the parser would collect everything.
        format!("{PART}X-Filler: {filler}"),
    ];
    for bomb in bombs {
        let shown = bomb[..120].to_owned();
        let answer = post(&world, "/ocr", bomb).await;
        assert!([400, 422, 431].contains(&answer.status), "{shown}: {}", answer.text);
        if answer.status != 431 {
            answer.problem(answer.status, "malformed_multipart");
        }
    }
    world.assert_empty().await;
}

#[tokio::test]
async fn the_limit_of_part_headers_is_64_kilobytes() {
    let world = world().await;
    let form =
        |bytes: usize| format!("{PART}X-Filler: {}\r\n\r\npages=1\r\n--quire-test-boundary--\r\n", "a".repeat(bytes));
    assert_eq!(post(&world, "/ocr", form(60_000)).await.status, 200);
    post(&world, "/ocr", form(70_000)).await.problem(431, "headers_too_large");
    let preamble = format!("{}\r\n{}", "a".repeat(60_000), body(&[image("pages=1")]));
    assert_eq!(post(&world, "/ocr", preamble).await.status, 200);
    let preamble = format!("{}\r\n{}", "a".repeat(70_000), body(&[image("pages=1")]));
    post(&world, "/ocr", preamble).await.problem(431, "headers_too_large");
}

#[tokio::test]
async fn the_number_of_parts_is_bounded() {
    let world = world().await;
    let tag = "--quire-test-boundary\r\nContent-Disposition: form-data; name=\"tags\"\r\n\r\na\r\n";
    let form = format!("{}{}", tag.repeat(1000), body(&[image("pages=1")]));
    post(&world, "/ocr", form).await.problem(422, "too_many_parts");
}

#[tokio::test]
async fn large_files_arrive_whole() {
    let world = world().await;
    // The content of parts is not limited by what their headers are.
    let content = format!("pages=1 {}", "a".repeat(3_000_000));
    let answer = post(&world, "/ocr", body(&[image(&content)])).await;
    assert_eq!(answer.status, 200, "{}", answer.text);
    let stored = world.backend.objects.list("documents/").await.expect("a list");
    let document = world.backend.objects.read(&stored[0]).await.expect("the document");
    assert_eq!(document, content.as_bytes());
}
