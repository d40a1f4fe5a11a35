//! Turns documents into page images: raster images on a thread pool, PDFs on the one thread that owns pdfium.

use std::{path::PathBuf, sync::Arc, thread};

use quire_document::{Documents, PageImage, sniff_file};
use quire_tasks::{DocumentFormat, Failure, FailureCode, SplitDocument};
use tokio::sync::mpsc;

use crate::decoder_pool::{DecoderPool, RenderJob, run_job};

/// Opens documents and renders their pages. Cheap to clone; the threads end when the last clone is dropped.
#[derive(Debug, Clone)]
pub struct Renderer {
    /// The thread that owns pdfium: the library is not thread-safe, and a process loads it once.
    pdfium_jobs: mpsc::Sender<RenderJob>,
    decoders: DecoderPool,
}

impl Renderer {
    /// Starts the pdfium thread and the first decoder. `documents` is called once on each thread.
    ///
    /// # Errors
    /// When a thread cannot be started.
    pub fn start(documents: impl Fn() -> Documents + Send + Sync + 'static) -> std::io::Result<Self> {
        let make_documents = Arc::new(documents);
        let make_here = Arc::clone(&make_documents);
        let (pdfium_jobs, mut queue) = mpsc::channel::<RenderJob>(1);
        thread::Builder::new().name("render".to_owned()).spawn(move || {
            let mut documents = make_here();
            while let Some(job) = queue.blocking_recv() {
                job(&mut documents);
            }
        })?;
        Ok(Self { pdfium_jobs, decoders: DecoderPool::start(make_documents)? })
    }

    /// Validates a document and returns its format and page count.
    ///
    /// # Errors
    /// The reason for which the document is rejected.
    pub async fn inspect(&self, file: PathBuf) -> Result<SplitDocument, Failure> {
        let on_panic = FailureCode::UnreadableDocument;
        run_job(&self.pdfium_jobs, on_panic, move |documents| documents.inspect(&file)).await
    }

    /// Decodes or renders one page; pages count from 1.
    ///
    /// # Errors
    /// The reason for which the page cannot be rendered.
    pub async fn page(&self, file: PathBuf, page: u32) -> Result<PageImage, Failure> {
        let on_panic = FailureCode::UnreadablePage;
        let guard = self.decoders.acquire();
        let raster_file = file.clone();
        let decode = move |documents: &mut Documents| {
            let _guard = guard;
            match sniff_file(&raster_file) {
                Ok(Some(DocumentFormat::Pdf)) => Ok(None),
                Ok(Some(format)) => documents.page(&raster_file, format, page).map(Some),
                Ok(None) | Err(_) => {
                    Err(Failure::new(FailureCode::UnreadablePage, "The page's document is unreadable."))
                }
            }
        };
        if let Some(image) = run_job(self.decoders.jobs(), on_panic, decode).await? {
            Ok(image)
        } else {
            let render = move |documents: &mut Documents| documents.page(&file, DocumentFormat::Pdf, page);
            run_job(&self.pdfium_jobs, on_panic, render).await
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, Instant};

    use quire_document::DocumentLimits;
    use quire_telemetry::processors;
    use tokio::{sync::oneshot, time::timeout};

    use super::*;

    #[tokio::test]
    async fn a_decoder_that_hangs_does_not_block_other_pages() {
        let renderer = Renderer::start(|| Documents::new(None, DocumentLimits::default())).expect("threads start");
        let guard = renderer.decoders.acquire();
        let (release, released) = oneshot::channel::<()>();
        let work = move |_: &mut Documents| {
            let _guard = guard;
            let _ = released.blocking_recv();
            Ok(())
        };
        let jobs = renderer.decoders.jobs().clone();
        let hanging = tokio::spawn(async move { run_job(&jobs, FailureCode::UnreadablePage, work).await });
        if processors() > 1 {
            let started = Instant::now();
            let missing = timeout(Duration::from_secs(20), renderer.page(PathBuf::from("/nowhere"), 1)).await;
            assert!(missing.is_ok_and(|page| page.is_err()), "after {:?}", started.elapsed());
        }
        drop(release);
        hanging.await.expect("no panic").expect("the job ends");
    }
}
