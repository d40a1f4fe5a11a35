//! `quire read` of PDFs whose content is not on their pages, or whose fonts are missing.

use std::{fs, path::PathBuf};

use serde_json::Value;

use crate::harness::{pdf_of_objects, quire, quire_with};

fn portfolio() -> Vec<u8> {
    pdf_of_objects(&[
        "<</Type/Catalog/Pages 2 0 R/Collection<</Type/Collection>>/Names<</EmbeddedFiles<</Names[(a.pdf) 4 0 R]>>>>>>",
        "<</Type/Pages/Count 1/Kids[3 0 R]>>",
        "<</Type/Page/Parent 2 0 R/MediaBox[0 0 400 200]/Contents 6 0 R/Resources<</Font<</F 7 0 R>>>>>>",
        "<</Type/Filespec/F(a.pdf)/EF<</F 5 0 R>>>>",
        "<</Type/EmbeddedFile/Length 4>>stream\nfile\nendstream",
        "<</Length 50>>stream\nBT /F 24 Tf 30 90 Td (Open this in Acrobat) Tj ET\nendstream",
        "<</Type/Font/Subtype/Type1/BaseFont/Helvetica>>",
    ])
}

#[tokio::test(flavor = "multi_thread")]
async fn a_portfolio_is_read_with_a_warning() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let file = folder.path().join("portfolio.pdf");
    fs::write(&file, portfolio()).expect("written");
    let output = quire(["read".as_ref(), "--format".as_ref(), "json".as_ref(), file.as_os_str()]).await;
    let line = "quire: portfolio.pdf, page 1: the document is a portfolio: send its attached documents";
    assert!(output.stderr.lines().any(|printed| printed == line), "{output:#?}");
    let documents: Value = serde_json::from_str(&output.stdout).expect("JSON");
    let warnings = &documents[0]["pages"][0]["warnings"];
    assert_eq!(warnings[0]["code"], "not_on_page");
    assert_eq!(warnings[0]["content"], "attachments");
    assert!(documents[0]["text"].as_str().is_some_and(|text| text.contains("Acrobat")), "{documents:#}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_folder_of_fonts_that_is_missing_is_refused() {
    let file = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../samples/invoice.pdf");
    for (folders, reason) in [("/nowhere/fonts", "/nowhere/fonts is not a folder"), ("fonts", "must be absolute paths")]
    {
        let output = quire_with(["read".as_ref(), file.as_os_str()], |command| {
            command.env("QUIRE_FONTS", folders);
        })
        .await;
        assert!(output.code.is_some_and(|code| code != 0), "{output:#?}");
        assert!(output.stderr.contains("QUIRE_FONTS") && output.stderr.contains(reason), "{output:#?}");
    }
}
