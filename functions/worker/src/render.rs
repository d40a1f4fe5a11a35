//! The rendering step: renders pages ahead of the engines, within the pixel limit.

use std::{path::PathBuf, sync::Arc, time::Duration};

use anyhow::{Context, bail};
use quire_document::PageImage;
use quire_telemetry::processors;
use tokio::{
    sync::{Semaphore, mpsc},
    task::JoinSet,
    time::timeout,
};
use tracing::error;

use crate::{
    batch::page_cost,
    complete::Completer,
    in_flight::{InFlight, PageEnd},
    renderer::Renderer,
    settings::InFlightLimits,
};

/// One page of this many in flight is rendered at a time; the others wait, are being read or are being stored. This
/// gives one renderer for an engine that reads page by page, and all CPUs for a GPU with hundreds of pages in flight.
const IN_FLIGHT_PER_RENDERER: u32 = 4;

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
/// When a page does not finish within `page_timeout`: the process must end, since the thread is lost.
pub(crate) async fn run(
    renderer: Renderer,
    page_timeout: Duration,
    limits: InFlightLimits,
    mut pages: mpsc::Receiver<InFlight<PathBuf>>,
    out: RenderOutputs,
    completer: &Completer,
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
                    let renderer = renderer.clone();
                    let out = out.clone();
                    let completer = completer.clone();
                    let capacity = PixelCapacity { free: Arc::clone(&free_pixels), max: limits.pixels };
                    rendering
                        .spawn(async move { render(&renderer, page_timeout, &capacity, page, &out, &completer).await });
                }
                None => is_open = false,
            },
        }
    }
    Ok(())
}

async fn render(
    renderer: &Renderer,
    page_timeout: Duration,
    capacity: &PixelCapacity,
    page: InFlight<PathBuf>,
    out: &RenderOutputs,
    completer: &Completer,
) -> anyhow::Result<()> {
    let (file, mut page) = page.split();
    let Ok(rendered) = timeout(page_timeout, renderer.page(file, page.message.page.page)).await else {
        let id = page.message.page;
        error!(task.id = %id.task_id, page.no = id.page, trace.id = page.trace_id(), "rendering timed out");
        completer.time_out(page, "rendering", page_timeout).await;
        bail!("rendering did not come back within {} s", page_timeout.as_secs());
    };
    match rendered {
        Ok(image) => {
            // A page larger than the limit takes all of it, and so is rendered alone.
            let share = page_cost(&image).min(u64::from(capacity.max)) as u32;
            let permit = Arc::clone(&capacity.free).acquire_many_owned(share).await;
            page.pixel_permit = Some(permit.context("the semaphore is never closed")?);
            out.to_read.send(page.with(image)).await.ok().context("the read step has ended")
        }
        Err(failure) => out.to_complete.send(page.with(failure.into())).await.ok().context("the last step has ended"),
    }
}
