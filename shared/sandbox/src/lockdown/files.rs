//! File access: none, except fonts. By landlock.

use std::path::PathBuf;

use landlock::{
    ABI, Access, AccessFs, AccessNet, Ruleset, RulesetAttr, RulesetCreatedAttr, RulesetError, RulesetStatus, Scope,
    path_beneath_rules,
};

use super::protection::Protection;

/// The newest version of landlock whose rights are given up; older kernels support a part of them.
const NEWEST: ABI = ABI::V6;

/// Forbids this process to open, create, change or execute files, to use the network, and to signal or contact other
/// processes. It may read files in the folders with the fonts that a PDF does not contain: without them, text in such
/// fonts would be missing.
pub(super) fn forbid(font_folders: &[PathBuf]) -> Protection {
    match restrict(font_folders) {
        Ok(RulesetStatus::FullyEnforced) => Protection::Enforced,
        Ok(RulesetStatus::PartiallyEnforced) => {
            Protection::Partial { reason: "the kernel has an older version of landlock".to_owned() }
        }
        Ok(RulesetStatus::NotEnforced) => Protection::missing(&"the kernel has no landlock (Linux 5.13 or newer)"),
        Err(error) => Protection::missing(&error),
    }
}

fn restrict(font_folders: &[PathBuf]) -> Result<RulesetStatus, RulesetError> {
    let restricted = Ruleset::default()
        .handle_access(AccessFs::from_all(NEWEST))?
        .handle_access(AccessNet::from_all(NEWEST))?
        .scope(Scope::from_all(NEWEST))?
        .create()?
        .add_rules(path_beneath_rules(font_folders, AccessFs::ReadFile | AccessFs::ReadDir))?
        .restrict_self()?;
    Ok(restricted.ruleset)
}
