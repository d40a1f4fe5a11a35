//! PP-OCRv6 on a GPU: a few fixed shapes that are all warmed up at the start, pinned input buffers, and only the best
//! class per step copied back.

use std::{
    fs,
    path::Path,
    time::{Duration, Instant},
};

use ndarray::{Array3, ArrayView4};
use quire_inference::{
    BoundSession, CLASS_OUTPUT, GpuOptions, HostBuffer, InferenceSession, IoBinding, LoadError, ModelError,
    PROBABILITY_OUTPUT, PinnedMemory, Provider, RunBuffer, ShapeProfile, append_argmax, check_cuda, check_tensorrt,
    load_environment,
};
use quire_tasks::EngineName;
use tracing::info;

use crate::{
    alphabet::Alphabet,
    detection::BoxThresholds,
    engine::Engine,
    line_image::{LINE_IMAGE_HEIGHT, STEP_WIDTH},
    model::{CtcStep, OcrModel},
    model_files::{ModelFiles, check_shape},
    model_manifest::Normalization,
    policy::BatchPolicy,
    pp_ocr::DETECTION_OUTPUT,
    shared_model::SharedModel,
};

/// A model of the PP-OCR family on a GPU. Several readers share it with a [`SharedModel`](crate::SharedModel).
pub struct GpuPpOcr {
    name: EngineName,
    thresholds: BoxThresholds,
    width_factor: f32,
    detection: BoundSession,
    recognition: BoundSession,
    alphabet: Alphabet,
    /// Allocator of pinned memory; `None` on a CPU.
    pinned: Option<PinnedMemory>,
    classes: Vec<i64>,
    probabilities: Vec<f32>,
}

impl std::fmt::Debug for GpuPpOcr {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("GpuPpOcr").field("classes", &self.alphabet.classes()).finish_non_exhaustive()
    }
}

impl GpuPpOcr {
    /// Loads both models and runs every shape of the policy once.
    ///
    /// # Errors
    /// [`LoadError`], if a library or model is missing or wrong; the message says what to set.
    pub fn load(files: &ModelFiles, policy: &BatchPolicy, options: &GpuOptions) -> Result<Self, LoadError> {
        match options.provider {
            Provider::Cuda => check_cuda(&files.library)?,
            Provider::TensorRt => check_tensorrt(&files.library)?,
            Provider::OnnxRuntime | Provider::OpenVino => {}
        }
        let environment = load_environment(&files.library)?;
        let alphabet = files.check()?;
        let manifest = &files.manifest;
        require_default_normalization(files)?;
        let bytes = read_file(&files.detection)?;
        let detection =
            BoundSession::load(&environment, &files.detection, &bytes, options, &detection_profile(policy))?;
        check_shape(&files.detection, "output", &InferenceSession::outputs(&detection.session), &DETECTION_OUTPUT)?;
        let bytes = append_argmax(read_file(&files.recognition)?, &manifest.recognition.output);
        let recognition =
            BoundSession::load(&environment, &files.recognition, &bytes, options, &recognition_profile(policy))?;
        // The model's own output is the first one; the two added outputs follow.
        let own: Vec<_> = InferenceSession::outputs(&recognition.session).into_iter().take(1).collect();
        check_shape(&files.recognition, "output", &own, &manifest.recognition.output_shape())?;
        let pinned = match options.provider {
            Provider::Cuda | Provider::TensorRt => {
                Some(PinnedMemory::new(&detection.session).map_err(|error| LoadError::cuda(&error))?)
            }
            Provider::OnnxRuntime | Provider::OpenVino => None,
        };
        let classes = Vec::new();
        let probabilities = Vec::new();
        let (name, thresholds) = (manifest.name.clone(), manifest.detection.thresholds());
        let width_factor = manifest.recognition.width_factor;
        let mut model =
            Self { name, thresholds, width_factor, detection, recognition, alphabet, pinned, classes, probabilities };
        let (shapes, took) = model.warm_up(policy).map_err(|error| LoadError::cuda(&error))?;
        info!(shapes, duration_ms = took.as_millis() as u64, "warmed up all input shapes");
        Ok(model)
    }

