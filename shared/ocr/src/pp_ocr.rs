//! PP-OCRv6, through whatever runs its models.

use std::path::{Path, PathBuf};

use ndarray::{Array3, ArrayView4};
use quire_tasks::EngineName;

use crate::{
    Alphabet, Device, LoadError, Model, ModelError, Provider, Step, cuda,
    network::Network,
    onnx_file::{OnnxFile, Outlet},
    openvino::OpenVino,
    runtime::{environment, session},
};

/// How many classes PP-OCRv6 tells apart, the blank included; other versions have other alphabets.
const CLASSES: usize = 18_710;

/// What detection answers with; -1 is a free dimension.
pub(crate) const MAP: [i64; 4] = [-1, 1, -1, -1];
/// What recognition answers with.
pub(crate) const STEPS: [i64; 3] = [-1, -1, CLASSES as i64];

/// Where the native parts are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ModelFiles {
    /// The shared library of what runs the models: `libonnxruntime`, or `libopenvino_c` with the others beside it.
    pub library: PathBuf,
    /// PP-OCRv6's detection model.
    pub detection: PathBuf,
    /// PP-OCRv6's recognition model.
    pub recognition: PathBuf,
}

/// PP-OCRv6, small: two networks.
pub struct PpOcr {
    detection: Box<dyn Network>,
    recognition: Box<dyn Network>,
    alphabet: Alphabet,
    provider: Provider,
}

impl std::fmt::Debug for PpOcr {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("PpOcr").field("provider", &self.provider).finish_non_exhaustive()
    }
}

impl PpOcr {
    /// Loads both models, with so many threads for one run; OpenVINO has one always. On a CPU, several models with one
    /// thread each read more pages than one with several.
    ///
    /// # Errors
    /// [`LoadError`] says what is missing or wrong, and what to set.
    pub fn load(files: &ModelFiles, provider: impl Into<Provider>, threads: usize) -> Result<Self, LoadError> {
        match provider.into() {
            Provider::OnnxRuntime => Self::by_onnx_runtime(files, Device::Cpu, threads),
            Provider::Cuda => {
                cuda::require(&files.library)?;
                Self::by_onnx_runtime(files, Device::Cuda, threads)
            }
            Provider::OpenVino => OpenVino::with(&files.library, |openvino| {
                let alphabet = check(files)?;
                let detection = checked(&files.detection, &MAP, |path| openvino.network(path))?;
                let recognition = checked(&files.recognition, &STEPS, |path| openvino.network(path))?;
                Ok(Self { detection, recognition, alphabet, provider: Provider::OpenVino })
            }),
            other @ Provider::TensorRt => Err(LoadError::Provider(other)),
        }
    }

    fn by_onnx_runtime(files: &ModelFiles, device: Device, threads: usize) -> Result<Self, LoadError> {
        let environment = environment(&files.library)?;
        let alphabet = check(files)?;
        let load = |path: &Path| session(&environment, path, device, threads);
        let detection = checked(&files.detection, &MAP, load)?;
        let recognition = checked(&files.recognition, &STEPS, load)?;
        Ok(Self { detection, recognition, alphabet, provider: device.into() })
    }

    /// What runs its models.
    pub const fn provider(&self) -> Provider {
        self.provider
    }
}

/// Loads a model and refuses it when its answer has not this shape. The file leaves that to whoever runs it.
fn checked<N: Network + 'static>(
    path: &Path,
    expected: &[i64],
    load: impl FnOnce(&Path) -> Result<N, LoadError>,
) -> Result<Box<dyn Network>, LoadError> {
    let network = load(path)?;
    check_shape(path, "output", &network.outputs(), expected)?;
    Ok(Box::new(network))
}

/// Refuses files that are not PP-OCRv6's two models, and says what the recognizer reads.
pub(crate) fn check(files: &ModelFiles) -> Result<Alphabet, LoadError> {
    let (detection, recognition) = (OnnxFile::read(&files.detection)?, OnnxFile::read(&files.recognition)?);
    check_shape(&files.detection, "input", &detection.inputs, &[-1, 3, -1, -1])?;
    check_shape(&files.recognition, "input", &recognition.inputs, &[-1, 3, 48, -1])?;
    let alphabet = recognition.metadata("character").map(Alphabet::from_metadata);
    let found = alphabet
        .as_ref()
        .map_or_else(|| "without it".to_owned(), |alphabet| format!("with one of {} classes", alphabet.classes()));
    alphabet.filter(|alphabet| alphabet.classes() == CLASSES).ok_or_else(|| LoadError::OtherModel {
        path: files.recognition.clone(),
        part: "metadata",
        expected: format!("an entry `character` with one character a line, for PP-OCRv6's {CLASSES} classes"),
        found,
    })
}

