//! The `quire` command with fault injection in PP-OCR: a magenta page aborts the process that reads it, like a crash in
//! native code, and a cyan page blocks forever. Everything else is the real command.

use std::process::ExitCode;

use ndarray::{Array3, ArrayView3, ArrayView4, Axis};
use quire_pp_ocr::{Alphabet, CtcStep, Engine, ModelError, OcrModel, PpOcr};
use quire_routes::EngineKind;
use quire_tasks::EngineName;
use quire_worker::LocalEngine;

/// The largest difference of a channel's mean from a color. A line of black text changes the mean by less.
const TOLERANCE: f32 = 0.3;
/// Blue, green and red as in the model input, from -1 to 1.
const MAGENTA: [f32; 3] = [1.0, -1.0, 1.0];
const CYAN: [f32; 3] = [1.0, 1.0, -1.0];

struct FaultyModel(PpOcr);

impl OcrModel for FaultyModel {
    fn name(&self) -> EngineName {
        self.0.name()
    }

    fn alphabet(&self) -> &Alphabet {
        self.0.alphabet()
    }

    fn detect(&mut self, pages: ArrayView4<'_, f32>) -> Result<Array3<f32>, ModelError> {
        for page in pages.outer_iter() {
            if has_color(&page, MAGENTA) {
                std::process::abort();
            }
            while has_color(&page, CYAN) {
                std::thread::park();
            }
        }
        self.0.detect(pages)
    }

    fn recognize(&mut self, strips: ArrayView4<'_, f32>) -> Result<Vec<Vec<CtcStep>>, ModelError> {
        self.0.recognize(strips)
    }
}

fn has_color(page: &ArrayView3<'_, f32>, color: [f32; 3]) -> bool {
    let means = page.axis_iter(Axis(0)).map(|channel| channel.mean().unwrap_or(0.0));
    means.zip(color).all(|(mean, expected)| (mean - expected).abs() < TOLERANCE)
}

fn main() -> ExitCode {
    quire::main(|entry, machine| match entry.kind {
        EngineKind::PpOcr(_) => {
            let model = quire::pp_ocr_model(machine)?;
            let policy = quire::policy(model.provider())?;
            Ok(LocalEngine::Batches(Engine::new(Box::new(FaultyModel(model)), policy)))
        }
        _ => quire::local_engine(entry, machine),
    })
}
