//! The client: a page in, its text out.

use std::{
    collections::BTreeMap,
    error::Error,
    fmt,
    panic::resume_unwind,
    sync::atomic::{AtomicU64, Ordering},
    time::{Duration, SystemTime},
};

use bytes::Bytes;
use quire_document::PageImage;
use quire_egress::retry_after;
use quire_ocr::{Instruction, InstructionError, default_prompts, parse_answer};
use quire_tasks::{EngineName, Mode, PageText, Warning};
use reqwest::{
    Response, StatusCode,
    header::{AUTHORIZATION, CONTENT_TYPE, HeaderMap, HeaderValue},
    redirect,
};
use tokio::{
    sync::Semaphore,
    task::spawn_blocking,
    time::{Instant, timeout_at},
};
use url::Url;

use crate::{
    Dialect, Flaw, RemoteError, RemoteSettings, SetupError,
    answer::Answer,
    patience::{Budget, Failed, retry_with_backoff},
    reader::{self, Stopped},
    request::{body, plain},
    settings::host_of,
    verdict::Complaint,
};

/// A server that is there answers a connection within a round trip.
const CONNECT_LIMIT: Duration = Duration::from_secs(5);
/// Less than the 5 s after which the usual Python servers hang up: a connection that was just closed is no use.
const IDLE_CONNECTION: Duration = Duration::from_secs(4);
/// How much of a complaint is looked at, and for how long.
const COMPLAINT_BYTES: usize = 4 * 1024;
const COMPLAINT_LIMIT: Duration = Duration::from_secs(2);
const USER_AGENT: &str = concat!("quire/", env!("CARGO_PKG_VERSION"));

/// A server that reads pages.
pub struct Remote {
    engine: EngineName,
    host: String,
    endpoint: Url,
    model: String,
    dialect: Dialect,
    time_limit: Duration,
    max_tokens: u32,
    prompts: BTreeMap<String, String>,
    http: reqwest::Client,
    concurrency: usize,
    open: Semaphore,
    budget: Budget,
    /// Pages that it has read.
    answered: AtomicU64,
}

impl fmt::Debug for Remote {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Remote({} at {})", self.engine, self.host)
    }
}

impl Remote {
    /// A client for this server, which is not asked anything yet.
    ///
    /// # Errors
    /// [`SetupError`] for settings that make no sense, and where HTTPS cannot be spoken.
    pub fn new(settings: RemoteSettings) -> Result<Self, SetupError> {
        settings.check()?;
        let prompts = if settings.prompts.is_empty() { default_prompts().clone() } else { settings.prompts.clone() };
        Ok(Self {
            host: host_of(&settings.url),
            endpoint: settings.endpoint(),
            http: client(settings.api_key.as_deref())?,
            open: Semaphore::new(settings.concurrency.min(Semaphore::MAX_PERMITS)),
            engine: settings.engine,
            model: settings.model,
            dialect: settings.dialect,
            time_limit: settings.time_limit,
            max_tokens: settings.max_tokens,
            prompts,
            concurrency: settings.concurrency,
            budget: Budget::default(),
            answered: AtomicU64::new(0),
        })
    }

    /// Who signs its pages.
    pub const fn name(&self) -> &EngineName {
        &self.engine
    }

    /// How many pages it is given at once. More may be asked for: they wait for their turn.
    pub const fn concurrency(&self) -> usize {
        self.concurrency
    }

    /// Whether there is an instruction for this mode.
    ///
    /// # Errors
    /// [`InstructionError`], which [`Remote::read`] would give.
    pub fn offers(&self, mode: &Mode) -> Result<(), InstructionError> {
        Instruction::for_mode(&self.prompts, mode).map(drop)
    }

    /// Reads a page. Dropped, it hangs up, and the server stops reading.
    ///
    /// # Errors
    /// [`RemoteError`], by what to do next.
    pub async fn read(&self, image: &PageImage, mode: &Mode) -> Result<PageText, RemoteError> {
        let instruction = Instruction::for_mode(&self.prompts, &plain(mode))?;
        // Before its turn: when it comes, the server has nothing to wait for.
        let request = self.request(image, instruction).await;
        // It is never closed, so that this is a permit. It is kept over all tries: a server in trouble is asked less.
        let _turn = self.open.acquire().await;
        let deadline = Instant::now() + self.time_limit;
        let before = self.answered.load(Ordering::Relaxed);
        let answer = retry_with_backoff(&self.budget, deadline, || self.ask(request.clone(), deadline, before)).await?;
        self.answered.fetch_add(1, Ordering::Relaxed);
        Ok(self.page(image, mode, answer))
    }

