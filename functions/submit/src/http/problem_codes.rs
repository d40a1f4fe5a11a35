//! Every code that an error can have, in one place: what the API's description and `problems.md` say of them is made of
//! this, and tests hold that nothing is missing.

use quire_tasks::FailureCode;

/// A code of a problem, and all that goes with it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Code {
    pub(crate) name: &'static str,
    pub(crate) status: u16,
    /// Whether the same request may end better later; `None` where that differs, and the problem says.
    pub(crate) retryable: Option<bool>,
    /// What it means.
    pub(crate) about: &'static str,
}

const fn no(name: &'static str, status: u16, about: &'static str) -> Code {
    Code { name, status, retryable: Some(false), about }
}

const fn not_now(name: &'static str, status: u16, about: &'static str) -> Code {
    Code { name, status, retryable: Some(true), about }
}

const fn it_says(name: &'static str, status: u16, about: &'static str) -> Code {
    Code { name, status, retryable: None, about }
}

/// Those of requests, by status.
pub(crate) const OF_REQUESTS: &[Code] = &[
    no("malformed_json", 400, "the body is no JSON object"),
    no("malformed_multipart", 400, "the body is no form, or it broke off"),
    no("malformed_idempotency_key", 400, "`Idempotency-Key` is no 1 to 255 visible ASCII characters"),
    no("unauthorized", 401, "no key came with the request, or none that is in force"),
    no("not_found", 404, "nothing is under this path"),
    no("task_not_found", 404, "there is no such task, or it is another tenant's, or it has expired"),
    no("delivery_not_found", 404, "there is no such delivery, or it is another tenant's"),
    no("endpoint_not_found", 404, "nothing is held against a receiver of this id"),
    no("uploads_not_taken", 404, "this server takes documents of every size itself"),
    no("method_not_allowed", 405, "the path does not take this method"),
    no("answer_too_large", 406, "the answer is larger than this server can carry"),
    not_now("upload_stalled", 408, "the rest of the request did not arrive in time"),
    not_now("task_not_ended", 409, "the task is still open"),
    no("task_ended", 409, "the task has ended: there is nothing to cancel"),
    no("nothing_to_retry", 409, "no page has failed or was canceled"),
    not_now("idempotency_key_in_use", 409, "the first request with this `Idempotency-Key` is still running"),
    it_says("result_failed", 409, "the result could not be made in this format"),
    no("delivery_superseded", 409, "there is newer to tell of the task, or it was a notice of progress"),
    no("secret_is_fixed", 409, "an operator has said what this tenant's callbacks are signed with"),
    no("body_too_large", 413, "the request is larger than is taken"),
    no("unsupported_media_type", 415, "the body is of a type that the call does not take"),
    no("missing_field", 422, "a field must be there, and is not"),
    no("unknown_field", 422, "the call does not know this field"),
    no("invalid_field", 422, "the value of a field or parameter makes no sense"),
    no("too_many_files", 422, "more files than are taken"),
    no("mode_not_offered", 422, "no engine here reads in this mode"),
    no("engine_not_offered", 422, "there is no such engine here"),
    no("result_too_large", 422, "the result would be larger in this format than any that is made"),
    no("idempotency_key_reused", 422, "another request had this `Idempotency-Key`"),
    not_now("rate_limited", 429, "more requests than the tenant may make"),
    not_now("quota_exceeded", 429, "more pages than the tenant may have read"),
    not_now("busy", 503, "something this needs is busy or away"),
    not_now("storage_full", 507, "there is no space left"),
];

