//! The end of `serve`: every service stops within a limit, whatever it is doing.

use std::time::Duration;

use quire_telemetry::env::{self, Misconfigured};
use tokio::{
    task::{JoinError, JoinSet},
    time::{sleep, timeout},
};
use tokio_util::sync::CancellationToken;
use tracing::warn;

use crate::supervisor::RELEASE_TIMEOUT;

/// The default limit exceeds the drain timeout by the time in which workers release their leases, and this.
const MARGIN: Duration = Duration::from_secs(5);
/// How long services that were stopped by force may take to drop what they hold: it kills their child processes.
const DROP_TIMEOUT: Duration = Duration::from_secs(1);

/// The limits of a graceful shutdown, from its begin.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct ShutdownLimits {
    /// How long work in flight may take: pages, documents, requests.
    pub(crate) drain: Duration,
    /// How long the shutdown may take altogether.
    pub(crate) total: Duration,
}

impl ShutdownLimits {
    /// Reads `QUIRE_SHUTDOWN_SECS`. Default: `drain`, the value of `QUIRE_DRAIN_SECS`, and 15 seconds.
    ///
    /// # Errors
    /// [`Misconfigured`] if the variable is invalid.
    pub(crate) fn from_env(drain: Duration) -> Result<Self, Misconfigured> {
        let default = drain + RELEASE_TIMEOUT + MARGIN;
        let total = env::secs_within("QUIRE_SHUTDOWN_SECS", default.as_secs(), 1..=7200)?;
        Ok(Self { drain: drain.min(total), total })
    }
}

/// Runs a service, and drops it if it has not stopped within the drain limit. Messages that it handled return to their
/// queue when their leases end, at the latest at the next start.
pub(crate) async fn stop_in_time(
    name: &'static str,
    service: impl Future<Output = anyhow::Result<()>>,
    limits: ShutdownLimits,
    shutdown: CancellationToken,
) -> anyhow::Result<()> {
    let limit_reached = async {
        shutdown.cancelled().await;
        sleep(limits.drain).await;
    };
    tokio::select! {
        ended = service => ended,
        () = limit_reached => {
            warn!(service = name, "drain limit reached: a service is stopped before its work is done");
            Ok(())
        }
    }
}

/// Waits for all services. The first one that fails stops the others, and its error is returned. Services that do not
/// stop within the total limit are dropped, with a warning.
pub(crate) async fn join_services(
    mut services: JoinSet<anyhow::Result<()>>,
    shutdown: &CancellationToken,
    limits: ShutdownLimits,
) -> anyhow::Result<()> {
    let mut result = Ok(());
    let mut limit_reached = std::pin::pin!(async {
        shutdown.cancelled().await;
        sleep(limits.total).await;
    });
    loop {
        tokio::select! {
            ended = services.join_next() => match ended {
                Some(ended) => result = join(result, ended, shutdown),
                None => return result,
            },
            () = &mut limit_reached => break,
        }
    }
    let limit_secs = limits.total.as_secs();
    warn!(left = services.len(), limit_secs, "shutdown limit reached: stopping the services that are still busy");
    if timeout(DROP_TIMEOUT, services.shutdown()).await.is_err() {
        warn!("a service could not be stopped");
    }
    result
}

fn join(
    result: anyhow::Result<()>,
    ended: Result<anyhow::Result<()>, JoinError>,
    shutdown: &CancellationToken,
) -> anyhow::Result<()> {
    let ended = ended.unwrap_or_else(|panic| Err(anyhow::Error::new(panic)));
    if ended.is_err() {
        shutdown.cancel();
    }
    result.and(ended)
}

#[cfg(test)]
mod tests {
    use std::future::pending;

    use tokio::time::Instant;

    use super::*;

    const LIMITS: ShutdownLimits = ShutdownLimits { drain: Duration::from_secs(100), total: Duration::from_secs(115) };

    #[tokio::test(start_paused = true)]
    async fn a_service_that_hangs_is_stopped_at_the_limit() {
        let mut services = JoinSet::new();
        services.spawn(pending());
        services.spawn(async { Ok(()) });
        let shutdown = CancellationToken::new();
        let stop = async {
            tokio::time::sleep(Duration::from_secs(1000)).await;
            shutdown.cancel();
        };
        let began = Instant::now();
        let (result, ()) = tokio::join!(join_services(services, &shutdown, LIMITS), stop);
        assert!(result.is_ok());
        assert_eq!(began.elapsed(), Duration::from_secs(1115));
    }

    #[tokio::test(start_paused = true)]
    async fn a_service_is_stopped_at_the_drain_limit() {
        let shutdown = CancellationToken::new();
        shutdown.cancel();
        let began = Instant::now();
        assert!(stop_in_time("ingest", pending(), LIMITS, shutdown).await.is_ok());
        assert_eq!(began.elapsed(), LIMITS.drain);
    }

    #[tokio::test(start_paused = true)]
    async fn a_service_that_fails_stops_the_others() {
        let mut services = JoinSet::new();
        let shutdown = CancellationToken::new();
        let stopped = shutdown.clone();
        services.spawn(async move {
            stopped.cancelled().await;
            Ok(())
        });
        services.spawn(async { anyhow::bail!("no queue") });
        let result = join_services(services, &shutdown, LIMITS).await;
        assert_eq!(result.expect_err("the first error").to_string(), "no queue");
    }
}
