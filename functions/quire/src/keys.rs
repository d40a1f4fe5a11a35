//! `quire keys`: manages API keys.

use anyhow::Context;
use quire_platform::Backend;
use quire_tasks::Tenant;
use quire_tenants::{KeyEntry, create_key, list_keys, revoke_key};

use crate::{cli::KeysCommand, deployment::Deployment, rows};

/// Runs a subcommand, whether the backend is being served or not.
pub(crate) async fn run(command: KeysCommand) -> anyhow::Result<()> {
    match command {
        // Creates the data folder: a `serve` that is reachable by others needs a key before its first start.
        KeysCommand::Create { tenant, name, deployment } => {
            let backend = Deployment::open_or_create(&deployment).await?.backend();
            create(&backend, &tenant, &name.unwrap_or_default()).await
        }
        KeysCommand::List { deployment } => list(&Deployment::open_existing(&deployment).await?.backend()).await,
        KeysCommand::Revoke { id, deployment } => {
            revoke(&Deployment::open_existing(&deployment).await?.backend(), &id).await
        }
    }
}

/// Prints only the key to standard output, for scripts, and everything else to standard error.
async fn create(backend: &Backend, tenant: &Tenant, name: &str) -> anyhow::Result<()> {
    let (entry, key) = create_key(backend, tenant, name, quire_platform::now(), rand::random()).await?;
    rows::report(&format!("created key {} of tenant {tenant}; it is not shown again", entry.id));
    rows::print(&[key.reveal().to_owned()])
}

async fn list(backend: &Backend) -> anyhow::Result<()> {
    let rows: Vec<String> = list_keys(backend).await?.iter().map(format_row).collect();
    rows::print(&rows)
}

async fn revoke(backend: &Backend, id: &str) -> anyhow::Result<()> {
    let revoked = revoke_key(backend, id, quire_platform::now()).await?;
    let entry = revoked.with_context(|| format!("unknown key {id:?}: see `quire keys list`"))?;
    rows::print(&[format_row(&entry)])
}

/// Formats a key as a tab-separated row.
fn format_row(entry: &KeyEntry) -> String {
    let KeyEntry { id, tenant, name, created_at, revoked_at } = entry;
    let name = if name.is_empty() { rows::UNKNOWN } else { name };
    let state = match revoked_at {
        Some(at) => format!("revoked {}", rows::format_time(*at)),
        None => "active".to_owned(),
    };
    format!("{id}\t{tenant}\t{name}\t{}\t{state}", rows::format_time(*created_at))
}

#[cfg(test)]
mod tests {
    use quire_tasks::UnixMillis;

    use super::*;

    #[test]
    fn a_key_is_listed_as_active_or_revoked() {
        let entry = KeyEntry {
            id: "0123456789ab".to_owned(),
            tenant: "acme".parse().expect("a valid tenant"),
            name: String::new(),
            created_at: UnixMillis(0),
            revoked_at: None,
        };
        assert_eq!(format_row(&entry), "0123456789ab\tacme\t-\t1970-01-01T00:00:00Z\tactive");
        let revoked = KeyEntry { name: "scanner".to_owned(), revoked_at: Some(UnixMillis(1_000)), ..entry };
        let row = format_row(&revoked);
        assert_eq!(row, "0123456789ab\tacme\tscanner\t1970-01-01T00:00:00Z\trevoked 1970-01-01T00:00:01Z");
    }
}
