//! Records the model inputs of pages, and writes recordings of page arrivals for the worker's simulation:
//!
//! ```sh
//! cargo run --release -p quire-pp-ocr --example record_pages -- FOLDER FILE…
//! ```
//!
//! writes `trickle.jsonl` (one page per second on average, exponentially distributed), `burst.jsonl` (200 pages at
//! once) and `full.jsonl` (600 pages that are available from the start) into the folder. The pages are used in turns,
//! and random numbers have a fixed seed.
#![expect(clippy::print_stderr, reason = "a command prints its progress")]

mod pictures;

use std::{
    error::Error,
    fmt::Write as _,
    fs,
    path::Path,
    sync::{Arc, Mutex, PoisonError},
};

use ndarray::{Array3, ArrayView4, s};
use quire_native_libs::{Models, Progress};
use quire_pp_ocr::{Alphabet, BatchPolicy, CtcStep, Engine, ModelError, ModelFiles, OcrModel, PpOcr, Provider};
use quire_tasks::EngineName;
use serde_json::json;

use pictures::decode;

type RecordPagesError = Box<dyn Error + Send + Sync>;

const TRICKLE_PAGES: usize = 300;
const BURST_PAGES: usize = 200;
const FULL_PAGES: usize = 600;

fn main() -> Result<(), RecordPagesError> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let Some((folder, files)) = arguments.split_first() else { return Err("expected FOLDER FILE…".into()) };
    let Models { detection, recognition } = quire_native_libs::models(&Progress::Silent)?;
    let models = ModelFiles::small(quire_native_libs::onnxruntime(&Progress::Silent)?, detection, recognition);
    let seen = Arc::<Mutex<ObservedShapes>>::default();
    let model = ObservedModel { model: PpOcr::load(&models, Provider::OnnxRuntime, 1)?, seen: Arc::clone(&seen) };
    // Puts all lines that are read together into one run, so that the wrapper sees them.
    let policy = BatchPolicy { recognition_max_width: usize::MAX, ..BatchPolicy::for_provider(Provider::OnnxRuntime) };
    let mut engine = Engine::new(Box::new(model), policy);
    let mut shapes = String::new();
    let mut names = Vec::new();
    for file in files {
        let page = decode(Path::new(file))?;
        let width = page.width();
        let height = page.height();
        let name = Path::new(file).file_stem().unwrap_or_default().to_string_lossy().into_owned();
        for text in engine.read(&[page]) {
            text?;
        }
        let ObservedShapes { detection, looks } =
            std::mem::take(&mut *seen.lock().unwrap_or_else(PoisonError::into_inner));
        let shape = json!({"page": name, "width": width, "height": height, "detection": detection, "looks": looks});
        writeln!(shapes, "{shape}")?;
        eprintln!("{name}: {} strips", looks.iter().map(Vec::len).sum::<usize>());
        names.push(name);
    }
    let mut chance = SplitMix64(6);
    let mut at = 0.0;
    let trickle = std::iter::repeat_with(|| {
        at += -1e3 * (1.0 - chance.next()).ln();
        at
    });
    let recordings: [(_, Vec<f64>); 3] = [
        ("trickle", trickle.take(TRICKLE_PAGES).collect()),
        ("burst", vec![0.0; BURST_PAGES]),
        ("full", vec![0.0; FULL_PAGES]),
    ];
    for (recording, times) in recordings {
        let mut lines = shapes.clone();
        for (at, page) in times.into_iter().zip(names.iter().cycle()) {
            writeln!(lines, "{}", json!({"t_ms": at.round(), "page": page}))?;
        }
        fs::write(Path::new(folder).join(recording).with_extension("jsonl"), lines)?;
    }
    Ok(())
}

/// Model inputs of a page.
#[derive(Default)]
struct ObservedShapes {
    detection: Vec<(usize, usize)>,
    looks: Vec<Vec<usize>>,
}

/// Wraps the model and runs each line image at its own width.
struct ObservedModel {
    model: PpOcr,
    seen: Arc<Mutex<ObservedShapes>>,
}

impl OcrModel for ObservedModel {
    fn name(&self) -> EngineName {
        self.model.name()
    }

    fn alphabet(&self) -> &Alphabet {
        self.model.alphabet()
    }

    fn detect(&mut self, pages: ArrayView4<'_, f32>) -> Result<Array3<f32>, ModelError> {
        let (_, _, height, width) = pages.dim();
        self.seen.lock().unwrap_or_else(PoisonError::into_inner).detection.push((width, height));
        self.model.detect(pages)
    }

    fn recognize(&mut self, strips: ArrayView4<'_, f32>) -> Result<Vec<Vec<CtcStep>>, ModelError> {
        let mut widths = Vec::new();
        let mut answers = Vec::new();
        for strip in strips.outer_iter() {
            // Columns without content are 0, which is not the value of any pixel.
            let drawn = |column: &usize| strip.slice(s![.., .., *column]).iter().any(|value| *value != 0.0);
            let width = (0..strip.dim().2).rev().find(drawn).map_or(1, |last| last + 1);
            let padded = width.max(64).next_multiple_of(8).min(strip.dim().2);
            let alone = strip.slice(s![.., .., ..padded]).insert_axis(ndarray::Axis(0)).to_owned();
            answers.extend(self.model.recognize(alone.view())?);
            widths.push(width);
        }
        self.seen.lock().unwrap_or_else(PoisonError::into_inner).looks.push(widths);
        Ok(answers)
    }
}

/// Pseudo-random numbers from 0 to 1 with a fixed seed: `SplitMix64` (Steele, Lea and Flood, OOPSLA 2014).
struct SplitMix64(u64);

impl SplitMix64 {
    fn next(&mut self) -> f64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        ((mixed ^ (mixed >> 31)) >> 11) as f64 / (1_u64 << 53) as f64
    }
}
