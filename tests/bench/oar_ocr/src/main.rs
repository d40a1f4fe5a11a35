//! Reads images with `oar-ocr` and prints the lines of each as JSON, in the order of the arguments:
//!
//! ```sh
//! ORT_DYLIB_PATH=…/libonnxruntime.so read_with_oar_ocr WORKERS FILE…
//! ```
//!
//! The working directory must contain the models, under the names of the library's preset for PP-OCRv6. Each worker has
//! its own pipeline with one thread, which is faster than one pipeline with several threads (measured).

use std::{
    error::Error,
    path::Path,
    sync::atomic::{AtomicUsize, Ordering},
    thread,
};

use oar_ocr::core::config::OrtSessionConfig;
use oar_ocr::prelude::{OAROCR, OAROCRBuilder, PpOcrV6Size, load_image};

type AnyError = Box<dyn Error + Send + Sync>;

fn main() -> Result<(), AnyError> {
    let mut arguments = std::env::args().skip(1);
    let workers: usize = arguments.next().ok_or("the first argument must be the number of workers")?.parse()?;
    let files: Vec<String> = arguments.collect();
    let next = AtomicUsize::new(0);
    let mut pages = Vec::new();
    thread::scope(|scope| {
        let started: Vec<_> = (0..workers).map(|_| scope.spawn(|| worker(&files, &next))).collect();
        for worker in started {
            pages.extend(worker.join().map_err(|_| "a worker panicked")??);
        }
        Ok::<_, AnyError>(())
    })?;
    pages.sort_by_key(|(index, _)| *index);
    let lines: Vec<_> = pages.into_iter().map(|(_, lines)| lines).collect();
    println!("{}", serde_json::to_string(&lines)?);
    Ok(())
}

/// Reads the next file until none is left.
fn worker(files: &[String], next: &AtomicUsize) -> Result<Vec<(usize, Vec<String>)>, AnyError> {
    let session = OrtSessionConfig::new().with_intra_threads(1);
    let reader = OAROCRBuilder::pp_ocrv6(PpOcrV6Size::Small).ort_session(session).build()?;
    let mut pages = Vec::new();
    loop {
        let index = next.fetch_add(1, Ordering::Relaxed);
        let Some(file) = files.get(index) else { return Ok(pages) };
        pages.push((index, read(&reader, Path::new(file))?));
    }
}

fn read(reader: &OAROCR, file: &Path) -> Result<Vec<String>, AnyError> {
    let results = reader.predict(vec![load_image(file)?])?;
    let regions = results.iter().flat_map(|page| &page.text_regions);
    Ok(regions.filter_map(|region| region.text_with_confidence()).map(|(text, _)| text.to_string()).collect())
}
