//! The secret that callbacks are signed with.

use std::{
    fs::{self, File},
    io::{ErrorKind, Write},
    os::unix::fs::OpenOptionsExt,
    path::Path,
};

use anyhow::Context;
use quire_callback::Secret;

use crate::cli::Data;

const VARIABLE: &str = "QUIRE_WEBHOOK_SECRET";
const FILE: &str = "webhook-secret";

/// The secret of `QUIRE_WEBHOOK_SECRET`, or else the one kept in the home, made when there is none.
///
/// # Errors
/// When the variable or the file holds no secret, or the file cannot be made.
pub(crate) fn load(dir: &Path) -> anyhow::Result<Secret> {
    if let Some(text) = quire_boot::env::text(VARIABLE)? {
        return text.parse().with_context(|| format!("{VARIABLE} holds no secret"));
    }
    let path = dir.join(FILE);
    let text = match fs::read_to_string(&path) {
        Ok(text) => text,
        Err(error) if error.kind() == ErrorKind::NotFound => make(dir)?,
        Err(error) => return Err(error).with_context(|| format!("{} cannot be read", path.display())),
    };
    text.trim().parse().with_context(|| format!("{} holds no secret", path.display()))
}

/// Writes a new secret, whole and readable by its owner only, unless somebody else was first.
fn make(dir: &Path) -> anyhow::Result<String> {
    let path = dir.join(FILE);
    let draft = dir.join(format!("{FILE}.{}", uuid::Uuid::now_v7().simple()));
    let write = || -> std::io::Result<String> {
        let secret = Secret::generate(rand::random::<[u8; 32]>());
        let mut file = File::options().write(true).create_new(true).mode(0o600).open(&draft)?;
        writeln!(file, "{}", secret.reveal())?;
        file.sync_all()?;
        match fs::hard_link(&draft, &path) {
            Err(error) if error.kind() != ErrorKind::AlreadyExists => Err(error),
            _ => fs::read_to_string(&path),
        }
    };
    let made = write();
    // The draft is gone either way; it may never have been there.
    let _ = fs::remove_file(&draft);
    made.with_context(|| format!("{} cannot be made", path.display()))
}

/// Prints the secret.
pub(crate) fn print(data: &Data) -> anyhow::Result<()> {
    let dir = data.dir()?;
    fs::create_dir_all(&dir).with_context(|| format!("the data folder {} cannot be made", dir.display()))?;
    let secret = load(&dir)?;
    writeln!(std::io::stdout(), "{}", secret.reveal())?;
    Ok(())
}
