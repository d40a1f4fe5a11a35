//! A classifier in two: what sees a whole input, and its head, which is asked about a few places of it at a time.
//!
//! A head is a matrix product and what follows it up to the model's only output. Each place is classified by itself, and
//! the classes are many: run over a whole line, the head's answers are most of what a run keeps in memory.

use std::collections::HashSet;

use crate::{
    onnx_file::{FLOAT, GRAPH, INPUT, OUTPUT, value_info},
    protobuf::{Damage, Fields, Value, nested, number, put_bytes, put_number, text},
};

/// `GraphProto`'s fields.
const NODE: u64 = 1;
const INITIALIZER: u64 = 5;
/// `NodeProto`'s fields.
const NODE_INPUT: u64 = 1;
const NODE_OUTPUT: u64 = 2;
const OPERATOR: u64 = 4;
/// `TensorProto`'s fields.
const DIMENSIONS: u64 = 1;
const NAME: u64 = 8;

/// Two models, of which one's output `[N, places, depth]` is the other's input.
#[derive(Debug, PartialEq, Eq)]
pub struct Split {
    /// What sees a whole input.
    pub backbone: Vec<u8>,
    /// What is asked about a few places.
    pub head: Vec<u8>,
}

struct Node<'a> {
    bytes: &'a [u8],
    inputs: Vec<String>,
    outputs: Vec<String>,
    operator: String,
}

#[derive(Default)]
struct Graph<'a> {
    nodes: Vec<Node<'a>>,
    /// Constant tensors, by their names.
    initializers: Vec<(String, &'a [u8])>,
    inputs: Vec<&'a [u8]>,
    outputs: Vec<&'a [u8]>,
}

/// Takes the head off a model; `None` where it does not end in one.
///
/// # Errors
/// When it is cut off, or no ONNX file.
pub fn split_head(model: &[u8]) -> Result<Option<Split>, Damage> {
    let graph = Graph::parse(nested(model, GRAPH)?)?;
    let Some((head, seam)) = graph.head()? else { return Ok(None) };
    let (head, backbone): (Vec<_>, Vec<_>) = (0..graph.nodes.len()).partition(|node| head.contains(node));
    let depth = graph.depth(&head)?;
    let seam = value_info(&seam, FLOAT, &[-1, -1, depth]);
    Ok(Some(Split {
        backbone: with_graph(model, &graph.part(&backbone, &graph.inputs, &[&seam]))?,
        head: with_graph(model, &graph.part(&head, &[&seam], &graph.outputs))?,
    }))
}

impl<'a> Graph<'a> {
    fn parse(bytes: &'a [u8]) -> Result<Self, Damage> {
        let mut graph = Self::default();
        for field in Fields::of(bytes) {
            match field? {
                (NODE, Value::Bytes(node)) => graph.nodes.push(Node::parse(node)?),
                (INITIALIZER, Value::Bytes(tensor)) => graph.initializers.push((text(tensor, NAME)?, tensor)),
                (INPUT, Value::Bytes(input)) => graph.inputs.push(input),
                (OUTPUT, Value::Bytes(output)) => graph.outputs.push(output),
                // A name, and the shapes in between, which every runtime finds by itself.
                _ => {}
            }
        }
        Ok(graph)
    }

    fn initializer(&self, name: &str) -> Option<&'a [u8]> {
        self.initializers.iter().find(|(known, _)| known == name).map(|(_, tensor)| *tensor)
    }

    /// The nodes from the output back to the first matrix product, and what goes into that.
    fn head(&self) -> Result<Option<(HashSet<usize>, String)>, Damage> {
        let &[output] = &self.outputs[..] else { return Ok(None) };
        let mut wanted = text(output, 1)?;
        let mut head = HashSet::new();
        loop {
            let Some(index) = self.nodes.iter().position(|node| node.outputs == [wanted.as_str()]) else {
                return Ok(None);
            };
            let node = &self.nodes[index];
            let mut computed = node.inputs.iter().filter(|input| self.initializer(input).is_none());
            let (Some(input), None) = (computed.next(), computed.next()) else { return Ok(None) };
            // A graph that goes round has no end.
            if !head.insert(index) {
                return Err(Damage::NoModel);
            }
            if node.operator == "MatMul" {
                return Ok(Some((head, input.clone())));
            }
            wanted.clone_from(input);
        }
    }

    /// How long what goes into the matrix product is at each place; -1 where its matrix does not say.
    fn depth(&self, head: &[usize]) -> Result<i64, Damage> {
        let product = head.iter().map(|&node| &self.nodes[node]).find(|node| node.operator == "MatMul");
        let matrix = product.and_then(|node| node.inputs.iter().find_map(|input| self.initializer(input)));
        let depth = matrix.map(|matrix| number(matrix, DIMENSIONS)).transpose()?.flatten();
        Ok(depth.map_or(-1, u64::cast_signed))
    }

    /// A `GraphProto` of some of the nodes, in their order, and of the constants that they use.
    fn part(&self, nodes: &[usize], inputs: &[&[u8]], outputs: &[&[u8]]) -> Vec<u8> {
        let nodes: Vec<&Node<'_>> = nodes.iter().map(|&node| &self.nodes[node]).collect();
        let used: HashSet<&str> = nodes.iter().flat_map(|node| &node.inputs).map(String::as_str).collect();
        let mut graph = Vec::new();
        for node in nodes {
            put_bytes(&mut graph, NODE, node.bytes);
        }
        put_bytes(&mut graph, 2, b"part");
        for (_, tensor) in self.initializers.iter().filter(|(name, _)| used.contains(name.as_str())) {
            put_bytes(&mut graph, INITIALIZER, tensor);
        }
        for input in inputs {
            put_bytes(&mut graph, INPUT, input);
        }
        for output in outputs {
            put_bytes(&mut graph, OUTPUT, output);
        }
        graph
    }
}

