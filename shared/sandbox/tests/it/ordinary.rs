use quire_document::{DocumentLimits, Documents};
use quire_sandbox::{SandboxError, SandboxLimits};
use quire_tasks::{DocumentFormat, FailureCode, SplitDocument};

use crate::{bombs::Pdf, pdfium, sample, sandbox};

#[tokio::test]
async fn a_page_has_the_same_pixels_as_without_a_child() {
    let sandbox = sandbox(SandboxLimits::default());
    let mut here = Documents::new(Some(pdfium()), DocumentLimits::default());
    for (name, format, pages) in [
        ("invoice.pdf", DocumentFormat::Pdf, 2),
        ("letter.jpg", DocumentFormat::Jpeg, 1),
        ("receipt.png", DocumentFormat::Png, 1),
        ("scan.tiff", DocumentFormat::Tiff, 2),
    ] {
        let file = sample(name);
        assert_eq!(sandbox.inspect(&file).await, Ok(SplitDocument { format, pages }), "{name}");
        for page in 1..=pages {
            let rendered = sandbox.page(&file, page).await.expect("the page is rendered");
            assert!(rendered.image == here.page(&file, format, page).expect("the page is rendered"), "{name} {page}");
            assert_eq!(Ok(rendered.dpi), here.dpi(&file, format, page));
        }
    }
}

#[tokio::test]
async fn every_decoder_of_images_works_without_rights() {
    let sandbox = sandbox(SandboxLimits::default());
    let mut here = Documents::new(None, DocumentLimits::default());
    let images = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../document/tests/fixtures/images");
    for (name, format) in [
        ("red.gif", DocumentFormat::Gif),
        ("red.jp2", DocumentFormat::Jpeg2000),
        ("red.jxl", DocumentFormat::JpegXl),
        ("zstd.tif", DocumentFormat::Tiff),
        ("lzma.tif", DocumentFormat::Tiff),
        ("g3-2d-fill.tif", DocumentFormat::Tiff),
        ("old-jpeg-tables.tif", DocumentFormat::Tiff),
        ("lossy.webp", DocumentFormat::Webp),
    ] {
        let file = images.join(name);
        assert_eq!(sandbox.inspect(&file).await, Ok(SplitDocument { format, pages: 1 }), "{name}");
        let decoded = sandbox.page(&file, 1).await.expect(name);
        assert!(decoded.image == here.page(&file, format, 1).expect(name), "{name}");
    }
}

#[tokio::test]
async fn a_bad_document_fails_with_its_own_code_and_harms_no_other() {
    let sandbox = sandbox(SandboxLimits::default());
    let folder = tempfile::tempdir().expect("a folder");
    for (bytes, expected) in [
        (&b""[..], FailureCode::EmptyDocument),
        (b"plain text", FailureCode::UnsupportedFormat),
        (b"%PDF-1.7 and no more", FailureCode::UnreadableDocument),
    ] {
        let file = folder.path().join("document");
        std::fs::write(&file, bytes).expect("written");
        let Err(SandboxError::Document(failure)) = sandbox.inspect(&file).await else { panic!("{expected:?}") };
        assert_eq!(failure.code, expected);
    }
    let invoice = sample("invoice.pdf");
    let Err(SandboxError::Document(failure)) = sandbox.page(&invoice, 3).await else { panic!("there is no page 3") };
    assert_eq!(failure.code, FailureCode::UnreadablePage);
    assert!(sandbox.page(&invoice, 2).await.is_ok());
}

#[tokio::test]
async fn a_replaced_file_is_another_document() {
    let sandbox = sandbox(SandboxLimits::default());
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("document.pdf");
    for width in [400, 500] {
        let mut pdf = Pdf::default();
        pdf.object(format!("<</Type/Page/Parent 2 0 R/MediaBox[0 0 {width} 72]>>"));
        pdf.object("<</Type/Pages/Count 1/Kids[1 0 R]>>");
        let root = pdf.object("<</Type/Catalog/Pages 2 0 R>>");
        let next = folder.path().join("next");
        std::fs::write(&next, pdf.file(root)).expect("written");
        std::fs::rename(&next, &file).expect("replaced");
        let rendered = sandbox.page(&file, 1).await.expect("the page is rendered");
        assert_eq!(rendered.image.height(), 200);
        assert_eq!(rendered.image.width(), (f64::from(width) / 0.36).round() as u32);
    }
}

#[tokio::test]
async fn a_missing_file_or_program_is_not_the_documents_fault() {
    let sandbox = sandbox(SandboxLimits::default());
    let missing = sandbox.page("/nowhere".as_ref(), 1).await;
    assert!(matches!(missing, Err(SandboxError::Infrastructure { .. })), "{missing:?}");
    let program = quire_sandbox::SandboxProgram::at("/nowhere".into());
    let limits = SandboxLimits::default();
    let without_program = quire_sandbox::Sandbox::new(program, None, DocumentLimits::default(), limits);
    let missing = without_program.inspect(&sample("invoice.pdf")).await;
    assert!(matches!(missing, Err(SandboxError::Infrastructure { .. })), "{missing:?}");
}
