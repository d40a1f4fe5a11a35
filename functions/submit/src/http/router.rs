//! The routes, and the middleware around them: request ids, the access log, errors and panics as problem details.

use std::{net::SocketAddr, panic::AssertUnwindSafe, sync::Arc, time::Instant};

use axum::{
    Router,
    body::Body,
    extract::{DefaultBodyLimit, MatchedPath, Request, State},
    http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, Uri, header},
    middleware::{Next, from_fn_with_state},
    response::{IntoResponse, Response},
    routing::{get, post},
};
use futures_util::FutureExt;
use quire_fair_share::with_tenant;
use quire_telemetry::panic_message;
use quire_tenants::KeyOwner;
use tracing::{error, info};
use uuid::Uuid;

use crate::{
    http::{
        asynchronous, batch, cancel, delete, deliveries, drain_body, endpoints, healthz, list,
        local_guard::LocalGuard,
        ocr, openapi, pages,
        principal::Principal,
        problem::Problem,
        rate_limit::{RequestAdmission, admit},
        request_limits::check_size,
        resend, result, retry, task,
        upload_limits::limit_upload,
        uploads, webhooks,
    },
    state::AppState,
};

/// The response header with the request's id, for support.
const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
/// The maximum length of a client's own request id. Only letters, digits, `-` and `_` are accepted, which are safe in
/// logs.
const MAX_REQUEST_ID_LENGTH: usize = 64;

/// What the middleware needs.
struct Middleware {
    app: Arc<AppState>,
    guard: Option<LocalGuard>,
}

/// Returns the HTTP API, for a server that browsers do not reach without credentials, e.g. behind API Gateway.
pub fn router(app: Arc<AppState>) -> Router {
    guarded_router(app, None)
}

/// Returns the HTTP API for a server that listens on this address. While no API key is in force, requests that a web
/// page may have caused are refused: see `local_guard`.
pub fn local_router(app: Arc<AppState>, listen: SocketAddr) -> Router {
    let guard = LocalGuard::new(listen, app.settings.public_url.clone());
    guarded_router(app, Some(guard))
}

fn guarded_router(app: Arc<AppState>, guard: Option<LocalGuard>) -> Router {
    let limit = usize::try_from(app.settings.max_body_bytes).unwrap_or(usize::MAX);
    Router::new()
        .route("/ocr", post(ocr::read_document))
        .route("/ocr/batch", post(batch::read_batch))
        .route("/ocr/async", post(asynchronous::submit_async))
        .route("/uploads", post(uploads::announce_upload))
        .route("/task", get(list::list_tasks))
        .route("/task/{task_id}", get(task::get_task).delete(delete::delete_task))
        .route("/task/{task_id}/pages", get(pages::list_pages))
        .route("/task/{task_id}/retry", post(retry::retry_task))
        .route("/task/{task_id}/cancel", post(cancel::cancel_task))
        .route("/task/{task_id}/result", get(result::get_result))
        .route("/task/{task_id}/deliveries", get(deliveries::list_deliveries))
        .route("/deliveries/{delivery_id}/resend", post(resend::resend_delivery))
        .route("/webhooks/recover", post(resend::recover_deliveries))
        .route("/webhooks/test", post(webhooks::test_webhook))
        .route("/webhooks/secret", get(webhooks::get_secret))
        .route("/webhooks/secret/rotate", post(webhooks::rotate_secret))
        .route("/webhooks/endpoints", get(endpoints::list_endpoints))
        .route("/webhooks/endpoints/{endpoint_id}/enable", post(endpoints::enable_endpoint))
        .route("/openapi.json", get(openapi::get_openapi))
        .route("/healthz", get(healthz::get_health))
        .fallback(async || Problem::not_found())
        .method_not_allowed_fallback(async || Problem::method_not_allowed())
        .layer(DefaultBodyLimit::max(limit))
        .layer(from_fn_with_state(Arc::new(Middleware { app: Arc::clone(&app), guard }), wrap_call))
        .with_state(app)
}

