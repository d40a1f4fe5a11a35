//! The device: a GPU, or a stub with configurable timing.

use std::{collections::HashMap, thread, time::Duration};

use ndarray::{Array2, Array3, ArrayView3, ArrayView4, Axis};
use quire_native_libs::Progress;
use quire_pp_ocr::{
    Alphabet, BatchPolicy, CtcStep, Device, GpuOptions, GpuPpOcr, ModelError, ModelFiles, OcrModel, PpOcr, Provider,
    SharedModel,
};
use quire_tasks::EngineName;

use crate::{PipelineError, options::PipelineOptions};

/// Creates the device's model, with one place per reader in its queue.
pub(crate) fn open(options: &PipelineOptions, policy: &BatchPolicy) -> Result<SharedModel, PipelineError> {
    let natives = quire_native_libs::locate(&Progress::Silent)?;
    let library = natives.onnxruntime;
    let detection = natives.detection;
    let recognition = natives.recognition;
    let files = ModelFiles::small(library, detection, recognition);
    let provider = match options.device.as_str() {
        "stub" => None,
        "cpu" => Some(Provider::OnnxRuntime),
        other => Some(other.parse()?),
    };
    let readers = options.readers;
    let pace = StubTiming {
        run: options.run_ms * options.slower,
        mpixel: options.mpixel_ms * options.slower,
        kcolumn: options.kcolumn_ms * options.slower,
    };
    let Some(provider) = provider else {
        return SharedModel::start(readers, move || {
            Ok::<_, PipelineError>(StubModel::new(PpOcr::load(&files, Device::Cpu, 1)?, pace))
        });
    };
    let policy = policy.clone();
    let engine_cache = std::env::temp_dir().join("quire-engines");
    let options = GpuOptions { provider, memory_bytes: options.memory_bytes, engine_cache };
    SharedModel::start(readers, move || Ok::<_, PipelineError>(GpuPpOcr::load(&files, &policy, &options)?))
}

/// Milliseconds per run, per megapixel and per thousand columns.
#[derive(Clone, Copy)]
struct StubTiming {
    run: f64,
    mpixel: f64,
    kcolumn: f64,
}

/// Returns the cached output of the real model for a page, and then sleeps for as long as a GPU would take.
struct StubModel {
    real: PpOcr,
    pace: StubTiming,
    maps: HashMap<u64, Array2<f32>>,
}

impl StubModel {
    fn new(real: PpOcr, pace: StubTiming) -> Self {
        Self { real, pace, maps: HashMap::new() }
    }
}

/// Returns a hash of a sample of the page, because hashing all of it would take as long as drawing it.
fn fingerprint(page: &ArrayView3<'_, f32>) -> u64 {
    let (_, height, width) = page.dim();
    let samples = page.index_axis(Axis(0), 1);
    let mix = |hash: u64, index: usize| {
        let value = samples[[index * 7919 % height, index * 104_729 % width]];
        (hash ^ u64::from(value.to_bits())).wrapping_mul(0x0100_0000_01b3)
    };
    (0..512).fold((height * width) as u64, mix)
}

impl OcrModel for StubModel {
    fn name(&self) -> EngineName {
        self.real.name()
    }

    fn alphabet(&self) -> &Alphabet {
        self.real.alphabet()
    }

    fn detect(&mut self, pages: ArrayView4<'_, f32>) -> Result<Array3<f32>, ModelError> {
        let (items, _, height, width) = pages.dim();
        let mut maps = Array3::zeros((items, height, width));
        for (page, mut map) in pages.outer_iter().zip(maps.outer_iter_mut()) {
            let name = fingerprint(&page);
            if !self.maps.contains_key(&name) {
                let found = self.real.detect(page.insert_axis(Axis(0)))?;
                self.maps.insert(name, found.index_axis_move(Axis(0), 0));
            }
            map.assign(&self.maps[&name]);
        }
        sleep(self.pace.run + self.pace.mpixel * (items * height * width) as f64 / 1e6);
        Ok(maps)
    }

    fn recognize(&mut self, strips: ArrayView4<'_, f32>) -> Result<Vec<Vec<CtcStep>>, ModelError> {
        let (items, _, _, width) = strips.dim();
        // A character every third step, with no equal neighbors.
        let step = |index: usize| if index.is_multiple_of(3) { 100 + index as u32 % 7 } else { Alphabet::BLANK };
        let steps = (0..width / 8).map(|index| CtcStep { class: step(index), probability: 0.97 });
        let steps: Vec<CtcStep> = steps.collect();
        sleep(self.pace.run + self.pace.kcolumn * (items * width) as f64 / 1e3);
        Ok(vec![steps; items])
    }
}

fn sleep(milliseconds: f64) {
    thread::sleep(Duration::from_secs_f64(milliseconds / 1e3));
}
