//! `ocr_engine.json`: what the graphs beside it take and give, and how they are to be driven.

use std::{
    collections::BTreeMap,
    fs, io,
    path::{Path, PathBuf},
};

use quire_inference::LoadError;
use quire_inference::TensorElementType;
use quire_ocr::RepetitionRule;
use quire_tasks::ModeName;
use serde::Deserialize;

use crate::resize::SizeLimits;

/// What this engine reads, and no other.
const FORMAT: (&str, u32) = ("quire.hunyuan-ocr", 1);
/// The manifest's name in its folder.
const FILE: &str = "ocr_engine.json";

/// The whole manifest. Unknown entries are refused: they would mean something that this engine does not do.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Manifest {
    format: String,
    format_version: u32,
    /// What answers are signed with.
    pub(crate) name: String,
    pub(crate) version: String,
    dtype: WeightType,
    #[serde(rename = "xdrope")]
    _xdrope: String,
    graphs: GraphFiles,
    tokenizer: String,
    pub(crate) picture: ImageConfig,
    pub(crate) decoder: DecoderConfig,
    positions: Vec<String>,
    pub(crate) prompt: PromptParts,
    pub(crate) end_tokens: Vec<u32>,
    pub(crate) generation: GenerationConfig,
    pub(crate) repetition: RepetitionRule,
    /// The instructions that the model was trained on, by mode.
    pub(crate) modes: BTreeMap<String, String>,
    files: BTreeMap<String, u64>,
    #[serde(skip)]
    folder: PathBuf,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
enum WeightType {
    Float32,
    Float16,
}

#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
struct GraphFiles {
    vision: String,
    decoder: String,
}

/// How a page becomes pixel values.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct ImageConfig {
    patch: usize,
    merge: usize,
    min_pixels: usize,
    pub(crate) max_pixels: usize,
    max_aspect: usize,
    resample: String,
    pub(crate) mean: [f32; 3],
    pub(crate) std: [f32; 3],
}

/// The decoder's dimensions.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct DecoderConfig {
    pub(crate) layers: usize,
    pub(crate) kv_heads: usize,
    pub(crate) head_dim: usize,
    pub(crate) hidden: usize,
    pub(crate) vocabulary: usize,
    pub(crate) max_positions: usize,
    cache: String,
}

/// The prompt's tokens around the picture's and the instruction's.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct PromptParts {
    pub(crate) before_image: Vec<u32>,
    pub(crate) image: u32,
    pub(crate) after_image: Vec<u32>,
    pub(crate) after_instruction: Vec<u32>,
}

/// How tokens are chosen, and how many a page may have.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct GenerationConfig {
    pub(crate) repetition_penalty: f32,
    max_tokens: usize,
    base_tokens: usize,
    tokens_per_image_token: usize,
}

impl GenerationConfig {
    /// The most tokens for a page whose picture has so many: a dense page is a large one.
    pub(crate) fn token_cap(&self, image_tokens: usize) -> usize {
        self.max_tokens.min(self.base_tokens + self.tokens_per_image_token * image_tokens)
    }
}

impl ImageConfig {
    /// The side of what becomes one token, in pixels.
    pub(crate) const fn cell(&self) -> usize {
        self.patch * self.merge
    }

    /// What sizes the model takes, with no more pixels than `cap`.
    pub(crate) fn sides(&self, cap: Option<usize>) -> SizeLimits {
        let max_pixels = cap.map_or(self.max_pixels, |cap| cap.min(self.max_pixels));
        let (factor, max_aspect) = (self.cell(), self.max_aspect);
        SizeLimits { factor, min_pixels: self.min_pixels.min(max_pixels), max_pixels, max_aspect }
    }
}

