//! `quire serve`: the API, the workers, the callbacks and the dead letters in one command.

use std::{
    net::IpAddr,
    path::PathBuf,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::Duration,
};

use anyhow::{Context, ensure};
use async_trait::async_trait;
use quire_document::DocumentLimits;
use quire_native_libs::Progress;
use quire_notifier::Notifier;
use quire_platform::{Backend, QueueName};
use quire_routes::Config;
use quire_submit::{AppState, ChildInspector, Health, HealthReport, KeyPolicy, SubmitSettings};
use quire_tasks::UnixMillis;
use quire_tenants::{Signing, any_key_exists};
use serde_json::{Map, Value, json};
use tokio::{net::TcpListener, task::JoinSet};
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use crate::{
    cli::{EngineArgs, ServeArgs},
    deployment::Deployment,
    engine,
    sandbox::sandbox,
    supervisor::Supervisor,
};

/// Interval of the sweeper, which looks for unsent and for expired tasks.
const SWEEP_INTERVAL: Duration = Duration::from_secs(10);
/// Minimum age of an unsent task: its submitter may still be sending it.
const UNSENT_MIN_AGE: Duration = Duration::from_secs(30);

/// Timeout of a graceful shutdown for open requests: long enough for requests that are about to end, and a slow client
/// cannot keep the process running.
const CLIENT_DRAIN_TIMEOUT: Duration = Duration::from_secs(10);

/// Serves until SIGTERM or SIGINT, then shuts down gracefully.
pub(crate) async fn serve(args: ServeArgs) -> anyhow::Result<()> {
    let shutdown = quire_telemetry::stop_signal()?;
    let routes = Arc::new(args.engine.routes.config()?);
    let deployment = Deployment::open_for_serve(&args.deployment).await?;
    let backend = deployment.backend();
    if deployment.is_exclusive() {
        quire_submit::sweep_undispatched(&backend, quire_platform::now()).await?;
    }
    let mut settings = SubmitSettings::from_env()?;
    require_keys_beyond_loopback(&mut settings, &backend, args.listen.ip()).await?;
    let listener = TcpListener::bind(args.listen).await.with_context(|| format!("cannot listen on {}", args.listen))?;
    let mut supervisor = new_supervisor(&args, &routes, deployment)?;
    let (engine, pdfium) = fetch_natives(supervisor.workers, supervisor.engine, Arc::clone(&routes)).await?;
    supervisor.engine = engine;
    let supervisor = Arc::new(supervisor);
    let allow_loopback_http = args.dev || quire_telemetry::env::switch("QUIRE_DEV")?;
    let egress = quire_egress::Client::new(quire_egress::EgressPolicy { allow_loopback_http })?;
    let inspector = ChildInspector::new(sandbox(pdfium, supervisor.deployment.data_dir())?, DocumentLimits::default());
    let health = Arc::new(ServeHealth::new(&backend, &supervisor, &routes));
    let app = Arc::new(AppState::new(backend.clone(), Arc::new(inspector), egress.clone(), settings, health, routes));
    let notifier =
        Notifier::new(backend.clone(), egress, Signing::load(&backend).await?, quire_notifier::schedule_from_env()?);
    notifier.check_schedule()?;

    let mut services = JoinSet::new();
    for slot in 1..=supervisor.workers {
        let supervisor = Arc::clone(&supervisor);
        let shutdown = shutdown.clone();
        services.spawn(async move { supervisor.keep_running(slot, shutdown).await });
    }
    services.spawn(quire_submit::ingest(Arc::clone(&app), shutdown.clone()));
    services.spawn(notifier.run(shutdown.clone()));
    services.spawn(quire_dead_letter::run(backend.clone(), shutdown.clone()));
    services.spawn(run_sweeper(backend, shutdown.clone()));
    services.spawn(run_api(listener, Arc::clone(&app), shutdown.clone()));
    info!(listen = %args.listen, backend = %supervisor.deployment, workers = supervisor.workers, "serving");
    join_services(services, &shutdown).await
}

/// Requires API keys if the address can be reached from other machines, whatever the settings are.
async fn require_keys_beyond_loopback(
    settings: &mut SubmitSettings,
    backend: &Backend,
    ip: IpAddr,
) -> anyhow::Result<()> {
    if ip.to_canonical().is_loopback() {
        return Ok(());
    }
    ensure!(
        settings.keys != KeyPolicy::Off,
        "cannot listen on {ip} with QUIRE_KEYS=off: a proxy that checks keys must run on this machine"
    );
    ensure!(
        any_key_exists(backend).await?,
        "cannot listen on {ip}: no API key exists, so everyone who reaches the address could use the API; create \
         one with `quire keys create`"
    );
    settings.keys = KeyPolicy::Required;
    Ok(())
}

