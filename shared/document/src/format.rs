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
/// assert_eq!(sniff(b"GIF89a"), Some(DocumentFormat::Gif));
/// assert_eq!(sniff(b"Dear Sir or Madam"), None);
/// ```
pub fn sniff(head: &[u8]) -> Option<DocumentFormat> {
    match head {
        [0x89, b'P', b'N', b'G', b'\r', b'\n', 0x1a, b'\n', ..] => Some(DocumentFormat::Png),
        [0xff, 0xd8, 0xff, ..] => Some(DocumentFormat::Jpeg),
        [b'I', b'I', 42 | 43, 0, ..] | [b'M', b'M', 0, 42 | 43, ..] => Some(DocumentFormat::Tiff),
        [b'R', b'I', b'F', b'F', _, _, _, _, b'W', b'E', b'B', b'P', ..] => Some(DocumentFormat::Webp),
        [b'B', b'M', ..] if is_bitmap(head) => Some(DocumentFormat::Bmp),
        [b'G', b'I', b'F', b'8', b'7' | b'9', b'a', ..] => Some(DocumentFormat::Gif),
        // The box of the signature, or a codestream without boxes (ITU-T T.800, annexes I.5.1 and A.4).
        [0, 0, 0, 12, b'j', b'P', b' ', b' ', ..] | [0xff, 0x4f, 0xff, 0x51, ..] => Some(DocumentFormat::Jpeg2000),
        // The same two for ISO/IEC 18181-2, section 9.
        [0, 0, 0, 12, b'J', b'X', b'L', b' ', ..] | [0xff, 0x0a, ..] => Some(DocumentFormat::JpegXl),
        _ => {
            let head = &head[..head.len().min(SNIFF_BYTES)];
            header_position(head).map(|_| DocumentFormat::Pdf)
        }
    }
}

/// Names the format of a document that [`sniff`] does not support, in the plural; `None` if it is unknown.
///
/// ```
/// assert_eq!(quire_document::unsupported_format(b"\0\0\0\x18ftypheic"), Some("HEIC images"));
/// ```
pub fn unsupported_format(head: &[u8]) -> Option<&'static str> {
    match head {
        [_, _, _, _, b'f', b't', b'y', b'p', brand @ ..] => media_format(brand),
        [b'I', b'I', 0xbc, ..] => Some("JPEG XR images"),
        [b'8', b'B', b'P', b'S', ..] => Some("Photoshop images"),
        [b'A', b'T', b'&', b'T', b'F', b'O', b'R', b'M', ..] => Some("DjVu documents"),
        [0x97, b'J', b'B', b'2', ..] => Some("JBIG2 images"),
        [b'%', b'!', b'P', b'S', ..] | [0xc5, 0xd0, 0xd3, 0xc6, ..] => Some("PostScript documents"),
        [b'P', b'1'..=b'7', b' ' | b'\n' | b'\r' | b'\t', ..] => Some("Netpbm images"),
        [0, 0, 1, 0, ..] => Some("Icons"),
        [b'P', b'K', 3, 4, ..] => Some("ZIP archives and Office documents"),
        [0xd0, 0xcf, 0x11, 0xe0, ..] => Some("Office documents"),
        [b'{', b'\\', b'r', b't', b'f', ..] => Some("RTF documents"),
        [0x1f, 0x8b, ..] => Some("Compressed files"),
        head => is_svg(head).then_some("SVG images"),
    }
}

/// Names a format of the ISO base media file format (ISO/IEC 14496-12) by its brands.
fn media_format(brands: &[u8]) -> Option<&'static str> {
    // The major brand, a version, and other brands up to the end of the box.
    let (major, rest) = brands.split_at_checked(4)?;
    let others = rest.get(4..).unwrap_or_default().as_chunks::<4>().0.iter().take(16).map(<[u8; 4]>::as_slice);
    [major].into_iter().chain(others).find_map(|brand| match brand {
        b"avif" | b"avis" => Some("AVIF images"),
        b"heic" | b"heix" | b"heim" | b"heis" | b"hevc" | b"hevx" => Some("HEIC images"),
        b"isom" | b"iso2" | b"mp41" | b"mp42" | b"qt  " | b"M4V " => Some("Videos"),
        _ => None,
    })
}

fn is_svg(head: &[u8]) -> bool {
    head.trim_ascii_start().starts_with(b"<") && head.windows(4).any(|bytes| bytes == b"<svg")
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
    fn formats_that_are_not_supported_are_named() {
        let heif = |brands: &str| format!("\0\0\0\x1cftyp{brands}").into_bytes();
        for (head, named) in [
            (heif("heic\0\0\0\0mif1heic"), Some("HEIC images")),
            (heif("mif1\0\0\0\0mif1avif"), Some("AVIF images")),
            (b"8BPS\0\x01".to_vec(), Some("Photoshop images")),
            (b"<?xml version=\"1.0\"?><svg/>".to_vec(), Some("SVG images")),
            (b"Dear Sir".to_vec(), None),
        ] {
            assert_eq!(sniff(&head), None);
            assert_eq!(unsupported_format(&head), named);
        }
    }

    #[test]
    fn both_forms_of_jpeg_2000_and_jpeg_xl_are_detected() {
        for head in [&b"\0\0\0\x0cjP  \r\n\x87\n"[..], b"\xff\x4f\xff\x51"] {
            assert_eq!(sniff(head), Some(DocumentFormat::Jpeg2000));
        }
        for head in [&b"\0\0\0\x0cJXL \r\n\x87\n"[..], b"\xff\x0a"] {
            assert_eq!(sniff(head), Some(DocumentFormat::JpegXl));
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
            let _ = (sniff(&head), unsupported_format(&head));
        }
    }
}
