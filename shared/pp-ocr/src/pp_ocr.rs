//! PP-OCR on a CPU, or on a GPU without fixed shapes.

use std::{fs, path::Path};

use ndarray::{Array3, ArrayView3, ArrayView4, Axis};
use quire_inference::{
    Device, HostBuffer, InferenceSession, LoadError, ModelError, OpenVino, Processor, Provider, RunBuffer, SplitModel,
    check_cuda, load_environment, load_session_from_memory, split_head,
};
use quire_tasks::EngineName;

use crate::{
    alphabet::Alphabet,
    detection::BoxThresholds,
    model::{CtcStep, OcrModel},
    model_files::{ModelFiles, check_shape},
    model_manifest::Normalization,
    script::script_scores,
};

/// Shape of the detection output; -1 is a dynamic dimension.
pub(crate) const DETECTION_OUTPUT: [i64; 4] = [-1, 1, -1, -1];

/// Steps that the head classifies in one run. The 18,710 classes of PP-OCRv6 small are 1.5 MB, which fits into the CPU cache; all steps
/// of a line of 1,600 columns would need 15 MB, twice. Measured in bf16 on one thread: 200 steps take 16 to 17 ms in
/// runs of 20 to 67 steps, and 19 ms in one run.
const HEAD_STEPS: usize = 20;

/// Capacity of OpenVINO's kernel cache of detection: one to four shapes. Compiling kernels takes 25 of a page's 250 ms,
/// and each shape 3 MB. Measured in bf16 with 1,600 pages of all sizes: 128 kernels need 23 MB more for two workers and
/// are not faster; 800, i.e. dozens of shapes, need 60 MB more per worker.
const DETECTION_KERNELS: u32 = 96;
/// Capacity of the kernel cache of recognition: all widths of its policy, at 3.3 MB each. Without the cache a run takes
/// 1.3 times as long.
const RECOGNITION_KERNELS: u32 = 800;

/// A model of the PP-OCR family: detection and recognition, the latter split into two sessions.
pub struct PpOcr {
    name: EngineName,
    detection: Box<dyn InferenceSession>,
    /// Of the input of detection.
    normalization: Normalization,
    thresholds: BoxThresholds,
    width_factor: f32,
    recognition: Recognizer,
    alphabet: Alphabet,
    provider: Provider,
}

impl std::fmt::Debug for PpOcr {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("PpOcr").field("provider", &self.provider).finish_non_exhaustive()
    }
}

impl PpOcr {
    /// Loads both models with `threads` threads per run; OpenVINO always uses one. On a CPU, several models with one
    /// thread each have a higher throughput than one model with several threads.
    ///
    /// # Errors
    /// [`LoadError`], if a library or model is missing or wrong; the message says what to set.
    pub fn load(files: &ModelFiles, provider: impl Into<Provider>, threads: usize) -> Result<Self, LoadError> {
        match provider.into() {
            Provider::OnnxRuntime => Self::load_onnx_runtime(files, Device::Cpu, threads),
            Provider::Cuda => {
                check_cuda(&files.library)?;
                Self::load_onnx_runtime(files, Device::Cuda, threads)
            }
            Provider::OpenVino => OpenVino::with_runtime(&files.library, |openvino| {
                let processor = Processor::detect();
                let mut load = |path: &Path, model: &[u8], role| {
                    let (precision, kernels) = match role {
                        NetworkRole::Detection => (processor.detection_precision(), DETECTION_KERNELS),
                        NetworkRole::Recognition => (processor.recognition_precision(), RECOGNITION_KERNELS),
                    };
                    openvino
                        .compile(path, model, precision, kernels)
                        .map(|network| Box::new(network) as Box<dyn InferenceSession>)
                };
                Self::load_with(files, Provider::OpenVino, &mut load)
            }),
            other @ Provider::TensorRt => Err(LoadError::Provider(other)),
        }
    }

    fn load_onnx_runtime(files: &ModelFiles, device: Device, threads: usize) -> Result<Self, LoadError> {
        let environment = load_environment(&files.library)?;
        let mut load = |path: &Path, model: &[u8], _| {
            load_session_from_memory(&environment, path, model, device, threads)
                .map(|session| Box::new(session) as Box<dyn InferenceSession>)
        };
        Self::load_with(files, device.into(), &mut load)
    }

