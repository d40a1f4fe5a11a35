//! Classification of error responses: transient or permanent, caused by the server or the page.

use std::time::Duration;

use quire_tasks::ApiDialect;

use crate::{OpenAiEngineError, ResponseFlaw, request::VLLM_FIELDS, retry::FailedAttempt};

/// A response with another status than 200.
#[derive(Debug)]
pub(crate) struct ErrorResponse<'a> {
    pub(crate) status: u16,
    pub(crate) retry_after: Option<Duration>,
    /// The beginning of its body. It may quote the page, so that it is searched for keywords, but never logged or
    /// returned.
    pub(crate) body: &'a str,
    /// Whether the server has read another page since this one was sent.
    pub(crate) reads_other_pages: bool,
}

impl ErrorResponse<'_> {
    /// Returns the error and whether a retry may succeed.
    pub(crate) fn classify(&self, host: &str, model: &str, dialect: ApiDialect) -> FailedAttempt {
        let (host, status) = (host.to_owned(), self.status);
        // Reverse proxies return these if the server behind them is unavailable.
        let saw_page = status >= 500 && !matches!(status, 502..=504);
        let unavailable = |host, why: &str| OpenAiEngineError::Unavailable { host, why: why.to_owned(), saw_page };
        let is_quoted =
            |text: &str| ['\'', '`', '"'].iter().any(|mark| self.body.contains(&format!("{mark}{text}{mark}")));
        match status {
            429 => FailedAttempt::transient(OpenAiEngineError::Throttled { host, retry_after: self.retry_after }),
            503 if self.retry_after.is_some() => {
                FailedAttempt::transient(OpenAiEngineError::Throttled { host, retry_after: self.retry_after })
            }
            500 if self.reads_other_pages => FailedAttempt::transient(OpenAiEngineError::InvalidResponse {
                host,
                flaw: ResponseFlaw::Status(status),
            }),
            408 | 425 | 500.. => FailedAttempt::transient(unavailable(host, &format!("it returns status {status}"))),
            401 | 403 => FailedAttempt::permanent(unavailable(host, "it rejects the API key")),
            300..400 => FailedAttempt::permanent(unavailable(host, "it redirects, and redirects are not followed")),
            400 | 404 | 422 if is_quoted(model) => {
                FailedAttempt::permanent(unavailable(host, "it does not serve a model of this name"))
            }
            404 | 405 => FailedAttempt::permanent(unavailable(host, "its URL has no chat completions API")),
            400 | 422 if dialect == ApiDialect::Vllm && VLLM_FIELDS.iter().any(|field| self.body.contains(field)) => {
                FailedAttempt::permanent(unavailable(
                    host,
                    "it does not support the fields of vLLM: set its dialect to `plain`",
                ))
            }
            400.. => FailedAttempt::permanent(OpenAiEngineError::Refused { host, status }),
            _ => FailedAttempt::permanent(OpenAiEngineError::InvalidResponse { host, flaw: ResponseFlaw::Format }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MODEL: &str = "tencent/HunyuanOCR";

    fn classify(status: u16, body: &str) -> FailedAttempt {
        ErrorResponse { status, retry_after: None, body, reads_other_pages: false }.classify(
            "h:1",
            MODEL,
            ApiDialect::Vllm,
        )
    }

    #[test]
    fn only_transient_statuses_are_retried() {
        for status in [408, 425, 429, 500, 502, 503, 504, 529] {
            assert!(classify(status, "").is_transient, "{status}");
        }
        for status in [204, 301, 307, 400, 401, 403, 404, 405, 413, 415, 422] {
            assert!(!classify(status, "").is_transient, "{status}");
        }
    }

    #[test]
    fn an_invalid_configuration_is_a_server_fault() {
        for (status, body) in [
            (307, ""),
            (401, r#"{"error":"Unauthorized"}"#),
            (404, r#"{"detail":"Not Found"}"#),
            (404, r#"{"error":{"message":"The model `tencent/HunyuanOCR` does not exist.","code":404}}"#),
            (400, r#"{"detail":"Server is pinned to '/models/x'; requested 'tencent/HunyuanOCR'."}"#),
            (422, r#"{"detail":"Unexpected fields in the request: {'skip_special_tokens', 'top_k'}"}"#),
        ] {
            assert!(classify(status, body).error.is_server_fault(), "{status} {body}");
        }
        let too_long = "This model's maximum context length is 4096 tokens.";
        let refused = OpenAiEngineError::Refused { host: "h:1".to_owned(), status: 400 };
        assert_eq!(classify(400, too_long), FailedAttempt::permanent(refused));
    }

    #[test]
    fn a_status_500_while_other_pages_succeed_is_not_a_server_fault() {
        let classify_500 = |reads_other_pages| {
            let response = ErrorResponse { status: 500, retry_after: None, body: "", reads_other_pages };
            response.classify("h:1", MODEL, ApiDialect::Plain)
        };
        assert!(classify_500(false).error.is_server_fault());
        let flaw = ResponseFlaw::Status(500);
        assert_eq!(
            classify_500(true),
            FailedAttempt::transient(OpenAiEngineError::InvalidResponse { host: "h:1".to_owned(), flaw })
        );
    }

    #[test]
    fn a_reverse_proxy_status_means_that_the_page_was_not_seen() {
        for (status, expected) in [(500, true), (529, true), (502, false), (503, false), (504, false), (401, false)] {
            let error = classify(status, "").error;
            assert!(
                matches!(error, OpenAiEngineError::Unavailable { saw_page, .. } if saw_page == expected),
                "{status}"
            );
        }
    }

    #[test]
    fn errors_do_not_contain_the_response_body() {
        for status in 100..600 {
            let failed = classify(status, "very-secret repetition_penalty `tencent/HunyuanOCR`");
            let text = format!("{failed:?} {} {}", failed.error, failed.error.failure());
            assert!(!text.contains("very-secret"), "{text}");
            assert!(!failed.error.failure().message.contains("h:1"), "{text}");
        }
    }
}
