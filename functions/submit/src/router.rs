//! The paths, and what is the same for all of them: the request id, the log, errors and panics as problem details.

use std::{panic::AssertUnwindSafe, sync::Arc, time::Instant};

use axum::{
    Router,
    body::Body,
    extract::{DefaultBodyLimit, MatchedPath, Request, State},
    http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, header},
    middleware::{Next, from_fn_with_state},
    response::{IntoResponse, Response},
    routing::{get, post},
};
use futures_util::FutureExt;
use quire_tenants::KeyOwner;
use tracing::{error, info};
use uuid::Uuid;

use crate::{
    Door, asynchronous, batch,
    caller::Caller,
    cancel, delete, deliveries, endpoints, healthz,
    limits::{Admission, admit},
    linger, list, ocr, openapi, pages,
    problem::Problem,
    resend, result, retry, task, uploads, webhooks,
};

/// On every answer: what to name when asking about it.
const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
/// A client's own id is taken over when it is no longer than this and plain, so that it is safe in every log.
const MAX_REQUEST_ID_LENGTH: usize = 64;

/// The HTTP API.
pub fn router(door: Arc<Door>) -> Router {
    let limit = usize::try_from(door.settings.max_body_bytes).unwrap_or(usize::MAX);
    Router::new()
        .route("/ocr", post(ocr::ocr))
        .route("/ocr/batch", post(batch::batch))
        .route("/ocr/async", post(asynchronous::asynchronous))
        .route("/uploads", post(uploads::uploads))
        .route("/task", get(list::list))
        .route("/task/{task_id}", get(task::task).delete(delete::delete))
        .route("/task/{task_id}/pages", get(pages::pages))
        .route("/task/{task_id}/retry", post(retry::retry))
        .route("/task/{task_id}/cancel", post(cancel::cancel))
        .route("/task/{task_id}/result", get(result::result))
        .route("/task/{task_id}/deliveries", get(deliveries::deliveries))
        .route("/deliveries/{delivery_id}/resend", post(resend::resend))
        .route("/webhooks/recover", post(resend::recover))
        .route("/webhooks/test", post(webhooks::test))
        .route("/webhooks/secret", get(webhooks::secret))
        .route("/webhooks/secret/rotate", post(webhooks::rotate))
        .route("/webhooks/endpoints", get(endpoints::endpoints))
        .route("/webhooks/endpoints/{endpoint_id}/enable", post(endpoints::enable))
        .route("/openapi.json", get(openapi::openapi))
        .route("/healthz", get(healthz::healthz))
        .fallback(async || Problem::not_found())
        .method_not_allowed_fallback(async || Problem::method_not_allowed())
        .layer(DefaultBodyLimit::max(limit))
        .layer(from_fn_with_state(Arc::clone(&door), frame))
        .with_state(door)
}

/// Everything that surrounds a call.
async fn frame(State(door): State<Arc<Door>>, request: Request, next: Next) -> Response {
    let begun = Instant::now();
    let route = request.extensions().get::<MatchedPath>().map_or("none", MatchedPath::as_str).to_owned();
    let call = About { method: request.method().clone(), route, request_id: request_id(request.headers()), begun };
    let Admission { identity, headers, refused } = admit(&door, &call.method, &call.route, request.headers()).await;
    let response = match refused {
        Some(problem) => {
            linger::discard(&door, request);
            problem.into_response()
        }
        None => let_in(&door, request, identity.as_ref(), next).await,
    };
    let mut response = finish(response, &call.request_id);
    response.headers_mut().extend(headers);
    call.log(identity.as_ref(), &response);
    response
}

async fn let_in(door: &Door, mut request: Request, identity: Option<&KeyOwner>, next: Next) -> Response {
    if let Some(KeyOwner { tenant, .. }) = identity {
        request.extensions_mut().insert(Caller { tenant: tenant.clone() });
    }
    match announced_length(request.headers()) {
        Some(length) if length > door.settings.max_body_bytes => {
            linger::discard(door, request);
            door.too_large().into_response()
        }
        _ => call(next, linger::body(door, request)).await,
    }
}

/// What the log says of a request.
struct About {
    method: Method,
    route: String,
    request_id: String,
    begun: Instant,
}

impl About {
    fn log(&self, identity: Option<&KeyOwner>, response: &Response) {
        let Self { method, route, request_id, begun } = self;
        let (status, duration_ms) = (response.status().as_u16(), begun.elapsed().as_millis() as u64);
        let tenant = identity.map(|identity| identity.tenant.as_str());
        let key = identity.and_then(|identity| identity.key_id.as_deref());
        match response.extensions().get::<Problem>() {
            Some(problem) if response.status().is_server_error() => {
                let (code, cause) = (problem.code(), problem.cause());
                error!(
                    request.id = request_id, %method, route, status, duration_ms, tenant, key.id = key, code, cause,
                    "request failed"
                );
            }
            Some(problem) => {
                let code = problem.code();
                info!(
                    request.id = request_id, %method, route, status, duration_ms, tenant, key.id = key, code,
                    "request refused"
                );
            }
            None => info!(
                request.id = request_id, %method, route, status, duration_ms, tenant, key.id = key,
                "request answered"
            ),
        }
    }
}

async fn call(next: Next, request: Request) -> Response {
    let answer = AssertUnwindSafe(next.run(request)).catch_unwind().await;
    answer.unwrap_or_else(|panic| Problem::internal(&quire_telemetry::panic_message(&*panic)).into_response())
}

/// Gives a problem its body, and every answer its request id.
fn finish(response: Response, request_id: &str) -> Response {
    let (mut parts, mut body) = response.into_parts();
    if let Some(problem) = parts.extensions.get::<Problem>() {
        body = Body::from(problem.body(request_id));
        let retry_after = problem.retry_after_secs().map(HeaderValue::from);
        parts.headers.remove(header::CONTENT_LENGTH);
        parts.headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/problem+json"));
        parts.headers.extend(retry_after.map(|value| (header::RETRY_AFTER, value)));
        if parts.status == StatusCode::UNAUTHORIZED {
            parts.headers.insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
        }
    }
    let value = HeaderValue::from_str(request_id).expect("a request id is plain");
    parts.headers.insert(REQUEST_ID, value);
    Response::from_parts(parts, body)
}

fn request_id(headers: &HeaderMap) -> String {
    let theirs = headers.get(REQUEST_ID).and_then(|value| value.to_str().ok());
    let plain = |id: &&str| {
        (1..=MAX_REQUEST_ID_LENGTH).contains(&id.len())
            && id.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_')
    };
    theirs.filter(plain).map_or_else(|| format!("req_{}", Uuid::now_v7().simple()), str::to_owned)
}

fn announced_length(headers: &HeaderMap) -> Option<u64> {
    headers.get(header::CONTENT_LENGTH)?.to_str().ok()?.parse().ok()
}
