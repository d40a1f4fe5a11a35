//! What an operator says of a server.

use std::{collections::BTreeMap, fmt, str::FromStr, time::Duration};

use quire_tasks::EngineName;
use url::Url;

/// Which fields a server knows beside the standard ones of chat completions.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Dialect {
    /// None: `transformers serve` and others refuse what they do not know.
    #[default]
    Plain,
    /// Those of vLLM, which SGLang takes too: the model's own rules of generation, and how probable each token was.
    Vllm,
}

impl FromStr for Dialect {
    type Err = SetupError;

    fn from_str(text: &str) -> Result<Self, SetupError> {
        match text {
            "plain" => Ok(Self::Plain),
            "vllm" => Ok(Self::Vllm),
            _ => Err(SetupError::Setting("a dialect is `plain` or `vllm`")),
        }
    }
}

/// A server, and how it is asked.
#[derive(Clone)]
pub struct RemoteSettings {
    /// Who signs its pages.
    pub engine: EngineName,
    /// Where it is: `http://host:8000/v1`, say. `chat/completions` is put behind it.
    pub url: Url,
    /// What it calls its model.
    pub model: String,
    /// Which fields it knows.
    pub dialect: Dialect,
    /// How many pages it is given at once: as many as it reads in one batch.
    pub concurrency: usize,
    /// How long a page may take from the moment when the server is asked for it, all tries together.
    pub time_limit: Duration,
    /// What it is to be shown as a bearer token.
    pub api_key: Option<String>,
    /// The most tokens of an answer. Together with the picture's they must fit the server's context.
    pub max_tokens: u32,
    /// The instructions by mode; empty: those that HunyuanOCR was trained on.
    pub prompts: BTreeMap<String, String>,
}

impl fmt::Debug for RemoteSettings {
    /// Without the key, and of the URL only what an error may say.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RemoteSettings")
            .field("engine", &self.engine)
            .field("host", &host_of(&self.url))
            .field("model", &self.model)
            .field("dialect", &self.dialect)
            .field("concurrency", &self.concurrency)
            .field("time_limit", &self.time_limit)
            .field("max_tokens", &self.max_tokens)
            .finish_non_exhaustive()
    }
}

/// Why a server cannot be asked at all. Decision: refuse to start.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SetupError {
    /// A setting makes no sense.
    #[error("{0}")]
    Setting(&'static str),
    /// HTTPS cannot be spoken, most often for want of root certificates.
    #[error("no HTTPS client can be made: {0}; install root certificates (ca-certificates) or set SSL_CERT_FILE")]
    Client(String),
}

impl RemoteSettings {
    /// Refuses what makes no sense.
    pub(crate) fn check(&self) -> Result<(), SetupError> {
        let url = &self.url;
        let wrong = if !matches!(url.scheme(), "http" | "https") || url.host_str().is_none() {
            "a server's URL is http://… or https://…"
        } else if !url.username().is_empty() || url.password().is_some() {
            "a server's URL holds no user name and no password; a token has a setting of its own"
        } else if self.concurrency == 0 {
            "a server that is given no page at once reads none"
        } else if self.max_tokens == 0 {
            "an answer of no tokens says nothing"
        } else if self.time_limit.is_zero() {
            "a page needs some time"
        } else {
            return Ok(());
        };
        Err(SetupError::Setting(wrong))
    }

    /// Where pages are sent to.
    pub(crate) fn endpoint(&self) -> Url {
        let mut url = self.url.clone();
        if let Ok(mut path) = url.path_segments_mut() {
            path.pop_if_empty().extend(["chat", "completions"]);
        }
        url
    }
}

/// Host and port: all that an error may say of a URL.
pub(crate) fn host_of(url: &Url) -> String {
    let host = url.host_str().unwrap_or_default();
    url.port().map_or_else(|| host.to_owned(), |port| format!("{host}:{port}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settings(url: &str) -> RemoteSettings {
        RemoteSettings {
            engine: "a@1".parse().expect("an engine"),
            url: url.parse().expect("a URL"),
            model: "a".to_owned(),
            dialect: Dialect::Plain,
            concurrency: 1,
            time_limit: Duration::from_secs(1),
            api_key: Some("very-secret".to_owned()),
            max_tokens: 1,
            prompts: BTreeMap::new(),
        }
    }

    #[test]
    fn pages_go_below_the_base_with_or_without_a_slash() {
        for base in ["http://h:8000/v1", "http://h:8000/v1/"] {
            assert_eq!(settings(base).endpoint().as_str(), "http://h:8000/v1/chat/completions");
        }
        assert_eq!(settings("https://h").endpoint().as_str(), "https://h/chat/completions");
        assert_eq!(settings("https://h/v1?a=b").endpoint().as_str(), "https://h/v1/chat/completions?a=b");
    }

    #[test]
    fn what_makes_no_sense_is_refused() {
        assert_eq!(settings("http://10.0.0.1:8000/v1").check(), Ok(()), "the operator's own network");
        for url in ["ftp://h/", "data:x", "http://user@h/v1", "http://:secret@h/v1"] {
            assert!(settings(url).check().is_err(), "{url}");
        }
        let base = settings("http://h");
        assert!(RemoteSettings { concurrency: 0, ..base.clone() }.check().is_err());
        assert!(RemoteSettings { max_tokens: 0, ..base.clone() }.check().is_err());
        assert!(RemoteSettings { time_limit: Duration::ZERO, ..base }.check().is_err());
    }

    #[test]
    fn what_is_secret_is_not_shown() {
        let shown = format!("{:?}", settings("https://h:9/v1?token=very-secret"));
        assert!(shown.contains("h:9") && !shown.contains("secret"), "{shown}");
    }
}
