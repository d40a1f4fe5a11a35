//! ECS scale-in protection: while this process holds leases, ECS stops other tasks instead.
//!
//! When ECS scales in, it may choose a task that is reading a page. A task sets its protection with a request to the
//! local ECS agent. Does nothing outside ECS.

use std::{
    env,
    sync::{Arc, Weak},
    time::{Duration, Instant},
};

use bytes::Bytes;
use http::{Method, Request, header::CONTENT_TYPE};
use http_body_util::{BodyExt, Full, Limited};
use hyper_util::{
    client::legacy::{Client, connect::HttpConnector},
    rt::TokioExecutor,
};
use serde_json::{Value, json};
use tracing::{debug, info, warn};

use crate::leases::Leases;

/// The environment variable with the agent's URL, set by ECS.
const AGENT_URL_VARIABLE: &str = "ECS_AGENT_URI";
/// The maximum size of the agent's responses, which have a few lines.
const MAX_RESPONSE_BYTES: usize = 64 * 1024;
/// The request timeout: the agent forwards the request to ECS.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(10);

/// The intervals of the protection.
#[derive(Debug, Clone, Copy)]
struct ProtectionIntervals {
    /// The poll interval for the leases.
    poll: Duration,
    /// The wait before a failed request is retried.
    retry: Duration,
    /// How long the process must be without leases before the protection ends: longer than the time between two
    /// receives.
    idle: Duration,
    /// The protection's own expiry, in case the process dies. It is renewed after half of it.
    expiry: Duration,
}

const INTERVALS: ProtectionIntervals = ProtectionIntervals {
    poll: Duration::from_secs(1),
    retry: Duration::from_secs(10),
    idle: Duration::from_secs(30),
    expiry: Duration::from_mins(10),
};

/// Protects this task while it holds leases, until the backend is dropped. Does nothing outside ECS.
pub(crate) fn watch(leases: &Arc<Leases>) {
    if let Some(agent) = env::var(AGENT_URL_VARIABLE).ok().filter(|agent| !agent.is_empty()) {
        // The task ends within a second after the last user of the leases is dropped.
        tokio::spawn(renew_protection(Arc::downgrade(leases), EcsAgent::at(&agent), INTERVALS));
    }
}

async fn renew_protection(leases: Weak<Leases>, agent: EcsAgent, intervals: ProtectionIntervals) {
    let mut state = ProtectionState::new(intervals);
    let mut has_warned = false;
    while let Some(leases) = leases.upgrade() {
        if let Some(wanted) = state.needed_change(leases.any_valid(), Instant::now()) {
            drop(leases);
            let done = agent.protect(wanted, intervals.expiry).await;
            state.record_request(wanted, done.is_ok(), Instant::now());
            match done {
                Ok(()) => debug!(wanted, "scale-in protection set"),
                Err(why) if has_warned => debug!(why, "cannot set scale-in protection"),
                Err(why) => {
                    has_warned = true;
                    warn!(why, "cannot set scale-in protection: ECS may stop this task while it reads a page");
                }
            }
        }
        tokio::time::sleep(intervals.poll).await;
    }
    info!("scale-in protection ends");
}

/// The protection's state.
#[derive(Debug)]
struct ProtectionState {
    intervals: ProtectionIntervals,
    /// The expiry of the current protection.
    protected: Option<Instant>,
    idle_since: Option<Instant>,
    not_before: Option<Instant>,
}

impl ProtectionState {
    const fn new(intervals: ProtectionIntervals) -> Self {
        Self { intervals, protected: None, idle_since: None, not_before: None }
    }

    /// Returns whether to enable (true) or disable (false) the protection now, or `None`.
    fn needed_change(&mut self, busy: bool, now: Instant) -> Option<bool> {
        self.idle_since = if busy { None } else { self.idle_since.or(Some(now)) };
        if self.not_before.is_some_and(|time| now < time) {
            return None;
        }
        let left = self.protected.map_or(Duration::ZERO, |end| end.saturating_duration_since(now));
        if busy {
            (left < self.intervals.expiry / 2).then_some(true)
        } else {
            let idle = self.idle_since.is_some_and(|since| now.duration_since(since) >= self.intervals.idle);
            (idle && self.protected.is_some()).then_some(false)
        }
    }

    fn record_request(&mut self, wanted: bool, done: bool, now: Instant) {
        self.not_before = if done { None } else { Some(now + self.intervals.retry) };
        if done {
            self.protected = wanted.then(|| now + self.intervals.expiry);
        }
    }
}

/// The client of the local ECS agent.
#[derive(Debug)]
struct EcsAgent {
    address: String,
    client: Client<HttpConnector, Full<Bytes>>,
}

impl EcsAgent {
    fn at(agent: &str) -> Self {
        let address = format!("{}/task-protection/v1/state", agent.trim_end_matches('/'));
        Self { address, client: Client::builder(TokioExecutor::new()).build_http() }
    }

    async fn protect(&self, wanted: bool, expiry: Duration) -> Result<(), String> {
        let mut body = json!({ "ProtectionEnabled": wanted });
        if wanted {
            body["ExpiresInMinutes"] = expiry.as_secs().div_ceil(60).into();
        }
        let put = Request::builder().method(Method::PUT).uri(&self.address).header(CONTENT_TYPE, "application/json");
        let put = put.body(Full::from(body.to_string())).map_err(|error| error.to_string())?;
        tokio::time::timeout(REQUEST_TIMEOUT, self.ask(put)).await.map_err(|_| "request timeout".to_owned())?
    }

