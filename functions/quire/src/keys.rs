//! `quire keys`: who may call the API.

use anyhow::Context;
use quire_platform::Backend;
use quire_tasks::Tenant;
use quire_tenants::{KeyEntry, create_key, list_keys, revoke_key};

use crate::{cli::Keys, print, site::Site};

/// Runs one of the subcommands on a backend, whether it is being served or not.
pub(crate) async fn keys(args: Keys) -> anyhow::Result<()> {
    match args {
        // Keys come before the first `serve` where it is to listen to everybody: the folder is made.
        Keys::Create { tenant, name, place } => {
            create(&Site::made(&place).await?.backend(), &tenant, &name.unwrap_or_default()).await
        }
        Keys::List { place } => list(&Site::existing(&place).await?.backend()).await,
        Keys::Revoke { id, place } => revoke(&Site::existing(&place).await?.backend(), &id).await,
    }
}

/// The key alone on standard output, for a script; what is to be known of it besides, on the other.
async fn create(backend: &Backend, tenant: &Tenant, name: &str) -> anyhow::Result<()> {
    let (entry, key) = create_key(backend, tenant, name, print::now(), rand::random()).await?;
    eprintln!("quire: made key {} of tenant {tenant}; it is shown this once", entry.id);
    print::lines(&[key.reveal().to_owned()])
}

async fn list(backend: &Backend) -> anyhow::Result<()> {
    let lines: Vec<String> = list_keys(backend).await?.iter().map(line).collect();
    print::lines(&lines)
}

async fn revoke(backend: &Backend, id: &str) -> anyhow::Result<()> {
    let revoked = revoke_key(backend, id, print::now()).await?;
    let entry = revoked.with_context(|| format!("there is no key {id:?}: see `quire keys list`"))?;
    print::lines(&[line(&entry)])
}

/// Tab-separated: for eyes, and for `cut`. What is not said is a dash.
fn line(entry: &KeyEntry) -> String {
    let KeyEntry { id, tenant, name, created_at, revoked_at } = entry;
    let name = if name.is_empty() { "-" } else { name };
    let state = revoked_at.map_or("in force".to_owned(), |at| format!("revoked {}", print::time(at)));
    format!("{id}\t{tenant}\t{name}\t{}\t{state}", print::time(*created_at))
}

#[cfg(test)]
mod tests {
    use quire_tasks::UnixMillis;

    use super::*;

    #[test]
    fn a_key_is_listed_with_whether_it_is_in_force() {
        let entry = KeyEntry {
            id: "0123456789ab".to_owned(),
            tenant: "acme".parse().expect("a name"),
            name: String::new(),
            created_at: UnixMillis(0),
            revoked_at: None,
        };
        assert_eq!(line(&entry), "0123456789ab\tacme\t-\t1970-01-01T00:00:00Z\tin force");
        let revoked = KeyEntry { name: "scanner".to_owned(), revoked_at: Some(UnixMillis(1_000)), ..entry };
        let shown = line(&revoked);
        assert_eq!(shown, "0123456789ab\tacme\tscanner\t1970-01-01T00:00:00Z\trevoked 1970-01-01T00:00:01Z");
    }
}
