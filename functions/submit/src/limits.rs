//! The fixed limits of requests. The configurable ones are in `settings`.

use std::time::Duration;

use quire_tasks::{MAX_FIELD_KEYS, MAX_WORD_CHARS};

/// The maximum number of tags of a task.
pub(crate) const MAX_TAGS: usize = 10;
/// The maximum length of a tag.
pub(crate) const MAX_TAG_CHARS: usize = 64;
/// The maximum size of most form fields: the longest key, at 4 bytes per character in UTF-8.
pub(crate) const MAX_WORD_BYTES: usize = 4 * MAX_WORD_CHARS;
/// The maximum size of a redaction policy: all patterns, with every character escaped in JSON.
pub(crate) const MAX_POLICY_BYTES: usize = 64 << 10;
/// The maximum size of all keys and tags, with every character escaped in JSON as a surrogate pair (12 bytes).
const MAX_TEXTS_BYTES: usize = 12 * (MAX_FIELD_KEYS * MAX_WORD_CHARS + MAX_TAGS * MAX_TAG_CHARS);
/// The maximum size of a JSON body: two URLs with every character escaped (6 bytes), the texts and a redaction policy,
/// doubled for the small fields and whitespace.
pub(crate) const MAX_JSON_BYTES: usize =
    2 * (2 * 6 * quire_egress::MAX_URL_LENGTH + MAX_TEXTS_BYTES + MAX_POLICY_BYTES);
/// The maximum number of parts of a form, besides files: more than all keys, tags and other fields.
pub(crate) const MAX_FORM_FIELDS: usize = 256;
/// The maximum length of a stored file name, which is the limit of most file systems. Longer names are truncated.
pub(crate) const MAX_FILE_NAME_CHARS: usize = 255;
/// The maximum length of an `Idempotency-Key`.
pub(crate) const MAX_IDEMPOTENCY_KEY_LENGTH: usize = 255;
/// The maximum length of the media type of an announced upload. All registered types are shorter.
pub(crate) const MAX_MEDIA_TYPE_LENGTH: usize = 100;
/// How long an upload URL is valid: long enough to choose a file, and no longer than the maximum delay of an SQS
/// message (15 minutes), since the delayed message detects a missing upload.
pub(crate) const UPLOAD_URL_VALID_FOR: Duration = Duration::from_mins(15);
