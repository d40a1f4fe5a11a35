//! `quire keys`: manages API keys.

use anyhow::Context;
use quire_platform::Backend;
use quire_tasks::UnixMillis;
use quire_tenants::{KeyEntry, NewKey, Scopes, create_restricted_key, list_keys, revoke_key};

use crate::{cli::KeysCommand, deployment::Deployment, rows};

/// Runs a subcommand, whether the backend is being served or not.
pub(crate) async fn run(command: KeysCommand) -> anyhow::Result<()> {
    match command {
        // Creates the data folder: a `serve` that is reachable by others needs a key before its first start.
        KeysCommand::Create { tenant, name, scopes, expires, deployment } => {
            let now = quire_platform::now();
            let expires_at = expires.map(|expires| expires.at(now)).transpose()?;
            let scopes = if scopes.is_empty() { Scopes::all() } else { Scopes::from_iter(scopes) };
            let new = NewKey { tenant, name: name.unwrap_or_default(), scopes, expires_at };
            create(&Deployment::open_or_create(&deployment).await?.backend(), new, now).await
        }
        KeysCommand::List { deployment } => list(&Deployment::open_existing(&deployment).await?.backend()).await,
        KeysCommand::Revoke { id, deployment } => {
            revoke(&Deployment::open_existing(&deployment).await?.backend(), &id).await
        }
    }
}

/// Prints only the key to standard output, for scripts, and everything else to standard error.
async fn create(backend: &Backend, new: NewKey, now: UnixMillis) -> anyhow::Result<()> {
    let (entry, key) = create_restricted_key(backend, new, now, rand::random()).await?;
    rows::report(&format!("created key {} of tenant {}; it is not shown again", entry.id, entry.tenant));
    rows::print(&[key.reveal().to_owned()])
}

async fn list(backend: &Backend) -> anyhow::Result<()> {
    let now = quire_platform::now();
    let rows: Vec<String> = list_keys(backend).await?.iter().map(|entry| format_row(entry, now)).collect();
    rows::print(&rows)
}

async fn revoke(backend: &Backend, id: &str) -> anyhow::Result<()> {
    let now = quire_platform::now();
    let revoked = revoke_key(backend, id, now).await?;
    let entry = revoked.with_context(|| format!("unknown key {id:?}: see `quire keys list`"))?;
    rows::print(&[format_row(&entry, now)])
}

/// Formats a key as a tab-separated row: id, tenant, name, creation, state, scopes, expiry and last use.
fn format_row(entry: &KeyEntry, now: UnixMillis) -> String {
    let KeyEntry { id, tenant, name, created_at, revoked_at, scopes, expires_at, last_used_at } = entry;
    let name = if name.is_empty() { rows::UNKNOWN } else { name };
    let state = match revoked_at {
        Some(at) => format!("revoked {}", rows::format_time(*at)),
        None if !entry.is_valid(now) => "expired".to_owned(),
        None => "active".to_owned(),
    };
    let created_at = rows::format_time(*created_at);
    let expires_at = expires_at.map_or_else(|| "never".to_owned(), rows::format_time);
    let last_used_at = rows::cell_or_unknown(last_used_at.map(rows::format_time));
    format!("{id}\t{tenant}\t{name}\t{created_at}\t{state}\t{scopes}\t{expires_at}\t{last_used_at}")
}

#[cfg(test)]
mod tests {
    use quire_tenants::Scope;

    use super::*;

    #[test]
    fn a_key_is_listed_with_its_state_scopes_expiry_and_last_use() {
        let now = UnixMillis(60_000);
        let entry = KeyEntry {
            id: "0123456789ab".to_owned(),
            tenant: "acme".parse().expect("a valid tenant"),
            name: String::new(),
            created_at: UnixMillis(0),
            revoked_at: None,
            scopes: Scopes::all(),
            expires_at: None,
            last_used_at: None,
        };
        let start = "0123456789ab\tacme\t-\t1970-01-01T00:00:00Z";
        let all = "submit,read,delete,webhooks,admin";
        assert_eq!(format_row(&entry, now), format!("{start}\tactive\t{all}\tnever\t-"));
        let scopes = Scopes::from_iter([Scope::Read]);
        let used = KeyEntry { scopes, expires_at: Some(now), last_used_at: Some(UnixMillis(1_000)), ..entry.clone() };
        let end = "read\t1970-01-01T00:01:00Z\t1970-01-01T00:00:01Z";
        assert_eq!(format_row(&used, UnixMillis(59_999)), format!("{start}\tactive\t{end}"));
        assert_eq!(format_row(&used, now), format!("{start}\texpired\t{end}"));
        let revoked = KeyEntry { name: "scanner".to_owned(), revoked_at: Some(UnixMillis(1_000)), ..entry };
        let row = format_row(&revoked, now);
        let start = "0123456789ab\tacme\tscanner\t1970-01-01T00:00:00Z\trevoked 1970-01-01T00:00:01Z";
        assert_eq!(row, format!("{start}\t{all}\tnever\t-"));
    }
}
