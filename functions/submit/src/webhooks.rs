//! What a customer needs to set a receiver up: `POST /webhooks/test`, `GET /webhooks/secret` and
//! `POST /webhooks/secret/rotate`.

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
use quire_platform::{Collection, retry_with_backoff};
use quire_tasks::{Tenant, UnixMillis};
use quire_tenants::{Signing, SigningError};
use serde::Serialize;
use tokio::{
    sync::{OnceCell, Semaphore},
    time::timeout,
};
use tracing::info;
use uuid::Uuid;

use crate::{
    Door,
    accept::now,
    caller::Caller,
    json::{self, media_type},
    problem::Problem,
    summary::rfc3339,
};

/// How many test events are on their way at a time, over all requests: each holds a connection for as long as its receiver
/// likes.
const TESTS_AT_ONCE: usize = 16;

/// What the door itself sends to receivers, and signs with.
#[derive(Debug)]
pub(crate) struct Webhooks {
    /// Made by the first who needs it.
    signing: OnceCell<Signing>,
    tests: Semaphore,
}

impl Default for Webhooks {
    fn default() -> Self {
        Self { signing: OnceCell::new(), tests: Semaphore::new(TESTS_AT_ONCE) }
    }
}

impl Door {
    async fn signing(&self) -> Result<&Signing, SigningError> {
        self.webhooks.signing.get_or_try_init(|| Signing::load(&self.backend)).await
    }
}

/// How a test event was taken.
#[derive(Debug, Serialize)]
pub(crate) struct Tested {
    delivered: bool,
    status: Option<u16>,
    duration_ms: u64,
    error: Option<String>,
    answer: Option<String>,
    webhook_id: String,
}

/// One signed event, at once and once. That a receiver takes it shows that nothing is wrong with its address any more.
pub(crate) async fn test(
    State(door): State<Arc<Door>>,
    caller: Caller,
    request: Request,
) -> Result<Json<Tested>, Problem> {
    if media_type(request.headers()) != "application/json" {
        return Err(Problem::unsupported_media_type("application/json"));
    }
    let body = json::members(&door, request, &["url"]).await?;
    let url = json::text(&body, "url")?.ok_or_else(|| Problem::missing_field("url"))?;
    let url = door.egress.check(url).map_err(|why| Problem::url_refused("url", &why))?;
    let (limit, begun) = (door.settings.webhook_test_limit, Instant::now());
    let turn = timeout(limit, door.webhooks.tests.acquire()).await;
    let _turn = turn.map_err(|_| Problem::busy(&"too many test events are on their way"))?;
    // Whoever waited for its turn has less left: the call as a whole is bounded.
    let tested = post(&door, &caller.tenant, &url, limit.saturating_sub(begun.elapsed())).await?;
    let (host, tenant) = (url.host_str().unwrap_or_default(), caller.tenant.as_str());
    info!(
        tenant,
        server.address = host,
        http.status = tested.status,
        duration_ms = tested.duration_ms,
        "test event sent"
    );
    if tested.delivered {
        let key = endpoint_key(&caller.tenant, url.as_str());
        retry_with_backoff(|| door.backend.records.delete(Collection::Endpoints, &key, None)).await?;
    }
    Ok(Json(tested))
}

async fn post(door: &Door, tenant: &Tenant, url: &Url, limit: Duration) -> Result<Tested, Problem> {
    let (webhook_id, at) = (format!("msg_{}", Uuid::now_v7().simple()), now());
    let body = quire_callback::test_payload(tenant, at);
    let headers = headers(door, tenant, &webhook_id, at, body.as_bytes()).await?;
    let begun = Instant::now();
    let answer = door.egress.post(url, headers, body.into(), limit).await;
    let duration_ms = begun.elapsed().as_millis() as u64;
    let (delivered, status, error, answer) = match answer {
        // A name that leads to where we do not call.
        Err(PostError::Refused(why)) => return Err(Problem::url_refused("url", &why)),
        Err(error) => (false, None, Some(error.to_string()), None),
        Ok(answer) => {
            let delivered = classify_response(answer.status) == ResponseClass::Delivered;
            let error = (!delivered).then(|| format!("the receiver answered with status {}", answer.status));
            (delivered, Some(answer.status), error, Some(answer.excerpt).filter(|excerpt| !excerpt.is_empty()))
        }
    };
    Ok(Tested { delivered, status, duration_ms, error, answer, webhook_id })
}

async fn headers(door: &Door, tenant: &Tenant, id: &str, at: UnixMillis, body: &[u8]) -> Result<HeaderMap, Problem> {
    let secrets = door.signing().await?.secrets(&door.backend, tenant, at).await?;
    let signed = quire_callback::signature_headers(&secrets, id, at.0 / 1000, body);
    let signed = signed.into_iter().chain([("content-type", "application/json".to_owned())]);
    let value = |text: String| HeaderValue::try_from(text).expect("identifiers, numbers and base64 are plain");
    Ok(signed.map(|(name, text)| (HeaderName::from_static(name), value(text))).collect())
}

/// A secret, and until when one before it signs too.
#[derive(Debug, Serialize)]
struct SecretAnswer {
    secret: String,
    older_until: Option<String>,
}

impl SecretAnswer {
    /// For the customer's eyes, and in nobody's cache.
    fn answer(self) -> Response {
        ([(header::CACHE_CONTROL, HeaderValue::from_static("no-store"))], Json(self)).into_response()
    }
}

pub(crate) async fn secret(State(door): State<Arc<Door>>, caller: Caller) -> Result<Response, Problem> {
    let (signing, at) = (door.signing().await?, now());
    let secrets = signing.secrets(&door.backend, &caller.tenant, at).await?;
    let older_until = signing.older_until(&door.backend, &caller.tenant, at).await?.map(rfc3339);
    Ok(SecretAnswer { secret: secrets.newest().reveal(), older_until }.answer())
}

pub(crate) async fn rotate(State(door): State<Arc<Door>>, caller: Caller) -> Result<Response, Problem> {
    let rotated = door.signing().await?.rotate(&door.backend, &caller.tenant, now()).await?;
    info!(tenant = caller.tenant.as_str(), "webhook secret replaced");
    let older_until = Some(rfc3339(rotated.both_until));
    Ok(SecretAnswer { secret: rotated.secret.reveal(), older_until }.answer())
}

impl From<SigningError> for Problem {
    fn from(error: SigningError) -> Self {
        match error {
            SigningError::Fixed => Self::secret_is_fixed(),
            SigningError::Backend(error) => error.into(),
            other => Self::internal(&other),
        }
    }
}
