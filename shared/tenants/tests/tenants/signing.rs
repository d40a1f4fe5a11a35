//! Webhook signing secrets.

use quire_callback::{Secret, Secrets};
use quire_platform::SecretName;
use quire_tasks::Tenant;
use quire_tenants::{SECRET_OVERLAP, Signing, SigningError};

use crate::{TestBackend, at_second, tenant};

/// Returns the number of signatures by these secrets.
fn signatures(secrets: &Secrets) -> usize {
    quire_callback::sign(secrets, "msg", 0, b"{}").split(' ').count()
}

async fn signing(test: &TestBackend) -> Signing {
    Signing::new(&test.backend, None).await.expect("a root secret")
}

#[tokio::test]
async fn all_processes_share_a_secret_per_tenant() {
    let test = TestBackend::new();
    let first = signing(&test).await;
    let second = signing(&test).await;
    let acme = tenant("acme");
    let other = tenant("other");
    let default = Tenant::default();
    let of = async |signing: &Signing, of| signing.secrets(&test.backend, of, at_second(0)).await.expect("secrets");
    assert_eq!(of(&first, &acme).await, of(&second, &acme).await);
    assert_ne!(of(&first, &acme).await, of(&first, &other).await);
    assert_ne!(of(&first, &acme).await, of(&first, &default).await);
    assert_eq!(signatures(&of(&first, &acme).await), 1);
    let kept = test
        .backend
        .secrets
        .read(SecretName::Webhook)
        .await
        .expect("the record can be read")
        .expect("the root secret exists");
    assert_ne!(of(&first, &default).await.newest().reveal(), kept.trim(), "the root secret never signs");
    assert_eq!(format!("{first:?}"), "Signing(…)");
}

#[tokio::test]
async fn both_secrets_sign_for_a_day_after_a_rotation() {
    let test = TestBackend::new();
    let signing = signing(&test).await;
    let acme = tenant("acme");
    let at = async |second| signing.secrets(&test.backend, &acme, at_second(second)).await.expect("secrets");
    let before = at(0).await.newest().clone();
    let rotated = signing.rotate(&test.backend, &acme, at_second(0)).await.expect("a new secret");
    let day = SECRET_OVERLAP.as_secs().cast_signed();
    assert_eq!(rotated.both_until, at_second(day));
    assert_ne!(rotated.secret, before);
    assert_eq!(at(day - 1).await, Secrets::new(rotated.secret.clone(), [before]));
    assert_eq!(at(day).await, Secrets::one(rotated.secret.clone()));
    let until = async |second| {
        signing.older_until(&test.backend, &acme, at_second(second)).await.expect("the record can be read")
    };
    assert_eq!((until(day - 1).await, until(day).await), (Some(at_second(day)), None));
    assert_eq!(signatures(&signing.secrets(&test.backend, &tenant("other"), at_second(0)).await.expect("secrets")), 1);
    assert!(!test.holds(&rotated.secret.reveal()), "derived secrets are not stored");
}

#[tokio::test]
async fn a_rotation_that_would_drop_a_secret_early_is_refused() {
    let test = TestBackend::new();
    let signing = signing(&test).await;
    let acme = tenant("acme");
    let mut newest = Vec::new();
    let secrets = async |second| signing.secrets(&test.backend, &acme, at_second(second)).await.expect("secrets");
    newest.push(secrets(0).await.newest().clone());
    for second in 1..=4 {
        newest.push(signing.rotate(&test.backend, &acme, at_second(second)).await.expect("a new secret").secret);
    }
    let day = SECRET_OVERLAP.as_secs().cast_signed();
    for second in [4, 5, day] {
        let refused = signing.rotate(&test.backend, &acme, at_second(second)).await.expect_err("too many rotations");
        let SigningError::TooManyRotations { retry_after } = refused else { panic!("{refused}") };
        assert_eq!(retry_after.as_secs().cast_signed(), day + 1 - second);
    }
    newest.reverse();
    assert_eq!(secrets(day).await, Secrets::new(newest[0].clone(), newest[1..].to_vec()), "all still sign");

    let rotated = signing.rotate(&test.backend, &acme, at_second(day + 1)).await.expect("the first no longer signs");
    assert_eq!(secrets(day + 1).await, Secrets::new(rotated.secret, newest[..4].to_vec()));
}

#[tokio::test]
async fn concurrent_rotations_both_succeed() {
    let test = TestBackend::new();
    let signing = signing(&test).await;
    let acme = tenant("acme");
    let rotate = || signing.rotate(&test.backend, &acme, at_second(0));
    let (first, second) = tokio::join!(rotate(), rotate());
    let first = first.expect("a new secret").secret;
    let second = second.expect("a new secret").secret;
    assert_ne!(first, second);
    let newest = signing.secrets(&test.backend, &acme, at_second(1)).await.expect("secrets").newest().clone();
    assert!(newest == first || newest == second);
}

#[tokio::test]
async fn configured_secrets_sign_for_the_default_tenant_only() {
    let test = TestBackend::new();
    let fixed = Secrets::new(Secret::generate([7; 32]), [Secret::generate([8; 32])]);
    let signing = Signing::new(&test.backend, Some(fixed.clone())).await.expect("a root secret");
    let default = Tenant::default();
    let now = at_second(0);
    assert_eq!(signing.secrets(&test.backend, &default, now).await.expect("secrets"), fixed);
    assert!(matches!(signing.rotate(&test.backend, &default, now).await, Err(SigningError::Fixed)));
    assert_eq!(signing.older_until(&test.backend, &default, now).await.expect("the record can be read"), None);
    assert!(signing.rotate(&test.backend, &tenant("acme"), now).await.is_ok());
    assert_ne!(signing.secrets(&test.backend, &tenant("acme"), now).await.expect("secrets"), fixed);
}

#[tokio::test]
async fn an_invalid_root_secret_is_an_error() {
    let test = TestBackend::new();
    test.backend.secrets.put_new(SecretName::Webhook, "nonsense").await.expect("the secret is written");
    let refused = Signing::new(&test.backend, None).await.expect_err("the root secret is invalid").to_string();
    assert!(refused.contains("the stored webhook root secret is invalid") && !refused.contains("nonsense"));
}
