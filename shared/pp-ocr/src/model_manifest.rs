//! The manifest of a model: its files, and what differs between models of the PP-OCR family.

use std::{fmt, path::Path};

use ndarray::{Array4, ArrayView4, Axis};
use quire_inference::LoadError;
use quire_tasks::EngineName;
use serde::Deserialize;

use crate::{
    detection::BoxThresholds,
    line_image::{LINE_IMAGE_HEIGHT, STEP_WIDTH},
};

/// The name of the manifest in the folder of a model.
pub(crate) const MANIFEST: &str = "manifest.json";
/// The manifests of the models that are downloaded.
const SMALL: &str = include_str!("../manifests/small.json");
const TINY: &str = include_str!("../manifests/tiny.json");

/// The manifest of a model of the PP-OCR family: a text detection and a text recognition model in ONNX, in one folder.
///
/// # Examples
/// ```
/// use quire_pp_ocr::ModelManifest;
///
/// let manifest = ModelManifest::small();
/// assert_eq!(manifest.name.to_string(), "pp-ocr@v6-small");
/// assert_eq!(manifest.recognition.classes, 18_710);
/// ```
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ModelManifest {
    /// The engine name in results, `name@version`.
    #[serde(deserialize_with = "parse_name")]
    pub name: EngineName,
    /// The text detection model.
    pub detection: DetectionManifest,
    /// The text recognition model.
    pub recognition: RecognitionManifest,
}

/// The detection model of a manifest. Its input is f32 `[N, 3, H, W]` in the order blue, green, red, with sides that
/// are multiples of 32, and its output f32 `[N, 1, H, W]`: the probability of each pixel to be text.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DetectionManifest {
    /// File name in the folder.
    pub file: String,
    /// SHA-256 of the file, in hexadecimal.
    pub sha256: String,
    /// Name of the input.
    pub input: String,
    /// Name of the output.
    pub output: String,
    /// Normalization of the input.
    #[serde(default)]
    pub normalization: Normalization,
    /// Threshold of a pixel to be text, from 0 to 1.
    pub pixel_threshold: f32,
    /// Threshold of the mean probability of a box, from 0 to 1.
    pub box_threshold: f32,
    /// How much the model's shrunken boxes are expanded, in area by perimeter.
    pub unclip_ratio: f32,
}

/// The recognition model of a manifest. Its input is f32 `[N, 3, 48, W]` in the order blue, green, red, and its output
/// f32 `[N, W / 8, classes]`: the probabilities of the classes. Class 0 is the CTC blank.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RecognitionManifest {
    /// File name in the folder.
    pub file: String,
    /// SHA-256 of the file, in hexadecimal.
    pub sha256: String,
    /// Name of the input.
    pub input: String,
    /// Name of the output.
    pub output: String,
    /// Normalization of the input.
    #[serde(default)]
    pub normalization: Normalization,
    /// Number of classes, including the blank.
    pub classes: usize,
    /// Number of features from which the last matrix product computes the classes.
    pub features: usize,
    /// The file with the characters. Default: the entry `character` of the model's metadata.
    #[serde(default)]
    pub dictionary: Option<DictionaryManifest>,
    /// Whether the ASCII space is a class after those of the dictionary. Default: true.
    #[serde(default = "default_space")]
    pub space: bool,
    /// Height of a line image in pixels; only 48 is supported.
    #[serde(default = "default_height")]
    pub height: usize,
    /// Columns of a line image per step; only 8 is supported.
    #[serde(default = "default_step")]
    pub step_width: usize,
    /// Factor of the width of line images, 1 to 2. Smaller models need more columns to tell two equal letters apart:
    /// at 1, tiny reads `committe`. Default: 1, which is measured with PP-OCRv6 small.
    #[serde(default = "default_width_factor")]
    pub width_factor: f32,
    /// Whether the features are those of PP-OCRv6 small, on which the classifier of scripts was trained. Without them,
    /// scripts that the model cannot read are not reported. Default: false.
    #[serde(default)]
    pub has_script_features: bool,
}

/// The dictionary of a manifest: UTF-8, one character per line, whose number is the class.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DictionaryManifest {
    /// File name in the folder.
    pub file: String,
    /// SHA-256 of the file, in hexadecimal.
    pub sha256: String,
}