    /// Encoding takes tens of milliseconds, which are not the runtime's to give.
    async fn request(&self, image: &PageImage, instruction: Instruction) -> Bytes {
        let (image, model) = (image.clone(), self.model.clone());
        let (dialect, max_tokens) = (self.dialect, self.max_tokens);
        spawn_blocking(move || body(&image, &instruction, &model, dialect, max_tokens))
            .await
            .unwrap_or_else(|error| resume_unwind(error.into_panic()))
    }

    /// One try.
    async fn ask(&self, request: Bytes, deadline: Instant, before: u64) -> Result<Answer, Failed> {
        let request = self.http.post(self.endpoint.clone()).header(CONTENT_TYPE, "application/json").body(request);
        let response = timeout_at(deadline, request.send())
            .await
            .map_err(|_| self.silent())?
            .map_err(|error| Failed::for_now(self.unavailable(innermost(&error), !error.is_connect())))?;
        if response.status() != StatusCode::OK {
            return Err(self.complaint(response, deadline, before).await);
        }
        reader::read(response, reader::most_bytes(self.max_tokens), deadline)
            .await
            .map_err(|stopped| self.stopped(stopped, before))
    }

    async fn complaint(&self, mut response: Response, deadline: Instant, before: u64) -> Failed {
        let (status, wait) = (response.status().as_u16(), retry_after(response.headers(), SystemTime::now()));
        let mut said = Vec::new();
        // Out of time: what has come until then is what is looked at.
        let _ = timeout_at(deadline.min(Instant::now() + COMPLAINT_LIMIT), async {
            while said.len() < COMPLAINT_BYTES
                && let Ok(Some(chunk)) = response.chunk().await
            {
                said.extend_from_slice(&chunk[..chunk.len().min(COMPLAINT_BYTES - said.len())]);
            }
        })
        .await;
        self.verdict(status, wait, &String::from_utf8_lossy(&said), before)
    }

    fn verdict(&self, status: u16, retry_after: Option<Duration>, body: &str, before: u64) -> Failed {
        let reads_others = self.answered.load(Ordering::Relaxed) > before;
        Complaint { status, retry_after, body, reads_others }.verdict(&self.host, &self.model, self.dialect)
    }

    fn stopped(&self, stopped: Stopped, before: u64) -> Failed {
        let flaw = |flaw| RemoteError::BadAnswer { host: self.host.clone(), flaw };
        match stopped {
            Stopped::Silent => self.silent(),
            Stopped::Flaw(Flaw::CutShort) => Failed::for_now(flaw(Flaw::CutShort)),
            Stopped::Flaw(other) => Failed::for_good(flaw(other)),
            Stopped::Error { status, data } => self.verdict(status, None, &data, before),
        }
    }

    fn silent(&self) -> Failed {
        Failed::for_good(self.unavailable(format!("not a word in {} s", self.time_limit.as_secs_f32()), true))
    }

    fn unavailable(&self, why: String, saw_page: bool) -> RemoteError {
        RemoteError::Unavailable { host: self.host.clone(), why, saw_page }
    }

    fn page(&self, image: &PageImage, mode: &Mode, answer: Answer) -> PageText {
        let end = answer.end().expect("an answer is read to its end");
        let (lines, repeated) = answer.into_lines();
        let (width, height) = (image.page_width(), image.page_height());
        let mut page = parse_answer(self.engine.clone(), width, height, mode, lines, end);
        // It may have come to an end by itself.
        if repeated && !page.warnings.contains(&Warning::Repetition) {
            page.warnings.push(Warning::Repetition);
        }
        page
    }
}

fn client(api_key: Option<&str>) -> Result<reqwest::Client, SetupError> {
    // An error says that the process has a provider already, which is as good.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let mut headers = HeaderMap::new();
    if let Some(key) = api_key {
        let mut token = HeaderValue::try_from(format!("Bearer {key}"))
            .map_err(|_| SetupError::Setting("a server's key is plain text without line breaks"))?;
        token.set_sensitive(true);
        headers.insert(AUTHORIZATION, token);
    }
    reqwest::Client::builder()
        .default_headers(headers)
        .redirect(redirect::Policy::none())
        .no_proxy()
        .referer(false)
        .connect_timeout(CONNECT_LIMIT)
        .pool_idle_timeout(IDLE_CONNECTION)
        .user_agent(USER_AGENT)
        .build()
        .map_err(|error| SetupError::Client(innermost(&error)))
}

/// The first cause: the outer errors repeat it, and the outermost would name the whole URL.
fn innermost(error: &reqwest::Error) -> String {
    let causes = std::iter::successors(error.source(), |&cause| cause.source());
    causes.last().map_or_else(|| "no cause given".to_owned(), ToString::to_string)
}
