//! Validates the inputs and outputs of the graphs against the manifest.

use std::path::Path;

use quire_inference::{LoadError, Session, SessionOutlet, TensorElementType, ValueType};

use crate::{manifest::Manifest, positions::AXES};

/// Name, element type and shape of a tensor; -1 is a dynamic dimension.
struct ExpectedTensor(String, TensorElementType, Vec<i64>);

/// Validates the vision graph.
pub(crate) fn check_vision(manifest: &Manifest, session: &Session) -> Result<(), LoadError> {
    let hidden = manifest.decoder.hidden as i64;
    let inputs = [expected("pixel_values", TensorElementType::Float32, &[-1, 3, -1, -1])];
    let outputs = [expected("image_features", manifest.element(), &[-1, -1, hidden])];
    check_tensors(&manifest.vision(), "inputs", session.inputs(), &inputs)?;
    check_tensors(&manifest.vision(), "outputs", session.outputs(), &outputs)
}

/// Validates the decoder graph.
pub(crate) fn check_decoder(manifest: &Manifest, session: &Session) -> Result<(), LoadError> {
    use TensorElementType::{Bool, Float32, Int32, Int64};
    let decoder = &manifest.decoder;
    let hidden = decoder.hidden as i64;
    let vocabulary = decoder.vocabulary as i64;
    let mut inputs = vec![
        expected("input_ids", Int64, &[-1, -1]),
        expected("image_features", manifest.element(), &[-1, hidden]),
        expected("image_index", Int64, &[-1, -1]),
        expected("position_ids", Int64, &[AXES as i64, -1, -1]),
        expected("seqlens_k", Int32, &[-1]),
        expected("total_sequence_length", Int32, &[]),
        expected("seen", Bool, &[-1, vocabulary]),
        expected("penalty", Float32, &[]),
    ];
    let mut outputs = vec![
        expected("next_token", Int64, &[-1, 1]),
        expected("probability", Float32, &[-1, 1]),
        expected("seen_out", Bool, &[-1, vocabulary]),
    ];
    let cache = [-1, decoder.kv_heads as i64, -1, decoder.head_dim as i64];
    for part in cache_parts(decoder.layers) {
        inputs.push(expected(&format!("past_key_values.{part}"), manifest.element(), &cache));
        outputs.push(expected(&format!("present.{part}"), manifest.element(), &cache));
    }
    check_tensors(&manifest.decoder_graph(), "inputs", session.inputs(), &inputs)?;
    check_tensors(&manifest.decoder_graph(), "outputs", session.outputs(), &outputs)
}

/// Returns the suffixes of the names of cache tensors: `0.key`, `0.value`, `1.key` …
pub(crate) fn cache_parts(layers: usize) -> impl Iterator<Item = String> {
    (0..layers).flat_map(|layer| ["key", "value"].map(|part| format!("{layer}.{part}")))
}

fn expected(name: &str, element: TensorElementType, shape: &[i64]) -> ExpectedTensor {
    ExpectedTensor(name.to_owned(), element, shape.to_vec())
}

fn matches_type(outlet: &SessionOutlet, ExpectedTensor(name, element, expected): &ExpectedTensor) -> bool {
    let tensor = match outlet.dtype() {
        ValueType::Tensor { ty, shape, .. } => ty == element && shape[..] == expected[..],
        _ => false,
    };
    outlet.name() == name && tensor
}

fn check_tensors(
    path: &Path,
    part: &'static str,
    outlets: &[SessionOutlet],
    expected: &[ExpectedTensor],
) -> Result<(), LoadError> {
    let wrong = |expected: Option<&ExpectedTensor>, found: Option<&SessionOutlet>| LoadError::OtherModel {
        path: path.to_owned(),
        part,
        expected: expected
            .map_or("no more".to_owned(), |ExpectedTensor(name, element, shape)| format!("{name} {element}{shape:?}")),
        found: found.map_or("nothing more".to_owned(), |outlet| format!("{} {}", outlet.name(), outlet.dtype())),
    };
    for index in 0..outlets.len().max(expected.len()) {
        match (expected.get(index), outlets.get(index)) {
            (Some(expected), Some(outlet)) if matches_type(outlet, expected) => {}
            (expected, outlet) => return Err(wrong(expected, outlet)),
        }
    }
    Ok(())
}
