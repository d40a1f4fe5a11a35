//! Splits a classifier into its backbone, which sees the whole input, and its head, which classifies a few positions at
//! a time.
//!
//! The head is the last matrix product and everything between it and the model's only output. It classifies each
//! position independently. With many classes, its output for a whole line would be most of the memory of a run.

use std::collections::HashSet;

use crate::{
    onnx_file::{FLOAT, GRAPH, INPUT, OUTPUT, value_info},
    protobuf::{
        OnnxParseError, ProtoFields, ProtoValue, message_field, string_field, varint_field, write_bytes_field,
        write_varint_field,
    },
};

/// Fields of `GraphProto`.
const NODE: u64 = 1;
const INITIALIZER: u64 = 5;
/// Fields of `NodeProto`.
const NODE_INPUT: u64 = 1;
const NODE_OUTPUT: u64 = 2;
const OPERATOR: u64 = 4;
/// Fields of `TensorProto`.
const DIMENSIONS: u64 = 1;
const NAME: u64 = 8;

/// Two models; the output of the backbone, `[N, positions, depth]`, is the input of the head.
#[derive(Debug, PartialEq, Eq)]
pub struct SplitModel {
    /// The model without its head, as serialized ONNX.
    pub backbone: Vec<u8>,
    /// The head, as serialized ONNX.
    pub head: Vec<u8>,
}

struct OnnxNode<'a> {
    bytes: &'a [u8],
    inputs: Vec<String>,
    outputs: Vec<String>,
    operator: String,
}

#[derive(Default)]
struct OnnxGraph<'a> {
    nodes: Vec<OnnxNode<'a>>,
    /// Constant tensors by name.
    initializers: Vec<(String, &'a [u8])>,
    inputs: Vec<&'a [u8]>,
    outputs: Vec<&'a [u8]>,
}

/// Splits the head off a model. Returns `None` if the model does not end in one.
///
/// # Errors
/// If the model is truncated or is not an ONNX file.
pub fn split_head(model: &[u8]) -> Result<Option<SplitModel>, OnnxParseError> {
    let graph = OnnxGraph::parse(message_field(model, GRAPH)?)?;
    let Some((head, seam)) = graph.head()? else { return Ok(None) };
    let (head, backbone): (Vec<_>, Vec<_>) = (0..graph.nodes.len()).partition(|node| head.contains(node));
    let depth = graph.depth(&head)?;
    let seam = value_info(&seam, FLOAT, &[-1, -1, depth]);
    Ok(Some(SplitModel {
        backbone: with_graph(model, &graph.part(&backbone, &graph.inputs, &[&seam]))?,
        head: with_graph(model, &graph.part(&head, &[&seam], &graph.outputs))?,
    }))
}

impl<'a> OnnxGraph<'a> {
    fn parse(bytes: &'a [u8]) -> Result<Self, OnnxParseError> {
        let mut graph = Self::default();
        for field in ProtoFields::new(bytes) {
            match field? {
                (NODE, ProtoValue::Bytes(node)) => graph.nodes.push(OnnxNode::parse(node)?),
                (INITIALIZER, ProtoValue::Bytes(tensor)) => {
                    graph.initializers.push((string_field(tensor, NAME)?, tensor));
                }
                (INPUT, ProtoValue::Bytes(input)) => graph.inputs.push(input),
                (OUTPUT, ProtoValue::Bytes(output)) => graph.outputs.push(output),
                // The graph's name, and inferred shapes, which the runtime infers again.
                _ => {}
            }
        }
        Ok(graph)
    }

