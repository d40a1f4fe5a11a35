//! The secret that callbacks are signed with.

use std::io::Write;

use anyhow::Context;
use quire_callback::Secret;
use quire_platform::{Home, SecretName};

use crate::{cli, site::Site};

const VARIABLE: &str = "QUIRE_WEBHOOK_SECRET";

/// The secret of `QUIRE_WEBHOOK_SECRET`, or else the one kept in the home, made when there is none.
///
/// # Errors
/// When the variable or the home holds something that is no secret, or none can be made.
pub(crate) async fn load(home: &Home) -> anyhow::Result<Secret> {
    if let Some(text) = quire_boot::env::text(VARIABLE)? {
        return text.parse().with_context(|| format!("{VARIABLE} holds no secret"));
    }
    let kept = home.secrets.read(SecretName::Webhook).await?;
    let text = if let Some(text) = kept {
        text
    } else {
        let made = Secret::generate(rand::random::<[u8; 32]>());
        home.secrets.put_new(SecretName::Webhook, &made.reveal()).await?
    };
    text.trim().parse().context("what is kept as the webhook secret is none")
}

/// Prints the secret.
pub(crate) async fn print(place: &cli::Place) -> anyhow::Result<()> {
    let home = Site::made(place).await?.home();
    let secret = load(&home).await?;
    writeln!(std::io::stdout(), "{}", secret.reveal())?;
    Ok(())
}
