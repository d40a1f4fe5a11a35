//! Warnings about content that is not on a PDF's pages.

use quire_tasks::{DocumentFormat, HiddenContent, Warning, WarningKind};

use crate::files::{page, pdf_of_objects};

/// The warnings of a PDF with one page, with these entries in its catalog, and further objects from 4.
fn warnings(catalog: &str, objects: &[&str]) -> Vec<Warning> {
    let mut all = vec![
        format!("<< /Type /Catalog /Pages 2 0 R {catalog} >>"),
        "<< /Type /Pages /Count 1 /Kids [3 0 R] >>".to_owned(),
        "<< /Type /Page /Parent 2 0 R /MediaBox [0 0 180 360] >>".to_owned(),
    ];
    all.extend(objects.iter().map(|object| (*object).to_owned()));
    page(&pdf_of_objects(&all), DocumentFormat::Pdf, 1).expect("renders").warnings().to_vec()
}

const ATTACHMENT: [&str; 2] = [
    "<< /Type /Filespec /F (data.xml) /EF << /F 5 0 R >> >>",
    "<< /Type /EmbeddedFile /Length 4 >>\nstream\n<a/>\nendstream",
];
const EMBEDDED_FILES: &str = "/Names << /EmbeddedFiles << /Names [(data.xml) 4 0 R] >> >>";

#[test]
fn a_portfolio_has_its_content_in_its_attachments() {
    let catalog = format!("/Collection << /Type /Collection /View /D >> {EMBEDDED_FILES}");
    let expected = WarningKind::NotOnPage { content: HiddenContent::Attachments };
    assert_eq!(warnings(&catalog, &ATTACHMENT), [expected.into()]);
}

#[test]
fn an_invoice_with_attached_data_has_its_content_on_its_pages() {
    assert_eq!(warnings(EMBEDDED_FILES, &ATTACHMENT), []);
    assert_eq!(warnings("/Collection << /Type /Collection >>", &[]), [], "nothing is attached");
}

#[test]
fn only_a_dynamic_form_has_its_content_in_xml() {
    let form = "/AcroForm << /Fields [] /XFA 4 0 R >>";
    let xml = "<< /Length 7 >>\nstream\n<xdp />\nendstream";
    let expected = WarningKind::NotOnPage { content: HiddenContent::DynamicForm };
    assert_eq!(warnings(&format!("/NeedsRendering true {form}"), &[xml]), [expected.into()]);
    assert_eq!(warnings(form, &[xml]), [], "a static form is drawn on the page, too");
    assert_eq!(warnings("/AcroForm << /Fields [] >>", &[]), []);
}
