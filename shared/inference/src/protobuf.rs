//! Parses and serializes the parts of Protocol Buffers that ONNX files use:
//! <https://protobuf.dev/programming-guides/encoding>.

/// Why bytes are not an ONNX file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum OnnxParseError {
    /// The file is truncated.
    #[error("the file is truncated: expected at least {needed} bytes, found {found}")]
    Truncated {
        /// Minimum length, in bytes.
        needed: u64,
        /// Length, in bytes.
        found: u64,
    },
    /// The bytes are not an ONNX file.
    #[error("not an ONNX file")]
    NotOnnx,
}

/// A field's value.
pub(crate) enum ProtoValue<'a> {
    Number(u64),
    Bytes(&'a [u8]),
    Other,
}

/// Iterates over the fields of a message.
pub(crate) struct ProtoFields<'a> {
    all: &'a [u8],
    at: usize,
}

impl<'a> ProtoFields<'a> {
    pub(crate) const fn new(all: &'a [u8]) -> Self {
        Self { all, at: 0 }
    }

    fn field(&mut self) -> Result<(u64, ProtoValue<'a>), OnnxParseError> {
        let key = self.varint()?;
        let value = match key & 7 {
            0 => ProtoValue::Number(self.varint()?),
            1 => self.take(8).map(|_| ProtoValue::Other)?,
            2 => {
                let length = self.varint()?;
                ProtoValue::Bytes(self.take(length)?)
            }
            5 => self.take(4).map(|_| ProtoValue::Other)?,
            _ => return Err(OnnxParseError::NotOnnx),
        };
        if key >> 3 == 0 { Err(OnnxParseError::NotOnnx) } else { Ok((key >> 3, value)) }
    }

    fn varint(&mut self) -> Result<u64, OnnxParseError> {
        let mut value = 0;
        for shift in (0..64).step_by(7) {
            let byte = self.take(1)?[0];
            value |= u64::from(byte & 0x7f) << shift;
            if byte & 0x80 == 0 {
                return Ok(value);
            }
        }
        Err(OnnxParseError::NotOnnx)
    }

    fn take(&mut self, length: u64) -> Result<&'a [u8], OnnxParseError> {
        let end = (self.at as u64).saturating_add(length);
        let found = self.all.len() as u64;
        if end > found {
            return Err(OnnxParseError::Truncated { needed: end, found });
        }
        let taken = &self.all[self.at..end as usize];
        self.at = end as usize;
        Ok(taken)
    }
}

impl<'a> Iterator for ProtoFields<'a> {
    type Item = Result<(u64, ProtoValue<'a>), OnnxParseError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.at == self.all.len() {
            return None;
        }
        let field = self.field();
        if field.is_err() {
            self.at = self.all.len();
        }
        Some(field)
    }
}

pub(crate) fn message_field(message: &[u8], number: u64) -> Result<&[u8], OnnxParseError> {
    for field in ProtoFields::new(message) {
        if let (found, ProtoValue::Bytes(bytes)) = field?
            && found == number
        {
            return Ok(bytes);
        }
    }
    Ok(&[])
}

pub(crate) fn string_field(message: &[u8], number: u64) -> Result<String, OnnxParseError> {
    String::from_utf8(message_field(message, number)?.to_vec()).map_err(|_| OnnxParseError::NotOnnx)
}

pub(crate) fn varint_field(message: &[u8], number: u64) -> Result<Option<u64>, OnnxParseError> {
    for field in ProtoFields::new(message) {
        if let (found, ProtoValue::Number(value)) = field?
            && found == number
        {
            return Ok(Some(value));
        }
    }
    Ok(None)
}

/// Appends a field that contains bytes, a string or a message.
pub(crate) fn write_bytes_field(target: &mut Vec<u8>, field: u64, bytes: &[u8]) {
    varint(target, field << 3 | 2);
    varint(target, bytes.len() as u64);
    target.extend_from_slice(bytes);
}

/// Appends a field that contains an integer.
pub(crate) fn write_varint_field(target: &mut Vec<u8>, field: u64, value: u64) {
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
    fn varints_are_serialized_as_in_protocol_buffers() {
        let written = |value| {
            let mut bytes = Vec::new();
            varint(&mut bytes, value);
            bytes
        };
        assert_eq!(written(1), [1]);
        assert_eq!(written(150), [0x96, 0x01]);
        assert_eq!(written((-1_i64).cast_unsigned()), [[0xff; 9].as_slice(), &[0x01]].concat());
    }
}