    fn initializer(&self, name: &str) -> Option<&'a [u8]> {
        self.initializers.iter().find(|(known, _)| known == name).map(|(_, tensor)| *tensor)
    }

    /// Walks back from the output to the first matrix product. Returns the nodes on the way and the name of the
    /// product's input.
    fn head(&self) -> Result<Option<(HashSet<usize>, String)>, OnnxParseError> {
        let &[output] = &self.outputs[..] else { return Ok(None) };
        let mut wanted = string_field(output, 1)?;
        let mut head = HashSet::new();
        loop {
            let Some(index) = self.nodes.iter().position(|node| node.outputs == [wanted.as_str()]) else {
                return Ok(None);
            };
            let node = &self.nodes[index];
            let mut computed = node.inputs.iter().filter(|input| self.initializer(input).is_none());
            let (Some(input), None) = (computed.next(), computed.next()) else { return Ok(None) };
            // The graph has a cycle.
            if !head.insert(index) {
                return Err(OnnxParseError::NotOnnx);
            }
            if node.operator == "MatMul" {
                return Ok(Some((head, input.clone())));
            }
            wanted.clone_from(input);
        }
    }

    /// Length of the product's input at each position; -1 if the matrix does not tell.
    fn depth(&self, head: &[usize]) -> Result<i64, OnnxParseError> {
        let product = head.iter().map(|&node| &self.nodes[node]).find(|node| node.operator == "MatMul");
        let matrix = product.and_then(|node| node.inputs.iter().find_map(|input| self.initializer(input)));
        let depth = matrix.map(|matrix| varint_field(matrix, DIMENSIONS)).transpose()?.flatten();
        Ok(depth.map_or(-1, u64::cast_signed))
    }

    /// Serializes a `GraphProto` with some of the nodes, in their order, and the constants that they use.
    fn part(&self, nodes: &[usize], inputs: &[&[u8]], outputs: &[&[u8]]) -> Vec<u8> {
        let nodes: Vec<&OnnxNode<'_>> = nodes.iter().map(|&node| &self.nodes[node]).collect();
        let used: HashSet<&str> = nodes.iter().flat_map(|node| &node.inputs).map(String::as_str).collect();
        let mut graph = Vec::new();
        for node in nodes {
            write_bytes_field(&mut graph, NODE, node.bytes);
        }
        write_bytes_field(&mut graph, 2, b"part");
        for (_, tensor) in self.initializers.iter().filter(|(name, _)| used.contains(name.as_str())) {
            write_bytes_field(&mut graph, INITIALIZER, tensor);
        }
        for input in inputs {
            write_bytes_field(&mut graph, INPUT, input);
        }
        for output in outputs {
            write_bytes_field(&mut graph, OUTPUT, output);
        }
        graph
    }
}

impl<'a> OnnxNode<'a> {
    fn parse(bytes: &'a [u8]) -> Result<Self, OnnxParseError> {
        let mut node =
            Self { bytes, inputs: Vec::new(), outputs: Vec::new(), operator: string_field(bytes, OPERATOR)? };
        for field in ProtoFields::new(bytes) {
            match field? {
                (NODE_INPUT, ProtoValue::Bytes(input)) => node.inputs.push(parse_name(input)?),
                (NODE_OUTPUT, ProtoValue::Bytes(output)) => node.outputs.push(parse_name(output)?),
                _ => {}
            }
        }
        Ok(node)
    }
}

fn parse_name(bytes: &[u8]) -> Result<String, OnnxParseError> {
    String::from_utf8(bytes.to_vec()).map_err(|_| OnnxParseError::NotOnnx)
}

