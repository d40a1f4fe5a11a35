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
use quire_platform::{Backend, DiskSpace, QueueName};
use quire_routes::Config;
use quire_submit::{AppState, ChildInspector, Health, HealthReport, KeyPolicy, ServerSettings, SubmitSettings};
use quire_tasks::UnixMillis;
use quire_tenants::{Signing, any_key_exists};
use quire_worker::WorkerSettings;
use serde_json::{Map, Value, json};
use tokio::{net::TcpListener, task::JoinSet};
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use crate::{
    cli::{EngineArgs, ServeArgs},
    deployment::Deployment,
    engine, process,
    sandbox::sandbox,
    shutdown::{ShutdownLimits, join_services, stop_in_time},
    supervisor::Supervisor,
};

/// Interval of the sweeper, which looks for unsent and for expired tasks.
const SWEEP_INTERVAL: Duration = Duration::from_secs(10);
/// Minimum age of an unsent task: its submitter may still be sending it.
const UNSENT_MIN_AGE: Duration = Duration::from_secs(30);

/// Serves until SIGTERM or SIGINT, then shuts down gracefully.
pub(crate) async fn serve(args: ServeArgs) -> anyhow::Result<()> {
    let shutdown = quire_telemetry::stop_signal()?;
    let limits = ShutdownLimits::from_env(WorkerSettings::from_env()?.drain_timeout)?;
    // A download of libraries or a database that is locked must not delay a shutdown, either.
    match shutdown.run_until_cancelled(Box::pin(start(args, limits, &shutdown))).await {
        Some(services) => join_services(services?, &shutdown, limits).await,
        None => Ok(()),
    }
}

type Services = JoinSet<anyhow::Result<()>>;

/// Opens the backend, prepares the workers and starts all services.
async fn start(args: ServeArgs, limits: ShutdownLimits, shutdown: &CancellationToken) -> anyhow::Result<Services> {
    let routes = Arc::new(args.engine.routes.config()?);
    let deployment = Deployment::open_for_serve(&args.deployment).await?;
    let backend = deployment.backend();
    if deployment.is_exclusive() {
        quire_submit::sweep_undispatched(&backend, quire_platform::now()).await?;
    }
    let mut settings = SubmitSettings::from_env()?;
    let allow_loopback_http = args.dev || quire_telemetry::env::switch("QUIRE_DEV")?;
    refuse_development_beyond_loopback(allow_loopback_http, args.listen.ip())?;
    require_keys_beyond_loopback(&mut settings, &backend, args.listen.ip()).await?;
    let server_settings = ServerSettings::from_env(&settings)?;
    let listener = TcpListener::bind(args.listen).await.with_context(|| format!("cannot listen on {}", args.listen))?;
    let mut supervisor = new_supervisor(&args, &routes, deployment)?;
    let (engine, pdfium) = fetch_natives(supervisor.workers, supervisor.engine, Arc::clone(&routes)).await?;
    supervisor.engine = engine;
    let supervisor = Arc::new(supervisor);
    let egress = quire_egress::Client::with_options(quire_egress::EgressOptions::from_env(args.dev)?)?;
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
    let stop = || shutdown.clone();
    services.spawn(stop_in_time("ingest", quire_submit::ingest(Arc::clone(&app), stop()), limits, stop()));
    services.spawn(stop_in_time("notifier", notifier.run(stop()), limits, stop()));
    services.spawn(stop_in_time("dead letters", quire_dead_letter::run(backend.clone(), stop()), limits, stop()));
    services.spawn(stop_in_time("sweeper", run_sweeper(backend, stop()), limits, stop()));
    services.spawn(run_api(listener, Arc::clone(&app), server_settings, limits, shutdown.clone()));
    process::warn_about_root();
    let max_connections = server_settings.limits.total;
    info!(
        listen = %args.listen, backend = %supervisor.deployment, workers = supervisor.workers, max_connections,
        "serving"
    );
    Ok(services)
}

/// Refuses the development mode for an address that can be reached from other machines: they could make this server
/// call services that only trust this machine.
fn refuse_development_beyond_loopback(allow_loopback_http: bool, ip: IpAddr) -> anyhow::Result<()> {
    ensure!(
        !allow_loopback_http || ip.to_canonical().is_loopback(),
        "cannot listen on {ip} with --dev or QUIRE_DEV=1, which lets clients call services of this machine"
    );
    Ok(())
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
/// pdfium is needed. Returns the arguments for the workers, with the provider that is available, and the path of
/// pdfium.
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
        drain_timeout: WorkerSettings::from_env()?.drain_timeout,
        workers: engine::worker_count(args.workers, engine.device, routes),
        engine,
        ready: AtomicUsize::new(0),
        restarts: AtomicUsize::new(0),
        was_ever_ready: AtomicBool::new(false),
    })
}

/// Serves the API until `shutdown`, and then finishes the work of requests whose clients are gone, up to the drain
/// limit. What is left is done by the sweeper after the next start.
async fn run_api(
    listener: TcpListener,
    app: Arc<AppState>,
    settings: ServerSettings,
    limits: ShutdownLimits,
    shutdown: CancellationToken,
) -> anyhow::Result<()> {
    let address = listener.local_addr().context("the listener has no address")?;
    let router = quire_submit::local_router(Arc::clone(&app), address);
    let close = async {
        shutdown.cancelled().await;
        app.close();
        tokio::time::sleep(limits.drain).await;
    };
    let serve = async {
        quire_submit::serve_http(listener, router, settings, &shutdown).await;
        app.drained().await;
    };
    tokio::select! {
        () = serve => {}
        () = close => warn!("shutdown timeout: requests whose clients are gone are not finished"),
    }
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
    /// Healthy if pages are read: at least one worker is ready, unless workers run elsewhere, the backend responds, and
    /// the disk has space.
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
        let is_full = self.supervisor.deployment.is_disk_full().unwrap_or(true);
        if let Some(space) = self.backend.objects.disk_space() {
            report_space(&mut details, space, is_full);
        }
        HealthReport { ok: has_workers && backend_responds && !is_full, details }
    }
}

/// Adds the space of the disk to the report. The code is that of the refused requests.
fn report_space(details: &mut Map<String, Value>, space: DiskSpace, is_full: bool) {
    let disk = json!({"free_bytes": space.free, "total_bytes": space.total, "full": is_full});
    details.insert("disk".to_owned(), disk);
    if is_full {
        details.insert("code".to_owned(), "storage_full".into());
    }
}
