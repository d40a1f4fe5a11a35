//! The client of one server.

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
use quire_tasks::{ApiDialect, EngineName, Mode, PageText, WarningKind};
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
    OpenAiEngineError, OpenAiEngineSettings, OpenAiSetupError, ResponseFlaw,
    classification::ErrorResponse,
    completion::ChatCompletion,
    request::{encode_request, without_special_tokens},
    response_reader::{self, ResponseError},
    retry::{FailedAttempt, RetryBudget, retry_with_backoff},
    settings::host_of,
};

/// The connect timeout. A reachable server accepts a connection within one round trip.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// How long an idle connection is reused. Less than the keep-alive timeout of 5 s of uvicorn, so that a request is not
/// sent on a connection that the server closes.
const IDLE_TIMEOUT: Duration = Duration::from_secs(4);
/// The most bytes of an error response that are read.
const ERROR_BODY_BYTES: usize = 4 * 1024;
/// The read timeout of an error response.
const ERROR_BODY_TIMEOUT: Duration = Duration::from_secs(2);
const USER_AGENT: &str = concat!("quire/", env!("CARGO_PKG_VERSION"));

/// An engine on a server with an OpenAI-compatible API.
pub struct OpenAiEngine {
    engine: EngineName,
    host: String,
    endpoint: Url,
    model: String,
    dialect: ApiDialect,
    timeout: Duration,
    max_tokens: u32,
    prompts: BTreeMap<String, String>,
    http: reqwest::Client,
    concurrency: usize,
    permits: Semaphore,
    budget: RetryBudget,
    /// The number of pages that it has read.
    pages_read: AtomicU64,
}

impl fmt::Debug for OpenAiEngine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "OpenAiEngine({} at {})", self.engine, self.host)
    }
}

impl OpenAiEngine {
    /// Creates a client without sending a request.
    ///
    /// # Errors
    /// Fails with [`OpenAiSetupError`] for invalid settings, or without root certificates for HTTPS.
    pub fn new(settings: OpenAiEngineSettings) -> Result<Self, OpenAiSetupError> {
        settings.validate()?;
        let prompts = if settings.prompts.is_empty() { default_prompts().clone() } else { settings.prompts.clone() };
        Ok(Self {
            host: host_of(&settings.url),
            endpoint: settings.endpoint(),
            http: client(settings.api_key.as_deref())?,
            permits: Semaphore::new(settings.concurrency.min(Semaphore::MAX_PERMITS)),
            engine: settings.engine,
            model: settings.model,
            dialect: settings.dialect,
            timeout: settings.timeout,
            max_tokens: settings.max_tokens,
            prompts,
            concurrency: settings.concurrency,
            budget: RetryBudget::default(),
            pages_read: AtomicU64::new(0),
        })
    }

    /// Returns the name of the engine in results.
    pub const fn name(&self) -> &EngineName {
        &self.engine
    }

    /// Returns the number of concurrent requests. Further pages wait for a permit.
    pub const fn concurrency(&self) -> usize {
        self.concurrency
    }

    /// Checks that there is a prompt for this mode.
    ///
    /// # Errors
    /// Fails with the [`InstructionError`] that [`OpenAiEngine::read`] would return.
    pub fn offers(&self, mode: &Mode) -> Result<(), InstructionError> {
        Instruction::for_mode(&self.prompts, mode).map(drop)
    }

    /// Reads a page. Dropping the future closes the connection, so that the server stops.
    ///
    /// # Errors
    /// Fails with [`OpenAiEngineError`], whose variants state the decision.
    pub async fn read(&self, image: &PageImage, mode: &Mode) -> Result<PageText, OpenAiEngineError> {
        let instruction = Instruction::for_mode(&self.prompts, &without_special_tokens(mode))?;
        // Before the permit, so that the server does not wait for the encoding.
        let request = self.request(image, instruction).await;
        // The semaphore is never closed. The permit is held over all retries, which reduces the load of a failing
        // server.
        let _permit = self.permits.acquire().await;
        let deadline = Instant::now() + self.timeout;
        let before = self.pages_read.load(Ordering::Relaxed);
        let completion =
            retry_with_backoff(&self.budget, deadline, || self.send(request.clone(), deadline, before)).await?;
        self.pages_read.fetch_add(1, Ordering::Relaxed);
        Ok(self.page(image, mode, completion))
    }

    /// Encodes the request on the blocking thread pool, because it takes tens of milliseconds.
    async fn request(&self, image: &PageImage, instruction: Instruction) -> Bytes {
        let (image, model) = (image.clone(), self.model.clone());
        let (dialect, max_tokens) = (self.dialect, self.max_tokens);
        spawn_blocking(move || encode_request(&image, &instruction, &model, dialect, max_tokens))
            .await
            .unwrap_or_else(|error| resume_unwind(error.into_panic()))
    }

