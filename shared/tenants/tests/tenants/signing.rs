//! What callbacks are signed with.

use quire_callback::{Secret, Secrets};
use quire_platform::SecretName;
use quire_tasks::Tenant;
use quire_tenants::{SECRET_OVERLAP, Signing, SigningError};

use crate::{TestBackend, at_second, tenant};

/// How many signatures there are with these secrets.
fn signatures(secrets: &Secrets) -> usize {
    quire_callback::sign(secrets, "msg", 0, b"{}").split(' ').count()
}

async fn signing(test: &TestBackend) -> Signing {
    Signing::new(&test.backend, None).await.expect("a root")
}

#[tokio::test]
async fn every_process_signs_with_the_same_secret_and_every_tenant_with_its_own() {
    let test = TestBackend::new();
    let (first, second) = (signing(&test).await, signing(&test).await);
    let (acme, other, default) = (tenant("acme"), tenant("other"), Tenant::default());
    let of = async |signing: &Signing, of| signing.secrets(&test.backend, of, at_second(0)).await.expect("secrets");
    assert_eq!(of(&first, &acme).await, of(&second, &acme).await);
    assert_ne!(of(&first, &acme).await, of(&first, &other).await);
    assert_ne!(of(&first, &acme).await, of(&first, &default).await);
    assert_eq!(signatures(&of(&first, &acme).await), 1);
    let kept = test.backend.secrets.read(SecretName::Webhook).await.expect("it is read").expect("it was made");
    assert_ne!(of(&first, &default).await.newest().reveal(), kept.trim(), "the root is given to nobody");
    assert_eq!(format!("{first:?}"), "Signing(…)");
}

#[tokio::test]
async fn for_a_day_after_a_rotation_both_sign() {
    let test = TestBackend::new();
    let (signing, acme) = (signing(&test).await, tenant("acme"));
    let at = async |second| signing.secrets(&test.backend, &acme, at_second(second)).await.expect("secrets");
    let before = at(0).await.newest().clone();
    let rotated = signing.rotate(&test.backend, &acme, at_second(0)).await.expect("a new one");
    let day = SECRET_OVERLAP.as_secs().cast_signed();
    assert_eq!(rotated.both_until, at_second(day));
    assert_ne!(rotated.secret, before);
    assert_eq!(at(day - 1).await, Secrets::new(rotated.secret.clone(), [before]));
    assert_eq!(at(day).await, Secrets::one(rotated.secret.clone()));
    let until = async |second| signing.older_until(&test.backend, &acme, at_second(second)).await.expect("it is read");
    assert_eq!((until(day - 1).await, until(day).await), (Some(at_second(day)), None));
    assert_eq!(signatures(&signing.secrets(&test.backend, &tenant("other"), at_second(0)).await.expect("secrets")), 1);
    assert!(!test.holds(&rotated.secret.reveal()), "secrets are derived, and kept nowhere");
}

#[tokio::test]
async fn whoever_rotates_all_the_time_does_not_make_headers_grow_for_ever() {
    let test = TestBackend::new();
    let (signing, acme) = (signing(&test).await, tenant("acme"));
    let mut newest = Vec::new();
    for second in 0..10 {
        newest.push(signing.rotate(&test.backend, &acme, at_second(second)).await.expect("a new one").secret);
    }
    let secrets = signing.secrets(&test.backend, &acme, at_second(10)).await.expect("secrets");
    newest.reverse();
    assert_eq!(secrets, Secrets::new(newest[0].clone(), newest[1..5].to_vec()));
}

#[tokio::test]
async fn two_that_rotate_at_the_same_time_both_get_on() {
    let test = TestBackend::new();
    let (signing, acme) = (signing(&test).await, tenant("acme"));
    let rotate = || signing.rotate(&test.backend, &acme, at_second(0));
    let (first, second) = tokio::join!(rotate(), rotate());
    let (first, second) = (first.expect("a new one").secret, second.expect("a new one").secret);
    assert_ne!(first, second);
    let newest = signing.secrets(&test.backend, &acme, at_second(1)).await.expect("secrets").newest().clone();
    assert!(newest == first || newest == second);
}

#[tokio::test]
async fn what_an_operator_says_is_what_the_default_tenant_signs_with_and_no_other() {
    let test = TestBackend::new();
    let fixed = Secrets::new(Secret::generate([7; 32]), [Secret::generate([8; 32])]);
    let signing = Signing::new(&test.backend, Some(fixed.clone())).await.expect("a root");
    let (default, now) = (Tenant::default(), at_second(0));
    assert_eq!(signing.secrets(&test.backend, &default, now).await.expect("secrets"), fixed);
    assert!(matches!(signing.rotate(&test.backend, &default, now).await, Err(SigningError::Fixed)));
    assert_eq!(signing.older_until(&test.backend, &default, now).await.expect("it is read"), None);
    assert!(signing.rotate(&test.backend, &tenant("acme"), now).await.is_ok());
    assert_ne!(signing.secrets(&test.backend, &tenant("acme"), now).await.expect("secrets"), fixed);
}

#[tokio::test]
async fn a_root_that_is_no_secret_refuses_to_sign() {
    let test = TestBackend::new();
    test.backend.secrets.put_new(SecretName::Webhook, "nonsense").await.expect("it is written");
    let refused = Signing::new(&test.backend, None).await.expect_err("it is none").to_string();
    assert!(refused.contains("what is kept as the webhook secret is none") && !refused.contains("nonsense"));
}
