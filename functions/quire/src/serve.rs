//! `quire serve`: the API, the workers, the callbacks and the dead letters, by one command.

use std::{
    net::IpAddr,
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

use crate::{cli, engine, print, site::Site, supervisor::Supervisor};

/// How often tasks are looked for that were accepted but never sent, and those that have expired.
const SWEEP_EVERY: Duration = Duration::from_secs(10);
/// How old such a task is at least: its submitter may still be at it.
const SWEEP_AFTER: Duration = Duration::from_secs(30);

/// How long a stop waits for requests that are still on their way in: enough for those that are about to end, and nobody
/// who sends a byte now and then can keep the process from ending.
const CLIENTS_LIMIT: Duration = Duration::from_secs(10);

/// Serves until SIGTERM or SIGINT, then finishes what is in hand.
pub(crate) async fn serve(args: cli::Serve) -> anyhow::Result<()> {
    let shutdown = quire_telemetry::stop_signal()?;
    let routes = Arc::new(args.engine.routes.config()?);
    let site = Site::to_serve(&args.place).await?;
    let backend = site.backend();
    if site.is_ours_alone() {
        quire_submit::sweep_undispatched(&backend, print::now()).await?;
    }
    let mut settings = SubmitSettings::from_env()?;
    check_reach(&mut settings, &backend, args.listen.ip()).await?;
    let listener = TcpListener::bind(args.listen).await.with_context(|| format!("cannot listen on {}", args.listen))?;
    let mut supervisor = supervisor(&args, &routes, site)?;
    supervisor.engine = fetch_natives(supervisor.workers, supervisor.engine, Arc::clone(&routes)).await?;
    let supervisor = Arc::new(supervisor);
    let allow_loopback_http = args.dev || quire_telemetry::env::switch("QUIRE_DEV")?;
    let egress = quire_egress::Client::new(quire_egress::EgressPolicy { allow_loopback_http })?;
    let inspector = ChildInspector::new(supervisor.program.clone(), DocumentLimits::default());
    let health = Arc::new(ServeHealth::new(&backend, &supervisor, &routes));
    let app = Arc::new(AppState::new(backend.clone(), Arc::new(inspector), egress.clone(), settings, health, routes));
    let notifier = Notifier::new(backend.clone(), egress, Signing::load(&backend).await?, quire_notifier::schedule_from_env()?);
    notifier.check_schedule()?;

    let mut parts = JoinSet::new();
    for slot in 1..=supervisor.workers {
        let (supervisor, shutdown) = (Arc::clone(&supervisor), shutdown.clone());
        parts.spawn(async move { supervisor.keep(slot, shutdown).await });
    }
    parts.spawn(quire_submit::ingest(Arc::clone(&app), shutdown.clone()));
    parts.spawn(notifier.run(shutdown.clone()));
    parts.spawn(quire_dead_letter::run(backend.clone(), shutdown.clone()));
    parts.spawn(sweep(backend, shutdown.clone()));
    parts.spawn(api(listener, Arc::clone(&app), shutdown.clone()));
    info!(listen = %args.listen, backend = %supervisor.site, workers = supervisor.workers, "serving");
    join(parts, &shutdown).await
}

/// Where others than this machine's users can reach the door, requests need keys whatever happens.
async fn check_reach(settings: &mut SubmitSettings, backend: &Backend, ip: IpAddr) -> anyhow::Result<()> {
    if ip.to_canonical().is_loopback() {
        return Ok(());
    }
    ensure!(
        settings.keys != KeyPolicy::Off,
        "cannot listen on {ip} with QUIRE_KEYS=off: whoever checks keys is nearer"
    );
    let why = "there is no key yet, and whoever reaches this address could use the API";
    ensure!(any_key_exists(backend).await?, "cannot listen on {ip}: {why}; make one by `quire keys create`");
    settings.keys = KeyPolicy::Required;
    Ok(())
}

/// Fetched once, here, with a progress bar; the children then find it. Without workers nobody needs the models. What cannot
/// be had and another will do for, is not asked of the children.
async fn fetch_natives(workers: usize, mut given: cli::Engine, routes: Arc<Config>) -> anyhow::Result<cli::Engine> {
    let fetch = move || {
        match workers {
            0 => quire_native_libs::pdfium(&Progress::Bar)?,
            _ => engine::fetch_natives(&routes, &mut given, &Progress::Bar)?,
        };
        Ok(given)
    };
    tokio::task::spawn_blocking(fetch).await?
}

fn supervisor(args: &cli::Serve, routes: &Config, site: Site) -> anyhow::Result<Supervisor> {
    let program = std::env::current_exe().context("this program's own file cannot be found")?;
    let (ready, restarts) = (AtomicUsize::new(0), AtomicUsize::new(0));
    let engine = args.engine.clone().checked()?;
    let workers = engine::workers(args.workers, engine.device, routes);
    let drain_limit = quire_worker::Settings::from_env()?.drain_limit;
    Ok(Supervisor { program, site, engine, drain_limit, workers, ready, restarts, proven: AtomicBool::new(false) })
}

/// The first part that fails stops the others; they all finish what they have in hand.
async fn join(mut parts: JoinSet<anyhow::Result<()>>, shutdown: &CancellationToken) -> anyhow::Result<()> {
    let mut outcome = Ok(());
    while let Some(ended) = parts.join_next().await {
        let ended = ended.unwrap_or_else(|panic| Err(anyhow::Error::new(panic)));
        if ended.is_err() {
            shutdown.cancel();
            outcome = outcome.and(ended);
        }
    }
    outcome
}

async fn api(listener: TcpListener, app: Arc<AppState>, shutdown: CancellationToken) -> anyhow::Result<()> {
    let (closing, stopping) = (Arc::clone(&app), shutdown.clone());
    let stop = async move {
        stopping.cancelled().await;
        closing.close();
    };
    let served = axum::serve(listener, quire_submit::router(Arc::clone(&app))).with_graceful_shutdown(stop);
    let too_long = async {
        shutdown.cancelled().await;
        tokio::time::sleep(CLIENTS_LIMIT).await;
    };
    tokio::select! {
        served = served.into_future() => served?,
        () = too_long => warn!("some clients have not ended their requests: they are not waited for any longer"),
    }
    app.drained().await;
    Ok(())
}

async fn sweep(backend: Backend, shutdown: CancellationToken) -> anyhow::Result<()> {
    while shutdown.run_until_cancelled(tokio::time::sleep(SWEEP_EVERY)).await.is_some() {
        let before = UnixMillis(print::now().0 - SWEEP_AFTER.as_millis() as i64);
        if let Err(error) = quire_submit::sweep_undispatched(&backend, before).await {
            warn!(%error, "interrupted tasks could not be looked for; it is tried again");
        }
        // Broken off anywhere, it goes on there the next time.
        let removal = quire_submit::sweep_expired(&backend, print::now());
        if let Some(Err(error)) = shutdown.run_until_cancelled(removal).await {
            warn!(%error, "what has expired could not be removed; it is tried again");
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
    /// Healthy when pages are read: at least one worker is ready, unless that is others' work, and the backend answers. An
    /// engine that is left alone loses nothing, and is `degraded`.
    async fn health(&self) -> HealthReport {
        let ready = self.supervisor.ready.load(Ordering::SeqCst);
        let mut queues = Map::new();
        let mut home_answers = true;
        for name in QueueName::ALL {
            match self.backend.queue(name).depth().await {
                Ok(depth) => {
                    let depth = json!({"ready": depth.ready, "in_flight": depth.in_flight, "delayed": depth.delayed});
                    queues.insert(name.as_str().to_owned(), depth);
                }
                Err(_) => home_answers = false,
            }
        }
        let restarts = self.supervisor.restarts.load(Ordering::Relaxed);
        let mut details = Map::new();
        details.insert("version".to_owned(), env!("CARGO_PKG_VERSION").into());
        let workers = json!({"ready": ready, "wanted": self.supervisor.workers, "restarts": restarts});
        details.insert("workers".to_owned(), workers);
        details.insert("queues".to_owned(), Value::Object(queues));
        match quire_submit::engine_health(&self.backend, &self.routes).await {
            Ok(engines) => details.extend(engines),
            Err(_) => home_answers = false,
        }
        let is_read = ready > 0 || self.supervisor.workers == 0;
        HealthReport { ok: is_read && home_answers, details }
    }
}
