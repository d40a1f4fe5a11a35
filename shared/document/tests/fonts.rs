//! Text in fonts that a PDF does not contain. This process has one font: Cyrillic and Chinese letters that are filled
//! squares (`fixtures/fonts`).

use std::{io::Write, path::Path};

use quire_document::{DocumentLimits, Documents, FontIndex, PageImage};
use quire_tasks::{DocumentFormat, Warning, WarningKind};
use tempfile::NamedTempFile;

/// Arial with Cyrillic and Greek letters in place of other characters: СЧЕТ is 128 to 131, αβγ is 132 to 134.
const ARIAL: &str = "<< /Type /Font /Subtype /TrueType /BaseFont /ArialMT \
    /FirstChar 128 /LastChar 134 /Widths [900 900 900 900 900 900 900] \
    /FontDescriptor << /Type /FontDescriptor /FontName /ArialMT /Flags 32 /StemV 80 /ItalicAngle 0 /Ascent 905 \
    /Descent -212 /CapHeight 716 /FontBBox [-665 -325 2000 1006] >> /Encoding << /Type /Encoding \
    /BaseEncoding /WinAnsiEncoding \
    /Differences [128 /afii10035 /afii10041 /afii10022 /afii10036 /alpha /beta /gamma] >> >>";
const SONG: &str = "<< /Type /Font /Subtype /Type0 /BaseFont /STSong-Light /Encoding /UniGB-UCS2-H \
    /DescendantFonts [<< \
    /Type /Font /Subtype /CIDFontType0 /BaseFont /STSong-Light /DW 1000 /CIDSystemInfo << /Registry (Adobe) \
    /Ordering (GB1) /Supplement 0 >> /FontDescriptor << /Type /FontDescriptor /FontName /STSong-Light /Flags 6 \
    /StemV 58 /ItalicAngle 0 /Ascent 752 /Descent -271 /CapHeight 737 /FontBBox [-25 -254 1000 880] >> >>] >>";
/// A font of an unknown name whose codes are the glyphs of a program that is missing, with their Unicode values: С is
/// 1, ก is 2.
const IDENTITY: &str = "<< /Type /Font /Subtype /Type0 /BaseFont /ABCDEF+Corporate /Encoding /Identity-H \
    /ToUnicode 8 0 R \
    /DescendantFonts [<< /Type /Font /Subtype /CIDFontType2 /BaseFont /ABCDEF+Corporate /DW 1000 /CIDSystemInfo << \
    /Registry (Adobe) /Ordering (Identity) /Supplement 0 >> /FontDescriptor << /Type /FontDescriptor \
    /FontName /ABCDEF+Corporate /Flags 4 /StemV 58 /ItalicAngle 0 /Ascent 752 /Descent -271 /CapHeight 737 \
    /FontBBox [-25 -254 1000 880] >> >>] >>";
const TO_UNICODE: &str = "/CIDInit /ProcSet findresource begin begincmap 1 begincodespacerange <0000> <ffff> \
    endcodespacerange 2 beginbfchar <0001> <0421> <0002> <0e01> endbfchar endcmap end";

fn pdf(contents: &[&str]) -> Vec<u8> {
    let stream = |content: &str| format!("<< /Length {} >>\nstream\n{content}\nendstream", content.len());
    let kids: Vec<String> = (0..contents.len()).map(|page| format!("{} 0 R", 9 + 2 * page)).collect();
    let mut objects = vec![
        "<< /Type /Catalog /Pages 2 0 R >>".to_owned(),
        format!("<< /Type /Pages /Count {} /Kids [{}] /Resources 3 0 R >>", kids.len(), kids.join(" ")),
        "<< /Font << /Arial 4 0 R /Song 5 0 R /Identity 6 0 R /Helvetica 7 0 R >> >>".to_owned(),
        ARIAL.to_owned(),
        SONG.to_owned(),
        IDENTITY.to_owned(),
        "<< /Type /Font /Subtype /Type1 /BaseFont /Helvetica >>".to_owned(),
        stream(TO_UNICODE),
    ];
    for (page, content) in contents.iter().enumerate() {
        let number = 10 + 2 * page;
        objects.push(format!("<< /Type /Page /Parent 2 0 R /MediaBox [0 0 400 100] /Contents {number} 0 R >>"));
        objects.push(stream(content));
    }
    let mut bytes = b"%PDF-1.7\n".to_vec();
    for (index, object) in objects.iter().enumerate() {
        bytes.extend(format!("{} 0 obj\n{object}\nendobj\n", index + 1).bytes());
    }
    bytes.extend(b"trailer\n<< /Root 1 0 R >>\nstartxref\n0\n%%EOF\n");
    bytes
}

fn rendered(contents: &[&str]) -> Vec<PageImage> {
    rendered_bytes(&pdf(contents), contents.len() as u32)
}

fn rendered_bytes(bytes: &[u8], pages: u32) -> Vec<PageImage> {
    let library = quire_native_libs::pdfium(&quire_native_libs::Progress::Silent).expect("pdfium is available");
    let mut documents = Documents::new(Some(library), DocumentLimits::default());
    let fonts = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/fonts");
    documents.bind_pdfium_with_fonts(&[fonts]).expect("pdfium can be bound");
    let mut file = NamedTempFile::new().expect("a file");
    file.write_all(bytes).expect("written");
    (1..=pages).map(|page| documents.page(file.path(), DocumentFormat::Pdf, page).expect("renders")).collect()
}

