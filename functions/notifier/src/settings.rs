//! What the environment says.

use quire_callback::{InvalidSchedule, Schedule};
use quire_telemetry::env::{self, Misconfigured};

const SCHEDULE: &str = "QUIRE_CALLBACK_SCHEDULE";

/// The waits between the attempts at a callback, by `QUIRE_CALLBACK_SCHEDULE`; 1 s, 5 s and 15 s where it is unset.
///
/// # Errors
/// [`Misconfigured`] when it is no schedule.
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
    fn a_schedule_that_makes_no_sense_is_refused_with_its_name() {
        let long = parse("5s,5m,30m,2h,5h,10h,10h".to_owned()).expect("a schedule");
        assert_eq!(long.attempts(), 8);
        let error = parse("5s,soon".to_owned()).expect_err("no wait");
        assert!(error.to_string().starts_with("QUIRE_CALLBACK_SCHEDULE=\"5s,soon\": \"soon\" is no wait"), "{error}");
    }

    #[test]
    fn an_unset_variable_means_the_usual_schedule() {
        assert_eq!(schedule_from_env(), Ok(Schedule::default()));
    }
}
