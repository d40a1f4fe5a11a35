//! The `quire` command with fault injection in PP-OCR: a magenta page aborts the process that reads it, like a crash in
//! native code, and a cyan page blocks forever. Everything else is the real command.

use std::process::ExitCode;

use ndarray::{Array3, ArrayView3, ArrayView4, Axis};
use quire_pp_ocr::{Alphabet, CtcStep, Engine, ModelError, OcrModel, PpOcr};
use quire_routes::EngineKind;
use quire_tasks::EngineName;
use quire_worker::LocalEngine;

/// The largest difference of a pixel's channel from a color.
const TOLERANCE: f32 = 0.3;
/// The smallest share of pixels of a color: a line of black text and the padding beside it leave more.
const MIN_SHARE: f32 = 0.2;
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
        fail_by_color(&pages);
        self.0.detect(pages)
    }

    fn recognize(&mut self, strips: ArrayView4<'_, f32>) -> Result<Vec<Vec<CtcStep>>, ModelError> {
        // Of a page whose text layer is used, only samples are read.
        fail_by_color(&strips);
        self.0.recognize(strips)
    }
}

fn fail_by_color(images: &ArrayView4<'_, f32>) {
    for image in images.outer_iter() {
        if has_color(&image, MAGENTA) {
            std::process::abort();
        }
        while has_color(&image, CYAN) {
            std::thread::park();
        }
    }
}

fn has_color(image: &ArrayView3<'_, f32>, color: [f32; 3]) -> bool {
    let is_near = |(value, expected): (&f32, f32)| (value - expected).abs() < TOLERANCE;
    let pixels = image.lanes(Axis(0));
    let count = pixels.into_iter().filter(|pixel| pixel.iter().zip(color).all(is_near)).count();
    count as f32 >= MIN_SHARE * (image.len() / color.len()) as f32
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