    fn load_with(files: &ModelFiles, provider: Provider, load: &mut LoadNetwork<'_>) -> Result<Self, LoadError> {
        let alphabet = files.check()?;
        let manifest = &files.manifest;
        let mut checked = |path: &Path, model: &[u8], role, expected: &[i64]| {
            let network = load(path, model, role)?;
            check_shape(path, "output", &network.outputs(), expected)?;
            Ok::<_, LoadError>(network)
        };
        let detection = checked(&files.detection, &read(&files.detection)?, NetworkRole::Detection, &DETECTION_OUTPUT)?;
        let path = &files.recognition;
        let SplitModel { backbone, head } = split_recognizer(path)?;
        let recognition = Recognizer {
            backbone: checked(path, &backbone, NetworkRole::Recognition, &manifest.recognition.features_shape())?,
            head: checked(path, &head, NetworkRole::Recognition, &manifest.recognition.output_shape())?,
            normalization: manifest.recognition.normalization,
            classes: manifest.recognition.classes,
            has_script_features: manifest.recognition.has_script_features,
        };
        Ok(Self {
            name: manifest.name.clone(),
            detection,
            normalization: manifest.detection.normalization,
            thresholds: manifest.detection.thresholds(),
            width_factor: manifest.recognition.width_factor,
            recognition,
            alphabet,
            provider,
        })
    }

    /// Returns the provider that runs the models.
    pub const fn provider(&self) -> Provider {
        self.provider
    }
}

/// The role of a session.
#[derive(Clone, Copy)]
enum NetworkRole {
    Detection,
    Recognition,
}

/// Loads a session for the model of a file, or for one half of it.
type LoadNetwork<'a> = dyn FnMut(&Path, &[u8], NetworkRole) -> Result<Box<dyn InferenceSession>, LoadError> + 'a;

fn read(path: &Path) -> Result<Vec<u8>, LoadError> {
    fs::read(path).map_err(|error| LoadError::model(path, &error))
}

fn split_recognizer(path: &Path) -> Result<SplitModel, LoadError> {
    let split = split_head(&read(path)?).map_err(|error| LoadError::model(path, &error))?;
    split.ok_or_else(|| {
        LoadError::model(
            path,
            &"it does not end in one matrix product for its classes, unlike the models of the PP-OCR family",
        )
    })
}

impl OcrModel for PpOcr {
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
        let mut run = RunBuffer::from_input(&pages);
        self.detect_buffered(&mut run)?;
        Ok(run.output().to_owned())
    }

    fn allocate(&mut self, len: usize) -> HostBuffer {
        self.detection.allocate(len)
    }

    fn detect_buffered(&mut self, run: &mut RunBuffer) -> Result<(), ModelError> {
        let [count, _, height, width] = run.input_shape();
        let mut map = Array3::default((0, 0, 0));
        let mut read_map = |shape: &[i64], values: &[f32]| {
            let reshaped = Array3::from_shape_vec((count, height, width), values.to_vec());
            map = reshaped
                .map_err(|_| ModelError::shape(format!("[{count}, 1, {height}, {width}]"), format!("{shape:?}")))?;
            Ok(())
        };
        match self.normalization.convert(&run.input()) {
            // A copy, because the input is needed after the run.
            Some(converted) => self.detection.run(converted.view().into_dyn(), &mut read_map)?,
            None => self.detection.run_buffered(run, &mut read_map)?,
        }
        run.set_output(map);
        Ok(())
    }

    fn recognize(&mut self, strips: ArrayView4<'_, f32>) -> Result<Vec<Vec<CtcStep>>, ModelError> {
        Ok(self.recognition.run(&strips)?.0)
    }

    fn recognize_buffered(&mut self, run: &mut RunBuffer) -> Result<Vec<Vec<CtcStep>>, ModelError> {
        let (steps, scores) = self.recognition.run(&run.input())?;
        run.set_output(scores);
        Ok(steps)
    }
}

/// The recognizer. The backbone sees whole line images; the head classifies a few steps at a time, because its output
/// would otherwise be most of the memory of a run.
struct Recognizer {
    backbone: Box<dyn InferenceSession>,
    head: Box<dyn InferenceSession>,
    normalization: Normalization,
    classes: usize,
    has_script_features: bool,
}

