//! What AWS says, as the decision that it calls for.

use std::error::Error as StdError;

use aws_sdk_s3::error::{ProvideErrorMetadata, SdkError};
use quire_platform::Error;

/// Codes of requests that may succeed a little later. Answers of `5xx` and `429` may anyway, whatever their code.
const PASSING: [&str; 14] = [
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

/// The error of a call to `what`.
pub(crate) fn fault<E>(what: &'static str, error: &SdkError<E>) -> Error
where
    E: ProvideErrorMetadata + StdError + 'static,
{
    let status = error.raw_response().map_or(0, |response| response.status().as_u16());
    let passing = match error {
        SdkError::ServiceError(_) | SdkError::ResponseError(_) => {
            status >= 500 || status == 429 || error.code().is_some_and(|code| PASSING.contains(&code))
        }
        SdkError::TimeoutError(_) => true,
        SdkError::DispatchFailure(failure) => !failure.is_user(),
        _ => false,
    };
    let why = match (error.code(), error.message()) {
        (Some(code), message) => format!("{code}: {}", message.unwrap_or("no reason given")),
        (None, _) => chain(error),
    };
    if passing { Error::Busy { what, why } } else { Error::Failed { what, why } }
}

/// An error with its causes, since the SDK's own text leaves them out.
pub(crate) fn chain(error: &dyn StdError) -> String {
    let causes = std::iter::successors(Some(error), |&error| error.source());
    causes.map(ToString::to_string).collect::<Vec<_>>().join(": ")
}
