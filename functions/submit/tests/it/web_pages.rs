//! A server without API keys is safe from web pages: DNS rebinding and cross-site requests. Headers of all responses.

use quire_submit::KeyPolicy;

use crate::{
    auth::key,
    support::{LocalServer, RELAXED, TestWorld, body, boundary, image, images},
};

/// Returns the status line and the code of a problem, if it is one.
async fn call(server: &LocalServer, method: &str, path: &str, headers: &str, body: &str) -> (String, String) {
    let request = format!(
        "{method} {path} HTTP/1.1\r\n{headers}Connection: close\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    );
    let answer = server.exchange(&request).await;
    let status = answer.split(' ').nth(1).unwrap_or_default().to_owned();
    let code = answer.split("\"code\":\"").nth(1).and_then(|rest| rest.split('"').next()).unwrap_or_default();
    (status, code.to_owned())
}

fn pair(status: &str, code: &str) -> (String, String) {
    (status.to_owned(), code.to_owned())
}

#[tokio::test]
async fn rebound_names_can_read_nothing() {
    let world = TestWorld::without_worker(|settings| {
        settings.public_url = Some("https://ocr.example.com".parse().expect("a URL"));
    })
    .await;
    let server = LocalServer::start(&world, RELAXED).await;
    for path in ["/task", "/webhooks/secret", "/healthz", "/openapi.json", "/no-such-path"] {
        for host in ["evil.example:8000", "127.0.0.1.evil.example", "localhost.evil.example", "192.168.1.7:8000"] {
            let (status, code) = call(&server, "GET", path, &format!("Host: {host}\r\n"), "").await;
            assert_eq!((status, code), pair("421", "misdirected_request"), "{host} {path}");
        }
        assert_eq!(call(&server, "GET", path, "", "").await.0, "421", "without Host: {path}");
    }
    let own =
        [format!("localhost:{}", server.address.port()), server.address.to_string(), "ocr.example.com".to_owned()];
    for host in own {
        assert_eq!(call(&server, "GET", "/task", &format!("Host: {host}\r\n"), "").await.0, "200", "{host}");
    }
}

#[tokio::test]
async fn other_sites_can_change_nothing() {
    let world = TestWorld::without_worker(|_| {}).await;
    let server = LocalServer::start(&world, RELAXED).await;
    let secret = server.exchange("GET /webhooks/secret HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n").await;
    let secret = secret.split("\r\n\r\n").nth(1).expect("a body").to_owned();
    let form = body(&images(&["pages=1"]));
    let form_type = format!("Content-Type: {}\r\n", boundary());
    // What a form or a `fetch` without preflight can send.
    let calls = [
        ("POST", "/webhooks/secret/rotate", String::new(), String::new()),
        ("POST", "/ocr/async", form_type, form),
        ("POST", "/ocr/async", "Content-Type: text/plain\r\n".to_owned(), "{}".to_owned()),
        ("DELETE", "/task/01890000-0000-7000-8000-000000000000", String::new(), String::new()),
    ];
    let foreign = [
        "Origin: https://evil.example\r\n",
        "Origin: null\r\n",
        "Origin: http://localhost:3000\r\n",
        "Sec-Fetch-Site: cross-site\r\n",
        "Sec-Fetch-Site: same-site\r\n",
        "Referer: https://evil.example/page\r\n",
    ];
    for (method, path, kind, content) in &calls {
        for header in foreign {
            let headers = format!("Host: localhost\r\n{header}{kind}");
            let refused = call(&server, method, path, &headers, content).await;
            assert_eq!(refused, pair("403", "cross_site_request"), "{method} {path} {header}");
        }
    }
    let same = server.exchange("GET /webhooks/secret HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n").await;
    assert!(same.contains(&secret), "the secret was rotated");
    world.assert_empty().await;

    let own = "Host: localhost:8000\r\nOrigin: http://localhost:8000\r\nSec-Fetch-Site: same-origin\r\n";
    assert_eq!(call(&server, "POST", "/webhooks/secret/rotate", own, "").await.0, "200");
    assert_eq!(call(&server, "POST", "/webhooks/secret/rotate", "Host: localhost\r\n", "").await.0, "200");
}

#[tokio::test]
async fn with_an_api_key_any_name_and_origin_is_served() {
    let world = TestWorld::without_worker(|settings| settings.keys = KeyPolicy::Required).await;
    let (_, key) = key(&world, "acme", 1).await;
    let server = LocalServer::start(&world, RELAXED).await;
    let foreign = format!("Host: ocr.internal\r\nOrigin: https://app.example\r\nAuthorization: Bearer {key}\r\n");
    assert_eq!(call(&server, "GET", "/task", &foreign, "").await.0, "200");
    assert_eq!(call(&server, "POST", "/webhooks/secret/rotate", &foreign, "").await.0, "200");
    let without = call(&server, "GET", "/task", "Host: ocr.internal\r\n", "").await;
    assert_eq!(without, pair("401", "unauthorized"));
}

#[tokio::test]
async fn responses_are_neither_cached_nor_sniffed_and_conditional_requests_work() {
    let mut world = TestWorld::without_worker(|_| {}).await;
    world.start_worker();
    let answer = world.post("/ocr", &[image("pages=1")]).await;
    let id = answer.json()["task_id"].as_str().expect("an id").to_owned();
    let paths = ["", "/pages", "/result?format=text", "/result?format=markdown", "/result?format=hocr", "/deliveries"];
    let mut answers = vec![answer];
    for path in paths {
        answers.push(world.get(&format!("/task/{id}{path}")).await);
    }
    for path in ["/task", "/healthz", "/openapi.json", "/webhooks/secret", "/no-such-path"] {
        answers.push(world.get(path).await);
    }
    for answer in &answers {
        assert_eq!(answer.header("cache-control"), Some("no-store"), "{answer:?}");
        assert_eq!(answer.header("x-content-type-options"), Some("nosniff"), "{answer:?}");
    }
    let task = world.get(&format!("/task/{id}")).await;
    let etag = task.header("etag").expect("an entity tag");
    let request = world.client.get(world.url(&format!("/task/{id}"))).header("if-none-match", etag);
    assert_eq!(request.send().await.expect("an answer").status(), 304);
}

#[tokio::test]
async fn the_fifth_rotation_in_a_day_is_refused() {
    let world = TestWorld::without_worker(|_| {}).await;
    for rotation in 1..=5 {
        let answer = world.post("/webhooks/secret/rotate", &[]).await;
        if rotation <= 4 {
            assert_eq!(answer.status, 200, "{}", answer.text);
        } else {
            answer.problem(429, "too_many_rotations");
            let retry_after: u64 = answer.header("retry-after").expect("a time").parse().expect("seconds");
            assert!((86_000..=86_400).contains(&retry_after), "{retry_after}");
        }
    }
}
