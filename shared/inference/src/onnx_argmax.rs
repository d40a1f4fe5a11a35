//! Appends `ArgMax` and `ReduceMax` nodes to a third-party model, so that a run returns 12 bytes per step instead of 75
//! kB of probabilities.
//!
//! Concatenated Protocol Buffers messages are merged: a second `graph` field of a `ModelProto` is merged into the first
//! one, list by list (see "Last One Wins" in <https://protobuf.dev/programming-guides/encoding>). So the model itself
//! need not be parsed or changed. Field numbers are those of `onnx.proto`.

use crate::{
    onnx_file::{FLOAT, value_info},
    protobuf::{write_bytes_field, write_varint_field},
};

/// Name of the added output with the class of the highest probability.
pub const CLASS_OUTPUT: &str = "likeliest_class";
/// Name of the added output with its probability.
pub const PROBABILITY_OUTPUT: &str = "likeliest_probability";

/// Returns the model with two more outputs, `[N, steps]` each, computed over the last axis of the output
/// `probabilities`. Among equal values the first one wins. `ReduceMax` has its axes as an attribute, which is the form
/// up to operator set 17.
pub fn append_argmax(mut model: Vec<u8>, probabilities: &str) -> Vec<u8> {
    let mut graph = Vec::new();
    let arg_max = [integer_attribute("axis", -1), integer_attribute("keepdims", 0)];
    write_bytes_field(&mut graph, 1, &node("ArgMax", probabilities, CLASS_OUTPUT, &arg_max));
    let reduce_max = [integers_attribute("axes", -1), integer_attribute("keepdims", 0)];
    write_bytes_field(&mut graph, 1, &node("ReduceMax", probabilities, PROBABILITY_OUTPUT, &reduce_max));
    write_bytes_field(&mut graph, 12, &value_info(CLASS_OUTPUT, INT64, &[-1, -1]));
    write_bytes_field(&mut graph, 12, &value_info(PROBABILITY_OUTPUT, FLOAT, &[-1, -1]));
    write_bytes_field(&mut model, 7, &graph);
    model
}

/// `TensorProto.DataType`.
const INT64: u64 = 7;
/// `AttributeProto.AttributeType`.
const INT: u64 = 2;
const INTS: u64 = 7;

fn node(operator: &str, input: &str, output: &str, attributes: &[Vec<u8>]) -> Vec<u8> {
    let mut bytes = Vec::new();
    write_bytes_field(&mut bytes, 1, input.as_bytes());
    write_bytes_field(&mut bytes, 2, output.as_bytes());
    write_bytes_field(&mut bytes, 3, output.as_bytes());
    write_bytes_field(&mut bytes, 4, operator.as_bytes());
    for attribute in attributes {
        write_bytes_field(&mut bytes, 5, attribute);
    }
    bytes
}

fn integer_attribute(name: &str, value: i64) -> Vec<u8> {
    attribute(name, 3, value, INT)
}

/// An attribute with a list of one integer.
fn integers_attribute(name: &str, value: i64) -> Vec<u8> {
    attribute(name, 8, value, INTS)
}

fn attribute(name: &str, field: u64, value: i64, kind: u64) -> Vec<u8> {
    let mut bytes = Vec::new();
    write_bytes_field(&mut bytes, 1, name.as_bytes());
    write_varint_field(&mut bytes, field, value.cast_unsigned());
    write_varint_field(&mut bytes, 20, kind);
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_model_is_only_appended_to() {
        let extended = append_argmax(vec![1, 2, 3], "p");
        assert!(extended.starts_with(&[1, 2, 3, 7 << 3 | 2]));
    }
}