/// Those of documents and pages. They stand in results; and where a document is refused at the door, in problems.
pub(crate) const OF_DOCUMENTS: &[(FailureCode, &str)] = &[
    (FailureCode::UnsupportedFormat, "no PDF, PNG, JPEG, TIFF, WebP or BMP"),
    (FailureCode::EmptyDocument, "there are no bytes"),
    (FailureCode::DocumentTooLarge, "more bytes than are taken"),
    (FailureCode::TooManyPages, "more pages than are taken"),
    (FailureCode::TooManyPixels, "a page with more pixels than are taken"),
    (FailureCode::EncryptedDocument, "the PDF asks for a password"),
    (FailureCode::UnreadableDocument, "the document is broken"),
    (FailureCode::UnreadablePage, "the page is broken, its document is not"),
    (FailureCode::UrlRefused, "the address may not be called: its scheme, port or where it leads"),
    (FailureCode::FetchFailed, "`image_url` could not be fetched"),
    (FailureCode::UploadMissing, "the document that was announced never came"),
    (FailureCode::NotOffered, "the engine or mode that was asked for is no longer there"),
    (FailureCode::ModelFailed, "the model failed on this page"),
    (FailureCode::TimedOut, "the page took longer than a page may"),
    (FailureCode::AttemptsExhausted, "whoever read it died, as often as is allowed"),
    (FailureCode::RedactionFailed, "what was to be taken out could not be looked for, so nothing was kept"),
    (FailureCode::Internal, "something that should not happen; the log has more"),
];

/// Every code that a problem can have.
pub(crate) fn all() -> impl Iterator<Item = Code> {
    let of_documents = OF_DOCUMENTS.iter().map(|(code, about)| {
        let (retryable, status) = (Some(code.retryable()), status_of(*code));
        Code { name: code.as_str(), status, retryable, about }
    });
    OF_REQUESTS.iter().copied().chain(of_documents)
}

/// The code, by its name.
pub(crate) fn named(name: &str) -> Option<Code> {
    all().find(|code| code.name == name)
}

/// Whether a problem is as it is listed.
pub(crate) fn agrees(code: &str, status: u16, retryable: bool) -> bool {
    named(code).is_some_and(|code| code.status == status && code.retryable.is_none_or(|listed| listed == retryable))
}

/// The status of a request that is refused for its document.
pub(crate) const fn status_of(code: FailureCode) -> u16 {
    match code {
        FailureCode::UnsupportedFormat => 415,
        FailureCode::DocumentTooLarge | FailureCode::TooManyPages | FailureCode::TooManyPixels => 413,
        code if code.retryable() => 500,
        _ => 422,
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    /// The words in quotation marks that look like codes, in the file where all problems are made.
    fn written() -> BTreeSet<&'static str> {
        let source = include_str!("problem.rs").split("#[cfg(test)]").next().unwrap_or_default();
        let plain = source.lines().filter(|line| !line.trim_start().starts_with("#["));
        let words = plain.flat_map(|line| line.split('"').skip(1).step_by(2));
        let is_code =
            |word: &str| !word.is_empty() && word.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'_');
        words.filter(|word| is_code(word)).collect()
    }

    #[test]
    fn every_code_of_a_problem_is_listed_and_no_other() {
        let listed: BTreeSet<&str> = OF_REQUESTS.iter().map(|code| code.name).collect();
        let of_documents: BTreeSet<&str> = OF_DOCUMENTS.iter().map(|(code, _)| code.as_str()).collect();
        let written: BTreeSet<&str> = written().difference(&of_documents).copied().collect();
        assert_eq!(written, listed);
    }

    #[test]
    fn every_code_of_a_document_is_listed_once() {
        let listed: Vec<FailureCode> = OF_DOCUMENTS.iter().map(|(code, _)| *code).collect();
        assert_eq!(listed, FailureCode::ALL);
    }

    #[test]
    fn the_table_for_readers_is_made_of_this() {
        let table = include_str!("../../problems.md");
        let row = |Code { name, status, retryable, about }: &Code| {
            let again = match retryable {
                Some(true) => "yes",
                Some(false) => "no",
                None => "it says",
            };
            format!("| `{name}` | {status} | {again} | {about} |\n")
        };
        let of_requests: String = OF_REQUESTS.iter().map(row).collect();
        let of_documents: String = all().skip(OF_REQUESTS.len()).map(|code| row(&code)).collect();
        for rows in [of_requests, of_documents] {
            assert!(table.contains(&rows), "problems.md lacks these rows:\n{rows}");
        }
        let rows = table.lines().filter(|line| line.starts_with("| `")).count();
        assert_eq!(rows, all().count(), "problems.md has rows for what is not there");
    }
}
