//! Whether a protection is in force.

use serde::{Deserialize, Serialize};

/// Whether a protection is in force.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "state")]
pub enum Protection {
    /// It is in force.
    Enforced,
    /// It is in force in part: the kernel is old.
    Partial {
        /// What is missing.
        reason: String,
    },
    /// It is not in force.
    Missing {
        /// Why.
        reason: String,
    },
}

impl Protection {
    /// Returns whether it is in force, at least in part.
    pub const fn is_enforced(&self) -> bool {
        !matches!(self, Self::Missing { .. })
    }

    pub(super) fn missing(reason: &dyn ToString) -> Self {
        Self::Missing { reason: reason.to_string() }
    }
}
