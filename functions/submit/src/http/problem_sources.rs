//! Conversions of other errors to problems.

use std::{fmt::Display, io};

use axum::extract::multipart::MultipartRejection;
use quire_platform::Error;
use quire_redact::InvalidRedactPolicy;
use quire_routes::NotOffered;
use quire_tasks::{Failure, FailureCode, InvalidMode};
use quire_tenants::{QuotaRefusal, ReserveError, SigningError};

use crate::{
    http::{problem::Problem, problem_codes::ProblemCode, upload_limits::UploadTimeout},
    server::is_out_of_descriptors,
    tasks::idempotency::IdempotencyError,
};

/// `Retry-After` of a tenant without free storage: tasks must expire or be deleted.
const STORAGE_RETRY_SECS: u64 = 60;
/// `Retry-After` of a tenant with too many open tasks.
const OPEN_TASKS_RETRY_SECS: u64 = 5;

impl From<Failure> for Problem {
    /// A document that is refused or could not be read.
    fn from(failure: Failure) -> Self {
        Self::new(ProblemCode::Document(failure.code), failure.message)
    }
}

impl From<InvalidMode> for Problem {
    fn from(error: InvalidMode) -> Self {
        let code = match error {
            InvalidMode::Missing { .. } => ProblemCode::MissingField,
            _ => ProblemCode::InvalidField,
        };
        Self::new(code, sentence(&error)).at(format!("#/{}", error.field()))
    }
}

impl From<NotOffered> for Problem {
    fn from(error: NotOffered) -> Self {
        let code = match error {
            NotOffered::Mode { .. } | NotOffered::ModeOfEngine { .. } => ProblemCode::ModeNotOffered,
            NotOffered::Engine { .. } => ProblemCode::EngineNotOffered,
        };
        Self::new(code, sentence(&error)).at(format!("#/{}", error.field()))
    }
}

impl From<InvalidRedactPolicy> for Problem {
    fn from(error: InvalidRedactPolicy) -> Self {
        Self::new(ProblemCode::InvalidField, sentence(&error)).at(format!("#/redact{}", error.pointer()))
    }
}

/// Formats an error as a sentence: capitalized, with a full stop. An engine's name at the start keeps its case.
fn sentence(error: &dyn Display) -> String {
    let words = error.to_string();
    let begins_with_engine = words.split(' ').next().is_some_and(|word| word.contains('@'));
    if begins_with_engine {
        return format!("{words}.");
    }
    let (first, rest) = words.split_at(words.chars().next().map_or(0, char::len_utf8));
    format!("{}{rest}.", first.to_uppercase())
}

impl From<Error> for Problem {
    fn from(error: Error) -> Self {
        match error {
            Error::Full { .. } => Self::storage_full(&error),
            Error::Busy { .. } => Self::busy(&error),
            _ => Self::internal(&error),
        }
    }
}

/// Converts an error of a call about one task: `NotFound` means that the task is gone.
pub(crate) fn task_problem(error: Error) -> Problem {
    match error {
        Error::NotFound { .. } => Problem::task_not_found(),
        other => other.into(),
    }
}

impl From<io::Error> for Problem {
    /// A spool file that cannot be written.
    fn from(error: io::Error) -> Self {
        if is_out_of_descriptors(&error) {
            return Self::busy(&error);
        }
        match error.kind() {
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded | io::ErrorKind::FileTooLarge => {
                Self::storage_full(&error)
            }
            _ => Self::internal(&error),
        }
    }
}

impl From<UploadTimeout> for Problem {
    fn from(timeout: UploadTimeout) -> Self {
        match timeout {
            UploadTimeout::Stalled => Self::upload_stalled(),
            UploadTimeout::TooSlow => Self::upload_too_slow(),
        }
    }
}

impl From<MultipartRejection> for Problem {
    fn from(_: MultipartRejection) -> Self {
        Self::unsupported_media_type("multipart/form-data with a boundary")
    }
}

impl From<IdempotencyError> for Problem {
    fn from(error: IdempotencyError) -> Self {
        match error {
            IdempotencyError::InUse(None) => Self::idempotency_key_in_use(),
            IdempotencyError::InUse(Some(task_id)) => Self::idempotency_key_in_use().of(task_id),
            IdempotencyError::Reused => Self::idempotency_key_reused(),
            IdempotencyError::TaskNotFound => Self::task_not_found(),
            IdempotencyError::Backend(error) => error.into(),
        }
    }
}

impl From<QuotaRefusal> for Problem {
    fn from(refusal: QuotaRefusal) -> Self {
        let detail = format!("Quota exceeded: {refusal}.");
        match refusal {
            QuotaRefusal::TaskPages { .. } => {
                Self::new(ProblemCode::Document(FailureCode::TooManyPages), sentence(&refusal))
            }
            QuotaRefusal::DailyPages { retry_after_secs, .. } => {
                Self::quota_refused(ProblemCode::Document(FailureCode::QuotaExceeded), detail, retry_after_secs)
            }
            QuotaRefusal::StoredBytes { asked, quota, .. } => {
                let retry = (asked <= quota).then_some(STORAGE_RETRY_SECS);
                Self::quota_refused(ProblemCode::StoredBytesExceeded, detail, retry)
            }
            QuotaRefusal::OpenTasks { .. } => {
                Self::quota_refused(ProblemCode::TooManyOpenTasks, detail, Some(OPEN_TASKS_RETRY_SECS))
            }
            QuotaRefusal::Crowded => Self::busy(&refusal),
        }
    }
}

impl From<ReserveError> for Problem {
    fn from(error: ReserveError) -> Self {
        match error {
            ReserveError::Refused(refusal) => refusal.into(),
            ReserveError::Backend(error) => error.into(),
        }
    }
}

impl From<SigningError> for Problem {
    fn from(error: SigningError) -> Self {
        match error {
            SigningError::Fixed => Self::secret_is_fixed(),
            SigningError::TooManyRotations { retry_after } => {
                Self::too_many_rotations(retry_after.as_secs().saturating_add(1))
            }
            SigningError::Backend(error) => error.into(),
            other => Self::internal(&other),
        }
    }
}
