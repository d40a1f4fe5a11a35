//! Detection of a document's format from its bytes, because file names and content types are unreliable.

use std::{
    fs::File,
    io::{self, Read, Seek, SeekFrom},
    path::Path,
};

use quire_tasks::DocumentFormat;

/// The number of leading bytes that [`sniff`] needs. It accepts a PDF header after up to 8,192 other bytes, e.g. the
/// header of an e-mail or of an HTTP response: viewers accept 1,024 (ISO 32000-1, annex H, note 13) and some of them
/// any number.
pub const SNIFF_BYTES: usize = 8192 + PDF.len();

const PDF: &[u8] = b"%PDF-";

/// Sizes of the header after the file header of a bitmap, one for each version of the format. They distinguish a bitmap
/// from a text that begins with "BM".
const BITMAP_HEADERS: [u32; 7] = [12, 40, 52, 56, 64, 108, 124];

/// Returns the format of a document that begins with `head`, or `None` if it is not supported. Only the first
/// [`SNIFF_BYTES`] are used.
///
/// ```
/// use quire_document::sniff;
/// use quire_tasks::DocumentFormat;
///
/// assert_eq!(sniff(b"%PDF-1.7"), Some(DocumentFormat::Pdf));
/// assert_eq!(sniff(b"GIF89a"), None);
/// ```
pub fn sniff(head: &[u8]) -> Option<DocumentFormat> {
    match head {
        [0x89, b'P', b'N', b'G', b'\r', b'\n', 0x1a, b'\n', ..] => Some(DocumentFormat::Png),
        [0xff, 0xd8, 0xff, ..] => Some(DocumentFormat::Jpeg),
        [b'I', b'I', 42 | 43, 0, ..] | [b'M', b'M', 0, 42 | 43, ..] => Some(DocumentFormat::Tiff),
        [b'R', b'I', b'F', b'F', _, _, _, _, b'W', b'E', b'B', b'P', ..] => Some(DocumentFormat::Webp),
        [b'B', b'M', ..] if is_bitmap(head) => Some(DocumentFormat::Bmp),
        _ => {
            let head = &head[..head.len().min(SNIFF_BYTES)];
            header_position(head).map(|_| DocumentFormat::Pdf)
        }
    }
}

/// Returns the position of a PDF's header; `None` if it has none.
///
/// # Errors
/// Fails if the file cannot be read.
pub(crate) fn pdf_header(mut file: &File) -> io::Result<Option<u64>> {
    let mut head = Vec::with_capacity(SNIFF_BYTES);
    file.seek(SeekFrom::Start(0))?;
    file.take(SNIFF_BYTES as u64).read_to_end(&mut head)?;
    Ok(header_position(&head).map(|position| position as u64))
}

fn header_position(head: &[u8]) -> Option<usize> {
    head.windows(PDF.len()).position(|bytes| bytes == PDF)
}

/// Returns the format of a file, or `None` if it is not supported.
///
/// # Errors
/// Fails if the file cannot be read.
pub fn sniff_file(file: &Path) -> io::Result<Option<DocumentFormat>> {
    let mut head = Vec::with_capacity(SNIFF_BYTES);
    File::open(file)?.take(SNIFF_BYTES as u64).read_to_end(&mut head)?;
    Ok(sniff(&head))
}

fn is_bitmap(head: &[u8]) -> bool {
    let size = head.get(14..18).and_then(|bytes| bytes.try_into().ok()).map(u32::from_le_bytes);
    size.is_some_and(|size| BITMAP_HEADERS.contains(&size))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_pdf_header_may_follow_other_bytes() {
        let pdf_after = |bytes: usize| [&vec![b' '; bytes], &b"%PDF-1.7\n"[..]].concat();
        assert_eq!(sniff(&pdf_after(0)), Some(DocumentFormat::Pdf));
        assert_eq!(sniff(&pdf_after(8192)), Some(DocumentFormat::Pdf));
        assert_eq!(sniff(&pdf_after(8193)), None);
    }

    #[test]
    fn both_byte_orders_of_tiff_and_bigtiff_are_detected() {
        for head in [b"II*\0", b"MM\0*", b"II+\0", b"MM\0+"] {
            assert_eq!(sniff(head), Some(DocumentFormat::Tiff));
        }
    }

    #[test]
    fn a_text_that_begins_with_bm_is_not_a_bitmap() {
        assert_eq!(sniff(b"BMW and other makers of cars"), None);
        assert_eq!(sniff(b"BM\x46\0\0\0\0\0\0\0\x36\0\0\0\x28\0\0\0"), Some(DocumentFormat::Bmp));
    }

    proptest! {
        #[test]
        fn any_bytes_can_be_sniffed(head in prop::collection::vec(any::<u8>(), 0..2_000)) {
            let _ = sniff(&head);
        }
    }
}
