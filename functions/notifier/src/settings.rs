//! Configuration from environment variables.

use quire_callback::{InvalidSchedule, Schedule};
use quire_telemetry::env::{self, Misconfigured};

const SCHEDULE: &str = "QUIRE_CALLBACK_SCHEDULE";

/// Returns the retry schedule in `QUIRE_CALLBACK_SCHEDULE`. Default: 1 s, 5 s and 15 s.
///
/// # Errors
/// [`Misconfigured`] if it is not a schedule.
pub fn schedule_from_env() -> Result<Schedule, Misconfigured> {
    env::text(SCHEDULE)?.map_or(Ok(Schedule::default()), parse)
}

fn parse(value: String) -> Result<Schedule, Misconfigured> {
    value.parse().map_err(|why: InvalidSchedule| Misconfigured { name: SCHEDULE, why: why.to_string(), value })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_invalid_schedule_is_an_error_with_its_name() {
        let long = parse("5s,5m,30m,2h,5h,10h,10h".to_owned()).expect("a schedule");
        assert_eq!(long.attempts(), 8);
        let error = parse("5s,soon".to_owned()).expect_err("not a wait").to_string();
        assert!(error.starts_with("QUIRE_CALLBACK_SCHEDULE=\"5s,soon\": \"soon\" is not a retry wait"), "{error}");
    }

    #[test]
    fn an_unset_variable_is_the_default_schedule() {
        assert_eq!(schedule_from_env(), Ok(Schedule::default()));
    }
}
