//! Nodes at the end of a model that is not ours: the likeliest class of each step is looked for where the probabilities
//! are, so that 12 bytes a step come back instead of 75 kB.
//!
//! A serialized message of Protocol Buffers may be continued: a second `graph` in a `ModelProto` is merged into the first,
//! element after element (the encoding's section "Last One Wins"). So nothing of the model is parsed or changed here. The
//! numbers of the fields are those of ONNX's `onnx.proto`.

use crate::{
    onnx_file::{FLOAT, value_info},
    protobuf::{write_bytes_field, write_varint_field},
};

/// What the added outputs are called.
pub const CLASS_OUTPUT: &str = "likeliest_class";
/// See [`CLASS_OUTPUT`].
pub const PROBABILITY_OUTPUT: &str = "likeliest_probability";

/// A model with two more outputs, over the last axis of `probabilities`, one of its values: `[N, steps]` each. The first
/// of the largest wins, as everywhere here. `ReduceMax` is written as up to operator set 17, after which its axes are an
/// input.
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

/// A list of one.
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
    fn the_model_itself_stays_as_it_is() {
        let extended = append_argmax(vec![1, 2, 3], "p");
        assert!(extended.starts_with(&[1, 2, 3, 7 << 3 | 2]));
    }
}