/// The middleware around every call.
async fn wrap_call(State(middleware): State<Arc<Middleware>>, request: Request, next: Next) -> Response {
    let app = &middleware.app;
    let begun = Instant::now();
    let route = request.extensions().get::<MatchedPath>().map_or("none", MatchedPath::as_str).to_owned();
    let call = RequestLog { method: request.method().clone(), route, request_id: request_id(request.headers()), begun };
    let RequestAdmission { identity, headers, refused } =
        match middleware.refusal(&call.method, request.uri(), request.headers()).await {
            Some(refused) => RequestAdmission { refused: Some(refused), ..RequestAdmission::default() },
            None => admit(app, &call.method, &call.route, request.headers()).await,
        };
    let request = request.map(|body| limit_upload(&app.settings, body));
    let response = match refused {
        Some(problem) => {
            drain_body::discard(app, request);
            problem.into_response()
        }
        None => serve_admitted(app, request, identity.as_ref(), next).await,
    };
    let mut response = finish(response, &call.request_id);
    response.headers_mut().extend(headers);
    call.log(identity.as_ref(), &response);
    response
}

impl Middleware {
    /// Returns why a request is refused before it is authenticated, if it is.
    async fn refusal(&self, method: &Method, uri: &Uri, headers: &HeaderMap) -> Option<Problem> {
        if let Some(problem) = check_size(uri, headers) {
            return Some(problem);
        }
        let guard = self.guard.as_ref()?;
        if self.app.requires_keys().await {
            return None;
        }
        guard.check(method, uri, headers)
    }
}

async fn serve_admitted(app: &AppState, mut request: Request, identity: Option<&KeyOwner>, next: Next) -> Response {
    if let Some(KeyOwner { tenant, .. }) = identity {
        request.extensions_mut().insert(Principal { tenant: tenant.clone() });
    }
    match content_length(request.headers()) {
        Some(length) if length > app.settings.max_body_bytes => {
            drain_body::discard(app, request);
            app.too_large().into_response()
        }
        _ => {
            let call = call_catching_panics(next, drain_body::drain_on_drop(app, request));
            match identity {
                Some(KeyOwner { tenant, .. }) => with_tenant(tenant.as_str(), call).await,
                None => call.await,
            }
        }
    }
}

/// The fields of a request's log event.
struct RequestLog {
    method: Method,
    route: String,
    request_id: String,
    begun: Instant,
}

impl RequestLog {
    fn log(&self, identity: Option<&KeyOwner>, response: &Response) {
        let Self { method, route, request_id, begun } = self;
        let status = response.status().as_u16();
        let duration_ms = begun.elapsed().as_millis() as u64;
        let tenant = identity.map(|identity| identity.tenant.as_str());
        let key = identity.and_then(|identity| identity.key_id.as_deref());
        match response.extensions().get::<Problem>() {
            Some(problem) if response.status().is_server_error() => {
                let code = problem.code().as_str();
                let cause = problem.cause();
                error!(
                    request.id = request_id, %method, route, status, duration_ms, tenant, key.id = key, code, cause,
                    "request failed"
                );
            }
            Some(problem) => {
                let code = problem.code().as_str();
                info!(
                    request.id = request_id, %method, route, status, duration_ms, tenant, key.id = key, code,
                    "request refused"
                );
            }
            None => info!(
                request.id = request_id, %method, route, status, duration_ms, tenant, key.id = key,
                "request served"
            ),
        }
    }
}

async fn call_catching_panics(next: Next, request: Request) -> Response {
    let answer = AssertUnwindSafe(next.run(request)).catch_unwind().await;
    answer.unwrap_or_else(|panic| Problem::internal(&panic_message(&*panic)).into_response())
}

/// Adds the body of a problem and the request id.
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
    // Responses contain customers' texts: no cache keeps them, and no browser takes them for a page or a script.
    parts.headers.entry(header::CACHE_CONTROL).or_insert(HeaderValue::from_static("no-store"));
    parts.headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    let value = HeaderValue::from_str(request_id).expect("a request id is ASCII");
    parts.headers.insert(REQUEST_ID, value);
    Response::from_parts(parts, body)
}

fn request_id(headers: &HeaderMap) -> String {
    match headers.get(REQUEST_ID).and_then(|value| value.to_str().ok()) {
        Some(id) if is_valid_request_id(id) => id.to_owned(),
        _ => format!("req_{}", Uuid::now_v7().simple()),
    }
}

fn is_valid_request_id(id: &str) -> bool {
    (1..=MAX_REQUEST_ID_LENGTH).contains(&id.len())
        && id.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_')
}

fn content_length(headers: &HeaderMap) -> Option<u64> {
    headers.get(header::CONTENT_LENGTH)?.to_str().ok()?.parse().ok()
}