impl<'a> Node<'a> {
    fn parse(bytes: &'a [u8]) -> Result<Self, Damage> {
        let mut node = Self { bytes, inputs: Vec::new(), outputs: Vec::new(), operator: text(bytes, OPERATOR)? };
        let name = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).map_err(|_| Damage::NoModel);
        for field in Fields::of(bytes) {
            match field? {
                (NODE_INPUT, Value::Bytes(input)) => node.inputs.push(name(input)?),
                (NODE_OUTPUT, Value::Bytes(output)) => node.outputs.push(name(output)?),
                _ => {}
            }
        }
        Ok(node)
    }
}

/// The model with another graph in the place of its own; what else there is are versions and metadata.
fn with_graph(model: &[u8], graph: &[u8]) -> Result<Vec<u8>, Damage> {
    let mut other = Vec::with_capacity(graph.len() + 1024);
    for field in Fields::of(model) {
        match field? {
            (GRAPH, _) | (_, Value::Other) => {}
            (number, Value::Bytes(bytes)) => put_bytes(&mut other, number, bytes),
            (number, Value::Number(value)) => put_number(&mut other, number, value),
        }
    }
    put_bytes(&mut other, GRAPH, graph);
    Ok(other)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn node(operator: &str, inputs: &[&str], output: &str) -> Vec<u8> {
        let mut bytes = Vec::new();
        for input in inputs {
            put_bytes(&mut bytes, NODE_INPUT, input.as_bytes());
        }
        put_bytes(&mut bytes, NODE_OUTPUT, output.as_bytes());
        put_bytes(&mut bytes, OPERATOR, operator.as_bytes());
        bytes
    }

    fn tensor(name: &str, sides: [u64; 2]) -> Vec<u8> {
        let mut bytes = Vec::new();
        for side in sides {
            put_number(&mut bytes, DIMENSIONS, side);
        }
        put_bytes(&mut bytes, NAME, name.as_bytes());
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
            put_bytes(&mut graph, NODE, node);
        }
        let tensors = [tensor("weights", [120, 7]), tensor("bias", [7, 1])];
        for tensor in &tensors {
            put_bytes(&mut graph, INITIALIZER, tensor);
        }
        put_bytes(&mut graph, INPUT, &value_info("x", FLOAT, &[-1, -1, 120]));
        put_bytes(&mut graph, OUTPUT, &value_info("y", FLOAT, &[-1, -1, 7]));
        let mut model = Vec::new();
        put_number(&mut model, 1, 10);
        put_bytes(&mut model, GRAPH, &graph);
        put_bytes(&mut model, 8, b"operators");
        model
    }

    fn operators(model: &[u8]) -> Vec<String> {
        let graph = Graph::parse(nested(model, GRAPH).expect("a graph")).expect("it is whole");
        graph.nodes.into_iter().map(|node| node.operator).collect()
    }

    fn constants(model: &[u8]) -> Vec<String> {
        let graph = Graph::parse(nested(model, GRAPH).expect("a graph")).expect("it is whole");
        graph.initializers.into_iter().map(|(name, _)| name).collect()
    }

    #[test]
    fn a_head_is_cut_off_before_its_matrix_product() {
        let Split { backbone, head } = split_head(&classifier()).expect("it is whole").expect("it has a head");
        assert_eq!(operators(&backbone), ["Relu"]);
        assert_eq!(operators(&head), ["MatMul", "Add", "Softmax"]);
        assert_eq!((constants(&backbone).len(), constants(&head)), (0, vec!["weights".to_owned(), "bias".to_owned()]));
        for part in [&backbone, &head] {
            assert_eq!((number(part, 1), text(part, 8)), (Ok(Some(10)), Ok("operators".to_owned())), "its versions");
        }
        let seam = value_info("seen", FLOAT, &[-1, -1, 120]);
        assert_eq!(nested(nested(&backbone, GRAPH).expect("a graph"), OUTPUT), Ok(&seam[..]));
        assert_eq!(nested(nested(&head, GRAPH).expect("a graph"), INPUT), Ok(&seam[..]));
    }

    #[test]
    fn a_model_without_a_head_is_left_alone() {
        assert_eq!(split_head(&[]), Ok(None));
        let mut graph = Vec::new();
        put_bytes(&mut graph, NODE, &node("Relu", &["x"], "y"));
        put_bytes(&mut graph, INPUT, &value_info("x", FLOAT, &[-1]));
        put_bytes(&mut graph, OUTPUT, &value_info("y", FLOAT, &[-1]));
        let mut model = Vec::new();
        put_bytes(&mut model, GRAPH, &graph);
        assert_eq!(split_head(&model), Ok(None));
    }

    proptest! {
        #[test]
        fn no_bytes_make_it_panic_or_go_round(flips in prop::collection::vec((any::<usize>(), any::<u8>()), 0..4)) {
            let mut model = classifier();
            let length = model.len();
            for (at, byte) in flips {
                model[at % length] = byte;
            }
            let _ = split_head(&model);
        }
    }
}
