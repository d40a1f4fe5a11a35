//! Redaction of a page's text, before anything of it is stored.

use std::time::Duration;

use quire_redact::Redactor;
use quire_tasks::{Failure, FailureCode, PageText, RedactPolicy};
use quire_telemetry::metrics;
use tokio::{task::spawn_blocking, time::timeout};

/// Returns the text without the matches of the policy.
///
/// # Errors
/// A failure of the page, of which then nothing is stored: an invalid policy, a page that is too long, a panic, or a
/// search that exceeds `limit`, since customers write the patterns.
pub(crate) async fn redact_text(
    policy: RedactPolicy,
    mut text: Box<PageText>,
    limit: Duration,
) -> Result<Box<PageText>, Failure> {
    let searching = spawn_blocking(move || {
        let redactor = Redactor::new(&policy).map_err(|error| redaction_failure(&error.to_string()))?;
        redactor.redact(&mut text).map_err(|error| redaction_failure(&error.to_string()))?;
        Ok(text)
    });
    let redacted = match timeout(limit, searching).await {
        Ok(Ok(redacted)) => redacted,
        // Without the panic's message, which may quote the text.
        Ok(Err(_)) => Err(redaction_failure("the search panicked")),
        Err(_) => Err(redaction_failure("the search timed out")),
    };
    if let Ok(text) = &redacted {
        metrics::count("Redactions", text.redactions.as_ref().map_or(0, |all| all.len() as u64));
    }
    redacted
}

fn redaction_failure(why: &str) -> Failure {
    Failure::new(FailureCode::RedactionFailed, format!("The text could not be redacted: {why}."))
}

#[cfg(test)]
mod tests {
    use quire_tasks::{Line, RedactKind, RedactPattern};

    use super::*;

    const LIMIT: Duration = Duration::from_secs(5);

    fn text(line: &str) -> Box<PageText> {
        let line = Line { text: line.to_owned(), confidence: None, polygon: None, ..Line::default() };
        Box::new(PageText::from_lines("a@1".parse().expect("a valid engine name"), 1, 1, 0, vec![line]))
    }

    #[tokio::test]
    async fn matches_of_the_policy_are_removed() {
        let policy = RedactPolicy { kinds: vec![RedactKind::Email], ..RedactPolicy::default() };
        let text = redact_text(policy, text("a@b.cn 1"), LIMIT).await.expect("the text is redacted");
        assert_eq!((text.text().as_str(), text.redactions.as_ref().map(Vec::len)), ("[email] 1", Some(1)));
    }

    #[tokio::test]
    async fn an_invalid_policy_fails_without_quoting_the_text() {
        let pattern = RedactPattern { name: "x".to_owned(), regex: "secret(".to_owned() };
        let policy = RedactPolicy { patterns: vec![pattern], ..RedactPolicy::default() };
        let failure = redact_text(policy, text("a secret"), LIMIT).await.expect_err("the policy is invalid");
        assert_eq!(failure.code, FailureCode::RedactionFailed);
        assert!(failure.message.contains("unclosed group") && !failure.message.contains("secret"), "{failure}");
    }
}