impl Recognizer {
    /// Returns the most probable classes of each line, and the scores of the scripts at each step.
    fn run(&mut self, strips: &ArrayView4<'_, f32>) -> Result<(Vec<Vec<CtcStep>>, Array3<f32>), ModelError> {
        let count = strips.dim().0;
        let mut features = Array3::default((0, 0, 0));
        let converted = self.normalization.convert(strips);
        let strips = converted.as_ref().map_or(strips.view(), |converted| converted.view());
        self.backbone.run(strips.into_dyn(), &mut |shape, values| {
            let wrong =
                || ModelError::Shape { expected: format!("[{count}, steps, depth]"), found: format!("{shape:?}") };
            let [lines, steps, depth] = *shape else { return Err(wrong()) };
            let shape = [lines, steps, depth].map(|side| side as usize);
            features = Array3::from_shape_vec(shape, values.to_vec()).map_err(|_| wrong())?;
            if shape[0] == count { Ok(()) } else { Err(wrong()) }
        })?;
        let steps: Result<_, ModelError> =
            features.outer_iter().map(|line| self.classify(&line.insert_axis(Axis(0)))).collect();
        let scores = if self.has_script_features { script_scores(&features) } else { Array3::default((0, 0, 0)) };
        Ok((steps?, scores))
    }

    /// Returns the most probable classes of a line, from its features `[1, steps, depth]`.
    fn classify(&mut self, line: &ArrayView3<'_, f32>) -> Result<Vec<CtcStep>, ModelError> {
        let classes = self.classes;
        let mut classified = Vec::with_capacity(line.dim().1);
        for some in line.axis_chunks_iter(Axis(1), HEAD_STEPS) {
            let steps = some.dim().1;
            self.head.run(some.into_dyn(), &mut |shape, values| {
                if shape != [1, steps as i64, classes as i64] {
                    let expected = format!("[1, {steps}, {classes}]");
                    return Err(ModelError::Shape { expected, found: format!("{shape:?}") });
                }
                classified.extend(values.chunks_exact(classes).map(argmax));
                Ok(())
            })?;
        }
        Ok(classified)
    }
}

/// Returns the class with the highest probability; NaN if all values are NaN.
///
/// A line of 800 pixels has 100 steps of 18,710 classes. The maximum of a block is vectorized, in one pass over memory;
/// then only the best block is searched for the class.
fn argmax(probabilities: &[f32]) -> CtcStep {
    const LANES: usize = 16;
    const BLOCK: usize = 64 * LANES;
    let maximum = |block: &[f32]| {
        let (chunks, rest) = block.as_chunks::<LANES>();
        let mut lanes = [f32::NEG_INFINITY; LANES];
        for chunk in chunks {
            for (lane, &value) in lanes.iter_mut().zip(chunk) {
                *lane = if value > *lane { value } else { *lane };
            }
        }
        lanes.iter().chain(rest).fold(f32::NEG_INFINITY, |max, &value| if value > max { value } else { max })
    };
    let mut best = f32::NEG_INFINITY;
    let mut best_block = 0;
    for (index, block) in probabilities.chunks(BLOCK).enumerate() {
        let maximum = maximum(block);
        if maximum > best {
            (best, best_block) = (maximum, index);
        }
    }
    let start = best_block * BLOCK;
    match probabilities[start..].iter().position(|&value| value >= best) {
        Some(offset) if best > f32::NEG_INFINITY => CtcStep { class: (start + offset) as u32, probability: best },
        _ => CtcStep { class: Alphabet::BLANK, probability: f32::NAN },
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn the_argmax_of_nan_is_nan() {
        assert!(argmax(&[f32::NAN; 2000]).probability.is_nan());
        assert!(argmax(&[]).probability.is_nan());
        let mut one = vec![f32::NAN; 2000];
        one[1500] = 0.25;
        assert_eq!(argmax(&one), CtcStep { class: 1500, probability: 0.25 });
    }

    proptest! {
        #[test]
        fn the_first_of_the_largest_wins(values in prop::collection::vec(0_u8..200, 1..5000)) {
            let probabilities: Vec<f32> = values.iter().map(|&value| f32::from(value) / 200.0).collect();
            let largest = values.iter().max().expect("the list is not empty");
            let first = values.iter().position(|value| value == largest).expect("the maximum is in the list") as u32;
            prop_assert_eq!(argmax(&probabilities).class, first);
        }
    }
}
