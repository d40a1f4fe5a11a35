//! Writes objects of PDF (ISO 32000-1, 7.3).

use std::io::Write;

use hayro_syntax::object::{Array, Dict, MaybeRef, Name, Number, Object, ObjectIdentifier, Stream};

use super::fault::CopyFault;

/// The deepest nesting of arrays and dictionaries.
const MAX_DEPTH: u32 = 100;
/// Integers up to this value are written without a decimal point: `f64` has all of them.
const MAX_INTEGER: f64 = 1e15;

/// Returns the new numbers of objects.
pub(super) trait Numbers {
    /// Returns the new number of an object.
    fn number(&mut self, id: ObjectIdentifier) -> u32;
}

/// Writes an object, or a reference to one.
pub(super) fn write_value(
    out: &mut Vec<u8>,
    value: &MaybeRef<Object<'_>>,
    numbers: &mut impl Numbers,
    depth: u32,
) -> Result<(), CopyFault> {
    match value {
        MaybeRef::Ref(id) => write_reference(out, numbers.number((*id).into())),
        MaybeRef::NotRef(object) => write_object(out, object, numbers, depth)?,
    }
    Ok(())
}

pub(super) fn write_reference(out: &mut Vec<u8>, number: u32) {
    let _ = write!(out, "{number} 0 R");
}

/// Writes an object that is not a stream.
pub(super) fn write_object(
    out: &mut Vec<u8>,
    object: &Object<'_>,
    numbers: &mut impl Numbers,
    depth: u32,
) -> Result<(), CopyFault> {
    if depth > MAX_DEPTH {
        return Err(CopyFault::Complex);
    }
    match object {
        // A stream is an object of its own.
        Object::Null(_) | Object::Stream(_) => out.extend_from_slice(b"null"),
        Object::Boolean(value) => out.extend_from_slice(if *value { b"true" } else { b"false" }),
        Object::Number(number) => write_number(out, *number),
        Object::String(string) => write_string(out, string),
        Object::Name(name) => write_name(out, name),
        Object::Array(array) => write_array(out, array, numbers, depth)?,
        // A signature covers bytes of the source, not of the copy.
        Object::Dict(dict) if dict.contains_key("ByteRange") => out.extend_from_slice(b"null"),
        Object::Dict(dict) => {
            let is_form = dict.contains_key("Fields");
            out.extend_from_slice(b"<<");
            write_entries(out, dict, numbers, depth, |key| is_form && key == b"SigFlags")?;
            out.extend_from_slice(b">>");
        }
    }
    Ok(())
}

fn write_array(out: &mut Vec<u8>, array: &Array<'_>, numbers: &mut impl Numbers, depth: u32) -> Result<(), CopyFault> {
    out.push(b'[');
    for (index, value) in array.raw_iter().enumerate() {
        if index > 0 {
            out.push(b' ');
        }
        write_value(out, &value, numbers, depth + 1)?;
    }
    out.push(b']');
    Ok(())
}

/// Writes the entries of a dictionary that are not omitted.
pub(super) fn write_entries(
    out: &mut Vec<u8>,
    dict: &Dict<'_>,
    numbers: &mut impl Numbers,
    depth: u32,
    is_omitted: impl Fn(&[u8]) -> bool,
) -> Result<(), CopyFault> {
    for (key, value) in dict.entries() {
        if !is_omitted(&key) {
            write_entry(out, &key, &value, numbers, depth)?;
        }
    }
    Ok(())
}

/// Writes an entry of a dictionary.
pub(super) fn write_entry(
    out: &mut Vec<u8>,
    key: &[u8],
    value: &MaybeRef<Object<'_>>,
    numbers: &mut impl Numbers,
    depth: u32,
) -> Result<(), CopyFault> {
    write_name(out, key);
    out.push(b' ');
    write_value(out, value, numbers, depth + 1)
}

/// Writes the dictionary of a stream of this length.
pub(super) fn write_stream_dict(
    out: &mut Vec<u8>,
    stream: &Stream<'_>,
    length: usize,
    numbers: &mut impl Numbers,
) -> Result<(), CopyFault> {
    out.extend_from_slice(b"<<");
    write_entries(out, stream.dict(), numbers, 0, |key| key == b"Length")?;
    let _ = write!(out, "/Length {length}>>");
    Ok(())
}

fn write_number(out: &mut Vec<u8>, number: Number) {
    let value = number.as_f64();
    if value.fract() == 0.0 && value.abs() < MAX_INTEGER {
        let _ = write!(out, "{}", value as i64);
    } else if value.is_finite() {
        // Without an exponent, which PDF does not have.
        let text = format!("{value:.12}");
        out.extend_from_slice(text.trim_end_matches('0').trim_end_matches('.').as_bytes());
    } else {
        out.push(b'0');
    }
}

/// Writes a string as bytes in parentheses.
pub(super) fn write_string(out: &mut Vec<u8>, string: &[u8]) {
    out.push(b'(');
    for byte in string {
        match byte {
            b'(' | b')' | b'\\' => out.extend_from_slice(&[b'\\', *byte]),
            // As it is, it would be read as a line feed.
            b'\r' => out.extend_from_slice(b"\\r"),
            byte => out.push(*byte),
        }
    }
    out.push(b')');
}

pub(super) fn write_name(out: &mut Vec<u8>, name: &[u8]) {
    out.push(b'/');
    for byte in name {
        if byte.is_ascii_graphic() && !b"()<>[]{}/%#".contains(byte) {
            out.push(*byte);
        } else {
            let _ = write!(out, "#{byte:02X}");
        }
    }
}

/// Returns whether a filter of a stream is `Crypt`: its data is encrypted in a way of its own.
pub(super) fn has_crypt_filter(stream: &Stream<'_>) -> bool {
    let is_crypt = |name: &Name<'_>| name.as_ref() == b"Crypt";
    let dict = stream.dict();
    dict.get::<Name<'_>>("Filter").as_ref().is_some_and(is_crypt)
        || dict.get::<Array<'_>>("Filter").is_some_and(|filters| filters.iter::<Name<'_>>().any(|name| is_crypt(&name)))
}

#[cfg(test)]
mod tests {
    use hayro_syntax::object::FromBytes;

    use super::*;

    struct Same;

    impl Numbers for Same {
        fn number(&mut self, id: ObjectIdentifier) -> u32 {
            id.obj_number + 100
        }
    }

    fn written(source: &[u8]) -> String {
        let object = Object::from_bytes(source).expect("an object");
        let mut out = Vec::new();
        write_object(&mut out, &object, &mut Same, 0).expect("not nested deeply");
        String::from_utf8(out).expect("ASCII")
    }

    #[test]
    fn objects_keep_their_values() {
        for (source, expected) in [
            (
                &b"<< /B [ 1 -2.50 .00001 true null ] /A#20b (x\\(y\\)\\r) >>"[..],
                "<</A#20b (x\\(y\\)\\r)/B [1 -2.5 0.00001 true null]>>",
            ),
            (b"[ 7 0 R <48 69> /Name ]", "[107 0 R (Hi) /Name]"),
            (b"[ 1.0 123456789012 ]", "[1 123456789012]"),
        ] {
            assert_eq!(written(source), expected);
        }
    }

    #[test]
    fn a_signature_is_left_out() {
        let source = b"<< /V << /ByteRange [0 1 2 3] /Contents <00> >> /T (a) >>";
        assert_eq!(written(source), "<</T (a)/V null>>");
        assert_eq!(written(b"<< /Fields [] /SigFlags 3 >>"), "<</Fields []>>");
    }
}
