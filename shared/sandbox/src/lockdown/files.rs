//! File access: none, except the fonts of the system. By landlock.

use landlock::{
    ABI, Access, AccessFs, AccessNet, Ruleset, RulesetAttr, RulesetCreatedAttr, RulesetError, RulesetStatus, Scope,
    path_beneath_rules,
};

use super::protection::Protection;

/// The folders in which pdfium looks for the fonts that a PDF does not contain. Without them, pages with such fonts
/// would be read worse.
const FONTS: [&str; 4] =
    ["/usr/share/fonts", "/usr/share/X11/fonts/Type1", "/usr/share/X11/fonts/TTF", "/usr/local/share/fonts"];
/// The newest version of landlock whose rights are given up; older kernels support a part of them.
const NEWEST: ABI = ABI::V6;

/// Forbids this process to open, create, change or execute files, to use the network, and to signal or contact other
/// processes.
pub(super) fn forbid() -> Protection {
    match restrict() {
        Ok(RulesetStatus::FullyEnforced) => Protection::Enforced,
        Ok(RulesetStatus::PartiallyEnforced) => {
            Protection::Partial { reason: "the kernel has an older version of landlock".to_owned() }
        }
        Ok(RulesetStatus::NotEnforced) => Protection::missing(&"the kernel has no landlock (Linux 5.13 or newer)"),
        Err(error) => Protection::missing(&error),
    }
}

fn restrict() -> Result<RulesetStatus, RulesetError> {
    let restricted = Ruleset::default()
        .handle_access(AccessFs::from_all(NEWEST))?
        .handle_access(AccessNet::from_all(NEWEST))?
        .scope(Scope::from_all(NEWEST))?
        .create()?
        .add_rules(path_beneath_rules(FONTS, AccessFs::ReadFile | AccessFs::ReadDir))?
        .restrict_self()?;
    Ok(restricted.ruleset)
}
