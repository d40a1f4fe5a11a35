//! Reads images with the engine alone and prints the same JSON as `quire read --format json`:
//!
//! ```sh
//! cargo run --release -p quire-pp-ocr --example read_pages -- [--workers N] [--provider onnxruntime|openvino] FILE…
//! ```
//!
//! The last line on standard error contains the cost counters as JSON ([`quire_pp_ocr::CostCounters`]) and the time of
//! decoding.
#![expect(clippy::print_stdout, clippy::print_stderr, reason = "a command prints its results")]

mod pictures;

use std::{
    error::Error,
    io::{IsTerminal, stderr},
    path::Path,
    sync::atomic::{AtomicUsize, Ordering},
    thread,
    time::{Duration, Instant},
};

use quire_native_libs::{Models, Progress};
use quire_pp_ocr::{BatchPolicy, CostCounters, Engine, ModelFiles, PpOcr, Provider};
use quire_tasks::PageText;

use pictures::decode;

type ReadPagesError = Box<dyn Error + Send + Sync>;

fn main() -> Result<(), ReadPagesError> {
    let mut files: Vec<String> = std::env::args().skip(1).collect();
    let mut workers = 1;
    let mut provider = Provider::OnnxRuntime;
    while let [option, value, ..] = &files[..]
        && option.starts_with("--")
    {
        match option.as_str() {
            "--workers" => workers = value.parse()?,
            "--provider" => provider = value.parse()?,
            _ => return Err(format!("unknown option {option}").into()),
        }
        files.drain(..2);
    }
    let models = natives(provider, if stderr().is_terminal() { &Progress::Bar } else { &Progress::Silent })?;
    let next = AtomicUsize::new(0);
    let mut done = WorkerResult::default();
    thread::scope(|scope| {
        let started: Vec<_> = (0..workers).map(|_| scope.spawn(|| worker(&models, provider, &files, &next))).collect();
        for worker in started {
            let part = worker.join().map_err(|_| "a worker panicked")??;
            done.texts.extend(part.texts);
            done.work += &part.work;
            done.decoding += part.decoding;
        }
        Ok::<_, ReadPagesError>(())
    })?;
    done.texts.sort_by_key(|(index, _)| *index);
    let entries: Vec<_> =
        done.texts.iter().map(|(_, text)| serde_json::json!({"text": text.text(), "pages": [text]})).collect();
    println!("{}", serde_json::to_string(&entries)?);
    eprintln!("{}", serde_json::json!({"work": done.work, "decoding": done.decoding}));
    Ok(())
}

fn natives(provider: Provider, progress: &Progress) -> Result<ModelFiles, ReadPagesError> {
    let Models { detection, recognition } = quire_native_libs::models(progress)?;
    let library = match provider {
        Provider::OpenVino => quire_native_libs::openvino(progress)?,
        _ => quire_native_libs::onnxruntime(progress)?,
    };
    Ok(ModelFiles { library, detection, recognition })
}

/// The texts and the cost of one worker.
#[derive(Default)]
struct WorkerResult {
    texts: Vec<(usize, PageText)>,
    work: CostCounters,
    decoding: Duration,
}

/// Reads files until none is left.
fn worker(
    models: &ModelFiles,
    provider: Provider,
    files: &[String],
    next: &AtomicUsize,
) -> Result<WorkerResult, ReadPagesError> {
    let mut engine = Engine::new(Box::new(PpOcr::load(models, provider, 1)?), BatchPolicy::for_provider(provider));
    let mut done = WorkerResult::default();
    loop {
        let index = next.fetch_add(1, Ordering::Relaxed);
        let Some(file) = files.get(index) else { break };
        let started = Instant::now();
        let page = decode(Path::new(file))?;
        done.decoding += started.elapsed();
        for text in engine.read(&[page]) {
            done.texts.push((index, text?));
        }
    }
    done.work = engine.take_costs();
    Ok(done)
}
