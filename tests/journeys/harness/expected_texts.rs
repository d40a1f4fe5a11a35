//! Human-readable texts that the journeys assert, in one place. Each is a part of a log line, an error message or an
//! output that has no stable code.

/// Error of `serve` when its address is in use, also in its log.
pub(crate) const CANNOT_LISTEN: &str = "cannot listen";
/// Error of `serve` when another process serves the same data.
pub(crate) const DATA_IN_USE: &str = "another";
/// Log line of a worker that releases the leases of unfinished pages at shutdown.
pub(crate) const PAGES_RELEASED: &str = "are released to other workers";
/// Log line of a worker that receives a page whose earlier attempt did not finish.
pub(crate) const PAGE_RETRIED: &str = "retrying a page";
/// Log line of a worker for each page that succeeded.
pub(crate) const PAGE_SUCCEEDED: &str = "a page succeeded";
/// Log line of `serve` when connections were closed or refused.
pub(crate) const CONNECTION_LIMIT: &str = "connection limit reached";
/// Error of `serve` in development mode for an address beyond this machine.
pub(crate) const DEVELOPMENT_BEYOND_LOOPBACK: &str = "with --dev";
/// Error of `alive` without a heartbeat file.
pub(crate) const NO_HEARTBEAT: &str = "no heartbeat";
/// Error of `alive` with an outdated heartbeat file.
pub(crate) const OUTDATED_HEARTBEAT: &str = "old";
/// Error of each command on AWS without a bucket.
pub(crate) const NO_BUCKET: &str = "QUIRE_AWS_BUCKET is not set";
/// Error of `serve` for a callback schedule with an entry that is not a duration.
pub(crate) const INVALID_SCHEDULE_ENTRY: &str = "is not a retry wait";
/// Error of `serve` for a callback schedule of 12 waits, which means 13 attempts.
pub(crate) const TOO_MANY_ATTEMPTS: &str = "13 attempts";
/// Summary of `doctor` on a machine where everything works.
pub(crate) const DOCTOR_SUMMARY: &str = "This machine can read.";
/// How `doctor` begins to name the execution provider.
pub(crate) const DOCTOR_PROVIDER: &str = "provider";
/// Error for a truncated model file, in `doctor` and at the start of a worker.
pub(crate) const MODEL_TRUNCATED: &str = "the file is truncated: expected at least";
/// Error of `read --mode table` without an engine for that mode, with the modes there are.
pub(crate) const MODE_NOT_OFFERED: &str = "no engine offers the mode formula; available modes: text, markdown, table";
/// Error of `review correct` for a correction of fields that is not JSON.
pub(crate) const CORRECTION_NOT_JSON: &str = "JSON object";
/// Status of a usable key in `keys list`.
pub(crate) const KEY_ACTIVE: &str = "active";
/// Status of a revoked key in the output of `keys revoke`; a time follows.
pub(crate) const KEY_REVOKED: &str = "\trevoked ";
/// Part of the reason why a canary that returns empty pages is rolled back.
pub(crate) const CANARY_EMPTY_PAGES: &str = "empty";
