//! Parses batching policies from JSON: the defaults and the operator's overrides.

use std::{
    collections::BTreeMap,
    ops::RangeInclusive,
    path::{Path, PathBuf},
};

use quire_inference::Provider;
use serde::Deserialize;
use serde_json::{Map, Value};

use crate::policy::BatchPolicy;

const DEFAULTS: &str = include_str!("../policies.json");

/// From one step of the recognizer, 8 columns, to the widest line in pieces.
const WIDTH_RANGE: RangeInclusive<usize> = 8..=51_200;
/// From the minimum of the model, which halves its input five times, to the longest side of any page.
const SIDE_RANGE: RangeInclusive<u32> = 32..=20_160;
/// The map of an A4 page has 645,120 pixels; 100 times that is a run of 3 GB.
const MAX_PIXELS: usize = 100_000_000;
/// More threads than any machine has cores.
const MAX_THREADS: usize = 1_024;
/// Upper limit of the wait for a micro-batch.
const MAX_WAIT_MS: u64 = 60_000;

/// Why a policy file is invalid. Decision for every variant: refuse to start and print the message.
#[derive(Debug, thiserror::Error)]
pub enum BatchPolicyError {
    /// The file cannot be read.
    #[error("cannot read the policy file {}", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// I/O error.
        source: std::io::Error,
    },
    /// The file is not a JSON object of objects.
    #[error("the policy is not a JSON object with one object per provider: {0}")]
    Malformed(String),
    /// A key is not the name of a provider.
    #[error("unknown provider {0:?} in the policy; must be onnxruntime, openvino, cuda or tensorrt")]
    Provider(String),
    /// A key is not the name of a field.
    #[error("the policy of {provider} has no field {field:?}; must be one of {known}")]
    UnknownField {
        /// The provider.
        provider: Provider,
        /// The unknown key.
        field: String,
        /// The names of all fields.
        known: String,
    },
    /// A value has the wrong type or is out of range.
    #[error("the policy of {provider}: {field} {why}")]
    Field {
        /// The provider.
        provider: Provider,
        /// The field.
        field: String,
        /// What is wrong.
        why: String,
    },
}

impl BatchPolicy {
    /// Returns the default policy of a provider.
    pub fn for_provider(provider: Provider) -> Self {
        default_policy(provider)
    }

    /// Returns the default policy of a provider with the overrides of a JSON file: an object of one object per
    /// provider, e.g. `{"cuda": {"max_wait_ms": 10}}`.
    ///
    /// # Errors
    /// [`BatchPolicyError`], if the file cannot be read or parsed, or if a field of any provider is invalid.
    pub fn from_file(provider: Provider, file: &Path) -> Result<Self, BatchPolicyError> {
        read_policy(provider, file)
    }
}

/// A default value and its source.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct SourcedValue {
    value: Value,
    /// Documentation only.
    #[serde(rename = "source")]
    _source: String,
}

/// Returns the default policy of a provider.
///
/// # Panics
/// If the built-in file is invalid; a test parses all of it.
fn default_policy(provider: Provider) -> BatchPolicy {
    apply_changes(provider, &Map::new()).expect("the built-in policies are valid")
}

/// Returns the default policy of a provider with the overrides of a file.
fn read_policy(provider: Provider, file: &Path) -> Result<BatchPolicy, BatchPolicyError> {
    let text = std::fs::read_to_string(file)
        .map_err(|source| BatchPolicyError::Unreadable { path: file.to_owned(), source })?;
    parse(provider, &text)
}

/// Validates the overrides of other providers, too, so that an error is not found only when they are used.
fn parse(provider: Provider, text: &str) -> Result<BatchPolicy, BatchPolicyError> {
    let changes: BTreeMap<String, Map<String, Value>> =
        serde_json::from_str(text).map_err(|error| BatchPolicyError::Malformed(error.to_string()))?;
    let mut policy = default_policy(provider);
    for (name, changes) in changes {
        let of: Provider = name.parse().map_err(|_| BatchPolicyError::Provider(name))?;
        let other = apply_changes(of, &changes)?;
        if of == provider {
            policy = other;
        }
    }
    Ok(policy)
}

fn apply_changes(provider: Provider, changes: &Map<String, Value>) -> Result<BatchPolicy, BatchPolicyError> {
    let mut defaults: BTreeMap<String, BTreeMap<String, SourcedValue>> =
        serde_json::from_str(DEFAULTS).map_err(|error| BatchPolicyError::Malformed(error.to_string()))?;
    let fields = defaults.remove(provider.as_str()).unwrap_or_default();
    let mut fields: Map<String, Value> = fields.into_iter().map(|(name, field)| (name, field.value)).collect();
    let invalid = |field: &str, why: String| BatchPolicyError::Field { provider, field: field.to_owned(), why };
    for (field, value) in changes {
        let Some(place) = fields.get_mut(field) else {
            let known = fields.keys().map(String::as_str).collect::<Vec<_>>().join(", ");
            return Err(BatchPolicyError::UnknownField { provider, field: field.clone(), known });
        };
        *place = value.clone();
        // Deserialize after each field, so that an error names it.
        let typed = serde_json::from_value::<BatchPolicy>(Value::Object(fields.clone()));
        typed.map_err(|error| invalid(field, format!("is {value}: {error}")))?;
    }
    let policy: BatchPolicy = serde_json::from_value(Value::Object(fields))
        .map_err(|error| BatchPolicyError::Malformed(format!("{provider}: {error}")))?;
    check(&policy).map_err(|(field, why)| invalid(field, why))?;
    Ok(policy)
}

