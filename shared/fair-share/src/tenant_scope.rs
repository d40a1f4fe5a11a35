//! The tenant that the current task works for.

use std::sync::Arc;

tokio::task_local! {
    static TENANT: Arc<str>;
}

/// Runs a future as the work of a tenant. What it spawns is not included.
pub async fn with_tenant<F: Future>(tenant: &str, work: F) -> F::Output {
    TENANT.scope(tenant.into(), work).await
}

/// Returns the tenant of the current task; `None` if it works for none, e.g. a sweeper.
pub fn current_tenant() -> Option<Arc<str>> {
    TENANT.try_with(Arc::clone).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_future_knows_its_tenant_and_what_it_spawns_does_not() {
        assert_eq!(current_tenant(), None);
        let inner = async {
            let spawned = tokio::spawn(async { current_tenant() }).await.expect("no panic");
            (current_tenant().map(|tenant| tenant.to_string()), spawned)
        };
        assert_eq!(with_tenant("acme", inner).await, (Some("acme".to_owned()), None));
    }
}
