//! Classifies AWS errors as transient or permanent.

use std::error::Error as StdError;

use aws_sdk_s3::error::{ProvideErrorMetadata, SdkError};
use quire_platform::Error;

/// Transient error codes. The HTTP statuses `5xx` and `429` are transient whatever the code.
const TRANSIENT_CODES: [&str; 14] = [
    "InternalServerError",
    "KmsThrottled",
    "OverLimit",
    "PriorRequestNotComplete",
    "ProvisionedThroughputExceededException",
    "RequestLimitExceeded",
    "RequestThrottled",
    "RequestThrottledException",
    "RequestTimeout",
    "SlowDown",
    "Throttling",
    "ThrottlingException",
    "TransactionConflictException",
    "TransactionInProgressException",
];

/// Converts an error of a call to `what`.
pub(crate) fn to_error<E>(what: &'static str, error: &SdkError<E>) -> Error
where
    E: ProvideErrorMetadata + StdError + 'static,
{
    let status = error.raw_response().map_or(0, |response| response.status().as_u16());
    let is_transient = match error {
        SdkError::ServiceError(_) | SdkError::ResponseError(_) => {
            status >= 500 || status == 429 || error.code().is_some_and(|code| TRANSIENT_CODES.contains(&code))
        }
        SdkError::TimeoutError(_) => true,
        SdkError::DispatchFailure(failure) => !failure.is_user(),
        _ => false,
    };
    let why = match (error.code(), error.message()) {
        (Some(code), message) => format!("{code}: {}", message.unwrap_or("no reason given")),
        (None, _) => error_chain(error),
    };
    if is_transient { Error::Busy { what, why } } else { Error::Failed { what, why } }
}

/// Returns an error with its causes, which the SDK's own text leaves out.
pub(crate) fn error_chain(error: &dyn StdError) -> String {
    let causes = std::iter::successors(Some(error), |&error| error.source());
    causes.map(ToString::to_string).collect::<Vec<_>>().join(": ")
}
