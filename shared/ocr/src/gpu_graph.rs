//! Nodes at the end of a model that is not ours: the likeliest class of each step is looked for where the probabilities
//! are, so that 12 bytes a step come back instead of 75 kB.
//!
//! A serialized message of Protocol Buffers may be continued: a second `graph` in a `ModelProto` is merged into the first,
//! element after element (the encoding's section "Last One Wins"). So nothing of the model is parsed or changed here. The
//! numbers of the fields are those of ONNX's `onnx.proto`.

/// What the added outputs are called.
pub(crate) const CLASSES: &str = "likeliest_class";
/// See [`CLASSES`].
pub(crate) const PROBABILITIES: &str = "likeliest_probability";

/// A model with two more outputs, over the last axis of `probabilities`, one of its values: `[N, steps]` each. The first
/// of the largest wins, as everywhere here. `ReduceMax` is written as up to operator set 17, after which its axes are an
/// input.
pub(crate) fn with_likeliest(mut model: Vec<u8>, probabilities: &str) -> Vec<u8> {
    let mut graph = Vec::new();
    let arg_max = [integer_attribute("axis", -1), integer_attribute("keepdims", 0)];
    message(&mut graph, 1, &node("ArgMax", probabilities, CLASSES, &arg_max));
    let reduce_max = [integers_attribute("axes", -1), integer_attribute("keepdims", 0)];
    message(&mut graph, 1, &node("ReduceMax", probabilities, PROBABILITIES, &reduce_max));
    message(&mut graph, 12, &matrix(CLASSES, INT64));
    message(&mut graph, 12, &matrix(PROBABILITIES, FLOAT));
    message(&mut model, 7, &graph);
    model
}

/// `TensorProto.DataType`.
const FLOAT: u64 = 1;
const INT64: u64 = 7;
/// `AttributeProto.AttributeType`.
const INT: u64 = 2;
const INTS: u64 = 7;

fn node(operator: &str, input: &str, output: &str, attributes: &[Vec<u8>]) -> Vec<u8> {
    let mut bytes = Vec::new();
    message(&mut bytes, 1, input.as_bytes());
    message(&mut bytes, 2, output.as_bytes());
    message(&mut bytes, 3, output.as_bytes());
    message(&mut bytes, 4, operator.as_bytes());
    for attribute in attributes {
        message(&mut bytes, 5, attribute);
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
    message(&mut bytes, 1, name.as_bytes());
    number(&mut bytes, field, value.cast_unsigned());
    number(&mut bytes, 20, kind);
    bytes
}

/// The description of an output with two free dimensions.
fn matrix(name: &str, element: u64) -> Vec<u8> {
    let mut shape = Vec::new();
    message(&mut shape, 1, &[]);
    message(&mut shape, 1, &[]);
    let mut tensor = Vec::new();
    number(&mut tensor, 1, element);
    message(&mut tensor, 2, &shape);
    let mut kind = Vec::new();
    message(&mut kind, 1, &tensor);
    let mut bytes = Vec::new();
    message(&mut bytes, 1, name.as_bytes());
    message(&mut bytes, 2, &kind);
    bytes
}

fn message(target: &mut Vec<u8>, field: u64, bytes: &[u8]) {
    varint(target, field << 3 | 2);
    varint(target, bytes.len() as u64);
    target.extend_from_slice(bytes);
}

fn number(target: &mut Vec<u8>, field: u64, value: u64) {
    varint(target, field << 3);
    varint(target, value);
}

fn varint(target: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        target.push(value as u8 | 0x80);
        value >>= 7;
    }
    target.push(value as u8);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_written_as_protocol_buffers_have_them() {
        let written = |value| {
            let mut bytes = Vec::new();
            varint(&mut bytes, value);
            bytes
        };
        assert_eq!(written(1), [1]);
        assert_eq!(written(150), [0x96, 0x01]);
        assert_eq!(written((-1_i64).cast_unsigned()), [[0xff; 9].as_slice(), &[0x01]].concat());
    }

    #[test]
    fn the_model_itself_stays_as_it_is() {
        let extended = with_likeliest(vec![1, 2, 3], "p");
        assert!(extended.starts_with(&[1, 2, 3, 7 << 3 | 2]));
    }
}