/// The normalization of an input: (v / 255 − mean) / std, in the order blue, green, red. Default: 0.5 and 0.5.
#[derive(Debug, Clone, Copy, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Normalization {
    /// Mean of each channel, from 0 to 1.
    pub mean: [f32; 3],
    /// Standard deviation of each channel.
    pub std: [f32; 3],
}

impl Default for Normalization {
    fn default() -> Self {
        Self { mean: [0.5; 3], std: [0.5; 3] }
    }
}

impl Normalization {
    /// Returns factor and summand of each channel that convert the default normalization to this one; `None` if it is
    /// the default.
    pub(crate) fn change_from_default(&self) -> Option<[[f32; 2]; 3]> {
        let convert = |channel: usize| {
            // v / 255 = (x + 1) / 2.
            let (mean, std) = (self.mean[channel], self.std[channel]);
            [0.5 / std, (0.5 - mean) / std]
        };
        (*self != Self::default()).then(|| [0, 1, 2].map(convert))
    }

    /// Returns an input of the default normalization `[N, 3, H, W]` in this one; `None` if it is the default.
    pub(crate) fn convert(&self, input: &ArrayView4<'_, f32>) -> Option<Array4<f32>> {
        let channels = self.change_from_default()?;
        let mut converted = input.to_owned();
        for (mut channel, [factor, summand]) in converted.axis_iter_mut(Axis(1)).zip(channels) {
            channel.mapv_inplace(|value| factor * value + summand);
        }
        Some(converted)
    }
}

fn parse_name<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<EngineName, D::Error> {
    let name = String::deserialize(deserializer)?;
    name.parse().map_err(serde::de::Error::custom)
}

const fn default_space() -> bool {
    true
}

const fn default_width_factor() -> f32 {
    1.0
}

const fn default_height() -> usize {
    LINE_IMAGE_HEIGHT
}

const fn default_step() -> usize {
    STEP_WIDTH
}

impl DetectionManifest {
    pub(crate) const fn thresholds(&self) -> BoxThresholds {
        let Self { pixel_threshold, box_threshold, unclip_ratio, .. } = *self;
        BoxThresholds { pixel: pixel_threshold, mean: box_threshold, unclip_ratio }
    }
}

impl RecognitionManifest {
    /// Returns the shape of the output; -1 is a dynamic dimension.
    pub(crate) const fn output_shape(&self) -> [i64; 3] {
        [-1, -1, self.classes as i64]
    }

    /// Returns the shape of the features.
    pub(crate) const fn features_shape(&self) -> [i64; 3] {
        [-1, -1, self.features as i64]
    }
}

impl ModelManifest {
    /// Returns the manifest of PP-OCRv6 small.
    ///
    /// # Panics
    /// Never: a test parses it.
    pub fn small() -> Self {
        Self::parse(SMALL).expect("the manifest of PP-OCRv6 small is valid")
    }

    /// Returns the manifest of PP-OCRv6 tiny.
    ///
    /// # Panics
    /// Never: a test parses it.
    pub fn tiny() -> Self {
        Self::parse(TINY).expect("the manifest of PP-OCRv6 tiny is valid")
    }

    /// Reads and validates the manifest in the folder of a model.
    ///
    /// # Errors
    /// [`LoadError::Manifest`], which says what is expected.
    pub fn read(folder: &Path) -> Result<Self, LoadError> {
        let path = folder.join(MANIFEST);
        let text = std::fs::read_to_string(&path).map_err(|error| manifest_error(&path, &error))?;
        Self::parse(&text).map_err(|why| manifest_error(&path, &why))
    }

    fn parse(text: &str) -> Result<Self, String> {
        let manifest: Self = serde_json::from_str(text).map_err(|error| error.to_string())?;
        manifest.validate()?;
        Ok(manifest)
    }

