//! Parses inputs, outputs and metadata of an ONNX file without a runtime, so that the error messages are the same for
//! every provider.
//!
//! An ONNX file is a Protocol Buffers message; field numbers are those of `onnx.proto`.

use std::{fmt, fs, path::Path};

use crate::{
    load_error::LoadError,
    protobuf::{
        OnnxParseError, ProtoFields, ProtoValue, message_field, string_field, varint_field, write_bytes_field,
        write_varint_field,
    },
};

/// Fields of `ModelProto`.
pub(crate) const GRAPH: u64 = 7;
const METADATA: u64 = 14;
/// Fields of `GraphProto`.
pub(crate) const INPUT: u64 = 11;
pub(crate) const OUTPUT: u64 = 12;
/// `TensorProto.DataType` of 32-bit floats.
pub(crate) const FLOAT: u64 = 1;

/// Inputs, outputs and metadata of a model.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct OnnxFile {
    /// The inputs.
    pub inputs: Vec<TensorInfo>,
    /// The outputs. Note: many models omit their shapes.
    pub outputs: Vec<TensorInfo>,
    metadata: Vec<(String, String)>,
}

/// Name, element type and shape of an input or output.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct TensorInfo {
    /// Name in the model.
    pub name: String,
    /// Whether the elements are 32-bit floats.
    pub is_f32: bool,
    /// Shape; -1 is a dynamic dimension.
    pub shape: Vec<i64>,
}

impl fmt::Display for TensorInfo {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}{:?}", self.name, if self.is_f32 { "f32" } else { "not f32 " }, self.shape)
    }
}

impl OnnxFile {
    /// Reads and parses a model file.
    ///
    /// # Errors
    /// [`LoadError::Model`], if the file cannot be read, is truncated or is not an ONNX file.
    pub fn read(path: &Path) -> Result<Self, LoadError> {
        let bytes = fs::read(path).map_err(|error| LoadError::model(path, &error))?;
        Self::parse(&bytes).map_err(|error| LoadError::model(path, &error))
    }

    /// Returns the metadata entry `key`.
    pub fn metadata(&self, key: &str) -> Option<&str> {
        self.metadata.iter().find(|(name, _)| name == key).map(|(_, value)| value.as_str())
    }

    fn parse(bytes: &[u8]) -> Result<Self, OnnxParseError> {
        let mut file = Self::default();
        let mut has_graph = false;
        for field in ProtoFields::new(bytes) {
            match field? {
                (GRAPH, ProtoValue::Bytes(graph)) => {
                    has_graph = true;
                    file.add_graph(graph)?;
                }
                (METADATA, ProtoValue::Bytes(entry)) => {
                    file.metadata.push((string_field(entry, 1)?, string_field(entry, 2)?));
                }
                _ => {}
            }
        }
        if has_graph { Ok(file) } else { Err(OnnxParseError::NotOnnx) }
    }

    fn add_graph(&mut self, graph: &[u8]) -> Result<(), OnnxParseError> {
        for field in ProtoFields::new(graph) {
            match field? {
                (INPUT, ProtoValue::Bytes(outlet)) => self.inputs.push(TensorInfo::parse(outlet)?),
                (OUTPUT, ProtoValue::Bytes(outlet)) => self.outputs.push(TensorInfo::parse(outlet)?),
                _ => {}
            }
        }
        Ok(())
    }
}

impl TensorInfo {
    /// Parses a `ValueInfoProto`: the name, and the element type and shape if it is a tensor.
    fn parse(bytes: &[u8]) -> Result<Self, OnnxParseError> {
        let mut outlet = Self { name: string_field(bytes, 1)?, ..Self::default() };
        for field in ProtoFields::new(message_field(message_field(bytes, 2)?, 1)?) {
            match field? {
                (1, ProtoValue::Number(element)) => outlet.is_f32 = element == FLOAT,
                (2, ProtoValue::Bytes(shape)) => {
                    for dimension in ProtoFields::new(shape) {
                        let (_, ProtoValue::Bytes(dimension)) = dimension? else { return Err(OnnxParseError::NotOnnx) };
                        outlet.shape.push(varint_field(dimension, 1)?.map_or(-1, |size| size as i64));
                    }
                }
                _ => {}
            }
        }
        Ok(outlet)
    }
}

/// Serializes a `ValueInfoProto`: name, element type and shape; -1 is a dynamic dimension.
pub(crate) fn value_info(name: &str, element: u64, shape: &[i64]) -> Vec<u8> {
    let mut dimensions = Vec::new();
    for &size in shape {
        let mut dimension = Vec::new();
        if size >= 0 {
            write_varint_field(&mut dimension, 1, size.cast_unsigned());
        }
        write_bytes_field(&mut dimensions, 1, &dimension);
    }
    let mut tensor = Vec::new();
    write_varint_field(&mut tensor, 1, element);
    write_bytes_field(&mut tensor, 2, &dimensions);
    let mut kind = Vec::new();
    write_bytes_field(&mut kind, 1, &tensor);
    let mut info = Vec::new();
    write_bytes_field(&mut info, 1, name.as_bytes());
    write_bytes_field(&mut info, 2, &kind);
    info
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn field(number: u8, bytes: &[u8]) -> Vec<u8> {
        [&[number << 3 | 2, bytes.len() as u8], bytes].concat()
    }

    /// A model with the input `x` f32 [-1, 3] and one metadata entry.
    fn model() -> Vec<u8> {
        let shape = [field(1, &field(2, b"N")), field(1, &[1 << 3, 3])].concat();
        let tensor = [vec![1 << 3, 1], field(2, &shape)].concat();
        let input = [field(1, b"x"), field(2, &field(1, &tensor))].concat();
        let graph = [field(2, b"graph"), field(11, &input)].concat();
        [vec![1 << 3, 8], field(7, &graph), field(14, &[field(1, b"key"), field(2, b"value")].concat())].concat()
    }

    #[test]
    fn inputs_and_metadata_are_parsed() {
        let file = OnnxFile::parse(&model()).expect("the file is a model");
        assert_eq!(file.inputs, [TensorInfo { name: "x".to_owned(), is_f32: true, shape: vec![-1, 3] }]);
        assert_eq!((file.metadata("key"), file.metadata("other")), (Some("value"), None));
        assert_eq!(file.inputs[0].to_string(), "x f32[-1, 3]");
    }

    #[test]
    fn a_truncated_file_reports_its_minimum_length() {
        let bytes = model();
        let length = 4 + bytes[3] as usize;
        let error = OnnxFile::parse(&bytes[..10]).expect_err("the file is truncated");
        assert_eq!(error.to_string(), format!("the file is truncated: expected at least {length} bytes, found 10"));
    }

    #[test]
    fn other_files_are_rejected() {
        for bytes in [&b""[..], b"<html><body>not found</body></html>", &[0, 0, 0, 0], &[0xff; 20]] {
            assert!(OnnxFile::parse(bytes).is_err(), "{bytes:?}");
        }
    }

    proptest! {
        #[test]
        fn no_bytes_make_it_panic(bytes in prop::collection::vec(any::<u8>(), 0..200), cut in 0_usize..200) {
            let _ = OnnxFile::parse(&bytes);
            let mut model = model();
            let length = model.len();
            model[cut % length] ^= bytes.first().copied().unwrap_or(1);
            let _ = OnnxFile::parse(&model);
        }
    }
}
