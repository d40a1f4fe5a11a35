//! Reads images with the engine alone and prints the same JSON as `quire read --format json`:
//!
//! ```sh
//! cargo run --release -p quire-pp-ocr --example read_pages -- [--workers N] [--provider onnxruntime|openvino] \
//!     [--tier small|tiny|auto] FILE…
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

use quire_native_libs::{Models, Progress, TinyModels};
use quire_pp_ocr::{BatchPolicy, CostCounters, Engine, ModelFiles, PpOcr, Provider};
use quire_tasks::PageText;

use pictures::decode;

type ReadPagesError = Box<dyn Error + Send + Sync>;

fn main() -> Result<(), ReadPagesError> {
    let mut files: Vec<String> = std::env::args().skip(1).collect();
    let mut workers = 1;
    let mut provider = Provider::OnnxRuntime;
    let mut tier = "small".to_owned();
    while let [option, value, ..] = &files[..]
        && option.starts_with("--")
    {
        match option.as_str() {
            "--workers" => workers = value.parse()?,
            "--provider" => provider = value.parse()?,
            "--tier" => tier.clone_from(value),
            _ => return Err(format!("unknown option {option}").into()),
        }
        files.drain(..2);
    }
    let progress = if stderr().is_terminal() { &Progress::Bar } else { &Progress::Silent };
    let models = TierFiles::find(&tier, provider, progress)?;
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

/// The models of a tier, the first of which reads first.
struct TierFiles(Vec<ModelFiles>);

impl TierFiles {
    fn find(tier: &str, provider: Provider, progress: &Progress) -> Result<Self, ReadPagesError> {
        let library = match provider {
            Provider::OpenVino => quire_native_libs::openvino(progress)?,
            _ => quire_native_libs::onnxruntime(progress)?,
        };
        let small = || {
            let Models { detection, recognition } = quire_native_libs::models(progress)?;
            Ok::<_, ReadPagesError>(ModelFiles::small(library.clone(), detection, recognition))
        };
        let tiny = || {
            let TinyModels { detection, recognition, dictionary } = quire_native_libs::tiny_models(progress)?;
            Ok::<_, ReadPagesError>(ModelFiles::tiny(library.clone(), detection, recognition, dictionary))
        };
        match tier {
            "small" => Ok(Self(vec![small()?])),
            "tiny" => Ok(Self(vec![tiny()?])),
            "auto" => Ok(Self(vec![tiny()?, small()?])),
            other => Err(format!("unknown tier {other}").into()),
        }
    }

    fn load(&self, provider: Provider) -> Result<Engine, ReadPagesError> {
        let policy = BatchPolicy::for_provider(provider);
        let model = |files| Ok::<_, ReadPagesError>(Box::new(PpOcr::load(files, provider, 1)?));
        match &self.0[..] {
            [fast, precise] => Ok(Engine::tiered("pp-ocr@v6-auto".parse()?, model(fast)?, model(precise)?, policy)),
            files => Ok(Engine::new(model(&files[0])?, policy)),
        }
    }
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
    models: &TierFiles,
    provider: Provider,
    files: &[String],
    next: &AtomicUsize,
) -> Result<WorkerResult, ReadPagesError> {
    let mut engine = models.load(provider)?;
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
