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

/// Returns the processor time of this process and of its children that have ended, in seconds.
#[cfg(target_os = "linux")]
fn cpu_seconds() -> f64 {
    let stat = std::fs::read_to_string("/proc/self/stat").expect("/proc");
    let (_, fields) = stat.rsplit_once(')').expect("a name");
    let fields: Vec<&str> = fields.split_whitespace().collect();
    let ticks: f64 = (11..15).map(|field| fields[field].parse::<f64>().expect("a number")).sum();
    // USER_HZ is 100 on all platforms.
    ticks / 100.0
}

/// Prints the processor time per page with and without a child, for pages of one document and for one-page documents.
#[cfg(target_os = "linux")]
#[tokio::test]
#[ignore = "a measurement"]
async fn measure_ordinary_documents() {
    const DOCUMENTS: u32 = 40;
    let (sandbox, invoice) = (sandbox(SandboxLimits::default()), sample("invoice.pdf"));
    let mut here = Documents::new(Some(pdfium()), DocumentLimits::default());
    here.page(&invoice, DocumentFormat::Pdf, 1).expect("the page is rendered");
    let folder = tempfile::tempdir().expect("a folder");
    for is_same in [true, false] {
        let files: Vec<_> = (0..DOCUMENTS)
            .map(|number| {
                let file = folder.path().join(format!("{is_same}{}.pdf", if is_same { 0 } else { number }));
                std::fs::copy(&invoice, &file).expect("copied");
                file
            })
            .collect();
        let before = cpu_seconds();
        for file in &files {
            here.page(file, DocumentFormat::Pdf, 1).expect("the page is rendered");
        }
        let direct = cpu_seconds() - before;
        let before = cpu_seconds();
        for file in &files {
            sandbox.page(file, 1).await.expect("the page is rendered");
        }
        // Children count when they have ended, and been waited for.
        tokio::time::sleep(std::time::Duration::from_secs(8)).await;
        let in_child = cpu_seconds() - before;
        let each = |seconds: f64| seconds * 1e3 / f64::from(DOCUMENTS);
        eprintln!(
            "one document: {is_same}; CPU time per page: {:.1} ms here, {:.1} ms in a child",
            each(direct),
            each(in_child)
        );
    }
}
