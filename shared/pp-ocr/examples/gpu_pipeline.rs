//! Measures the throughput of the engine with a GPU and its utilization; without a GPU, with a stub that sleeps:
//!
//! ```sh
//! cargo run --release -p quire-pp-ocr --example gpu_pipeline -- --device stub --batch 16 --readers 4 FILE…
//! cargo run --release -p quire-pp-ocr --features cuda --example gpu_pipeline -- \
//!     --device cuda --batch 16 --readers 4 FILE…
//! ```
//!
//! Files are decoded repeatedly, `--pages` times in total, by one thread per CPU core, ahead of the readers.
//! `--one-at-a-time` reads single pages and lines, as on a CPU; `--every-ms` sets the interval between pages and
//! measures latencies. The stub sleeps `--run-ms` per run, `--mpixel-ms` per megapixel and `--kcolumn-ms` per thousand
//! columns, times `--slower`; it returns the lines that the real model detected in the warm-up, and text of the right
//! length. Prints one line of JSON.
#![expect(clippy::print_stdout, reason = "a command prints its result")]

#[path = "gpu_pipeline/device.rs"]
mod device;
#[path = "gpu_pipeline/options.rs"]
mod options;
mod pictures;

use std::{
    error::Error,
    path::PathBuf,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicUsize, Ordering},
        mpsc::{Receiver, sync_channel},
    },
    thread,
    time::{Duration, Instant},
};

use quire_document::PageImage;
use quire_pp_ocr::{CostCounters, Engine};

use crate::{options::PipelineOptions, pictures::decode};

type PipelineError = Box<dyn Error + Send + Sync>;

fn main() -> Result<(), PipelineError> {
    let options = PipelineOptions::parse(std::env::args().skip(1))?;
    let policy = options.policy();
    let loading = Instant::now();
    let model = device::open(&options, &policy)?;
    let loaded = loading.elapsed();
    let engines = (0..options.readers).map(|_| Engine::new(Box::new(model.clone()), policy.clone()));
    let engine = engines.reduce(Engine::with_reader).ok_or("--readers must be at least 1")?;
    // Warm-up with every page: files are in the page cache, buffers are allocated, and the stub has detected the lines.
    let mut engines = engine.into_readers();
    for file in options.files.iter() {
        engines[0].read(&[decode(file)?]).remove(0)?;
    }
    engines[0].take_costs();
    let started = Instant::now();
    let before = processor_time();
    let done = read_all(&options, engines)?;
    let wall = started.elapsed().as_secs_f64();
    let spent = processor_time() - before;
    let pages = options.pages as f64;
    let busy = (done.work.detection.busy + done.work.recognition.busy).as_secs_f64();
    let report = serde_json::json!({
        "device": options.device, "batch": options.batch, "readers": options.readers, "hands": options.hands,
        "one_at_a_time": options.one_at_a_time, "pages": options.pages, "load_s": round(loaded.as_secs_f64()),
        "pages_a_second": round(pages / wall), "device_busy": round(busy / wall),
        "device_ms_a_page": round(1e3 * busy / pages), "cpu_ms_a_page": round(1e3 * spent / pages),
        "decoding_ms_a_page": round(1e3 * done.decoding.as_secs_f64() / pages),
        "runs": [done.work.detection.count(), done.work.recognition.count()],
        "waste": [round(done.work.detection.padding_share()), round(done.work.recognition.padding_share())],
        "latency_ms": {
            "p50": percentile(&mut done.latencies.clone(), 50),
            "p95": percentile(&mut done.latencies.clone(), 95),
        },
        "characters": done.characters,
    });
    println!("{report}");
    Ok(())
}

fn round(value: f64) -> f64 {
    (value * 1e3).round() / 1e3
}

fn percentile(latencies: &mut [Duration], percent: usize) -> f64 {
    latencies.sort_unstable();
    let index = (latencies.len() * percent / 100).min(latencies.len().saturating_sub(1));
    latencies.get(index).map_or(0.0, |latency| round(1e3 * latency.as_secs_f64()))
}

