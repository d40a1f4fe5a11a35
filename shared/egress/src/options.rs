//! What a client may call, and whom it trusts.

use std::fs;

use quire_telemetry::env::{self, Misconfigured};

use crate::{AllowList, EgressPolicy};

/// The variable of the allow-list.
const ALLOW: &str = "QUIRE_EGRESS_ALLOW";
/// The variable of the file with further root certificates.
const CA_FILE: &str = "QUIRE_EGRESS_CA_FILE";

/// What a client may call, and whom it trusts. Default: `https` URLs on the public internet, and the root certificates
/// of the system.
#[derive(Debug, Clone, Default)]
pub struct EgressOptions {
    /// URLs that are allowed for development.
    pub policy: EgressPolicy,
    /// Private networks and hosts that are allowed.
    pub allow: AllowList,
    /// Further root certificates, in PEM.
    pub ca_certificates: Option<Vec<u8>>,
}

impl EgressOptions {
    /// Reads the variables `QUIRE_EGRESS_ALLOW`, `QUIRE_EGRESS_CA_FILE` and `QUIRE_DEV`. `dev` acts like the last one.
    ///
    /// # Errors
    /// [`Misconfigured`] if one of them is invalid, or the file cannot be read.
    pub fn from_env(dev: bool) -> Result<Self, Misconfigured> {
        let allow_loopback_http = dev || env::switch("QUIRE_DEV")?;
        let allow = match env::text(ALLOW)? {
            Some(value) => value.parse().map_err(|why| misconfigured(ALLOW, &value, &why))?,
            None => AllowList::default(),
        };
        let ca_certificates = match env::text(CA_FILE)? {
            Some(value) => Some(fs::read(&value).map_err(|why| misconfigured(CA_FILE, &value, &why))?),
            None => None,
        };
        Ok(Self { policy: EgressPolicy { allow_loopback_http }, allow, ca_certificates })
    }
}

fn misconfigured(name: &'static str, value: &str, why: &impl ToString) -> Misconfigured {
    Misconfigured { name, value: value.to_owned(), why: why.to_string() }
}
