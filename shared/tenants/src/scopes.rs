//! What an API key may be used for.

use std::{collections::BTreeSet, fmt, str::FromStr};

use serde::{Deserialize, Serialize};

/// A scope: a group of calls that a key may be used for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Scope {
    /// Create, retry and cancel tasks.
    Submit,
    /// Read tasks, results and delivery logs.
    Read,
    /// Delete tasks.
    Delete,
    /// Read the webhook secret, test, resend and recover webhooks, and enable endpoints.
    Webhooks,
    /// Everything: all calls of the other scopes, and to rotate the webhook secret.
    Admin,
}

/// Error: the text is not a scope. Decision: refuse the argument.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("unknown scope {0:?}: expected one of submit, read, delete, webhooks, admin")]
pub struct InvalidScope(String);

impl Scope {
    /// All scopes.
    pub const ALL: [Self; 5] = [Self::Submit, Self::Read, Self::Delete, Self::Webhooks, Self::Admin];

    /// Returns the name, as it is stored, given by an operator and named in errors.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Submit => "submit",
            Self::Read => "read",
            Self::Delete => "delete",
            Self::Webhooks => "webhooks",
            Self::Admin => "admin",
        }
    }
}

impl FromStr for Scope {
    type Err = InvalidScope;

    fn from_str(text: &str) -> Result<Self, InvalidScope> {
        Self::ALL.into_iter().find(|scope| scope.as_str() == text).ok_or_else(|| InvalidScope(text.to_owned()))
    }
}

/// The scopes of a key.
///
/// ```
/// use quire_tenants::{Scope, Scopes};
///
/// let scopes = Scopes::from_iter([Scope::Submit, Scope::Read]);
/// assert!(scopes.allow(Scope::Read) && !scopes.allow(Scope::Delete));
/// assert!(Scopes::from_iter([Scope::Admin]).allow(Scope::Delete));
/// assert_eq!(scopes.to_string(), "submit,read");
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Scopes(BTreeSet<Scope>);

impl Scopes {
    /// Returns all scopes: those of a key without any restriction, e.g. from before there were scopes.
    pub fn all() -> Self {
        Self::from_iter(Scope::ALL)
    }

    /// Returns whether a key with these scopes may be used for calls of this one.
    pub fn allow(&self, scope: Scope) -> bool {
        self.0.contains(&scope) || self.0.contains(&Scope::Admin)
    }

    pub(crate) fn is_all(&self) -> bool {
        self.0.len() == Scope::ALL.len()
    }
}

impl FromIterator<Scope> for Scopes {
    fn from_iter<T: IntoIterator<Item = Scope>>(scopes: T) -> Self {
        Self(scopes.into_iter().collect())
    }
}

impl fmt::Display for Scopes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.iter().map(|scope| scope.as_str()).collect::<Vec<_>>().join(","))
    }
}
