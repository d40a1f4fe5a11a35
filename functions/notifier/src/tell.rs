//! One attempt at the receiver.

use std::time::{Duration, Instant};

use bytes::Bytes;
use quire_callback::{Condition, Secrets, Verdict, verdict};
use quire_egress::{HeaderMap, HeaderName, HeaderValue, PostError, Url};
use quire_platform::Result;
use quire_tasks::UnixMillis;

use crate::{
    Notifier,
    due::Call,
    endpoints::{Manners, Turn},
    now,
};

/// What an attempt came to.
#[derive(Debug)]
pub(crate) struct Told {
    pub(crate) verdict: Verdict,
    /// The status of the answer, where there was one.
    pub(crate) status: Option<u16>,
    /// Why it was not delivered.
    pub(crate) error: Option<String>,
    /// How the answer begins.
    pub(crate) answer: Option<String>,
    pub(crate) retry_after: Option<Duration>,
    pub(crate) began: UnixMillis,
    pub(crate) took: Duration,
}

/// What becomes of a message now.
#[derive(Debug)]
pub(crate) enum Step {
    /// An attempt was made, or stands for one.
    Told(Told),
    /// It waits, and this was no attempt.
    PutOff { after: Duration },
}

impl Told {
    /// Nobody answered, or was called.
    fn unanswered(verdict: Verdict, error: String) -> Self {
        let (status, answer, retry_after) = (None, None, None);
        Self { verdict, status, error: Some(error), answer, retry_after, began: now(), took: Duration::ZERO }
    }
}

impl Notifier {
    /// Calls the receiver, if its endpoint may be called now.
    pub(crate) async fn tell(&self, call: &Call) -> Result<Step> {
        let url = match self.egress.check(&call.url) {
            Ok(url) => url,
            Err(refused) => return Ok(Step::Told(Told::unanswered(Verdict::GiveUp, refused.to_string()))),
        };
        // Before the body is made: reading what it tells is what costs.
        match self.endpoints.turn(&call.task.tenant, url.as_str()).await {
            Manners::Now(turn) => self.call(call, &url, &turn).await.map(Step::Told),
            Manners::Busy { after } => Ok(Step::PutOff { after }),
            Manners::LeftAlone { after, why } => Ok(self.left_alone(call, after, why)),
            Manners::Disabled { why } => Ok(Step::Told(Told::unanswered(Verdict::GiveUp, why))),
        }
    }

    /// Waits along with its endpoint for a while, and then spends its attempts on it, so that it ends at some time.
    fn left_alone(&self, call: &Call, after: Duration, why: String) -> Step {
        let since = call.task.ended_at.unwrap_or(call.task.created_at);
        if now() < since.plus(self.patience) {
            Step::PutOff { after }
        } else {
            Step::Told(Told::unanswered(Verdict::Retry, why))
        }
    }

    /// Signs and posts, at this moment: a signature is good for minutes, a message may have waited for hours.
    async fn call(&self, call: &Call, url: &Url, turn: &Turn) -> Result<Told> {
        let letter = self.desk.write(&self.backend, call, now()).await?;
        let secrets = self.signing.secrets(&self.backend, &call.task.tenant, now()).await?;
        let headers = headers(&secrets, call, &letter.body);
        let (began, started) = (now(), Instant::now());
        let told = self.post(url, headers, letter.body.clone()).await;
        let told = Told { began, took: started.elapsed(), ..told };
        if let Some(condition) = condition(&told) {
            self.endpoints.report(turn, condition, told.error.as_deref().unwrap_or_default()).await;
        }
        Ok(told)
    }

    async fn post(&self, url: &Url, headers: HeaderMap, body: Bytes) -> Told {
        let answer = match self.egress.post(url, headers, body, self.time_limit).await {
            Ok(answer) => answer,
            Err(error @ PostError::Refused(_)) => return Told::unanswered(Verdict::GiveUp, error.to_string()),
            Err(error) => return Told::unanswered(Verdict::Retry, error.to_string()),
        };
        let verdict = verdict(answer.status);
        // The answer's text is kept with the attempt only: in a message or a log it would be where nobody expects it.
        let error = format!("the receiver answered with status {}", answer.status);
        Told {
            verdict,
            status: Some(answer.status),
            error: (verdict != Verdict::Delivered).then_some(error),
            answer: Some(answer.excerpt).filter(|excerpt| !excerpt.is_empty()),
            retry_after: answer.retry_after,
            ..Told::unanswered(verdict, String::new())
        }
    }
}

/// What an attempt shows of the endpoint; nothing where it was not called, because its address is refused.
fn condition(told: &Told) -> Option<Condition> {
    let called = told.status.is_some() || told.verdict != Verdict::GiveUp;
    called.then(|| Condition::of(told.status))
}

fn headers(secrets: &Secrets, call: &Call, body: &[u8]) -> HeaderMap {
    let signed = quire_callback::headers(secrets, &call.webhook_id.to_string(), now().0 / 1000, body);
    let content_type = ("content-type", "application/json".to_owned());
    let value = |text: String| HeaderValue::try_from(text).expect("identifiers, numbers and base64 are plain");
    let headers = signed.into_iter().chain([content_type]);
    headers.map(|(name, text)| (HeaderName::from_static(name), value(text))).collect()
}
