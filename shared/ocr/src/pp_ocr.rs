//! PP-OCRv6 through ONNX Runtime.

use std::path::{Path, PathBuf};

use ndarray::{Array3, ArrayView4};
use ort::{
    session::Session,
    value::{Outlet, TensorElementType, TensorRef, ValueType},
};
use quire_tasks::EngineName;

use crate::{
    Alphabet, Device, LoadError, Model, ModelError, Step, cuda,
    runtime::{environment, session},
};

/// Where the native parts are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ModelFiles {
    /// ONNX Runtime's shared library.
    pub onnxruntime: PathBuf,
    /// PP-OCRv6's detection model.
    pub detection: PathBuf,
    /// PP-OCRv6's recognition model.
    pub recognition: PathBuf,
}

/// PP-OCRv6, small: two sessions of ONNX Runtime.
pub struct PpOcr {
    detection: Session,
    recognition: Session,
    alphabet: Alphabet,
}

impl std::fmt::Debug for PpOcr {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("PpOcr").field("classes", &self.alphabet.classes()).finish_non_exhaustive()
    }
}

impl PpOcr {
    /// Loads both models for a device, with so many threads for one run. On a CPU, several models with one thread each
    /// read more pages than one with several.
    ///
    /// # Errors
    /// [`LoadError`] says what is missing or wrong, and what to set.
    pub fn load(files: &ModelFiles, device: Device, threads: usize) -> Result<Self, LoadError> {
        if device == Device::Cuda {
            cuda::require(&files.onnxruntime)?;
        }
        let environment = environment(&files.onnxruntime)?;
        let detection = session(&environment, &files.detection, device, threads)?;
        let recognition = session(&environment, &files.recognition, device, threads)?;
        check(&files.detection, "input", detection.inputs(), &[-1, 3, -1, -1])?;
        check(&files.detection, "output", detection.outputs(), &[-1, 1, -1, -1])?;
        check(&files.recognition, "input", recognition.inputs(), &[-1, 3, 48, -1])?;
        let alphabet = alphabet(&files.recognition, &recognition)?;
        check(&files.recognition, "output", recognition.outputs(), &[-1, -1, alphabet.classes() as i64])?;
        Ok(Self { detection, recognition, alphabet })
    }
}

/// Refuses a model whose only input or output is not of this shape; -1 is a free dimension.
fn check(path: &Path, part: &'static str, outlets: &[Outlet], expected: &[i64]) -> Result<(), LoadError> {
    let fits = match outlets {
        [outlet] => match outlet.dtype() {
            ValueType::Tensor { ty: TensorElementType::Float32, shape, .. } => shape[..] == *expected,
            _ => false,
        },
        _ => false,
    };
    let describe = |outlet: &Outlet| format!("{} {}", outlet.name(), outlet.dtype());
    let other = || LoadError::OtherModel {
        path: path.to_owned(),
        part,
        expected: format!("one tensor of f32 {expected:?}"),
        found: outlets.iter().map(describe).collect::<Vec<_>>().join(", "),
    };
    if fits { Ok(()) } else { Err(other()) }
}

fn alphabet(path: &Path, recognition: &Session) -> Result<Alphabet, LoadError> {
    let refused = |error: ort::Error| LoadError::Model { path: path.to_owned(), reason: error.to_string() };
    let characters = recognition.metadata().map_err(refused)?.custom("character");
    let other = || LoadError::OtherModel {
        path: path.to_owned(),
        part: "metadata",
        expected: "an entry `character`, one character a line".to_owned(),
        found: "without it".to_owned(),
    };
    characters.map(|characters| Alphabet::from_metadata(&characters)).ok_or_else(other)
}

impl From<ort::Error> for ModelError {
    fn from(error: ort::Error) -> Self {
        Self::Run(error.to_string())
    }
}

impl Model for PpOcr {
    fn name(&self) -> EngineName {
        EngineName { name: "pp-ocr".to_owned(), version: "v6-small".to_owned() }
    }

    fn alphabet(&self) -> &Alphabet {
        &self.alphabet
    }

    fn detect(&mut self, pages: ArrayView4<'_, f32>) -> Result<Array3<f32>, ModelError> {
        let (count, _, height, width) = pages.dim();
        let outputs = self.detection.run(ort::inputs![TensorRef::from_array_view(pages)?])?;
        let (shape, values) = outputs[0].try_extract_tensor::<f32>()?;
        let wrong =
            |_| ModelError::Shape { expected: format!("[{count}, 1, {height}, {width}]"), found: shape.to_string() };
        Array3::from_shape_vec((count, height, width), values.to_vec()).map_err(wrong)
    }

    fn recognize(&mut self, strips: ArrayView4<'_, f32>) -> Result<Vec<Vec<Step>>, ModelError> {
        let (count, classes) = (strips.dim().0, self.alphabet.classes());
        let outputs = self.recognition.run(ort::inputs![TensorRef::from_array_view(strips)?])?;
        let (shape, values) = outputs[0].try_extract_tensor::<f32>()?;
        let steps = match shape[..] {
            [lines, steps, found] if lines == count as i64 && found == classes as i64 => steps as usize,
            _ => {
                let expected = format!("[{count}, steps, {classes}]");
                return Err(ModelError::Shape { expected, found: shape.to_string() });
            }
        };
        let lines = values.chunks_exact((steps * classes).max(1));
        Ok(lines.map(|line| line.chunks_exact(classes).map(likeliest).collect()).collect())
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