/// Returns the CPU time of this process, in seconds.
fn processor_time() -> f64 {
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap_or_default();
    // The fields follow the process name, which is in parentheses and may contain spaces; 11 and 12 are user and system
    // time (see proc(5)).
    let fields: Vec<f64> = stat
        .rsplit_once(')')
        .map_or("", |(_, fields)| fields)
        .split_whitespace()
        .map(|field| field.parse().unwrap_or(0.0))
        .collect();
    let ticks = fields.get(11).zip(fields.get(12)).map_or(0.0, |(user, system)| user + system);
    // Linux reports 100 ticks per second on all common architectures.
    ticks / 100.0
}

/// Totals of all pages.
#[derive(Default)]
struct PipelineResult {
    work: CostCounters,
    decoding: Duration,
    latencies: Vec<Duration>,
    characters: usize,
}

/// A page and the time at which its decoding started.
type DecodedPage = (PageImage, Instant);

fn read_all(options: &PipelineOptions, engines: Vec<Engine>) -> Result<PipelineResult, PipelineError> {
    let decoders = thread::available_parallelism()?.get();
    // Decodes at most one batch per reader, and one more, in advance.
    let (pages, decoded) = sync_channel::<DecodedPage>(options.batch * (options.readers + 1));
    let next = AtomicUsize::new(0);
    let begun = Instant::now();
    let decoded = Mutex::new(decoded);
    let done = Mutex::new(PipelineResult::default());
    thread::scope(|scope| {
        let mut threads = Vec::new();
        for _ in 0..decoders {
            let pages = pages.clone();
            let next = &next;
            let done = &done;
            threads.push(scope.spawn(move || {
                loop {
                    let index = next.fetch_add(1, Ordering::Relaxed);
                    if index >= options.pages {
                        return Ok::<_, PipelineError>(());
                    }
                    if let Some(distance) = options.every {
                        thread::sleep((distance * index as u32).saturating_sub(begun.elapsed()));
                    }
                    let started = Instant::now();
                    let page = decode(&options.files[index % options.files.len()])?;
                    done.lock().unwrap_or_else(PoisonError::into_inner).decoding += started.elapsed();
                    // The send fails if all readers have failed.
                    if pages.send((page, started)).is_err() {
                        return Ok(());
                    }
                }
            }));
        }
        drop(pages);
        for engine in engines {
            let decoded = &decoded;
            let done = &done;
            threads.push(scope.spawn(move || read(engine, options.batch, decoded, done)));
        }
        threads.into_iter().try_for_each(|thread| thread.join().map_err(|_| "a thread panicked")?)
    })?;
    Ok(done.into_inner().unwrap_or_else(PoisonError::into_inner))
}

/// Reads micro-batches of the pages that are available, at least one, until the channel is closed.
fn read(
    mut engine: Engine,
    batch: usize,
    decoded: &Mutex<Receiver<DecodedPage>>,
    done: &Mutex<PipelineResult>,
) -> Result<(), PipelineError> {
    loop {
        let mut pages = Vec::new();
        let mut begun = Vec::new();
        {
            let queue = decoded.lock().unwrap_or_else(PoisonError::into_inner);
            let first = queue.recv().ok();
            for (page, started) in first.into_iter().chain(queue.try_iter()).take(batch) {
                pages.push(page);
                begun.push(started);
            }
        }
        if pages.is_empty() {
            break;
        }
        let texts = engine.read(&pages);
        let mut done = done.lock().unwrap_or_else(PoisonError::into_inner);
        done.latencies.extend(begun.iter().map(Instant::elapsed));
        for text in texts {
            done.characters += text?.text().chars().count();
        }
    }
    done.lock().unwrap_or_else(PoisonError::into_inner).work += &engine.take_costs();
    Ok(())
}

/// The page files.
type PageFiles = Arc<[PathBuf]>;
