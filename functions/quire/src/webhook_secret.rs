//! The secret that a tenant's callbacks are signed with.

use quire_tenants::Signing;

use crate::{cli, print, site::Site};

/// Prints the newest secret of a tenant: alone, for a script.
pub(crate) async fn print(args: &cli::WebhookSecret) -> anyhow::Result<()> {
    let backend = Site::made(&args.place).await?.backend();
    let (signing, now) = (Signing::load(&backend).await?, print::now());
    let secret = if args.rotate {
        let rotated = signing.rotate(&backend, &args.tenant, now).await?;
        eprintln!("quire: the secret before it signs too until {}", print::time(rotated.both_until));
        rotated.secret
    } else {
        signing.secrets(&backend, &args.tenant, now).await?.newest().clone()
    };
    print::lines(&[secret.reveal()])
}
