//! The files of a model, and the checks that they are what its manifest says.

use std::{
    fs,
    path::{Path, PathBuf},
};

use quire_inference::{LoadError, OnnxFile, TensorInfo};
use quire_tasks::to_hex;
use sha2::{Digest, Sha256};

use crate::{
    alphabet::Alphabet,
    model_manifest::{MANIFEST, ModelManifest},
};

/// Paths of the library and the models.
#[derive(Debug, Clone, PartialEq)]
pub struct ModelFiles {
    /// Shared library of the runtime: `libonnxruntime`, or `libopenvino_c` in the folder of OpenVINO's other libraries.
    pub library: PathBuf,
    /// The text detection model.
    pub detection: PathBuf,
    /// The text recognition model.
    pub recognition: PathBuf,
    /// The characters of the recognition model; `None` if they are in its metadata.
    pub dictionary: Option<PathBuf>,
    /// What the models are.
    pub manifest: ModelManifest,
}

impl ModelFiles {
    /// Returns the files of PP-OCRv6 small.
    pub fn small(library: PathBuf, detection: PathBuf, recognition: PathBuf) -> Self {
        Self { library, detection, recognition, dictionary: None, manifest: ModelManifest::small() }
    }

    /// Returns the files of PP-OCRv6 tiny.
    pub fn tiny(library: PathBuf, detection: PathBuf, recognition: PathBuf, dictionary: PathBuf) -> Self {
        Self { library, detection, recognition, dictionary: Some(dictionary), manifest: ModelManifest::tiny() }
    }

    /// Returns the files of a folder with a manifest, after checking that each has its hash.
    ///
    /// # Errors
    /// [`LoadError::Manifest`] that says which file or member is wrong, and what is expected.
    pub fn of_folder(library: PathBuf, folder: &Path) -> Result<Self, LoadError> {
        let manifest = ModelManifest::read(folder)?;
        let invalid = |reason: String| LoadError::Manifest { path: folder.join(MANIFEST), reason };
        let checked = |file: &str, expected: &str| {
            let path = folder.join(file);
            let bytes = fs::read(&path).map_err(|error| invalid(format!("cannot read {file}: {error}")))?;
            let found = to_hex(&Sha256::digest(&bytes));
            if found == expected {
                Ok(path)
            } else {
                Err(invalid(format!("{file} has the SHA-256 {found}, expected {expected}")))
            }
        };
        let dictionary = manifest.recognition.dictionary.as_ref();
        let dictionary = dictionary.map(|dictionary| checked(&dictionary.file, &dictionary.sha256)).transpose()?;
        let detection = checked(&manifest.detection.file, &manifest.detection.sha256)?;
        let recognition = checked(&manifest.recognition.file, &manifest.recognition.sha256)?;
        Ok(Self { library, detection, recognition, dictionary, manifest })
    }

    /// Checks that inputs and outputs of both models and the number of characters are those of the manifest. Returns
    /// the classes of the recognition model.
    ///
    /// # Errors
    /// [`LoadError`] that says what was expected and what was found.
    pub(crate) fn check(&self) -> Result<Alphabet, LoadError> {
        let ModelManifest { detection, recognition, .. } = &self.manifest;
        for (path, input, output, shape) in [
            (&self.detection, &detection.input, &detection.output, [-1, 3, -1, -1]),
            (&self.recognition, &recognition.input, &recognition.output, [-1, 3, 48, -1]),
        ] {
            let file = OnnxFile::read(path)?;
            check_shape(path, "input", &file.inputs, &shape)?;
            check_name(path, "input", &file.inputs, input)?;
            check_name(path, "output", &file.outputs, output)?;
        }
        self.alphabet()
    }

    fn alphabet(&self) -> Result<Alphabet, LoadError> {
        let recognition = &self.manifest.recognition;
        let (path, part, alphabet) = if let Some(path) = &self.dictionary {
            let text = fs::read_to_string(path).map_err(|error| LoadError::model(path, &error))?;
            (path, "dictionary", Some(Alphabet::from_dictionary(&text, recognition.space)))
        } else {
            let file = OnnxFile::read(&self.recognition)?;
            (&self.recognition, "metadata", file.metadata("character").map(Alphabet::from_metadata))
        };
        let found = alphabet
            .as_ref()
            .map_or_else(|| "missing".to_owned(), |alphabet| format!("an entry of {} classes", alphabet.classes()));
        alphabet.filter(|alphabet| alphabet.classes() == recognition.classes).ok_or_else(|| LoadError::OtherModel {
            path: path.clone(),
            part,
            expected: format!(
                "an entry `character` with one character per line, or a dictionary file, for the {} classes of {}",
                recognition.classes, self.manifest.name
            ),
            found,
        })
    }
}

/// Checks that a model has only one input or output, of this shape; -1 is a dynamic dimension.
pub(crate) fn check_shape(
    path: &Path,
    part: &'static str,
    outlets: &[TensorInfo],
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

/// Checks that a model has only one input or output, of this name.
fn check_name(path: &Path, part: &'static str, outlets: &[TensorInfo], name: &str) -> Result<(), LoadError> {
    let found: Vec<&str> = outlets.iter().map(|outlet| outlet.name.as_str()).collect();
    if found == [name] {
        return Ok(());
    }
    let (expected, found) = (format!("one tensor with the name {name}"), found.join(", "));
    Err(LoadError::OtherModel { path: path.to_owned(), part, expected, found })
}
