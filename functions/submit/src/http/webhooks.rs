//! Calls to set up a webhook endpoint: `POST /webhooks/test`, `GET /webhooks/secret` and `POST
//! /webhooks/secret/rotate`.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use axum::{
    Json,
    extract::{Request, State},
    http::{HeaderValue, header},
    response::{IntoResponse, Response},
};
use quire_callback::{ResponseClass, classify_response, endpoint_key};
use quire_egress::{HeaderMap, HeaderName, PostError, Url};
use quire_platform::{Collection, now, retry_with_backoff};
use quire_tasks::{Tenant, UnixMillis};
use quire_tenants::{Signing, SigningError};
use serde::Serialize;
use tokio::time::timeout;
use tracing::info;
use uuid::Uuid;

use crate::{
    http::{
        json::{self, media_type},
        principal::Principal,
        problem::Problem,
    },
    state::AppState,
    time::rfc3339,
};

impl AppState {
    async fn signing(&self) -> Result<&Signing, SigningError> {
        self.signing.get_or_try_init(|| Signing::load(&self.backend)).await
    }
}

/// The outcome of a test event.
#[derive(Debug, Serialize)]
pub(crate) struct WebhookTestAnswer {
    delivered: bool,
    status: Option<u16>,
    duration_ms: u64,
    error: Option<String>,
    answer: Option<String>,
    webhook_id: String,
}

/// Sends one signed event, without retries. A successful delivery also enables a disabled endpoint.
pub(crate) async fn test_webhook(
    State(app): State<Arc<AppState>>,
    principal: Principal,
    request: Request,
) -> Result<Json<WebhookTestAnswer>, Problem> {
    if media_type(request.headers()) != "application/json" {
        return Err(Problem::unsupported_media_type("application/json"));
    }
    let body = json::members(&app, request, &["url"]).await?;
    let url = json::text(&body, "url")?.ok_or_else(|| Problem::missing_field("url"))?;
    let url = app.egress.check(url).map_err(|why| Problem::url_refused("url", &why))?;
    let limit = app.settings.webhook_test_limit;
    let begun = Instant::now();
    let permit = timeout(limit, app.pools.webhook_tests.acquire(principal.tenant.as_str())).await;
    let _permit = permit.map_err(|_| Problem::busy(&"too many test events in flight"))?;
    // The time spent waiting for the permit counts: the limit bounds the whole call.
    let tested = post_test_event(&app, &principal.tenant, &url, limit.saturating_sub(begun.elapsed())).await?;
    info!(
        tenant = principal.tenant.as_str(),
        server.address = url.host_str().unwrap_or_default(),
        http.status = tested.status,
        duration_ms = tested.duration_ms,
        "test event sent"
    );
    if tested.delivered {
        let key = endpoint_key(&principal.tenant, url.as_str());
        retry_with_backoff(|| app.backend.records.delete(Collection::Endpoints, &key, None)).await?;
    }
    Ok(Json(tested))
}

async fn post_test_event(
    app: &AppState,
    tenant: &Tenant,
    url: &Url,
    limit: Duration,
) -> Result<WebhookTestAnswer, Problem> {
    let webhook_id = format!("msg_{}", Uuid::now_v7().simple());
    let at = now();
    let body = quire_callback::test_payload(tenant, at);
    let headers = signed_headers(app, tenant, &webhook_id, at, body.as_bytes()).await?;
    let begun = Instant::now();
    let answer = app.egress.post(url, headers, body.into(), limit).await;
    let duration_ms = begun.elapsed().as_millis() as u64;
    let (delivered, status, error, answer) = match answer {
        // The name resolves to an address that must not be called.
        Err(PostError::Refused(why)) => return Err(Problem::url_refused("url", &why)),
        Err(error) => (false, None, Some(error.to_string()), None),
        Ok(answer) => {
            let delivered = classify_response(answer.status) == ResponseClass::Delivered;
            let error = (!delivered).then(|| format!("the endpoint responded with status {}", answer.status));
            (delivered, Some(answer.status), error, Some(answer.excerpt).filter(|excerpt| !excerpt.is_empty()))
        }
    };
    Ok(WebhookTestAnswer { delivered, status, duration_ms, error, answer, webhook_id })
}

async fn signed_headers(
    app: &AppState,
    tenant: &Tenant,
    id: &str,
    at: UnixMillis,
    body: &[u8],
) -> Result<HeaderMap, Problem> {
    let secrets = app.signing().await?.secrets(&app.backend, tenant, at).await?;
    let signed = quire_callback::signature_headers(&secrets, id, at.0 / 1000, body);
    let signed = signed.into_iter().chain([("content-type", "application/json".to_owned())]);
    let mut headers = HeaderMap::new();
    for (name, text) in signed {
        let value = HeaderValue::try_from(text).expect("identifiers, numbers and base64 are ASCII");
        headers.insert(HeaderName::from_static(name), value);
    }
    Ok(headers)
}

/// A signing secret, and until when the one before it also signs.
#[derive(Debug, Serialize)]
struct SecretAnswer {
    secret: String,
    older_until: Option<String>,
}

impl SecretAnswer {
    /// Returns the response, which must not be cached.
    fn into_uncached_response(self) -> Response {
        ([(header::CACHE_CONTROL, HeaderValue::from_static("no-store"))], Json(self)).into_response()
    }
}

pub(crate) async fn get_secret(State(app): State<Arc<AppState>>, principal: Principal) -> Result<Response, Problem> {
    let signing = app.signing().await?;
    let at = now();
    let secrets = signing.secrets(&app.backend, &principal.tenant, at).await?;
    let older_until = signing.older_until(&app.backend, &principal.tenant, at).await?.map(rfc3339);
    Ok(SecretAnswer { secret: secrets.newest().reveal(), older_until }.into_uncached_response())
}

pub(crate) async fn rotate_secret(State(app): State<Arc<AppState>>, principal: Principal) -> Result<Response, Problem> {
    let rotated = app.signing().await?.rotate(&app.backend, &principal.tenant, now()).await?;
    info!(tenant = principal.tenant.as_str(), "webhook secret rotated");
    let older_until = Some(rfc3339(rotated.both_until));
    Ok(SecretAnswer { secret: rotated.secret.reveal(), older_until }.into_uncached_response())
}
