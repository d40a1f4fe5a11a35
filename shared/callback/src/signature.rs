//! Signatures of Standard Webhooks (version `v1`: HMAC-SHA256).

use base64::{Engine, engine::general_purpose::STANDARD};
use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;

use crate::{Secret, Secrets};

/// Header: the event's id, equal on every attempt.
pub const WEBHOOK_ID: &str = "webhook-id";
/// Header: the time of signing, in seconds since 1970-01-01 UTC.
pub const WEBHOOK_TIMESTAMP: &str = "webhook-timestamp";
/// Header: the signatures.
pub const WEBHOOK_SIGNATURE: &str = "webhook-signature";

/// Returns the value of [`WEBHOOK_SIGNATURE`]: one signature per secret, separated by spaces.
///
/// ```
/// use quire_callback::{Secrets, sign};
///
/// // The example of the Standard Webhooks specification.
/// let secrets: Secrets = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw".parse()?;
/// let signature = sign(&secrets, "msg_p5jXN8AQM9LWM0D4loKWxJek", 1_614_265_330, br#"{"test": 2432232314}"#);
/// assert_eq!(signature, "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=");
/// # Ok::<(), quire_callback::InvalidSecret>(())
/// ```
pub fn sign(secrets: &Secrets, id: &str, timestamp_secs: i64, body: &[u8]) -> String {
    let signatures: Vec<String> = secrets.iter().map(|secret| signature(secret, id, timestamp_secs, body)).collect();
    signatures.join(" ")
}

/// Returns the three headers of a callback that is signed at `timestamp_secs`.
pub fn signature_headers(secrets: &Secrets, id: &str, timestamp_secs: i64, body: &[u8]) -> [(&'static str, String); 3] {
    [
        (WEBHOOK_ID, id.to_owned()),
        (WEBHOOK_TIMESTAMP, timestamp_secs.to_string()),
        (WEBHOOK_SIGNATURE, sign(secrets, id, timestamp_secs, body)),
    ]
}

fn signature(secret: &Secret, id: &str, timestamp_secs: i64, body: &[u8]) -> String {
    let mut mac = Hmac::<Sha256>::new_from_slice(secret.key()).expect("HMAC accepts keys of any length");
    mac.update(format!("{id}.{timestamp_secs}.").as_bytes());
    mac.update(body);
    format!("v1,{}", STANDARD.encode(mac.finalize().into_bytes()))
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECRET: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";
    const ID: &str = "msg_p5jXN8AQM9LWM0D4loKWxJek";
    const TIMESTAMP: i64 = 1_614_265_330;
    const BODY: &[u8] = br#"{"test": 2432232314}"#;
    const SIGNATURE: &str = "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=";

    #[test]
    fn the_specification_example_has_its_signature() {
        let secrets = SECRET.parse().expect("a secret");
        assert_eq!(sign(&secrets, ID, TIMESTAMP, BODY), SIGNATURE);
        let expected = [
            (WEBHOOK_ID, ID.to_owned()),
            (WEBHOOK_TIMESTAMP, TIMESTAMP.to_string()),
            (WEBHOOK_SIGNATURE, SIGNATURE.to_owned()),
        ];
        assert_eq!(signature_headers(&secrets, ID, TIMESTAMP, BODY), expected);
    }

    #[test]
    fn both_secrets_sign_during_a_rotation() {
        let other = Secret::generate([7; 32]).reveal();
        let both = format!("{other} {SECRET}").parse().expect("two secrets");
        let header = sign(&both, ID, TIMESTAMP, BODY);
        let signatures: Vec<&str> = header.split(' ').collect();
        assert_eq!(signatures.len(), 2);
        assert_eq!(signatures[1], SIGNATURE);
        assert_ne!(signatures[0], SIGNATURE);
    }

    #[test]
    fn id_timestamp_and_body_are_signed() {
        let secrets = SECRET.parse().expect("a secret");
        assert_ne!(sign(&secrets, "msg_other", TIMESTAMP, BODY), SIGNATURE);
        assert_ne!(sign(&secrets, ID, TIMESTAMP + 1, BODY), SIGNATURE);
        assert_ne!(sign(&secrets, ID, TIMESTAMP, b"{}"), SIGNATURE);
    }
}
