//! Protection from being scaled in: while this process holds leases, ECS stops other tasks instead.
//!
//! ECS chooses by itself which of its tasks end when there is less to do, and it may choose one in the midst of a page.
//! A task that says that it is busy is spared. Where there is no ECS agent, nobody has to be told.

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

/// Where the agent of the host that this task runs on listens. ECS sets it.
const AGENT: &str = "ECS_AGENT_URI";
/// The agent's answers are a few lines.
const LONGEST_ANSWER: usize = 64 * 1024;
/// The agent asks ECS, which may take a moment.
const ANSWER_LIMIT: Duration = Duration::from_secs(10);

/// How often what is done.
#[derive(Debug, Clone, Copy)]
struct Pace {
    /// The leases are looked at.
    look: Duration,
    /// The agent is asked again that has failed.
    retry: Duration,
    /// Without a lease for so long, the task may be stopped: not between one receive and the next.
    idle: Duration,
    /// How long a protection lasts by itself, in case nobody is left to end it. Half of it passes between renewals.
    lasts: Duration,
}

const PACE: Pace = Pace {
    look: Duration::from_secs(1),
    retry: Duration::from_secs(10),
    idle: Duration::from_secs(30),
    lasts: Duration::from_mins(10),
};

/// Protects this task while it holds leases, until the backend is dropped. Does nothing outside of ECS.
pub(crate) fn watch(leases: &Arc<Leases>) {
    if let Some(agent) = env::var(AGENT).ok().filter(|agent| !agent.is_empty()) {
        // It ends by itself: within a second after the last that has to do with leases.
        tokio::spawn(keep(Arc::downgrade(leases), Agent::at(&agent), PACE));
    }
}

async fn keep(leases: Weak<Leases>, agent: Agent, pace: Pace) {
    let mut state = State::new(pace);
    let mut told = false;
    while let Some(leases) = leases.upgrade() {
        if let Some(wanted) = state.wanted(leases.any(), Instant::now()) {
            drop(leases);
            let done = agent.protect(wanted, pace.lasts).await;
            state.asked(wanted, done.is_ok(), Instant::now());
            match done {
                Ok(()) => debug!(wanted, "scale-in protection was set"),
                Err(why) if told => debug!(why, "scale-in protection could not be set"),
                Err(why) => {
                    told = true;
                    warn!(why, "scale-in protection could not be set: ECS may stop this task while it reads");
                }
            }
        }
        tokio::time::sleep(pace.look).await;
    }
    info!("nothing is left to be protected");
}

/// When to ask the agent for what.
#[derive(Debug)]
struct State {
    pace: Pace,
    /// Until when ECS spares this task.
    protected: Option<Instant>,
    idle_since: Option<Instant>,
    not_before: Option<Instant>,
}

impl State {
    const fn new(pace: Pace) -> Self {
        Self { pace, protected: None, idle_since: None, not_before: None }
    }

    /// Whether to ask for protection or for its end, or for nothing.
    fn wanted(&mut self, busy: bool, now: Instant) -> Option<bool> {
        self.idle_since = if busy { None } else { self.idle_since.or(Some(now)) };
        if self.not_before.is_some_and(|time| now < time) {
            return None;
        }
        let left = self.protected.map_or(Duration::ZERO, |end| end.saturating_duration_since(now));
        if busy {
            (left < self.pace.lasts / 2).then_some(true)
        } else {
            let idle = self.idle_since.is_some_and(|since| now.duration_since(since) >= self.pace.idle);
            (idle && self.protected.is_some()).then_some(false)
        }
    }

    fn asked(&mut self, wanted: bool, done: bool, now: Instant) {
        self.not_before = if done { None } else { Some(now + self.pace.retry) };
        if done {
            self.protected = wanted.then(|| now + self.pace.lasts);
        }
    }
}

/// The ECS agent of this host.
#[derive(Debug)]
struct Agent {
    address: String,
    client: Client<HttpConnector, Full<Bytes>>,
}

impl Agent {
    fn at(agent: &str) -> Self {
        let address = format!("{}/task-protection/v1/state", agent.trim_end_matches('/'));
        Self { address, client: Client::builder(TokioExecutor::new()).build_http() }
    }

