//! Bytes that are partly in the file of a document, as a child process says.

use std::{
    fs::File,
    io::{self, Write},
    os::unix::fs::FileExt,
};

use quire_document::{BodyPart, Span};

/// The bytes that are read at a time.
const BUFFER_BYTES: u64 = 256 << 10;

/// Returns whether all parts exist: a child process that a document has taken over may lie.
///
/// # Errors
/// Those of the file.
pub(crate) fn are_within(parts: &[BodyPart], bytes: &[u8], file: &File) -> io::Result<bool> {
    let file_bytes = file.metadata()?.len();
    let within = |span: &Span, bytes: u64| span.start.checked_add(span.bytes).is_some_and(|end| end <= bytes);
    Ok(parts.iter().all(|part| match part {
        BodyPart::Copy(span) => within(span, bytes.len() as u64),
        BodyPart::Source(span) => within(span, file_bytes),
    }))
}

/// Returns the number of bytes of parts that exist.
pub(crate) fn length(parts: &[BodyPart]) -> u64 {
    let lengths = parts.iter().map(|part| match part {
        BodyPart::Copy(span) | BodyPart::Source(span) => span.bytes,
    });
    lengths.fold(0, u64::saturating_add)
}

/// Writes parts.
///
/// # Errors
/// Those of the file and the writer.
pub(crate) fn write_parts(parts: &[BodyPart], bytes: &[u8], file: &File, out: &mut dyn Write) -> io::Result<()> {
    for part in parts {
        match part {
            BodyPart::Copy(span) => out.write_all(span.of(bytes))?,
            BodyPart::Source(span) => copy_span(*span, file, out)?,
        }
    }
    Ok(())
}

fn copy_span(span: Span, file: &File, out: &mut dyn Write) -> io::Result<()> {
    let mut buffer = vec![0; span.bytes.min(BUFFER_BYTES) as usize];
    let (mut at, end) = (span.start, span.start + span.bytes);
    while at < end {
        let wanted = (end - at).min(BUFFER_BYTES) as usize;
        file.read_exact_at(&mut buffer[..wanted], at)?;
        out.write_all(&buffer[..wanted])?;
        at += wanted as u64;
    }
    Ok(())
}
