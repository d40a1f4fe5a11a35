//! What a status means, by whose fault it is.

use std::time::Duration;

use crate::{Dialect, Flaw, RemoteError, patience::Failed, request::OWN_FIELDS};

/// An answer that is no completion.
#[derive(Debug)]
pub(crate) struct Complaint<'a> {
    pub(crate) status: u16,
    pub(crate) retry_after: Option<Duration>,
    /// The beginning of its body. It may repeat what it was told: it is looked at, and goes nowhere.
    pub(crate) body: &'a str,
    /// Whether the server has read another page since this one was sent to it.
    pub(crate) reads_others: bool,
}

impl Complaint<'_> {
    /// What to do about it.
    pub(crate) fn verdict(&self, host: &str, model: &str, dialect: Dialect) -> Failed {
        let (host, status) = (host.to_owned(), self.status);
        // What stands before a server answers with these where there is none behind it.
        let saw_page = status >= 500 && !matches!(status, 502..=504);
        let unavailable = |host, why: &str| RemoteError::Unavailable { host, why: why.to_owned(), saw_page };
        let named = |text: &str| ['\'', '`', '"'].iter().any(|mark| self.body.contains(&format!("{mark}{text}{mark}")));
        match status {
            429 => Failed::for_now(RemoteError::Throttled { host, retry_after: self.retry_after }),
            503 if self.retry_after.is_some() => {
                Failed::for_now(RemoteError::Throttled { host, retry_after: self.retry_after })
            }
            500 if self.reads_others => Failed::for_now(RemoteError::BadAnswer { host, flaw: Flaw::Status(status) }),
            408 | 425 | 500.. => Failed::for_now(unavailable(host, &format!("it answers with status {status}"))),
            401 | 403 => Failed::for_good(unavailable(host, "it asks for another key")),
            300..400 => Failed::for_good(unavailable(host, "it sends elsewhere, and that is not followed")),
            400 | 404 | 422 if named(model) => {
                Failed::for_good(unavailable(host, "it does not have the model of this name"))
            }
            404 | 405 => Failed::for_good(unavailable(host, "there are no chat completions at its URL")),
            400 | 422 if dialect == Dialect::Vllm && OWN_FIELDS.iter().any(|field| self.body.contains(field)) => {
                Failed::for_good(unavailable(host, "it does not know vLLM's fields: its dialect is `plain`"))
            }
            400.. => Failed::for_good(RemoteError::Refused { host, status }),
            _ => Failed::for_good(RemoteError::BadAnswer { host, flaw: Flaw::Form }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MODEL: &str = "tencent/HunyuanOCR";

    fn verdict(status: u16, body: &str) -> Failed {
        Complaint { status, retry_after: None, body, reads_others: false }.verdict("h:1", MODEL, Dialect::Vllm)
    }

    #[test]
    fn what_passes_is_tried_again_and_what_does_not_is_not() {
        for status in [408, 425, 429, 500, 502, 503, 504, 529] {
            assert!(verdict(status, "").again, "{status}");
        }
        for status in [204, 301, 307, 400, 401, 403, 404, 405, 413, 415, 422] {
            assert!(!verdict(status, "").again, "{status}");
        }
    }

    #[test]
    fn a_wrong_configuration_is_not_the_pages_fault() {
        for (status, body) in [
            (307, ""),
            (401, r#"{"error":"Unauthorized"}"#),
            (404, r#"{"detail":"Not Found"}"#),
            (404, r#"{"error":{"message":"The model `tencent/HunyuanOCR` does not exist.","code":404}}"#),
            (400, r#"{"detail":"Server is pinned to '/models/x'; requested 'tencent/HunyuanOCR'."}"#),
            (422, r#"{"detail":"Unexpected fields in the request: {'skip_special_tokens', 'top_k'}"}"#),
        ] {
            assert!(verdict(status, body).error.is_about_the_server(), "{status} {body}");
        }
        let long = "This model's maximum context length is 4096 tokens.";
        let refused = RemoteError::Refused { host: "h:1".to_owned(), status: 400 };
        assert_eq!(verdict(400, long), Failed::for_good(refused));
    }

    #[test]
    fn a_server_that_reads_other_pages_is_not_broken() {
        let failed = |reads_others| {
            let complaint = Complaint { status: 500, retry_after: None, body: "", reads_others };
            complaint.verdict("h:1", MODEL, Dialect::Plain)
        };
        assert!(failed(false).error.is_about_the_server());
        let flaw = Flaw::Status(500);
        assert_eq!(failed(true), Failed::for_now(RemoteError::BadAnswer { host: "h:1".to_owned(), flaw }));
    }

    #[test]
    fn only_a_server_of_its_own_may_have_failed_on_the_page() {
        for (status, expected) in [(500, true), (529, true), (502, false), (503, false), (504, false), (401, false)] {
            let error = verdict(status, "").error;
            assert!(matches!(error, RemoteError::Unavailable { saw_page, .. } if saw_page == expected), "{status}");
        }
    }

    #[test]
    fn what_a_server_says_goes_nowhere() {
        for status in 100..600 {
            let failed = verdict(status, "very-secret repetition_penalty `tencent/HunyuanOCR`");
            let said = format!("{failed:?} {} {}", failed.error, failed.error.failure());
            assert!(!said.contains("very-secret"), "{said}");
            assert!(!failed.error.failure().message.contains("h:1"), "{said}");
        }
    }
}
