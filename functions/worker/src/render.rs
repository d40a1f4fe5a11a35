//! The rendering step: renders pages ahead of the engines, within the pixel limit.

use std::{path::PathBuf, sync::Arc, time::Duration};

use anyhow::Context;
use quire_document::PageImage;
use quire_sandbox::{Sandbox, SandboxError};
use quire_telemetry::{metrics, processors};
use tokio::{
    sync::{Semaphore, mpsc},
    task::JoinSet,
};
use tracing::{info, warn};

use crate::{
    batch::page_cost,
    in_flight::{InFlight, PageEnd},
    settings::InFlightLimits,
};

/// One page of this many in flight is rendered at a time; the others wait, are being read or are being stored. This
/// gives one renderer for an engine that reads page by page, and all CPUs for a GPU with hundreds of pages in flight.
const IN_FLIGHT_PER_RENDERER: u32 = 4;
/// The delay before the next attempt of a page whose rendering failed for a reason outside of the document: the machine
/// is overloaded or short of memory, or an operator ends processes.
const RETRY_DELAY: Duration = Duration::from_secs(5);

/// Where the rendering step sends a rendered page, and a page that cannot be rendered.
#[derive(Clone)]
pub(crate) struct RenderOutputs {
    pub(crate) to_read: mpsc::Sender<InFlight<PageImage>>,
    pub(crate) to_complete: mpsc::Sender<InFlight<PageEnd>>,
}

/// Backpressure: the pixels that rendered pages may occupy until they are read.
struct PixelCapacity {
    free: Arc<Semaphore>,
    max: u32,
}

/// Renders pages until `pages` is closed, several concurrently when many are in flight. Pages leave in the order in
/// which they are done.
///
/// # Errors
/// When a later step has ended.
pub(crate) async fn run(
    sandbox: Sandbox,
    limits: InFlightLimits,
    mut pages: mpsc::Receiver<InFlight<PathBuf>>,
    out: RenderOutputs,
) -> anyhow::Result<()> {
    let concurrency = (limits.pages / IN_FLIGHT_PER_RENDERER).clamp(1, processors() as u32) as usize;
    let free_pixels = Arc::new(Semaphore::new(limits.pixels as usize));
    let mut rendering = JoinSet::new();
    let mut is_open = true;
    while is_open || !rendering.is_empty() {
        tokio::select! {
            Some(ended) = rendering.join_next() => ended??,
            page = pages.recv(), if is_open && rendering.len() < concurrency => match page {
                Some(page) => {
                    let sandbox = sandbox.clone();
                    let out = out.clone();
                    let capacity = PixelCapacity { free: Arc::clone(&free_pixels), max: limits.pixels };
                    rendering.spawn(async move { render(&sandbox, &capacity, page, &out).await });
                }
                None => is_open = false,
            },
        }
    }
    Ok(())
}

async fn render(
    sandbox: &Sandbox,
    capacity: &PixelCapacity,
    page: InFlight<PathBuf>,
    out: &RenderOutputs,
) -> anyhow::Result<()> {
    let (file, mut page) = page.split();
    match sandbox.page(&file, page.message.page.page).await {
        Ok(rendered) => {
            let image = rendered.image;
            // A page larger than the limit takes all of it, and so is rendered alone.
            let share = page_cost(&image).min(u64::from(capacity.max)) as u32;
            let permit = Arc::clone(&capacity.free).acquire_many_owned(share).await;
            page.pixel_permit = Some(permit.context("the semaphore is never closed")?);
            out.to_read.send(page.with(image)).await.ok().context("the read step has ended")
        }
        Err(SandboxError::Document(failure)) => {
            out.to_complete.send(page.with(failure.into())).await.ok().context("the last step has ended")
        }
        Err(SandboxError::Infrastructure { reason, is_suspect }) => {
            return_to_queue(page, &reason, is_suspect).await;
            Ok(())
        }
    }
}

/// Returns a page to the queue whose rendering failed for a reason outside of its document. It spends an attempt only if
/// the document may have contributed.
async fn return_to_queue(page: InFlight<()>, reason: &str, is_suspect: bool) {
    let id = page.message.page;
    let trace_id = page.trace_id();
    let delay_ms = RETRY_DELAY.as_millis() as u64;
    let returned = if is_suspect {
        warn!(task.id = %id.task_id, page.no = id.page, trace.id = trace_id, delivery.attempt = page.attempt, delay_ms,
            reason, "page released for a retry: it could not be rendered");
        page.lease.release(RETRY_DELAY).await
    } else {
        info!(task.id = %id.task_id, page.no = id.page, trace.id = trace_id, delay_ms, reason,
            "page postponed: it could not be rendered");
        page.lease.requeue(RETRY_DELAY).await
    };
    metrics::count("PagesPutBack", 1);
    if let Err(error) = returned {
        warn!(task.id = %id.task_id, page.no = id.page, trace.id = trace_id, %error,
            "cannot return a page to the queue; it returns when its lease expires");
    }
}
