//! One attempt at the receiver.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use quire_callback::{Verdict, verdict};
use quire_egress::{HeaderMap, HeaderName, HeaderValue, PostError};

use crate::{Notifier, due::Letter};

/// What the receiver said.
#[derive(Debug)]
pub(crate) enum Told {
    /// It took the callback.
    Delivered { status: u16 },
    /// It could not take it now, or was not there.
    NotNow { error: String, status: Option<u16>, retry_after: Option<Duration> },
    /// It does not want it, or may not be called.
    No { error: String, status: Option<u16> },
}

impl Notifier {
    /// Signs and posts, at this moment: a signature is good for minutes, a message may have waited for hours.
    pub(crate) async fn tell(&self, letter: &Letter) -> Told {
        let url = match self.egress.check(&letter.url) {
            Ok(url) => url,
            Err(refused) => return Told::No { error: refused.to_string(), status: None },
        };
        let headers = self.headers(letter);
        let answer = match self.egress.post(&url, headers, letter.body.clone(), self.time_limit).await {
            Ok(answer) => answer,
            Err(error @ PostError::Refused(_)) => return Told::No { error: error.to_string(), status: None },
            Err(error) => return Told::NotNow { error: error.to_string(), status: None, retry_after: None },
        };
        // The answer's text is not repeated: it may hold what we sent.
        let error = format!("the receiver answered with status {}", answer.status);
        let status = Some(answer.status);
        match verdict(answer.status) {
            Verdict::Delivered => Told::Delivered { status: answer.status },
            Verdict::Retry => Told::NotNow { error, status, retry_after: answer.retry_after },
            Verdict::GiveUp => Told::No { error, status },
        }
    }

    fn headers(&self, letter: &Letter) -> HeaderMap {
        let signed = quire_callback::headers(&self.secrets, &letter.webhook_id, now_secs(), &letter.body);
        let content_type = ("content-type", "application/json".to_owned());
        let value = |text: String| HeaderValue::try_from(text).expect("identifiers, numbers and base64 are plain");
        let headers = signed.into_iter().chain([content_type]);
        headers.map(|(name, text)| (HeaderName::from_static(name), value(text))).collect()
    }
}

fn now_secs() -> i64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs() as i64
}
