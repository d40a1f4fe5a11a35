//! Identifiers, and the time type.

use std::{fmt, str::FromStr, time::Duration};

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use uuid::Uuid;

/// Error: the text is not a valid identifier. Decision: refuse the request.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("not a {kind} identifier")]
pub struct InvalidId {
    kind: &'static str,
}

impl InvalidId {
    pub(crate) const fn new(kind: &'static str) -> Self {
        Self { kind }
    }
}

/// Identifies a task: `task_` and 32 lowercase hexadecimal digits of a UUID. Random ids are UUIDs of version 7 (RFC
/// 9562), so that ids sort by submission time; derived ids are UUIDs of version 8.
///
/// ```
/// use quire_tasks::TaskId;
///
/// let id: TaskId = "task_0192abcd000070008000000000000001".parse()?;
/// assert_eq!(id.to_string(), "task_0192abcd000070008000000000000001");
///
/// // The same parts derive the same id, so that a repeated upload event creates one task.
/// assert_eq!(TaskId::derive_from(&["bucket", "key"]), TaskId::derive_from(&["bucket", "key"]));
/// assert!("task_not-hexadecimal".parse::<TaskId>().is_err());
/// # Ok::<(), quire_tasks::InvalidId>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct TaskId(Uuid);

impl TaskId {
    const PREFIX: &str = "task_";

    /// Returns the id for a UUID, e.g. of `Uuid::now_v7()`. This crate has no clock.
    pub const fn new(uuid: Uuid) -> Self {
        Self(uuid)
    }

    /// Derives an id from `parts`. The same parts return the same id, which makes the creation of a task idempotent.
    pub fn derive_from(parts: &[&str]) -> Self {
        let mut hash = Sha256::new();
        for part in parts {
            // Length-prefixed, so that different lists of parts never hash equally.
            hash.update((part.len() as u64).to_be_bytes());
            hash.update(part);
        }
        let digest = hash.finalize();
        Self(uuid::Builder::from_custom_bytes(std::array::from_fn(|index| digest[index])).into_uuid())
    }

    /// Returns the digits without the prefix.
    pub(crate) fn digits(self) -> impl fmt::Display {
        self.0.simple()
    }

    /// Parses the digits without the prefix: exactly 32, in lowercase. `Uuid` accepts other notations too, but a task
    /// has one id.
    pub(crate) fn parse_digits(digits: &str) -> Option<Self> {
        let plain = digits.len() == 32 && !digits.contains(|c: char| c.is_ascii_uppercase());
        Uuid::try_parse(digits).ok().filter(|_| plain).map(Self)
    }
}

impl fmt::Display for TaskId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}{}", Self::PREFIX, self.0.simple())
    }
}

impl FromStr for TaskId {
    type Err = InvalidId;

    fn from_str(text: &str) -> Result<Self, InvalidId> {
        text.strip_prefix(Self::PREFIX).and_then(Self::parse_digits).ok_or(InvalidId::new("task"))
    }
}

impl TryFrom<String> for TaskId {
    type Error = InvalidId;

    fn try_from(text: String) -> Result<Self, InvalidId> {
        text.parse()
    }
}

impl From<TaskId> for String {
    fn from(id: TaskId) -> Self {
        id.to_string()
    }
}

/// The tenant that owns a task. Queues are fair between tenants.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Tenant(String);

impl Tenant {
    /// Maximum length in bytes. It must fit into an SQS message group id (128 characters).
    pub const MAX_LENGTH: usize = 64;

    /// Returns the name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl Default for Tenant {
    /// The only tenant of a backend without API keys.
    fn default() -> Self {
        Self("default".to_owned())
    }
}

impl FromStr for Tenant {
    type Err = InvalidId;

    fn from_str(text: &str) -> Result<Self, InvalidId> {
        let fits = (1..=Self::MAX_LENGTH).contains(&text.len());
        let plain = text.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_');
        if fits && plain { Ok(Self(text.to_owned())) } else { Err(InvalidId { kind: "tenant" }) }
    }
}

impl TryFrom<String> for Tenant {
    type Error = InvalidId;

    fn try_from(text: String) -> Result<Self, InvalidId> {
        text.parse()
    }
}

impl From<Tenant> for String {
    fn from(tenant: Tenant) -> Self {
        tenant.0
    }
}

impl fmt::Display for Tenant {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Identifies a page, the unit of work.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct PageRef {
    /// The task.
    pub task_id: TaskId,
    /// The document's number in the task, from 1.
    pub document: u32,
    /// The page's number in the document, from 1.
    pub page: u32,
}

impl fmt::Display for PageRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}/{}", self.task_id, self.document, self.page)
    }
}

/// A time in milliseconds since 1970-01-01 UTC.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct UnixMillis(pub i64);

impl UnixMillis {
    /// Returns this time plus a duration, saturating.
    #[must_use]
    pub const fn plus(self, later: Duration) -> Self {
        Self(self.0.saturating_add(later.as_millis() as i64))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_task_id_has_one_notation() {
        let id = TaskId::new(Uuid::from_u128(0x0192_abcd));
        assert_eq!(id.to_string().parse(), Ok(id));
        let upper = id.to_string().replace("abcd", "ABCD");
        assert!(upper.parse::<TaskId>().is_err());
        for wrong in ["", "task_", "task_12", "0000000000000000000000000192abcd", "task_../../../../etc/passwd"] {
            assert!(wrong.parse::<TaskId>().is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_derived_id_depends_on_all_its_parts() {
        let id = TaskId::derive_from(&["bucket", "inbox/a.pdf", "1"]);
        // A literal, since ids must stay the same in later releases.
        assert_eq!(id.to_string(), "task_4c621f9bb7028472b4a001d58c94bf5b");
        assert_eq!(id.to_string().parse(), Ok(id));
        for others in
            [&["bucket", "inbox/a.pdf", "2"][..], &["bucket", "inbox/a.pdf1"], &["bucketinbox/a.pdf", "", "1"]]
        {
            assert_ne!(TaskId::derive_from(others), id, "{others:?}");
        }
    }

    #[test]
    fn a_tenant_name_is_short_and_plain() {
        assert!("acme-2_x".parse::<Tenant>().is_ok());
        for wrong in ["", "a/b", "a b", "é", &"x".repeat(65)] {
            assert!(wrong.parse::<Tenant>().is_err(), "{wrong}");
        }
    }
}