fn show(font: &str, text: &str) -> String {
    format!("BT /{font} 40 Tf 20 30 Td {text} Tj ET")
}

/// The number of filled squares, each of 28 × 28 points at the given resolution.
fn squares(page: &PageImage) -> u32 {
    let black = page.pixels().chunks_exact(PageImage::CHANNELS).filter(|pixel| pixel[0] < 100).count();
    let side = f64::from(page.width()) / 400.0 * 28.0;
    (black as f64 / (side * side)).round() as u32
}

fn missing(font: &str) -> Vec<Warning> {
    vec![WarningKind::MissingFonts { fonts: vec![font.to_owned()] }.into()]
}

#[test]
fn letters_that_a_standard_font_lacks_are_drawn_with_another() {
    let pages = rendered(&[&show("Arial", "<80818283>")]);
    assert_eq!((squares(&pages[0]), pages[0].warnings()), (4, &[][..]));
}

#[test]
fn letters_that_no_font_has_are_reported() {
    let pages = rendered(&[&show("Arial", "<848586>"), &show("Arial", "<80818485>")]);
    assert_eq!((squares(&pages[0]), pages[0].warnings()), (0, &missing("ArialMT")[..]));
    assert_eq!(squares(&pages[1]), 2, "the Cyrillic ones are drawn");
    assert_eq!(pages[1].warnings(), missing("ArialMT"));
}

#[test]
fn a_font_is_found_by_its_character_set() {
    // 电子发票, and 龙, which the font lacks.
    let pages = rendered(&[&show("Song", "<75355B5053D17968>"), &show("Song", "<75359F99>")]);
    assert_eq!((squares(&pages[0]), pages[0].warnings()), (4, &[][..]));
    assert_eq!(pages[1].warnings(), missing("STSong-Light"));
}

#[test]
fn a_font_with_glyphs_of_its_own_is_replaced_by_its_letters() {
    let pages = rendered(&[&show("Identity", "<00010001>"), &show("Identity", "<00020002>")]);
    assert_eq!((squares(&pages[0]), pages[0].warnings()), (2, &[][..]));
    assert_eq!(pages[1].warnings(), missing("ABCDEF+Corporate"));
}

#[test]
fn a_font_whose_name_is_not_unicode_is_replaced_as_well() {
    let pdf = pdf(&[&show("Song", "<75355B50>"), &show("Song", "<9F999F99>")]);
    // 宋体 in GBK.
    let renamed = String::from_utf8(pdf).expect("ASCII").replace("STSong-Light", "#CB#CE#CC#E5");
    let pages = rendered_bytes(renamed.as_bytes(), 2);
    assert_eq!((squares(&pages[0]), pages[0].warnings()), (2, &[][..]));
    let unnamed = WarningKind::MissingFonts { fonts: Vec::new() };
    assert_eq!(pages[1].warnings(), [unnamed.into()]);
}

#[test]
fn glyphs_that_are_drawn_one_by_one_are_found_as_well() {
    let one_by_one = |codes: &[u8]| {
        let show =
            codes.iter().enumerate().map(|(index, code)| format!("1 0 0 1 {} 30 Tm <{code:x}> Tj ", 20 + 40 * index));
        format!("BT /Arial 40 Tf {} ET", show.collect::<String>())
    };
    let pages = rendered(&[&one_by_one(&[0x80, 0x81, 0x20, 0x82, 0x83, 0x80]), &one_by_one(&[0x20; 6])]);
    assert_eq!((squares(&pages[0]), pages[0].warnings()), (5, &[][..]));
    assert_eq!(pages[1].warnings(), []);
    for spaces in ["(A) Tj ( ) Tj (B) Tj", "( ) Tj ( ) Tj"] {
        let latin = format!("BT /Helvetica 40 Tf 20 30 Td {spaces} ET");
        assert_eq!(rendered(&[&latin])[0].warnings(), []);
    }
}

#[test]
fn latin_text_and_invisible_text_need_no_font() {
    let latin = show("Helvetica", "(Total 12.50 \\344\\366\\374)");
    let layer = format!("3 Tr {}", show("Arial", "<848586>"));
    for page in rendered(&[&latin, &layer, &show("Arial", "<80818283>"), &latin]) {
        assert_eq!(page.warnings(), []);
    }
    let pages = rendered(&[&show("Arial", "<80818283>"), &latin]);
    assert!(pages[1] == rendered(&[&latin])[0], "the fallback of the page before is not used");
}

#[test]
fn the_scripts_that_no_font_has_are_named() {
    let fonts = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/fonts");
    let index = FontIndex::scan(&[fonts.clone(), fonts.join("missing")]);
    assert_eq!(index.len(), 1);
    let missing = index.missing_scripts();
    assert!(missing.contains(&"Greek") && missing.contains(&"Korean"), "{missing:?}");
    assert!(FontIndex::scan(&[]).is_empty());
}