impl Manifest {
    /// Reads a folder's manifest, and looks whether the files beside it are whole.
    ///
    /// # Errors
    /// Says what is missing, or what was expected instead.
    pub(crate) fn load(folder: &Path) -> Result<Self, LoadError> {
        let path = folder.join(FILE);
        let refused = |reason: String| LoadError::Manifest { path: path.clone(), reason };
        let text = fs::read_to_string(&path).map_err(|error| refused(error.to_string()))?;
        // Its format first: another one has other entries.
        let value: serde_json::Value = serde_json::from_str(&text).map_err(|error| refused(error.to_string()))?;
        let (name, version) = FORMAT;
        if value["format"] != name || value["format_version"] != version {
            let found = format!("{} {}", value["format"], value["format_version"]);
            return Err(refused(format!("its format is {found}, expected \"{name}\" {version}")));
        }
        let mut manifest: Self = serde_json::from_value(value).map_err(|error| refused(error.to_string()))?;
        folder.clone_into(&mut manifest.folder);
        manifest.check().map_err(refused)?;
        manifest.check_files()?;
        Ok(manifest)
    }

    pub(crate) fn vision(&self) -> PathBuf {
        self.folder.join(&self.graphs.vision)
    }

    pub(crate) fn decoder_graph(&self) -> PathBuf {
        self.folder.join(&self.graphs.decoder)
    }

    pub(crate) fn tokenizer(&self) -> PathBuf {
        self.folder.join(&self.tokenizer)
    }

    /// What weights, features and caches are made of.
    pub(crate) const fn element(&self) -> TensorElementType {
        match self.dtype {
            WeightType::Float32 => TensorElementType::Float32,
            WeightType::Float16 => TensorElementType::Float16,
        }
    }

    /// What this engine can do, as words and as numbers.
    fn check(&self) -> Result<(), String> {
        let words = [
            ("positions", self.positions.join(" "), "sequence column row image"),
            ("decoder.cache", self.decoder.cache.clone(), "fixed"),
            ("picture.resample", self.picture.resample.clone(), "bicubic"),
        ];
        for (entry, found, expected) in words {
            if found != expected {
                return Err(format!("{entry} is {found:?}, expected {expected:?}"));
            }
        }
        let (picture, decoder) = (&self.picture, &self.decoder);
        let sizes =
            [picture.patch, picture.merge, picture.min_pixels, picture.max_aspect, decoder.layers].into_iter().chain([
                decoder.kv_heads,
                decoder.head_dim,
                decoder.hidden,
                decoder.vocabulary,
                self.generation.max_tokens,
            ]);
        if sizes.into_iter().any(|size| size == 0 || size > 1 << 31) || picture.max_pixels < picture.cell().pow(2) {
            return Err("one of its sizes cannot be".to_owned());
        }
        if picture.std.iter().any(|&std| std <= 0.0) || self.generation.repetition_penalty <= 0.0 {
            return Err("picture.std and generation.repetition_penalty are expected above 0".to_owned());
        }
        self.check_tokens()
    }

    fn check_tokens(&self) -> Result<(), String> {
        let prompt = &self.prompt;
        let parts = [&prompt.before_image, &prompt.after_image, &prompt.after_instruction, &self.end_tokens];
        let tokens = parts.into_iter().flatten().chain([&prompt.image]);
        if let Some(token) = tokens.into_iter().find(|&&token| token as usize >= self.decoder.vocabulary) {
            return Err(format!("token {token} is none of a vocabulary of {}", self.decoder.vocabulary));
        }
        if self.end_tokens.is_empty() {
            return Err("end_tokens is expected to name one".to_owned());
        }
        let text = ModeName::Text.as_str();
        if !self.modes.contains_key(text) {
            return Err(format!("modes is expected to have {text:?}"));
        }
        Ok(())
    }

    /// Cheap, and finds what a broken copy leaves; the graphs themselves are checked when they are loaded.
    fn check_files(&self) -> Result<(), LoadError> {
        for name in [&self.graphs.vision, &self.graphs.decoder, &self.tokenizer] {
            if !self.files.contains_key(name) || Path::new(name).file_name() != Some(name.as_ref()) {
                let reason = format!("{name} is not among its files");
                return Err(LoadError::Manifest { path: self.folder.join(FILE), reason });
            }
        }
        for (name, &expected) in &self.files {
            let path = self.folder.join(name);
            let found = fs::metadata(&path).map(|metadata| metadata.len());
            let found =
                found.map_err(|error: io::Error| LoadError::Model { path: path.clone(), reason: error.to_string() })?;
            if found != expected {
                let (expected, found) = (format!("{expected} bytes"), format!("{found} bytes"));
                return Err(LoadError::OtherModel { path, part: "size", expected, found });
            }
        }
        Ok(())
    }
}