/// Validates the ranges. Returns the first invalid field and the reason.
fn check(policy: &BatchPolicy) -> Result<(), (&'static str, String)> {
    let widths = &policy.recognition_widths;
    let sides = || policy.detection_shapes.iter().flat_map(|(width, height)| [*width, *height]);
    check_range("detection_page_pixels", policy.detection_page_pixels, 1_024..=MAX_PIXELS)?;
    check_range("detection_max_pixels", policy.detection_max_pixels, 0..=MAX_PIXELS)?;
    for side in sides() {
        check_range("detection_shapes", side, SIDE_RANGE)?;
        ensure("detection_shapes", side % 32 == 0, || format!("has {side}, must be multiples of 32"))?;
    }
    check_range("recognition_max_width", policy.recognition_max_width, 0..=10_000_000)?;
    for &width in widths {
        check_range("recognition_widths", width, WIDTH_RANGE)?;
    }
    ensure("recognition_widths", widths.is_sorted_by(|a, b| a < b), || {
        format!("must be ascending, but is {widths:?}")
    })?;
    check_range("width_multiple", policy.width_multiple, 1..=1_600)?;
    check_range("piece_max_width", policy.piece_max_width, 64..=WIDTH_RANGE.end() / 32)?;
    check_range("max_wait_ms", policy.max_wait_ms, 0..=MAX_WAIT_MS)?;
    check_range("max_batch_pixels", policy.max_batch_pixels, 0..=1_000_000_000)?;
    check_range("readers", policy.readers, 1..=MAX_THREADS)?;
    check_range("hands", policy.processing_threads, 0..=MAX_THREADS)
}

fn check_range<T>(field: &'static str, value: T, range: RangeInclusive<T>) -> Result<(), (&'static str, String)>
where
    T: Copy + PartialOrd + std::fmt::Display,
{
    ensure(field, range.contains(&value), || format!("is {value}, must be from {} to {}", range.start(), range.end()))
}

fn ensure(field: &'static str, is_so: bool, why: impl FnOnce() -> String) -> Result<(), (&'static str, String)> {
    if is_so { Ok(()) } else { Err((field, why())) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(text: &str) -> String {
        parse(Provider::Cuda, text).expect_err("the policy is invalid").to_string()
    }

    #[test]
    fn every_default_is_in_range_and_has_a_source() {
        let all: BTreeMap<String, BTreeMap<String, Value>> =
            serde_json::from_str(DEFAULTS).expect("the policy is valid");
        assert_eq!(all.len(), Provider::ALL.len(), "one for each provider, and no other");
        for provider in Provider::ALL {
            assert_eq!(check(&default_policy(provider)), Ok(()), "{provider}");
            let sources = all[provider.as_str()].values().map(|field| field["source"].as_str().unwrap_or_default());
            assert!(sources.clone().all(|source| source.ends_with('.') && source.len() > 10), "{provider}");
        }
    }

    #[test]
    fn a_file_overrides_only_the_fields_that_it_names() {
        let text = r#"{"cuda": {"max_wait_ms": 7, "detection_shapes": [[672, 960]]}, "openvino": {"readers": 2}}"#;
        let apply_changes = parse(Provider::Cuda, text).expect("the policy is valid");
        let expected = BatchPolicy {
            max_wait_ms: 7,
            detection_shapes: vec![(672, 960)],
            ..BatchPolicy::for_provider(Provider::Cuda)
        };
        assert_eq!(apply_changes, expected);
        assert_eq!(parse(Provider::TensorRt, text).ok(), Some(BatchPolicy::for_provider(Provider::TensorRt)));
    }

    #[test]
    fn an_invalid_field_is_an_error_with_its_name() {
        let cases = [
            (r#"{"cuda": {"max_wait": 7}}"#, "no field \"max_wait\""),
            (r#"{"cuda": {"max_wait_ms": -1}}"#, "max_wait_ms is -1"),
            (r#"{"cuda": {"max_wait_ms": 60001}}"#, "max_wait_ms is 60001, must be from 0 to 60000"),
            (r#"{"cuda": {"readers": "two"}}"#, "readers is \"two\""),
            (r#"{"openvino": {"readers": 0}}"#, "openvino: readers is 0, must be from 1"),
            (r#"{"cuda": {"width_multiple": 0}}"#, "width_multiple is 0"),
            (r#"{"cuda": {"recognition_widths": [640, 320]}}"#, "recognition_widths must be ascending"),
            (r#"{"cuda": {"detection_shapes": [[672, 950]]}}"#, "detection_shapes has 950"),
            (r#"{"abacus": {}}"#, "\"abacus\""),
            (r#"{"cuda": 7}"#, "not a JSON object with one object per provider"),
            ("", "not a JSON object"),
        ];
        for (text, part) in cases {
            let said = refused(text);
            assert!(said.contains(part), "{text}: {said}");
        }
    }

    #[test]
    fn a_missing_file_is_an_error_with_its_path() {
        let said = read_policy(Provider::Cuda, Path::new("/nowhere/policy.json"))
            .expect_err("the file is missing")
            .to_string();
        assert!(said.contains("/nowhere/policy.json"), "{said}");
    }
}
