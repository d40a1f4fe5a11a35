//! The `quire` command with faults planted in PP-OCR: a magenta page kills the process that reads it, as a crash in
//! native code would, and a cyan page never comes back. Everything else is the real thing.

use std::process::ExitCode;

use ndarray::{Array3, ArrayView3, ArrayView4, Axis};
use quire_ocr::{Alphabet, Engine, LocalEngine, Model, ModelError, PpOcr, Step};
use quire_routes::EngineKind;
use quire_tasks::EngineName;

/// A page is of a color when each channel's mean is as near as this: a line of black text does not change it.
const NEAR: f32 = 0.3;
/// Blue, green and red as the model gets them, from -1 to 1.
const MAGENTA: [f32; 3] = [1.0, -1.0, 1.0];
const CYAN: [f32; 3] = [1.0, 1.0, -1.0];

struct Faulty(PpOcr);

impl Model for Faulty {
    fn name(&self) -> EngineName {
        self.0.name()
    }

    fn alphabet(&self) -> &Alphabet {
        self.0.alphabet()
    }

    fn detect(&mut self, pages: ArrayView4<'_, f32>) -> Result<Array3<f32>, ModelError> {
        for page in pages.outer_iter() {
            if is_of(&page, MAGENTA) {
                std::process::abort();
            }
            while is_of(&page, CYAN) {
                std::thread::park();
            }
        }
        self.0.detect(pages)
    }

    fn recognize(&mut self, strips: ArrayView4<'_, f32>) -> Result<Vec<Vec<Step>>, ModelError> {
        self.0.recognize(strips)
    }
}

fn is_of(page: &ArrayView3<'_, f32>, color: [f32; 3]) -> bool {
    let means = page.axis_iter(Axis(0)).map(|channel| channel.mean().unwrap_or(0.0));
    means.zip(color).all(|(mean, wanted)| (mean - wanted).abs() < NEAR)
}

fn main() -> ExitCode {
    quire::main(|entry, machine| match entry.kind {
        EngineKind::PpOcr {} => {
            let model = quire::pp_ocr_model(machine)?;
            let policy = quire::policy(model.provider())?;
            Ok(LocalEngine::Batches(Engine::new(Box::new(Faulty(model)), policy)))
        }
        _ => quire::local_engine(entry, machine),
    })
}
