//! One attempt at the receiver.

use std::time::{Duration, Instant};

use bytes::Bytes;
use quire_callback::{EndpointCondition, ResponseClass, Secrets, classify_response};
use quire_egress::{HeaderMap, HeaderName, HeaderValue, PostError, Url};
use quire_platform::Result;
use quire_tasks::UnixMillis;

use crate::{
    Notifier,
    endpoints::{CallPermission, CallPermit},
    now,
    schedule::CallbackRequest,
};

/// What an attempt came to.
#[derive(Debug)]
pub(crate) struct AttemptResponse {
    pub(crate) class: ResponseClass,
    /// The status of the answer, where there was one.
    pub(crate) status: Option<u16>,
    /// Why it was not delivered.
    pub(crate) error: Option<String>,
    /// How the answer begins.
    pub(crate) excerpt: Option<String>,
    pub(crate) retry_after: Option<Duration>,
    pub(crate) began: UnixMillis,
    pub(crate) took: Duration,
}

/// What becomes of a message now.
#[derive(Debug)]
pub(crate) enum DeliveryStep {
    /// An attempt was made, or stands for one.
    Attempted(AttemptResponse),
    /// It waits, and this was no attempt.
    Postponed { after: Duration },
}

impl AttemptResponse {
    /// Nobody answered, or was called.
    fn without_response(class: ResponseClass, error: String) -> Self {
        let (status, excerpt, retry_after) = (None, None, None);
        Self { class, status, error: Some(error), excerpt, retry_after, began: now(), took: Duration::ZERO }
    }
}

impl Notifier {
    /// Calls the receiver, if its endpoint may be called now.
    pub(crate) async fn attempt_delivery(&self, request: &CallbackRequest) -> Result<DeliveryStep> {
        let url = match self.egress.check(&request.url) {
            Ok(url) => url,
            Err(refused) => {
                return Ok(DeliveryStep::Attempted(AttemptResponse::without_response(
                    ResponseClass::GiveUp,
                    refused.to_string(),
                )));
            }
        };
        // Before the body is made: reading what it tells is what costs.
        match self.endpoints.request_permit(&request.task.tenant, url.as_str()).await {
            CallPermission::Granted(permit) => {
                self.send_request(request, &url, &permit).await.map(DeliveryStep::Attempted)
            }
            CallPermission::Busy { after } => Ok(DeliveryStep::Postponed { after }),
            CallPermission::BackingOff { after, why } => Ok(self.postpone_or_fail(request, after, why)),
            CallPermission::Disabled { why } => {
                Ok(DeliveryStep::Attempted(AttemptResponse::without_response(ResponseClass::GiveUp, why)))
            }
        }
    }

    /// Waits along with its endpoint for a while, and then spends its attempts on it, so that it ends at some time.
    fn postpone_or_fail(&self, request: &CallbackRequest, after: Duration, why: String) -> DeliveryStep {
        let since = request.task.ended_at.unwrap_or(request.task.created_at);
        if now() < since.plus(self.backoff_grace) {
            DeliveryStep::Postponed { after }
        } else {
            DeliveryStep::Attempted(AttemptResponse::without_response(ResponseClass::Retry, why))
        }
    }

    /// Signs and posts, at this moment: a signature is good for minutes, a message may have waited for hours.
    async fn send_request(&self, request: &CallbackRequest, url: &Url, permit: &CallPermit) -> Result<AttemptResponse> {
        let payload = self.payloads.build(&self.backend, request, now()).await?;
        let secrets = self.signing.secrets(&self.backend, &request.task.tenant, now()).await?;
        let headers = request_headers(&secrets, request, &payload.body);
        let (began, started) = (now(), Instant::now());
        let response = self.post(url, headers, payload.body.clone()).await;
        let response = AttemptResponse { began, took: started.elapsed(), ..response };
        if let Some(condition) = endpoint_condition(&response) {
            self.endpoints.report(permit, condition, response.error.as_deref().unwrap_or_default()).await;
        }
        Ok(response)
    }

    async fn post(&self, url: &Url, headers: HeaderMap, body: Bytes) -> AttemptResponse {
        let answer = match self.egress.post(url, headers, body, self.time_limit).await {
            Ok(answer) => answer,
            Err(error @ PostError::Refused(_)) => {
                return AttemptResponse::without_response(ResponseClass::GiveUp, error.to_string());
            }
            Err(error) => return AttemptResponse::without_response(ResponseClass::Retry, error.to_string()),
        };
        let class = classify_response(answer.status);
        // The answer's text is kept with the attempt only: in a message or a log it would be where nobody expects it.
        let error = format!("the receiver answered with status {}", answer.status);
        AttemptResponse {
            class,
            status: Some(answer.status),
            error: (class != ResponseClass::Delivered).then_some(error),
            excerpt: Some(answer.excerpt).filter(|excerpt| !excerpt.is_empty()),
            retry_after: answer.retry_after,
            ..AttemptResponse::without_response(class, String::new())
        }
    }
}

/// What an attempt shows of the endpoint; nothing where it was not called, because its address is refused.
fn endpoint_condition(response: &AttemptResponse) -> Option<EndpointCondition> {
    let called = response.status.is_some() || response.class != ResponseClass::GiveUp;
    called.then(|| EndpointCondition::from_status(response.status))
}

fn request_headers(secrets: &Secrets, request: &CallbackRequest, body: &[u8]) -> HeaderMap {
    let signed = quire_callback::signature_headers(secrets, &request.webhook_id.to_string(), now().0 / 1000, body);
    let content_type = ("content-type", "application/json".to_owned());
    let value = |text: String| HeaderValue::try_from(text).expect("identifiers, numbers and base64 are plain");
    let headers = signed.into_iter().chain([content_type]);
    headers.map(|(name, text)| (HeaderName::from_static(name), value(text))).collect()
}