/// Downloads missing libraries and models once, with a progress bar, before any worker starts. Without workers only
/// pdfium is needed. Returns the arguments for the workers, with the provider that is available, and the path of pdfium.
async fn fetch_natives(
    workers: usize,
    mut engine: EngineArgs,
    routes: Arc<Config>,
) -> anyhow::Result<(EngineArgs, PathBuf)> {
    let fetch = move || {
        let pdfium = match workers {
            0 => quire_native_libs::pdfium(&Progress::Bar)?,
            _ => engine::fetch_natives(&routes, &mut engine, &Progress::Bar)?,
        };
        Ok((engine, pdfium))
    };
    tokio::task::spawn_blocking(fetch).await?
}

fn new_supervisor(args: &ServeArgs, routes: &Config, deployment: Deployment) -> anyhow::Result<Supervisor> {
    let engine = args.engine.clone().validate()?;
    Ok(Supervisor {
        program: std::env::current_exe().context("cannot find this program's executable")?,
        deployment,
        drain_timeout: quire_worker::WorkerSettings::from_env()?.drain_timeout,
        workers: engine::worker_count(args.workers, engine.device, routes),
        engine,
        ready: AtomicUsize::new(0),
        restarts: AtomicUsize::new(0),
        was_ever_ready: AtomicBool::new(false),
    })
}

/// Waits for all services. The first one that fails stops the others, and its error is returned.
async fn join_services(mut services: JoinSet<anyhow::Result<()>>, shutdown: &CancellationToken) -> anyhow::Result<()> {
    let mut result = Ok(());
    while let Some(ended) = services.join_next().await {
        let ended = ended.unwrap_or_else(|panic| Err(anyhow::Error::new(panic)));
        if ended.is_err() {
            shutdown.cancel();
            result = result.and(ended);
        }
    }
    result
}

async fn run_api(listener: TcpListener, app: Arc<AppState>, shutdown: CancellationToken) -> anyhow::Result<()> {
    let closing = Arc::clone(&app);
    let stopping = shutdown.clone();
    let close = async move {
        stopping.cancelled().await;
        closing.close();
    };
    let served = axum::serve(listener, quire_submit::router(Arc::clone(&app))).with_graceful_shutdown(close);
    let drain_timeout = async {
        shutdown.cancelled().await;
        tokio::time::sleep(CLIENT_DRAIN_TIMEOUT).await;
    };
    tokio::select! {
        served = served.into_future() => served?,
        () = drain_timeout => warn!("shutdown timeout: some client requests are still open and are dropped"),
    }
    app.drained().await;
    Ok(())
}

async fn run_sweeper(backend: Backend, shutdown: CancellationToken) -> anyhow::Result<()> {
    while shutdown.run_until_cancelled(tokio::time::sleep(SWEEP_INTERVAL)).await.is_some() {
        let created_before = UnixMillis(quire_platform::now().0 - UNSENT_MIN_AGE.as_millis() as i64);
        if let Err(error) = quire_submit::sweep_undispatched(&backend, created_before).await {
            warn!(%error, "cannot look for unsent tasks; retrying at the next interval");
        }
        // May be interrupted anywhere: the next run continues there.
        let removal = quire_submit::sweep_expired(&backend, quire_platform::now());
        if let Some(Err(error)) = shutdown.run_until_cancelled(removal).await {
            warn!(%error, "cannot remove expired data; retrying at the next interval");
        }
    }
    Ok(())
}

#[derive(Debug)]
struct ServeHealth {
    backend: Backend,
    supervisor: Arc<Supervisor>,
    routes: Arc<Config>,
}

impl ServeHealth {
    fn new(backend: &Backend, supervisor: &Arc<Supervisor>, routes: &Arc<Config>) -> Self {
        Self { backend: backend.clone(), supervisor: Arc::clone(supervisor), routes: Arc::clone(routes) }
    }
}

#[async_trait]
impl Health for ServeHealth {
    /// Healthy if pages are read: at least one worker is ready, unless workers run elsewhere, and the backend responds.
    /// An unavailable engine loses no pages; it only makes the service `degraded`.
    async fn health(&self) -> HealthReport {
        let ready = self.supervisor.ready.load(Ordering::SeqCst);
        let mut queues = Map::new();
        let mut backend_responds = true;
        for name in QueueName::ALL {
            match self.backend.queue(name).depth().await {
                Ok(depth) => {
                    let depth = json!({"ready": depth.ready, "in_flight": depth.in_flight, "delayed": depth.delayed});
                    queues.insert(name.as_str().to_owned(), depth);
                }
                Err(_) => backend_responds = false,
            }
        }
        let restarts = self.supervisor.restarts.load(Ordering::Relaxed);
        let workers = json!({"ready": ready, "wanted": self.supervisor.workers, "restarts": restarts});
        let mut details = Map::new();
        details.insert("version".to_owned(), env!("CARGO_PKG_VERSION").into());
        details.insert("workers".to_owned(), workers);
        details.insert("queues".to_owned(), Value::Object(queues));
        match quire_submit::engine_health(&self.backend, &self.routes).await {
            Ok(engines) => details.extend(engines),
            Err(_) => backend_responds = false,
        }
        let has_workers = ready > 0 || self.supervisor.workers == 0;
        HealthReport { ok: has_workers && backend_responds, details }
    }
}
