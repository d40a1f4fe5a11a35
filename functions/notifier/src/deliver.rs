//! One delivery attempt: signs the payload and posts it to the receiver.

use std::time::{Duration, Instant};

use bytes::Bytes;
use quire_callback::{EndpointCondition, ResponseClass, Secrets, classify_response};
use quire_egress::{HeaderMap, HeaderName, HeaderValue, PostError, Url};
use quire_platform::{Result, now};
use quire_tasks::UnixMillis;

use crate::{
    Notifier,
    schedule::CallbackRequest,
    tracked_endpoint::{CallPermission, CallPermit},
};

/// The response to an attempt, or its error.
#[derive(Debug)]
pub(crate) struct AttemptResponse {
    pub(crate) class: ResponseClass,
    /// The HTTP status, if there was a response.
    pub(crate) status: Option<u16>,
    /// The error, if the callback was not delivered.
    pub(crate) error: Option<String>,
    /// The first bytes of the response body.
    pub(crate) excerpt: Option<String>,
    pub(crate) retry_after: Option<Duration>,
    pub(crate) began: UnixMillis,
    pub(crate) took: Duration,
}

/// The result of handling a callback that is due.
#[derive(Debug)]
pub(crate) enum DeliveryStep {
    /// An attempt was made, or counts as one.
    Attempted(AttemptResponse),
    /// Postponed without an attempt.
    Postponed { after: Duration },
}

impl AttemptResponse {
    /// No response: the receiver was unreachable or was not called.
    fn without_response(class: ResponseClass, error: String) -> Self {
        Self {
            class,
            status: None,
            error: Some(error),
            excerpt: None,
            retry_after: None,
            began: now(),
            took: Duration::ZERO,
        }
    }
}

impl Notifier {
    /// Calls the receiver if its endpoint permits a call now.
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
        // Before the payload is built: reading the pages' texts is the expensive part.
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

    /// Postpones the callback while its endpoint fails. After the grace period each postponement counts as a failed
    /// attempt, so that the callback ends at some point.
    fn postpone_or_fail(&self, request: &CallbackRequest, after: Duration, why: String) -> DeliveryStep {
        let since = request.task.ended_at.unwrap_or(request.task.created_at);
        if now() < since.plus(self.backoff_grace) {
            DeliveryStep::Postponed { after }
        } else {
            DeliveryStep::Attempted(AttemptResponse::without_response(ResponseClass::Retry, why))
        }
    }

    /// Signs and posts the payload. The signature is made last: receivers accept a timestamp for minutes only, and a
    /// message may wait for hours.
    async fn send_request(&self, request: &CallbackRequest, url: &Url, permit: &CallPermit) -> Result<AttemptResponse> {
        let payload = self.payloads.build(&self.backend, request, now()).await?;
        let secrets = self.signing.secrets(&self.backend, &request.task.tenant, now()).await?;
        let headers = request_headers(&secrets, request, &payload.body);
        let began = now();
        let started = Instant::now();
        let response = self.post(url, headers, payload.body.clone()).await;
        let response = AttemptResponse { began, took: started.elapsed(), ..response };
        if let Some(condition) = endpoint_condition(&response) {
            self.endpoints.report(permit, condition, response.error.as_deref().unwrap_or_default()).await;
        }
        Ok(response)
    }

    async fn post(&self, url: &Url, headers: HeaderMap, body: Bytes) -> AttemptResponse {
        let received = match self.egress.post(url, headers, body, self.response_timeout).await {
            Ok(received) => received,
            Err(error @ PostError::Refused(_)) => {
                return AttemptResponse::without_response(ResponseClass::GiveUp, error.to_string());
            }
            Err(error) => return AttemptResponse::without_response(ResponseClass::Retry, error.to_string()),
        };
        let class = classify_response(received.status);
        // Without the response's text, which may be confidential: this error goes to logs and queues.
        let error = match class {
            ResponseClass::Delivered => None,
            ResponseClass::Retry | ResponseClass::GiveUp => {
                Some(format!("the endpoint responded with status {}", received.status))
            }
        };
        AttemptResponse {
            class,
            status: Some(received.status),
            error,
            excerpt: Some(received.excerpt).filter(|excerpt| !excerpt.is_empty()),
            retry_after: received.retry_after,
            ..AttemptResponse::without_response(class, String::new())
        }
    }
}

/// Returns the endpoint's condition, or `None` if it was not called since its address is refused.
fn endpoint_condition(response: &AttemptResponse) -> Option<EndpointCondition> {
    let was_called = response.status.is_some() || response.class != ResponseClass::GiveUp;
    if was_called { Some(EndpointCondition::from_status(response.status)) } else { None }
}

fn request_headers(secrets: &Secrets, request: &CallbackRequest, body: &[u8]) -> HeaderMap {
    let signed = quire_callback::signature_headers(secrets, &request.webhook_id.to_string(), now().0 / 1000, body);
    let content_type = ("content-type", "application/json".to_owned());
    let header_value = |text: String| HeaderValue::try_from(text).expect("ids, numbers and base64 are valid values");
    let headers = signed.into_iter().chain([content_type]);
    headers.map(|(name, text)| (HeaderName::from_static(name), header_value(text))).collect()
}
