//! The text that pages of PDFs contain.

use quire_document::{Document, DocumentLimits, LayerLine, PageImage, TextLayer};
use quire_native_libs::Progress;

use crate::files::{file, pdf, pdf_of_objects};

/// Helvetica, which every viewer has.
const FONT: &str = "/Resources << /Font << /F1 << /Type /Font /Subtype /Type1 /BaseFont /Helvetica >> >> >>";

/// Renders the first page with its text layer.
fn rendered(bytes: &[u8]) -> PageImage {
    let library = quire_native_libs::pdfium(&Progress::Silent).expect("pdfium is available");
    let document = Document::open(file(bytes).reopen().expect("reopens"), Some(library), DocumentLimits::default());
    document.expect("a PDF").page_with_text_layer(1).expect("renders")
}

/// The layer of a page of 300 × 200 points with this content and these entries.
fn layer_of(extra: &str, content: &str) -> Option<TextLayer> {
    let extra = format!("/MediaBox [0 0 300 200] {FONT} {extra}");
    rendered(&pdf(&[(&extra, content)])).text_layer().cloned()
}

fn texts(layer: &TextLayer) -> Vec<String> {
    layer.lines.iter().map(LayerLine::text).collect()
}

#[test]
fn lines_have_words_in_their_places() {
    let content = "BT /F1 20 Tf 30 150 Td (Total due) Tj 0 -40 Td (12.50) Tj ET";
    let layer = layer_of("", content).expect("a layer");
    assert_eq!(texts(&layer), ["Total due", "12.50"]);
    assert!(!layer.has_other_content && !layer.is_incomplete);
    let image = rendered(&pdf(&[(&format!("/MediaBox [0 0 300 200] {FONT}"), content)]));
    let scale = image.width() as f32 / 300.0;
    let [[left, top], _, [_, bottom], _] = layer.lines[0].words[0].polygon;
    let [expected_left, baseline] = [30.0 * scale, 50.0 * scale];
    assert!((left - expected_left).abs() < 1.0 * scale, "{left} {expected_left}");
    assert!(top < baseline - 13.0 * scale && (bottom - baseline).abs() < scale, "{top} {bottom} {baseline}");
}

#[test]
fn the_places_follow_the_rotation_and_the_crop_box() {
    for extra in ["/Rotate 90", "/Rotate 270", "/CropBox [10 10 250 190]", "/UserUnit 2"] {
        // Text that is upright on the rotated page.
        let matrix = match extra {
            "/Rotate 90" => "0 1 -1 0 100 50",
            "/Rotate 270" => "0 -1 1 0 100 150",
            _ => "1 0 0 1 100 100",
        };
        let content = format!("BT /F1 16 Tf {matrix} Tm (HIH) Tj ET");
        let extra = format!("/MediaBox [0 0 300 200] {FONT} {extra}");
        let image = rendered(&pdf(&[(&extra, &content)]));
        let layer = image.text_layer().expect("a layer");
        assert_eq!(texts(layer), ["HIH"], "{extra}");
        let [[left, top], _, [right, bottom], _] = layer.lines[0].words[0].polygon;
        let (mut ink, mut outside) = (0, 0);
        for (at, pixel) in image.pixels().chunks_exact(3).enumerate().filter(|(_, pixel)| pixel[1] < 128) {
            let (x, y) = ((at % image.width() as usize) as f32, (at / image.width() as usize) as f32);
            let is_inside = (left - 2.0..right + 2.0).contains(&x) && (top - 2.0..bottom + 2.0).contains(&y);
            ink += 1;
            outside += usize::from(!is_inside);
            assert!(pixel.len() == 3);
        }
        assert!(ink > 100 && outside == 0, "{extra}: {outside} of {ink} pixels are outside");
    }
}

#[test]
fn cells_are_lines_of_their_own() {
    let content = "BT /F1 10 Tf 20 100 Td (Paper) Tj 100 0 Td (2) Tj 60 0 Td (9.90) Tj ET";
    assert_eq!(texts(&layer_of("", content).expect("a layer")), ["Paper", "2", "9.90"]);
}

