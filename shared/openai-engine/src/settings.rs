//! Configuration of a server.

use std::{collections::BTreeMap, fmt, time::Duration};

use quire_tasks::{ApiDialect, EngineName};
use url::Url;

/// Configuration of a server.
#[derive(Clone)]
pub struct OpenAiEngineSettings {
    /// The name of the engine in results.
    pub engine: EngineName,
    /// The base URL, e.g. `http://host:8000/v1`. `chat/completions` is appended.
    pub url: Url,
    /// The name of the model at the server.
    pub model: String,
    /// Which request fields it supports.
    pub dialect: ApiDialect,
    /// The most concurrent requests: the number of pages that the server reads in one batch.
    pub concurrency: usize,
    /// The timeout of a page, including all retries, without the wait for a permit.
    pub timeout: Duration,
    /// The API key, sent as a bearer token. Optional.
    pub api_key: Option<String>,
    /// The most tokens of a completion. Together with those of the image they must fit the context length of the
    /// server.
    pub max_tokens: u32,
    /// The prompts by mode. Default, if empty: those of the training of HunyuanOCR.
    pub prompts: BTreeMap<String, String>,
}

impl fmt::Debug for OpenAiEngineSettings {
    /// Shows only the host and port of the URL, and not the API key.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("OpenAiEngineSettings")
            .field("engine", &self.engine)
            .field("host", &host_of(&self.url))
            .field("model", &self.model)
            .field("dialect", &self.dialect)
            .field("concurrency", &self.concurrency)
            .field("timeout", &self.timeout)
            .field("max_tokens", &self.max_tokens)
            .finish_non_exhaustive()
    }
}

/// Why the client cannot be created. Decision: refuse to start.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum OpenAiSetupError {
    /// A setting is invalid.
    #[error("{0}")]
    Setting(&'static str),
    /// The HTTPS client cannot be created, most often because of missing root certificates.
    #[error("cannot create an HTTPS client: {0}; install root certificates (ca-certificates) or set SSL_CERT_FILE")]
    Client(String),
}

impl OpenAiEngineSettings {
    /// Validates the settings.
    pub(crate) fn validate(&self) -> Result<(), OpenAiSetupError> {
        let url = &self.url;
        let error = if !matches!(url.scheme(), "http" | "https") || url.host_str().is_none() {
            "the URL of the server must begin with http:// or https://"
        } else if !url.username().is_empty() || url.password().is_some() {
            "the URL of the server must have no user name and no password; use the API key setting for a token"
        } else if self.concurrency == 0 {
            "the concurrency must be at least 1"
        } else if self.max_tokens == 0 {
            "the token limit must be at least 1"
        } else if self.timeout.is_zero() {
            "the timeout must be greater than 0"
        } else {
            return Ok(());
        };
        Err(OpenAiSetupError::Setting(error))
    }

    /// Returns the URL for chat completions.
    pub(crate) fn endpoint(&self) -> Url {
        let mut url = self.url.clone();
        if let Ok(mut path) = url.path_segments_mut() {
            path.pop_if_empty().extend(["chat", "completions"]);
        }
        url
    }
}

/// Returns host and port, the only parts of a URL that errors may contain.
pub(crate) fn host_of(url: &Url) -> String {
    let host = url.host_str().unwrap_or_default();
    url.port().map_or_else(|| host.to_owned(), |port| format!("{host}:{port}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settings(url: &str) -> OpenAiEngineSettings {
        OpenAiEngineSettings {
            engine: "a@1".parse().expect("an engine"),
            url: url.parse().expect("a URL"),
            model: "a".to_owned(),
            dialect: ApiDialect::Plain,
            concurrency: 1,
            timeout: Duration::from_secs(1),
            api_key: Some("very-secret".to_owned()),
            max_tokens: 1,
            prompts: BTreeMap::new(),
        }
    }

    #[test]
    fn the_endpoint_is_below_the_base_url_with_or_without_a_slash() {
        for base in ["http://h:8000/v1", "http://h:8000/v1/"] {
            assert_eq!(settings(base).endpoint().as_str(), "http://h:8000/v1/chat/completions");
        }
        assert_eq!(settings("https://h").endpoint().as_str(), "https://h/chat/completions");
        assert_eq!(settings("https://h/v1?a=b").endpoint().as_str(), "https://h/v1/chat/completions?a=b");
    }

    #[test]
    fn invalid_settings_are_refused() {
        assert_eq!(settings("http://10.0.0.1:8000/v1").validate(), Ok(()), "private addresses are allowed");
        for url in ["ftp://h/", "data:x", "http://user@h/v1", "http://:secret@h/v1"] {
            assert!(settings(url).validate().is_err(), "{url}");
        }
        let base = settings("http://h");
        assert!(OpenAiEngineSettings { concurrency: 0, ..base.clone() }.validate().is_err());
        assert!(OpenAiEngineSettings { max_tokens: 0, ..base.clone() }.validate().is_err());
        assert!(OpenAiEngineSettings { timeout: Duration::ZERO, ..base }.validate().is_err());
    }

    #[test]
    fn debug_output_has_no_secrets() {
        let shown = format!("{:?}", settings("https://h:9/v1?token=very-secret"));
        assert!(shown.contains("h:9") && !shown.contains("secret"), "{shown}");
    }
}