/// What answers of these models are signed with, whatever runs them.
pub(crate) fn name() -> EngineName {
    EngineName { name: "pp-ocr".to_owned(), version: "v6-small".to_owned() }
}

/// Refuses a model whose only input or output is not of this shape; -1 is a free dimension.
pub(crate) fn check_shape(
    path: &Path,
    part: &'static str,
    outlets: &[Outlet],
    expected: &[i64],
) -> Result<(), LoadError> {
    if matches!(outlets, [outlet] if outlet.is_f32 && outlet.shape == expected) {
        return Ok(());
    }
    Err(LoadError::OtherModel {
        path: path.to_owned(),
        part,
        expected: format!("one tensor of f32 {expected:?}"),
        found: outlets.iter().map(ToString::to_string).collect::<Vec<_>>().join(", "),
    })
}

impl Model for PpOcr {
    fn name(&self) -> EngineName {
        name()
    }

    fn alphabet(&self) -> &Alphabet {
        &self.alphabet
    }

    fn detect(&mut self, pages: ArrayView4<'_, f32>) -> Result<Array3<f32>, ModelError> {
        let (count, _, height, width) = pages.dim();
        let mut map = Array3::default((0, 0, 0));
        self.detection.run(pages, &mut |shape, values| {
            let expected = || format!("[{count}, 1, {height}, {width}]");
            let wrong = |_| ModelError::Shape { expected: expected(), found: format!("{shape:?}") };
            map = Array3::from_shape_vec((count, height, width), values.to_vec()).map_err(wrong)?;
            Ok(())
        })?;
        Ok(map)
    }

    fn recognize(&mut self, strips: ArrayView4<'_, f32>) -> Result<Vec<Vec<Step>>, ModelError> {
        let (count, classes) = (strips.dim().0, self.alphabet.classes());
        let mut lines = Vec::with_capacity(count);
        self.recognition.run(strips, &mut |shape, values| {
            let steps = match *shape {
                [lines, steps, found] if lines == count as i64 && found == classes as i64 => steps as usize,
                _ => {
                    let expected = format!("[{count}, steps, {classes}]");
                    return Err(ModelError::Shape { expected, found: format!("{shape:?}") });
                }
            };
            let each = values.chunks_exact((steps * classes).max(1));
            lines.extend(each.map(|line| line.chunks_exact(classes).map(likeliest).collect::<Vec<_>>()));
            Ok(())
        })?;
        Ok(lines)
    }
}

/// The class with the largest probability; no number at all where there is none to be found.
///
/// A line of 800 pixels has 100 steps of 18,710 classes. Keeping only the maximum of a block is what vector units do in
/// one pass over memory; the class is then looked for in one block.
fn likeliest(probabilities: &[f32]) -> Step {
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
    let (mut best, mut best_block) = (f32::NEG_INFINITY, 0);
    for (index, block) in probabilities.chunks(BLOCK).enumerate() {
        let maximum = maximum(block);
        if maximum > best {
            (best, best_block) = (maximum, index);
        }
    }
    let start = best_block * BLOCK;
    match probabilities[start..].iter().position(|&value| value >= best) {
        Some(offset) if best > f32::NEG_INFINITY => Step { class: (start + offset) as u32, probability: best },
        _ => Step { class: Alphabet::BLANK, probability: f32::NAN },
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn the_likeliest_of_no_numbers_is_no_number() {
        assert!(likeliest(&[f32::NAN; 2000]).probability.is_nan());
        assert!(likeliest(&[]).probability.is_nan());
        let mut one = vec![f32::NAN; 2000];
        one[1500] = 0.25;
        assert_eq!(likeliest(&one), Step { class: 1500, probability: 0.25 });
    }

    proptest! {
        #[test]
        fn the_first_of_the_largest_wins(values in prop::collection::vec(0_u8..200, 1..5000)) {
            let probabilities: Vec<f32> = values.iter().map(|&value| f32::from(value) / 200.0).collect();
            let largest = values.iter().max().expect("at least one");
            let first = values.iter().position(|value| value == largest).expect("it is there") as u32;
            prop_assert_eq!(likeliest(&probabilities).class, first);
        }
    }
}