#[test]
fn an_invisible_layer_is_not_visible_text() {
    let invisible = "BT 3 Tr /F1 20 Tf 30 150 Td (scanned) Tj ET";
    assert_eq!(layer_of("", invisible), None);
    let both = layer_of("", &format!("{invisible} BT 0 Tr /F1 20 Tf 30 50 Td (printed) Tj ET")).expect("a layer");
    assert_eq!((texts(&both), both.has_other_content), (vec!["printed".to_owned()], true));
}

#[test]
fn drawings_and_turned_text_are_other_content() {
    let text = "BT /F1 20 Tf 30 150 Td (text) Tj ET";
    let with = |more: &str| layer_of("", &format!("{text} {more}")).expect("a layer");
    assert!(!with("10 10 280 180 re S 20 20 m 200 20 l S").has_other_content, "a frame and a rule");
    assert!(with("q 50 0 0 50 10 10 cm BI /W 1 /H 1 /CS /G /BPC 8 ID x EI Q").has_other_content, "an image");
    let glyph = "0 0 m 1 2 l 3 4 l 5 6 l 7 8 l 9 9 l 4 7 l 3 2 l 1 5 l f";
    assert!(with(glyph).has_other_content, "a letter as an outline");
    let turned = with("BT /F1 20 Tf 0 1 -1 0 280 20 Tm (turned) Tj ET");
    assert_eq!((texts(&turned), turned.has_other_content), (vec!["text".to_owned()], true));
}

/// A PDF with a text in Helvetica whose glyphs have these Unicode characters.
fn with_mapping(characters: &[(char, &str)], text: &str) -> Vec<u8> {
    let mapped: Vec<String> = characters
        .iter()
        .map(|(glyph, character)| {
            let utf16: Vec<String> = character.encode_utf16().map(|unit| format!("{unit:04X}")).collect();
            format!("<{:02X}> <{}>", u32::from(*glyph), utf16.concat())
        })
        .collect();
    let map = format!(
        "/CIDInit /ProcSet findresource begin begincmap 1 begincodespacerange <00> <FF> endcodespacerange \
         {} beginbfchar {} endbfchar endcmap end",
        mapped.len(),
        mapped.join(" ")
    );
    let content = format!("BT /F1 20 Tf 30 150 Td ({text}) Tj ET");
    let objects = [
        "<< /Type /Catalog /Pages 2 0 R >>".to_owned(),
        "<< /Type /Pages /Count 1 /Kids [3 0 R] >>".to_owned(),
        "<< /Type /Page /Parent 2 0 R /MediaBox [0 0 300 200] /Contents 4 0 R \
         /Resources << /Font << /F1 5 0 R >> >> >>"
            .to_owned(),
        format!("<< /Length {} >>\nstream\n{content}\nendstream", content.len()),
        "<< /Type /Font /Subtype /Type1 /BaseFont /Helvetica /ToUnicode 6 0 R >>".to_owned(),
        format!("<< /Length {} >>\nstream\n{map}\nendstream", map.len()),
    ];
    pdf_of_objects(&objects)
}

#[test]
fn characters_without_meaning_make_a_layer_incomplete() {
    for character in ["\u{e000}", "\u{fffd}", "\u{5d0}"] {
        let page = rendered(&with_mapping(&[('a', "x"), ('b', character), ('c', "z")], "abc"));
        let layer = page.text_layer().expect("a layer");
        assert!(layer.is_incomplete, "{character:?}: {layer:?}");
    }
    let ligature = rendered(&with_mapping(&[('o', "o"), ('M', "\u{fb03}"), ('c', "c"), ('e', "e")], "oMce"));
    assert_eq!(ligature.text_layer().map(texts), Some(vec!["office".to_owned()]));
}

#[test]
fn a_word_with_two_glyphs_for_one_letter_is_doubtful() {
    let doubtful = |mapping: &[(char, &str)]| {
        let page = rendered(&with_mapping(mapping, "fo mo fo"));
        let line = page.text_layer().expect("a layer").lines[0].clone();
        line.words.iter().map(|word| word.is_doubtful).collect::<Vec<bool>>()
    };
    assert_eq!(doubtful(&[('f', "f"), ('o', "o"), ('m', "f")]), [false, true, false]);
    assert_eq!(doubtful(&[('f', "f"), ('o', "o"), ('m', "m")]), [false; 3]);
}