    async fn protect(&self, wanted: bool, lasts: Duration) -> Result<(), String> {
        let mut body = json!({ "ProtectionEnabled": wanted });
        if wanted {
            body["ExpiresInMinutes"] = lasts.as_secs().div_ceil(60).into();
        }
        let put = Request::builder().method(Method::PUT).uri(&self.address).header(CONTENT_TYPE, "application/json");
        let put = put.body(Full::from(body.to_string())).map_err(|error| error.to_string())?;
        tokio::time::timeout(ANSWER_LIMIT, self.ask(put)).await.map_err(|_| "it does not answer".to_owned())?
    }

    async fn ask(&self, request: Request<Full<Bytes>>) -> Result<(), String> {
        let answer = self.client.request(request).await.map_err(|error| crate::fault::chain(&error))?;
        let status = answer.status();
        let body =
            Limited::new(answer.into_body(), LONGEST_ANSWER).collect().await.map_err(|error| error.to_string())?;
        let body: Value = serde_json::from_slice(&body.to_bytes()).unwrap_or_default();
        // The agent may say 200 and name a failure of ECS.
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

    const QUICK: Pace = Pace {
        look: Duration::from_millis(10),
        retry: Duration::from_millis(50),
        idle: Duration::from_millis(200),
        lasts: Duration::from_mins(1),
    };

    /// An agent that answers with these, one after the other and the last for ever; what it was asked comes out.
    async fn agent(answers: &'static [&'static str]) -> (Agent, mpsc::Receiver<String>) {
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
        (Agent::at(&address), requests)
    }

    const DONE: &str = "HTTP/1.1 200 OK\r\ncontent-length: 17\r\nconnection: close\r\n\r\n{\"protection\":{}}";
    const FAILED: &str = "HTTP/1.1 200 OK\r\ncontent-length: 14\r\nconnection: close\r\n\r\n{\"failure\":{}}";
    const BROKEN: &str = "HTTP/1.1 500 Oh\r\ncontent-length: 0\r\nconnection: close\r\n\r\n";

    #[tokio::test]
    async fn a_task_is_protected_while_it_holds_a_lease_and_a_while_longer() {
        let (agent, mut asked) = agent(&[DONE]).await;
        let leases = Arc::new(Leases::default());
        let keeping = tokio::spawn(keep(Arc::downgrade(&leases), agent, QUICK));
        tokio::time::sleep(Duration::from_millis(50)).await;
        assert!(asked.try_recv().is_err(), "nobody is told that nothing is held");
        let receipt = Receipt("a page".to_owned());
        leases.take([receipt.clone()], Duration::from_mins(1));
        let on = asked.recv().await.expect("asked");
        assert!(on.starts_with("PUT /api/task-7/task-protection/v1/state HTTP/1.1\r\n"), "{on}");
        assert!(on.ends_with(r#"{"ExpiresInMinutes":1,"ProtectionEnabled":true}"#), "{on}");
        leases.forget(&[receipt]);
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
    async fn an_agent_that_fails_is_asked_again() {
        let (agent, mut asked) = agent(&[BROKEN, FAILED, DONE]).await;
        let leases = Arc::new(Leases::default());
        leases.take([Receipt("a page".to_owned())], Duration::from_mins(1));
        let keeping = tokio::spawn(keep(Arc::downgrade(&leases), agent, QUICK));
        for _ in 0..3 {
            asked.recv().await.expect("asked");
        }
        tokio::time::sleep(3 * QUICK.retry).await;
        assert!(asked.try_recv().is_err(), "what was set is not set again");
        keeping.abort();
    }

    #[test]
    fn protection_is_renewed_before_it_ends_and_never_ended_between_two_pages() {
        let (start, mut state) = (Instant::now(), State::new(PACE));
        let at = |secs| start + Duration::from_secs(secs);
        assert_eq!(state.wanted(false, at(0)), None);
        assert_eq!(state.wanted(true, at(100)), Some(true));
        state.asked(true, true, at(100));
        assert_eq!(state.wanted(true, at(399)), None);
        assert_eq!(state.wanted(true, at(401)), Some(true));
        state.asked(true, true, at(401));
        assert_eq!(state.wanted(false, at(410)), None);
        assert_eq!(state.wanted(true, at(439)), None);
        assert_eq!(state.wanted(false, at(441)), None, "it was busy just now");
        assert_eq!(state.wanted(false, at(471)), Some(false));
        state.asked(false, true, at(471));
        assert_eq!(state.wanted(false, at(600)), None);
    }
}