    fn validate(&self) -> Result<(), String> {
        let Self { detection, recognition, .. } = self;
        let dictionary = recognition.dictionary.as_ref();
        let files = [Some((&detection.file, &detection.sha256)), Some((&recognition.file, &recognition.sha256))];
        for (file, sha256) in
            files.into_iter().chain([dictionary.map(|dictionary| (&dictionary.file, &dictionary.sha256))]).flatten()
        {
            require(is_file_name(file), "file", "the name of a file in the folder of the manifest", file)?;
            require(is_sha256(sha256), "sha256", "64 hexadecimal digits", sha256)?;
        }
        let is_share = |share: f32| (0.0..=1.0).contains(&share);
        for (name, share) in
            [("pixel_threshold", detection.pixel_threshold), ("box_threshold", detection.box_threshold)]
        {
            require(is_share(share), name, "a number from 0 to 1", &share)?;
        }
        require((0.5..=4.0).contains(&detection.unclip_ratio), "unclip_ratio", "0.5 to 4", &detection.unclip_ratio)?;
        for normalization in [detection.normalization, recognition.normalization] {
            let is_valid = normalization.mean.iter().all(|&mean| is_share(mean))
                && normalization.std.iter().all(|std| (0.01..=10.0).contains(std));
            require(is_valid, "normalization", "means from 0 to 1 and deviations from 0.01 to 10", &"others")?;
        }
        require(recognition.height == LINE_IMAGE_HEIGHT, "height", LINE_IMAGE_HEIGHT, &recognition.height)?;
        require(recognition.step_width == STEP_WIDTH, "step_width", STEP_WIDTH, &recognition.step_width)?;
        let factor = recognition.width_factor;
        require((1.0..=2.0).contains(&factor), "width_factor", "1 to 2", &factor)?;
        require((2..=1 << 17).contains(&recognition.classes), "classes", "2 to 131,072", &recognition.classes)?;
        require((1..=1 << 13).contains(&recognition.features), "features", "1 to 8,192", &recognition.features)
    }
}

fn manifest_error(path: &Path, why: &impl fmt::Display) -> LoadError {
    LoadError::Manifest { path: path.to_owned(), reason: why.to_string() }
}

fn require(is_valid: bool, member: &str, expected: impl fmt::Display, found: &impl fmt::Display) -> Result<(), String> {
    if is_valid { Ok(()) } else { Err(format!("{member}: expected {expected}, found {found}")) }
}

/// Returns whether a name is that of a file and leads to no other folder.
fn is_file_name(name: &str) -> bool {
    let parts: Vec<_> = Path::new(name).components().collect();
    matches!(parts[..], [std::path::Component::Normal(part)] if part == name)
}

fn is_sha256(text: &str) -> bool {
    text.len() == 64 && text.bytes().all(|byte| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte))
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    #[test]
    fn the_built_in_manifests_are_valid() {
        let tiny = ModelManifest::tiny();
        assert_eq!((tiny.recognition.classes, tiny.recognition.features), (6_906, 80));
        assert_eq!(tiny.detection.normalization.change_from_default(), None);
        assert!(ModelManifest::small().recognition.has_script_features && !tiny.recognition.has_script_features);
    }

    /// Returns the error of the manifest with this member of `detection` or `recognition` changed.
    fn error(part: &str, member: &str, value: Value) -> String {
        let mut manifest: Value = serde_json::from_str(SMALL).expect("JSON");
        manifest[part][member] = value;
        ModelManifest::parse(&manifest.to_string()).expect_err("the manifest is invalid")
    }

    #[test]
    fn an_invalid_manifest_says_what_is_expected() {
        let file = error("detection", "file", json!("../det.onnx"));
        assert_eq!(file, "file: expected the name of a file in the folder of the manifest, found ../det.onnx");
        assert_eq!(error("recognition", "sha256", json!("abc")), "sha256: expected 64 hexadecimal digits, found abc");
        assert_eq!(error("recognition", "height", json!(32)), "height: expected 48, found 32");
        assert_eq!(
            error("detection", "box_threshold", json!(45)),
            "box_threshold: expected a number from 0 to 1, found 45"
        );
        let unknown = error("recognition", "alphabet", json!("x"));
        assert!(unknown.contains("unknown field `alphabet`") && unknown.contains("dictionary"), "{unknown}");
        let std = json!({"mean": [0.5, 0.5, 0.5], "std": [0.0, 0.5, 0.5]});
        assert!(error("detection", "normalization", std).starts_with("normalization: expected means"));
    }

    #[test]
    fn another_normalization_is_a_linear_function_of_the_default_one() {
        let normalization = Normalization { mean: [0.485, 0.5, 0.5], std: [0.229, 0.25, 0.5] };
        let [[factor, summand], green, red] = normalization.change_from_default().expect("it is another one");
        // White is 1 in the default normalization.
        assert!((factor + summand - (1.0 - 0.485) / 0.229).abs() < 1e-5);
        assert_eq!((green, red), ([2.0, 0.0], [1.0, 0.0]));
    }
}