    /// Loads the model and returns an engine with as many readers as the policy has concurrent micro-batches, each for
    /// a thread of its own ([`Engine::into_readers`]).
    ///
    /// # Errors
    /// Same as [`load`](Self::load).
    pub fn load_engine(files: ModelFiles, policy: &BatchPolicy, options: GpuOptions) -> Result<Engine, LoadError> {
        let of_model = policy.clone();
        let readers = policy.readers.max(1);
        let model = SharedModel::start(readers, move || Self::load(&files, &of_model, &options))?;
        let reader = |model: SharedModel| Engine::new(Box::new(model), policy.clone());
        Ok((1..readers).fold(reader(model.clone()), |engine, _| engine.with_reader(reader(model.clone()))))
    }

    /// Runs each shape once, the largest first, so that the memory arena grows only once. Returns their number and the
    /// time.
    fn warm_up(&mut self, policy: &BatchPolicy) -> Result<(usize, Duration), ModelError> {
        let started = Instant::now();
        let mut detection = policy.detection_run_shapes();
        let mut recognition = policy.recognition_run_shapes();
        detection.sort_by_key(|&(pages, height, width)| std::cmp::Reverse(pages * height * width));
        recognition.sort_by_key(|&(strips, width)| std::cmp::Reverse(strips * width));
        let mut run = RunBuffer::default();
        for &(pages, height, width) in &detection {
            run = run.reshape([pages, 3, height, width], pages * height * width, &mut |len| self.allocate(len));
            ignore_out_of_memory(self.detect_buffered(&mut run))?;
        }
        for &(strips, width) in &recognition {
            run = run.reshape([strips, 3, LINE_IMAGE_HEIGHT, width], 0, &mut |len| self.allocate(len));
            ignore_out_of_memory(self.recognize_buffered(&mut run).map(drop))?;
        }
        Ok((detection.len() + recognition.len(), started.elapsed()))
    }
}

/// Skips a shape that does not fit into memory: it is not used once batches have become smaller.
fn ignore_out_of_memory(met: Result<(), ModelError>) -> Result<(), ModelError> {
    match met {
        Err(ModelError::Memory(_)) => Ok(()),
        other => other,
    }
}

/// Checks that the inputs need no conversion: their buffers are read by the device as they are.
fn require_default_normalization(files: &ModelFiles) -> Result<(), LoadError> {
    let manifest = &files.manifest;
    for (path, normalization) in
        [(&files.detection, manifest.detection.normalization), (&files.recognition, manifest.recognition.normalization)]
    {
        if normalization != Normalization::default() {
            return Err(LoadError::OtherModel {
                path: path.clone(),
                part: "normalization",
                expected: "the default one, on a GPU".to_owned(),
                found: format!("{normalization:?}"),
            });
        }
    }
    Ok(())
}

fn read_file(path: &Path) -> Result<Vec<u8>, LoadError> {
    fs::read(path).map_err(|error| LoadError::model(path, &error))
}

fn detection_profile(policy: &BatchPolicy) -> ShapeProfile {
    let runs: Vec<[usize; 4]> =
        policy.detection_run_shapes().iter().map(|&(pages, height, width)| [pages, 3, height, width]).collect();
    profile(&runs)
}

fn recognition_profile(policy: &BatchPolicy) -> ShapeProfile {
    let runs: Vec<[usize; 4]> =
        policy.recognition_run_shapes().iter().map(|&(strips, width)| [strips, 3, LINE_IMAGE_HEIGHT, width]).collect();
    profile(&runs)
}

