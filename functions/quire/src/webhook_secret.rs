//! `quire webhook-secret`: prints or rotates the secret that signs a tenant's callbacks.

use quire_tenants::Signing;

use crate::{cli::WebhookSecretArgs, deployment::Deployment, rows};

/// Prints only the tenant's newest secret to standard output, for scripts.
pub(crate) async fn print(args: &WebhookSecretArgs) -> anyhow::Result<()> {
    let backend = Deployment::open_or_create(&args.deployment).await?.backend();
    let signing = Signing::load(&backend).await?;
    let now = quire_platform::now();
    let secret = if args.rotate {
        let rotated = signing.rotate(&backend, &args.tenant, now).await?;
        rows::report(&format!("the previous secret also signs until {}", rows::format_time(rotated.both_until)));
        rotated.secret
    } else {
        signing.secrets(&backend, &args.tenant, now).await?.newest().clone()
    };
    rows::print(&[secret.reveal()])
}
