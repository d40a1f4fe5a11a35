//! Text in fonts that a PDF does not contain, drawn in a child.

use std::path::{Path, PathBuf};

use quire_document::{DocumentLimits, PageImage};
use quire_sandbox::{Sandbox, SandboxLimits};
use quire_tasks::WarningKind;

use crate::{bombs::Pdf, pdfium, program};

/// A page with Cyrillic letters in Arial, which it does not contain; `content` shows them as 128 to 131.
fn cyrillic(content: &str) -> tempfile::NamedTempFile {
    let mut pdf = Pdf::default();
    pdf.object("<</Type/Catalog/Pages 2 0 R>>");
    pdf.object("<</Type/Pages/Count 1/Kids[3 0 R]>>");
    pdf.object("<</Type/Page/Parent 2 0 R/MediaBox[0 0 400 100]/Contents 5 0 R/Resources<</Font<</F 4 0 R>>>>>>");
    pdf.object(
        "<</Type/Font/Subtype/TrueType/BaseFont/ArialMT/FirstChar 128/LastChar 131/Widths[900 900 900 900]\
         /FontDescriptor<</Type/FontDescriptor/FontName/ArialMT/Flags 32/StemV 80/ItalicAngle 0/Ascent 905/Descent -212\
         /CapHeight 716/FontBBox[-665 -325 2000 1006]>>/Encoding<</Type/Encoding/BaseEncoding/WinAnsiEncoding\
         /Differences[128/afii10035/afii10041/afii10022/afii10036]>>>>",
    );
    pdf.object(format!("<</Length {}>>stream\n{content}\nendstream", content.len()));
    let file = tempfile::NamedTempFile::new().expect("a file");
    std::fs::write(file.path(), pdf.file(1)).expect("written");
    file
}

fn with_fonts(folders: Vec<PathBuf>) -> Sandbox {
    let limits = SandboxLimits::default();
    Sandbox::new(program(), Some(pdfium()), DocumentLimits::default(), limits).with_fonts(folders)
}

fn dark_pixels(image: &PageImage) -> usize {
    image.pixels().chunks_exact(PageImage::CHANNELS).filter(|pixel| pixel[0] < 100).count()
}

#[tokio::test]
async fn a_child_reads_fonts_in_the_given_folder_only() {
    let file = cyrillic("BT /F 40 Tf 20 30 Td <80818283> Tj ET");
    let fixtures = Path::new(env!("CARGO_MANIFEST_DIR")).join("../document/tests/fixtures/fonts");
    // The path is the one that the child may open.
    let fixtures = fixtures.canonicalize().expect("the fixtures are there");
    let page = with_fonts(vec![fixtures]).page(file.path(), 1).await.expect("renders");
    assert_eq!(page.image.warnings(), []);
    assert!(dark_pixels(&page.image) > 10_000, "four filled squares");
    let page = with_fonts(Vec::new()).page(file.path(), 1).await.expect("renders");
    let missing = WarningKind::MissingFonts { fonts: vec!["ArialMT".to_owned()] };
    assert_eq!((page.image.warnings(), dark_pixels(&page.image)), (&[missing.clone().into()][..], 0));
    let one_by_one = cyrillic("BT /F 40 Tf 20 30 Td <80> Tj <81> Tj <82> Tj <83> Tj <80> Tj ET");
    let page = with_fonts(Vec::new()).page(one_by_one.path(), 1).await.expect("renders");
    assert_eq!(page.image.warnings(), [missing.into()]);
}