    /// Makes one attempt. `before` is the number of pages read before the first attempt.
    async fn send(&self, request: Bytes, deadline: Instant, before: u64) -> Result<ChatCompletion, FailedAttempt> {
        let request = self.http.post(self.endpoint.clone()).header(CONTENT_TYPE, "application/json").body(request);
        let response = timeout_at(deadline, request.send())
            .await
            .map_err(|_| self.silent())?
            .map_err(|error| FailedAttempt::transient(self.unavailable(root_cause(&error), !error.is_connect())))?;
        if response.status() != StatusCode::OK {
            return Err(self.classify_response(response, deadline, before).await);
        }
        response_reader::read_completion(response, response_reader::max_bytes(self.max_tokens), deadline)
            .await
            .map_err(|error| self.classify_error(error, before))
    }

    async fn classify_response(&self, mut response: Response, deadline: Instant, before: u64) -> FailedAttempt {
        let status = response.status().as_u16();
        let wait = retry_after(response.headers(), SystemTime::now());
        let mut body = Vec::new();
        // After the timeout, the bytes received so far are used.
        let _ = timeout_at(deadline.min(Instant::now() + ERROR_BODY_TIMEOUT), async {
            while body.len() < ERROR_BODY_BYTES
                && let Ok(Some(chunk)) = response.chunk().await
            {
                body.extend_from_slice(&chunk[..chunk.len().min(ERROR_BODY_BYTES - body.len())]);
            }
        })
        .await;
        self.classify_status(status, wait, &String::from_utf8_lossy(&body), before)
    }

    fn classify_status(&self, status: u16, retry_after: Option<Duration>, body: &str, before: u64) -> FailedAttempt {
        let reads_other_pages = self.pages_read.load(Ordering::Relaxed) > before;
        let response = ErrorResponse { status, retry_after, body, reads_other_pages };
        response.classify(&self.host, &self.model, self.dialect)
    }

    fn classify_error(&self, error: ResponseError, before: u64) -> FailedAttempt {
        let invalid = |flaw| OpenAiEngineError::InvalidResponse { host: self.host.clone(), flaw };
        match error {
            ResponseError::Silent => self.silent(),
            ResponseError::Invalid(ResponseFlaw::Truncated) => {
                FailedAttempt::transient(invalid(ResponseFlaw::Truncated))
            }
            ResponseError::Invalid(other) => FailedAttempt::permanent(invalid(other)),
            ResponseError::Status { status, data } => self.classify_status(status, None, &data, before),
        }
    }

    fn silent(&self) -> FailedAttempt {
        FailedAttempt::permanent(self.unavailable(format!("no response within {} s", self.timeout.as_secs_f32()), true))
    }

    fn unavailable(&self, why: String, saw_page: bool) -> OpenAiEngineError {
        OpenAiEngineError::Unavailable { host: self.host.clone(), why, saw_page }
    }

    fn page(&self, image: &PageImage, mode: &Mode, completion: ChatCompletion) -> PageText {
        let end = completion.end().expect("a completion is read to its end");
        let (lines, is_repeated) = completion.into_lines();
        let (width, height) = (image.page_width(), image.page_height());
        let mut page = parse_answer(self.engine.clone(), width, height, mode, lines, end);
        // The model may have ended the repetition itself.
        if is_repeated && !page.warnings.iter().any(|warning| warning.kind == WarningKind::Repetition) {
            page.warnings.push(WarningKind::Repetition.into());
        }
        page
    }
}

fn client(api_key: Option<&str>) -> Result<reqwest::Client, OpenAiSetupError> {
    // An error means that the process already has a provider, which is fine.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let mut headers = HeaderMap::new();
    if let Some(key) = api_key {
        let mut token = HeaderValue::try_from(format!("Bearer {key}"))
            .map_err(|_| OpenAiSetupError::Setting("the API key must be ASCII text without line breaks"))?;
        token.set_sensitive(true);
        headers.insert(AUTHORIZATION, token);
    }
    reqwest::Client::builder()
        .default_headers(headers)
        .redirect(redirect::Policy::none())
        .no_proxy()
        .referer(false)
        .connect_timeout(CONNECT_TIMEOUT)
        .pool_idle_timeout(IDLE_TIMEOUT)
        .user_agent(USER_AGENT)
        .build()
        .map_err(|error| OpenAiSetupError::Client(root_cause(&error)))
}

/// Returns the root cause. The outer errors repeat it, and the outermost one contains the whole URL.
fn root_cause(error: &reqwest::Error) -> String {
    let causes = std::iter::successors(error.source(), |&cause| cause.source());
    causes.last().map_or_else(|| "no cause given".to_owned(), ToString::to_string)
}
