//! Identifiers, and the one unit of time.

use std::{fmt, str::FromStr, time::Duration};

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use uuid::Uuid;

/// Why a string is no identifier.
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

/// Names a task: `task_` and 32 hexadecimal digits of a UUID: version 7, so that ids sort by time of submission, or
/// version 8 where the id is derived from what the task is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct TaskId(Uuid);

impl TaskId {
    const PREFIX: &str = "task_";

    /// The task named by a UUID; whoever has a clock makes it (`Uuid::now_v7`).
    pub const fn new(uuid: Uuid) -> Self {
        Self(uuid)
    }

    /// The task about what `parts` name: the same parts make the same id, so that who hears of one thing twice makes one
    /// task of it.
    pub fn derive_from(parts: &[&str]) -> Self {
        let mut hash = Sha256::new();
        for part in parts {
            // With its length, so that no two lists of parts read the same.
            hash.update((part.len() as u64).to_be_bytes());
            hash.update(part);
        }
        let digest = hash.finalize();
        Self(uuid::Builder::from_custom_bytes(std::array::from_fn(|index| digest[index])).into_uuid())
    }

    /// The digits of its name.
    pub(crate) fn digits(self) -> impl fmt::Display {
        self.0.simple()
    }

    /// The task whose name has these digits: 32, in lower case. `Uuid` takes other notations too; one task has one name.
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

/// Whose task it is. Queues take turns between tenants.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Tenant(String);

impl Tenant {
    /// The longest name: it must fit a message group's name with room to spare.
    pub const MAX_LENGTH: usize = 64;

    /// The name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl Default for Tenant {
    /// The one tenant of a backend without API keys.
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

/// One page: the unit of work.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct PageRef {
    /// The task it belongs to.
    pub task_id: TaskId,
    /// The document inside the task, counted from 1 in the order sent.
    pub document: u32,
    /// The page inside the document, counted from 1.
    pub page: u32,
}

impl fmt::Display for PageRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}/{}", self.task_id, self.document, self.page)
    }
}

/// Milliseconds since 1970-01-01 UTC.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct UnixMillis(pub i64);

impl UnixMillis {
    /// So much later.
    #[must_use]
    pub const fn plus(self, later: Duration) -> Self {
        Self(self.0.saturating_add(later.as_millis() as i64))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_task_id_reads_back_and_other_notations_do_not() {
        let id = TaskId::new(Uuid::from_u128(0x0192_abcd));
        assert_eq!(id.to_string().parse(), Ok(id));
        let upper = id.to_string().replace("abcd", "ABCD");
        assert!(upper.parse::<TaskId>().is_err());
        for wrong in ["", "task_", "task_12", "0000000000000000000000000192abcd", "task_../../../../etc/passwd"] {
            assert!(wrong.parse::<TaskId>().is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_derived_id_is_the_same_for_the_same_parts_only() {
        let id = TaskId::derive_from(&["bucket", "inbox/a.pdf", "1"]);
        // Written down, since ids must stay the same from one release to the next.
        assert_eq!(id.to_string(), "task_4c621f9bb7028472b4a001d58c94bf5b");
        assert_eq!(id.to_string().parse(), Ok(id));
        for others in
            [&["bucket", "inbox/a.pdf", "2"][..], &["bucket", "inbox/a.pdf1"], &["bucketinbox/a.pdf", "", "1"]]
        {
            assert_ne!(TaskId::derive_from(others), id, "{others:?}");
        }
    }

    #[test]
    fn a_tenant_is_a_plain_short_name() {
        assert!("acme-2_x".parse::<Tenant>().is_ok());
        for wrong in ["", "a/b", "a b", "é", &"x".repeat(65)] {
            assert!(wrong.parse::<Tenant>().is_err(), "{wrong}");
        }
    }
}