    async fn ask(&self, request: Request<Full<Bytes>>) -> Result<(), String> {
        let answer = self.client.request(request).await.map_err(|error| crate::fault::error_chain(&error))?;
        let status = answer.status();
        let body =
            Limited::new(answer.into_body(), MAX_RESPONSE_BYTES).collect().await.map_err(|error| error.to_string())?;
        let body: Value = serde_json::from_slice(&body.to_bytes()).unwrap_or_default();
        // The agent may answer 200 with a failure of ECS in the body.
        if status.is_success() && body.get("failure").is_none() && body.get("error").is_none() {
            Ok(())
        } else {
            Err(format!("{status}: {body}"))
        }
    }
}

#[cfg(test)]
mod tests {
    use tokio::{
        io::{AsyncReadExt, AsyncWriteExt},
        net::TcpListener,
        sync::mpsc,
    };

    use super::*;
    use quire_platform::Receipt;

    const QUICK: ProtectionIntervals = ProtectionIntervals {
        poll: Duration::from_millis(10),
        retry: Duration::from_millis(50),
        idle: Duration::from_millis(200),
        expiry: Duration::from_mins(1),
    };

    /// Starts an agent that sends these responses, the last one repeatedly, and returns the requests it gets.
    async fn agent(answers: &'static [&'static str]) -> (EcsAgent, mpsc::Receiver<String>) {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = format!("http://{}/api/task-7", listener.local_addr().expect("an address"));
        let (asked, requests) = mpsc::channel(100);
        tokio::spawn(async move {
            let mut answers = answers.iter().chain(std::iter::repeat(&answers[answers.len() - 1]));
            while let Ok((mut stream, _)) = listener.accept().await {
                let mut request = Vec::new();
                while !request.ends_with(b"}") {
                    stream.read_buf(&mut request).await.expect("a request");
                }
                asked.send(String::from_utf8_lossy(&request).into_owned()).await.expect("the test listens");
                let answer = answers.next().expect("there is always one");
                stream.write_all(answer.as_bytes()).await.expect("an answer");
            }
        });
        (EcsAgent::at(&address), requests)
    }

    const DONE: &str = "HTTP/1.1 200 OK\r\ncontent-length: 17\r\nconnection: close\r\n\r\n{\"protection\":{}}";
    const FAILED: &str = "HTTP/1.1 200 OK\r\ncontent-length: 14\r\nconnection: close\r\n\r\n{\"failure\":{}}";
    const BROKEN: &str = "HTTP/1.1 500 Oh\r\ncontent-length: 0\r\nconnection: close\r\n\r\n";

    #[tokio::test]
    async fn a_task_is_protected_while_it_holds_leases_and_until_it_is_idle() {
        let (agent, mut asked) = agent(&[DONE]).await;
        let leases = Arc::new(Leases::default());
        let keeping = tokio::spawn(renew_protection(Arc::downgrade(&leases), agent, QUICK));
        tokio::time::sleep(Duration::from_millis(50)).await;
        assert!(asked.try_recv().is_err(), "without leases there is no request");
        let receipt = Receipt("a page".to_owned());
        leases.add([receipt.clone()], Duration::from_mins(1));
        let on = asked.recv().await.expect("asked");
        assert!(on.starts_with("PUT /api/task-7/task-protection/v1/state HTTP/1.1\r\n"), "{on}");
        assert!(on.ends_with(r#"{"ExpiresInMinutes":1,"ProtectionEnabled":true}"#), "{on}");
        leases.remove(&[receipt]);
        let given_up = Instant::now();
        let off = asked.recv().await.expect("asked");
        assert!(off.ends_with(r#"{"ProtectionEnabled":false}"#), "{off}");
        assert!(given_up.elapsed() >= QUICK.idle / 2);
        drop(leases);
        tokio::time::timeout(Duration::from_secs(10), keeping)
            .await
            .expect("it ends with the backend")
            .expect("no panic");
    }

    #[tokio::test]
    async fn a_failed_request_is_retried() {
        let (agent, mut asked) = agent(&[BROKEN, FAILED, DONE]).await;
        let leases = Arc::new(Leases::default());
        leases.add([Receipt("a page".to_owned())], Duration::from_mins(1));
        let keeping = tokio::spawn(renew_protection(Arc::downgrade(&leases), agent, QUICK));
        for _ in 0..3 {
            asked.recv().await.expect("asked");
        }
        tokio::time::sleep(3 * QUICK.retry).await;
        assert!(asked.try_recv().is_err(), "what was set is not set again");
        keeping.abort();
    }

    #[test]
    fn protection_is_renewed_and_outlasts_the_time_between_two_pages() {
        let start = Instant::now();
        let mut state = ProtectionState::new(INTERVALS);
        let at = |secs| start + Duration::from_secs(secs);
        assert_eq!(state.needed_change(false, at(0)), None);
        assert_eq!(state.needed_change(true, at(100)), Some(true));
        state.record_request(true, true, at(100));
        assert_eq!(state.needed_change(true, at(399)), None);
        assert_eq!(state.needed_change(true, at(401)), Some(true));
        state.record_request(true, true, at(401));
        assert_eq!(state.needed_change(false, at(410)), None);
        assert_eq!(state.needed_change(true, at(439)), None);
        assert_eq!(state.needed_change(false, at(441)), None, "it was busy just now");
        assert_eq!(state.needed_change(false, at(471)), Some(false));
        state.record_request(false, true, at(471));
        assert_eq!(state.needed_change(false, at(600)), None);
    }
}
