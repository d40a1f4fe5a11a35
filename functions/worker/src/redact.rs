//! What may be kept of what was read.

use std::time::Duration;

use quire_redact::Redactor;
use quire_tasks::{Failure, FailureCode, PageText, RedactPolicy};
use quire_telemetry::metrics;
use tokio::{task::spawn_blocking, time::timeout};

/// The text without what its task's policy names. Whatever goes wrong is a failure of the page, of which nothing is kept
/// then: a policy that is none, a page too long, a panic, or a search that takes longer than a page may, since customers
/// write the patterns.
pub(crate) async fn redacted(
    policy: RedactPolicy,
    mut text: Box<PageText>,
    limit: Duration,
) -> Result<Box<PageText>, Failure> {
    let searching = spawn_blocking(move || {
        let redactor = Redactor::new(&policy).map_err(|error| failed(&error.to_string()))?;
        redactor.redact(&mut text).map_err(|error| failed(&error.to_string()))?;
        Ok(text)
    });
    let ended = match timeout(limit, searching).await {
        Ok(Ok(ended)) => ended,
        // What a panic says may quote the text.
        Ok(Err(_)) => Err(failed("the search broke off")),
        Err(_) => Err(failed("the search took too long")),
    };
    if let Ok(text) = &ended {
        metrics::count("Redactions", text.redactions.as_ref().map_or(0, |all| all.len() as u64));
    }
    ended
}

fn failed(why: &str) -> Failure {
    Failure::new(FailureCode::RedactionFailed, format!("What is to be taken out could not be looked for: {why}."))
}

#[cfg(test)]
mod tests {
    use quire_tasks::{Line, RedactKind, RedactPattern};

    use super::*;

    fn text(line: &str) -> Box<PageText> {
        let line = Line { text: line.to_owned(), confidence: None, polygon: None };
        Box::new(PageText::from_lines("a@1".parse().expect("a name"), 1, 1, 0, vec![line]))
    }

    #[tokio::test]
    async fn what_the_policy_names_is_taken_out() {
        let policy = RedactPolicy { kinds: vec![RedactKind::Email], ..RedactPolicy::default() };
        let text = redacted(policy, text("a@b.cn 1"), Duration::from_secs(5)).await.expect("redacted");
        assert_eq!((text.text().as_str(), text.redactions.as_ref().map(Vec::len)), ("[email] 1", Some(1)));
    }

    #[tokio::test]
    async fn a_policy_that_is_none_fails_and_says_nothing_of_the_text() {
        let pattern = RedactPattern { name: "x".to_owned(), regex: "secret(".to_owned() };
        let policy = RedactPolicy { patterns: vec![pattern], ..RedactPolicy::default() };
        let failure = redacted(policy, text("a secret"), Duration::from_secs(5)).await.expect_err("it is no policy");
        assert_eq!(failure.code, FailureCode::RedactionFailed);
        assert!(failure.message.contains("unclosed group") && !failure.message.contains("secret"), "{failure}");
    }
}
