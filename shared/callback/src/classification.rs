//! What a receiver's status means.

/// What to do after an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ResponseClass {
    /// The receiver took it. Decision: never tell again.
    Delivered,
    /// The receiver cannot take it now. Decision: tell again, by the schedule.
    Retry,
    /// The receiver does not want it. Decision: dead-letter at once.
    GiveUp,
}

/// 2xx is taken; time-outs, 429 and 5xx say "not now"; everything else, redirects among it, says "no".
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
    fn a_receiver_that_says_no_is_not_asked_again() {
        for status in [301, 302, 307, 400, 401, 403, 404, 410, 422] {
            assert_eq!(classify_response(status), ResponseClass::GiveUp, "{status}");
        }
    }

    #[test]
    fn a_receiver_that_says_not_now_is_asked_again() {
        for status in [408, 425, 429, 500, 502, 503, 504, 599] {
            assert_eq!(classify_response(status), ResponseClass::Retry, "{status}");
        }
        for status in [200, 201, 202, 204] {
            assert_eq!(classify_response(status), ResponseClass::Delivered, "{status}");
        }
    }
}