/// Returns minimum and maximum of each side, and the largest shape as the optimum.
fn profile(runs: &[[usize; 4]]) -> ShapeProfile {
    let side = |choose: fn(usize, usize) -> usize| {
        let sides = |a: [usize; 4], b: &[usize; 4]| std::array::from_fn(|side| choose(a[side], b[side]));
        runs.split_first().map(|(first, rest)| rest.iter().fold(*first, sides))
    };
    let usual = runs.iter().copied().max_by_key(|run| run.iter().product::<usize>());
    let text = |sides: [usize; 4]| format!("x:{}", sides.map(|side| side.to_string()).join("x"));
    side(usize::min).zip(usual).zip(side(usize::max)).map(|((least, usual), most)| [least, usual, most].map(text))
}

impl OcrModel for GpuPpOcr {
    fn name(&self) -> EngineName {
        self.name.clone()
    }

    fn box_thresholds(&self) -> BoxThresholds {
        self.thresholds
    }

    fn width_factor(&self) -> f32 {
        self.width_factor
    }

    fn alphabet(&self) -> &Alphabet {
        &self.alphabet
    }

    fn detect(&mut self, pages: ArrayView4<'_, f32>) -> Result<Array3<f32>, ModelError> {
        let (items, channels, height, width) = pages.dim();
        let shape = [items, channels, height, width];
        let mut run = RunBuffer::default().reshape(shape, items * height * width, &mut HostBuffer::heap);
        run.input_mut().assign(&pages);
        self.detect_buffered(&mut run)?;
        Ok(run.output().to_owned())
    }

    fn recognize(&mut self, strips: ArrayView4<'_, f32>) -> Result<Vec<Vec<CtcStep>>, ModelError> {
        self.recognize_buffered(&mut RunBuffer::from_input(&strips))
    }

    fn allocate(&mut self, len: usize) -> HostBuffer {
        self.pinned.as_ref().and_then(|memory| memory.allocate(len)).unwrap_or_else(|| HostBuffer::heap(len))
    }

    fn detect_buffered(&mut self, run: &mut RunBuffer) -> Result<(), ModelError> {
        let shape = run.input_shape();
        let [pages, _, height, width] = shape;
        let (input, answer) = run.input_and_output();
        let BoundSession { session, input: x, output } = &mut self.detection;
        let mut binding = IoBinding::new(session)?;
        binding.bind_input(x, input, &shape)?;
        binding.bind_output(output, answer, &[pages, 1, height, width])?;
        Ok(binding.run()?)
    }

    fn recognize_buffered(&mut self, run: &mut RunBuffer) -> Result<Vec<Vec<CtcStep>>, ModelError> {
        let shape = run.input_shape();
        let [strips, _, _, width] = shape;
        let steps = width / STEP_WIDTH;
        self.classes.resize(strips * steps, 0);
        self.probabilities.resize(strips * steps, 0.0);
        let BoundSession { session, input, .. } = &mut self.recognition;
        let mut binding = IoBinding::new(session)?;
        binding.bind_input(input, run.input_values(), &shape)?;
        binding.bind_output(CLASS_OUTPUT, &mut self.classes, &[strips, steps])?;
        binding.bind_output(PROBABILITY_OUTPUT, &mut self.probabilities, &[strips, steps])?;
        binding.run()?;
        let each = self.classes.iter().zip(&self.probabilities);
        let all: Vec<CtcStep> =
            each.map(|(&class, &probability)| CtcStep { class: class as u32, probability }).collect();
        Ok(all.chunks_exact(steps.max(1)).map(<[CtcStep]>::to_vec).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_profile_spans_all_runs() {
        let profile = profile(&[[1, 3, 960, 672], [8, 3, 960, 672], [4, 3, 672, 960]]);
        assert_eq!(profile, Some(["x:1x3x672x672", "x:8x3x960x672", "x:8x3x960x960"].map(str::to_owned)));
        assert_eq!(super::profile(&[]), None);
    }
}