/// Returns the model with its graph replaced; versions and metadata are copied.
fn with_graph(model: &[u8], graph: &[u8]) -> Result<Vec<u8>, OnnxParseError> {
    let mut other = Vec::with_capacity(graph.len() + 1024);
    for field in ProtoFields::new(model) {
        match field? {
            (GRAPH, _) | (_, ProtoValue::Other) => {}
            (number, ProtoValue::Bytes(bytes)) => write_bytes_field(&mut other, number, bytes),
            (number, ProtoValue::Number(value)) => write_varint_field(&mut other, number, value),
        }
    }
    write_bytes_field(&mut other, GRAPH, graph);
    Ok(other)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn node(operator: &str, inputs: &[&str], output: &str) -> Vec<u8> {
        let mut bytes = Vec::new();
        for input in inputs {
            write_bytes_field(&mut bytes, NODE_INPUT, input.as_bytes());
        }
        write_bytes_field(&mut bytes, NODE_OUTPUT, output.as_bytes());
        write_bytes_field(&mut bytes, OPERATOR, operator.as_bytes());
        bytes
    }

    fn tensor(name: &str, sides: [u64; 2]) -> Vec<u8> {
        let mut bytes = Vec::new();
        for side in sides {
            write_varint_field(&mut bytes, DIMENSIONS, side);
        }
        write_bytes_field(&mut bytes, NAME, name.as_bytes());
        bytes
    }

    /// `x` → Relu → `MatMul` by `weights` → Add of `bias` → Softmax → `y`.
    fn classifier() -> Vec<u8> {
        let mut graph = Vec::new();
        let nodes = [
            node("Relu", &["x"], "seen"),
            node("MatMul", &["seen", "weights"], "sums"),
            node("Add", &["bias", "sums"], "logits"),
            node("Softmax", &["logits"], "y"),
        ];
        for node in &nodes {
            write_bytes_field(&mut graph, NODE, node);
        }
        let tensors = [tensor("weights", [120, 7]), tensor("bias", [7, 1])];
        for tensor in &tensors {
            write_bytes_field(&mut graph, INITIALIZER, tensor);
        }
        write_bytes_field(&mut graph, INPUT, &value_info("x", FLOAT, &[-1, -1, 120]));
        write_bytes_field(&mut graph, OUTPUT, &value_info("y", FLOAT, &[-1, -1, 7]));
        let mut model = Vec::new();
        write_varint_field(&mut model, 1, 10);
        write_bytes_field(&mut model, GRAPH, &graph);
        write_bytes_field(&mut model, 8, b"operators");
        model
    }

    fn operators(model: &[u8]) -> Vec<String> {
        let graph = OnnxGraph::parse(message_field(model, GRAPH).expect("the model has a graph"))
            .expect("the model is complete");
        graph.nodes.into_iter().map(|node| node.operator).collect()
    }

    fn constants(model: &[u8]) -> Vec<String> {
        let graph = OnnxGraph::parse(message_field(model, GRAPH).expect("the model has a graph"))
            .expect("the model is complete");
        graph.initializers.into_iter().map(|(name, _)| name).collect()
    }

    #[test]
    fn a_head_starts_at_its_matrix_product() {
        let SplitModel { backbone, head } =
            split_head(&classifier()).expect("the model is complete").expect("the model has a head");
        assert_eq!(operators(&backbone), ["Relu"]);
        assert_eq!(operators(&head), ["MatMul", "Add", "Softmax"]);
        assert_eq!((constants(&backbone).len(), constants(&head)), (0, vec!["weights".to_owned(), "bias".to_owned()]));
        for part in [&backbone, &head] {
            assert_eq!(
                (varint_field(part, 1), string_field(part, 8)),
                (Ok(Some(10)), Ok("operators".to_owned())),
                "its versions"
            );
        }
        let seam = value_info("seen", FLOAT, &[-1, -1, 120]);
        assert_eq!(
            message_field(message_field(&backbone, GRAPH).expect("the model has a graph"), OUTPUT),
            Ok(&seam[..])
        );
        assert_eq!(message_field(message_field(&head, GRAPH).expect("the model has a graph"), INPUT), Ok(&seam[..]));
    }

    #[test]
    fn a_model_without_a_head_is_not_split() {
        assert_eq!(split_head(&[]), Ok(None));
        let mut graph = Vec::new();
        write_bytes_field(&mut graph, NODE, &node("Relu", &["x"], "y"));
        write_bytes_field(&mut graph, INPUT, &value_info("x", FLOAT, &[-1]));
        write_bytes_field(&mut graph, OUTPUT, &value_info("y", FLOAT, &[-1]));
        let mut model = Vec::new();
        write_bytes_field(&mut model, GRAPH, &graph);
        assert_eq!(split_head(&model), Ok(None));
    }

    proptest! {
        #[test]
        fn no_bytes_make_it_panic_or_loop(flips in prop::collection::vec((any::<usize>(), any::<u8>()), 0..4)) {
            let mut model = classifier();
            let length = model.len();
            for (at, byte) in flips {
                model[at % length] = byte;
            }
            let _ = split_head(&model);
        }
    }
}
