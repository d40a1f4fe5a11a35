//! The limits of requests, all in one place. Those that an operator may change are in `settings`.

use std::time::Duration;

use quire_tasks::{MAX_KEYS, MAX_WORD_CHARS};

/// The most tags of a task.
pub(crate) const MAX_TAGS: usize = 10;
/// The longest of them.
pub(crate) const MAX_TAG_CHARS: usize = 64;
/// The longest value of most form fields: the longest key in the longest encoding. All other words are shorter.
pub(crate) const MAX_WORD_BYTES: usize = 4 * MAX_WORD_CHARS;
/// The longest policy: as many patterns as are taken, with every character escaped.
pub(crate) const MAX_POLICY_BYTES: usize = 64 << 10;
/// As many keys and tags as are taken, with every character escaped.
const MAX_TEXTS_BYTES: usize = 12 * (MAX_KEYS * MAX_WORD_CHARS + MAX_TAGS * MAX_TAG_CHARS);
/// Two URLs of the longest kind besides, a policy, and as much again for the rest.
pub(crate) const MAX_JSON_BYTES: usize =
    2 * (2 * 6 * quire_egress::MAX_URL_LENGTH + MAX_TEXTS_BYTES + MAX_POLICY_BYTES);
/// Names are kept and shown: longer ones are cut to what file systems take.
pub(crate) const MAX_FILE_NAME_CHARS: usize = 255;
/// The longest `Idempotency-Key`.
pub(crate) const MAX_IDEMPOTENCY_KEY_LENGTH: usize = 255;
/// The longest media type of an announced upload. The registered types are shorter.
pub(crate) const MAX_MEDIA_TYPE_LENGTH: usize = 100;
/// How long an upload may begin: enough for somebody who then picks the file, and no longer than SQS can delay the
/// message that finds it missing.
pub(crate) const UPLOAD_URL_VALID_FOR: Duration = Duration::from_mins(15);
