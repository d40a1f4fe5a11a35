//! Classification of a receiver's HTTP response.

/// What a receiver's response means for the delivery.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ResponseClass {
    /// The receiver accepted the callback. Decision: acknowledge.
    Delivered,
    /// The receiver cannot accept it now. Decision: retry by the schedule.
    Retry,
    /// The receiver refuses it. Decision: dead-letter at once.
    GiveUp,
}

/// Classifies a status: 2xx is delivered; 408, 425, 429 and 5xx are retried; everything else, including redirects, is
/// given up.
///
/// ```
/// use quire_callback::{ResponseClass, classify_response};
///
/// assert_eq!(classify_response(204), ResponseClass::Delivered);
/// assert_eq!(classify_response(503), ResponseClass::Retry);
/// assert_eq!(classify_response(410), ResponseClass::GiveUp);
/// ```
pub const fn classify_response(status: u16) -> ResponseClass {
    match status {
        200..=299 => ResponseClass::Delivered,
        408 | 425 | 429 | 500..=599 => ResponseClass::Retry,
        _ => ResponseClass::GiveUp,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refusal_is_given_up() {
        for status in [301, 302, 307, 400, 401, 403, 404, 410, 422] {
            assert_eq!(classify_response(status), ResponseClass::GiveUp, "{status}");
        }
    }

    #[test]
    fn a_temporary_error_is_retried() {
        for status in [408, 425, 429, 500, 502, 503, 504, 599] {
            assert_eq!(classify_response(status), ResponseClass::Retry, "{status}");
        }
        for status in [200, 201, 202, 204] {
            assert_eq!(classify_response(status), ResponseClass::Delivered, "{status}");
        }
    }
}
