//! Which models a PP-OCR engine reads with, and where their files are.

use std::path::{Path, PathBuf};

use quire_native_libs::{Models, NativeLibsError, Progress, TinyModels};
use quire_pp_ocr::{ModelFiles, Provider};
use quire_routes::{PpOcrEntry, Tier};

/// The models of an engine.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ModelChoice<'a> {
    /// Those of a tier, which are downloaded.
    Tier(Tier),
    /// Another model, in a folder with its manifest.
    Folder(&'a Path),
}

impl<'a> ModelChoice<'a> {
    /// Returns the models of an engine; `default` counts if its entry names none.
    pub(crate) fn new(entry: &'a PpOcrEntry, default: Tier) -> Self {
        entry.folder.as_deref().map_or_else(|| Self::Tier(entry.tier.unwrap_or(default)), Self::Folder)
    }

    /// Downloads the models that are missing.
    ///
    /// # Errors
    /// When one of them cannot be downloaded; the error names the variable to set.
    pub(crate) fn fetch(&self, progress: &Progress) -> Result<(), NativeLibsError> {
        let Self::Tier(tier) = self else { return Ok(()) };
        if tier.uses_tiny() {
            quire_native_libs::tiny_models(progress)?;
        }
        if tier.uses_small() {
            quire_native_libs::models(progress)?;
        }
        Ok(())
    }

    /// Returns the files of the models, the fast one first. Downloads those that are missing.
    ///
    /// # Errors
    /// When a library or model is missing or not what its manifest says; the error says what to set or what was
    /// expected.
    pub(crate) fn files(&self, provider: Provider, progress: &Progress) -> anyhow::Result<Vec<ModelFiles>> {
        let library = library(provider, progress)?;
        let tier = match self {
            Self::Folder(folder) => return Ok(vec![ModelFiles::of_folder(library, folder)?]),
            Self::Tier(tier) => *tier,
        };
        let mut files = Vec::new();
        if tier.uses_tiny() {
            let TinyModels { detection, recognition, dictionary } = quire_native_libs::tiny_models(progress)?;
            files.push(ModelFiles::tiny(library.clone(), detection, recognition, dictionary));
        }
        if tier.uses_small() {
            let Models { detection, recognition } = quire_native_libs::models(progress)?;
            files.push(ModelFiles::small(library, detection, recognition));
        }
        Ok(files)
    }
}

/// Returns the path of a provider's library. Downloads it if it is missing.
pub(crate) fn library(provider: Provider, progress: &Progress) -> Result<PathBuf, NativeLibsError> {
    match provider {
        Provider::OpenVino => quire_native_libs::openvino(progress),
        Provider::OnnxRuntime | Provider::Cuda | Provider::TensorRt => quire_native_libs::onnxruntime(progress),
    }
}
