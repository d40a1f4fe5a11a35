//! Parses `ocr_engine.json`, the manifest of an exported folder.

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

/// The only supported format and version.
const FORMAT: (&str, u32) = ("quire.hunyuan-ocr", 1);
/// File name of the manifest.
const FILE: &str = "ocr_engine.json";

/// The manifest. Unknown fields are an error, because they would require a feature that this engine does not have.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Manifest {
    format: String,
    format_version: u32,
    /// Name of the engine in results.
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
    /// Prompts by mode.
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

/// How a page is converted to pixel values.
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

/// Dimensions of the decoder.
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

/// Tokens of the prompt around the image and the instruction.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct PromptParts {
    pub(crate) before_image: Vec<u32>,
    pub(crate) image: u32,
    pub(crate) after_image: Vec<u32>,
    pub(crate) after_instruction: Vec<u32>,
}

/// How tokens are chosen, and limits of their number.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct GenerationConfig {
    pub(crate) repetition_penalty: f32,
    max_tokens: usize,
    base_tokens: usize,
    tokens_per_image_token: usize,
}

impl GenerationConfig {
    /// Returns the token limit of a page with this many image tokens, because a dense page is a large one.
    pub(crate) fn token_cap(&self, image_tokens: usize) -> usize {
        self.max_tokens.min(self.base_tokens + self.tokens_per_image_token * image_tokens)
    }
}

impl ImageConfig {
    /// Returns the side of the square that becomes one token, in pixels.
    pub(crate) const fn cell(&self) -> usize {
        self.patch * self.merge
    }

    /// Returns the limits of image sizes, with at most `cap` pixels.
    pub(crate) fn sides(&self, cap: Option<usize>) -> SizeLimits {
        let max_pixels = cap.map_or(self.max_pixels, |cap| cap.min(self.max_pixels));
        let factor = self.cell();
        let max_aspect = self.max_aspect;
        SizeLimits { factor, min_pixels: self.min_pixels.min(max_pixels), max_pixels, max_aspect }
    }
}

impl Manifest {
    /// Parses and validates the manifest of a folder, and checks that its files are complete.
    ///
    /// # Errors
    /// [`LoadError`], with what is missing or what was expected.
    pub(crate) fn load(folder: &Path) -> Result<Self, LoadError> {
        let path = folder.join(FILE);
        let refused = |reason: String| LoadError::Manifest { path: path.clone(), reason };
        let text = fs::read_to_string(&path).map_err(|error| refused(error.to_string()))?;
        // Check the format first, because another one has other fields.
        let value: serde_json::Value = serde_json::from_str(&text).map_err(|error| refused(error.to_string()))?;
        let (name, version) = FORMAT;
        if value["format"] != name || value["format_version"] != version {
            let found = format!("{} {}", value["format"], value["format_version"]);
            return Err(refused(format!("the format is {found}, expected \"{name}\" {version}")));
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

    /// Element type of weights, features and caches.
    pub(crate) const fn element(&self) -> TensorElementType {
        match self.dtype {
            WeightType::Float32 => TensorElementType::Float32,
            WeightType::Float16 => TensorElementType::Float16,
        }
    }

    /// Validates settings and sizes.
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
        let picture = &self.picture;
        let decoder = &self.decoder;
        let sizes =
            [picture.patch, picture.merge, picture.min_pixels, picture.max_aspect, decoder.layers].into_iter().chain([
                decoder.kv_heads,
                decoder.head_dim,
                decoder.hidden,
                decoder.vocabulary,
                self.generation.max_tokens,
            ]);
        if sizes.into_iter().any(|size| size == 0 || size > 1 << 31) || picture.max_pixels < picture.cell().pow(2) {
            return Err("a size is out of range".to_owned());
        }
        if picture.std.iter().any(|&std| std <= 0.0) || self.generation.repetition_penalty <= 0.0 {
            return Err("picture.std and generation.repetition_penalty must be above 0".to_owned());
        }
        self.check_tokens()
    }

    fn check_tokens(&self) -> Result<(), String> {
        let prompt = &self.prompt;
        let parts = [&prompt.before_image, &prompt.after_image, &prompt.after_instruction, &self.end_tokens];
        let tokens = parts.into_iter().flatten().chain([&prompt.image]);
        if let Some(token) = tokens.into_iter().find(|&&token| token as usize >= self.decoder.vocabulary) {
            return Err(format!("token {token} is outside of a vocabulary of {}", self.decoder.vocabulary));
        }
        if self.end_tokens.is_empty() {
            return Err("end_tokens must not be empty".to_owned());
        }
        let text = ModeName::Text.as_str();
        if !self.modes.contains_key(text) {
            return Err(format!("modes must contain {text:?}"));
        }
        Ok(())
    }

    /// Cheap, and detects incomplete copies; graphs are validated when they are loaded.
    fn check_files(&self) -> Result<(), LoadError> {
        for name in [&self.graphs.vision, &self.graphs.decoder, &self.tokenizer] {
            if !self.files.contains_key(name) || Path::new(name).file_name() != Some(name.as_ref()) {
                let reason = format!("{name} is missing in `files`");
                return Err(LoadError::Manifest { path: self.folder.join(FILE), reason });
            }
        }
        for (name, &expected) in &self.files {
            let path = self.folder.join(name);
            let found = fs::metadata(&path).map(|metadata| metadata.len());
            let found =
                found.map_err(|error: io::Error| LoadError::Model { path: path.clone(), reason: error.to_string() })?;
            if found != expected {
                let expected = format!("{expected} bytes");
                let found = format!("{found} bytes");
                return Err(LoadError::OtherModel { path, part: "size", expected, found });
            }
        }
        Ok(())
    }
}
