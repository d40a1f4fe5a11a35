//! `GET /task/{task_id}/result?format=pdf`, with real pages that the functions' own program renders.

use std::{
    fmt::Write as _,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    sync::OnceLock,
    time::Duration,
};

use pdfium_render::prelude::Pdfium;
use quire_document::PageImage;
use quire_platform::QueueName;
use quire_sandbox::SandboxLimits;
use quire_tasks::{
    Document, DocumentFormat, DocumentJob, DocumentMessage, DocumentState, Failure, FailureCode, PageText, Polygon,
    RedactPolicy, Redaction, SplitDocument, Task, TaskId, Tenant, UnixMillis,
};
use serde_json::json;

use crate::support::{PdfWorld, documents, inspector, inspector_with, now, page, rectangle, samples_folder};

/// The mean difference of pages that look the same: only rounding.
pub(crate) const SAME: f64 = 1e-9;

fn redacted(page: PageText, polygons: &[Option<Polygon>]) -> PageText {
    let redaction = |polygon: &Option<Polygon>| {
        let (kind, line, field, polygon) = ("email".to_owned(), Some(0), None, *polygon);
        Redaction { kind, line, field, start: 0, end: 7, polygon }
    };
    PageText { redactions: Some(polygons.iter().map(redaction).collect()), ..page }
}

/// Renders the pages of a PDF.
pub(crate) fn seen(pdf: &[u8]) -> Vec<PageImage> {
    let (mut documents, folder) = (documents(), tempfile::tempdir().expect("a folder"));
    let file = folder.path().join("seen.pdf");
    std::fs::write(&file, pdf).expect("written");
    let pages = documents.inspect(&file).expect("a PDF").pages;
    (1..=pages).map(|page| documents.page(&file, DocumentFormat::Pdf, page).expect("a page")).collect()
}

fn invoice() -> Vec<PageImage> {
    seen(&std::fs::read(samples_folder().join("invoice.pdf")).expect("the sample is there"))
}

/// Returns the text of the pages of a PDF.
pub(crate) fn text(pdf: &[u8]) -> Vec<String> {
    static PDFIUM: OnceLock<Pdfium> = OnceLock::new();
    drop(documents());
    let pdf = PDFIUM.get_or_init(Pdfium::default).load_pdf_from_byte_vec(pdf.to_vec(), None).expect("a PDF");
    let pages = pdf.pages();
    let all = pages.iter().map(|page| {
        let text = page.text().expect("text");
        let all: String = text.chars().iter().filter_map(|character| character.unicode_string()).collect();
        all.lines().map(str::trim_end).collect::<Vec<_>>().join("\n")
    });
    all.collect()
}

/// Returns the text that the invoice has without a text layer of ours.
fn own_text() -> Vec<String> {
    text(&std::fs::read(samples_folder().join("invoice.pdf")).expect("the sample is there"))
}

/// Returns the darkest and the lightest value within a part of a page.
fn extremes(page: &PageImage, part: &Polygon) -> (u8, u8) {
    let ([left, top], [right, bottom]) = (part[0], part[2]);
    let width = page.width() as usize;
    let rows = (top as usize)..(bottom as usize);
    let values = rows.flat_map(|y| &page.pixels()[(y * width + left as usize) * 3..(y * width + right as usize) * 3]);
    values.fold((255, 0), |(low, high), value| (low.min(*value), high.max(*value)))
}

fn is_black(page: &PageImage) -> bool {
    extremes(page, &rectangle(0.0, 0.0, page.width() as f32, page.height() as f32)).1 < 40
}

pub(crate) fn difference(one: &PageImage, other: &PageImage) -> f64 {
    assert_eq!((one.width(), one.height()), (other.width(), other.height()));
    let pixels = one.pixels().iter().zip(other.pixels());
    pixels.map(|(a, b)| f64::from(a.abs_diff(*b))).sum::<f64>() / one.pixels().len() as f64
}

fn mean(page: &PageImage) -> f64 {
    page.pixels().iter().map(|value| f64::from(*value)).sum::<f64>() / page.pixels().len() as f64
}

/// Returns a part of the invoice's first page that is not blank.
fn inked() -> Polygon {
    let page = invoice().remove(0);
    let strips = (0..40_u16).map(|strip| f32::from(strip).mul_add(50.0, 100.0));
    let mut parts = strips.map(|top| rectangle(100.0, top, 1500.0, top + 50.0));
    parts.find(|part| extremes(&page, part).0 < 100).expect("there is something on the page")
}

#[tokio::test]
async fn a_pdf_has_the_page_images_and_their_text_and_is_made_once() {
    let mut pdf_world = PdfWorld::new().await;
    pdf_world.start_worker();
    let first = page(&[
        ("Invoice 发票 No. 7", rectangle(100.0, 100.0, 600.0, 150.0)),
        ("Total 1,234.50", rectangle(100.0, 200.0, 500.0, 250.0)),
    ]);
    let task = pdf_world.task(None, [Some(first), None]).await;
    let pdf = pdf_world.pdf(&task).await;
    let own = own_text();
    let with_text = format!("{}\nInvoice 发票 No. 7\nTotal 1,234.50", own[0]);
    assert_eq!(text(&pdf), [with_text, own[1].clone()]);
    for (made, sent) in seen(&pdf).iter().zip(&invoice()) {
        assert!(difference(made, sent) < SAME, "it looks the same");
    }
    assert_eq!(pdf_world.results(&task).await, ["1.pdf", "1.pdf.json"]);
    pdf_world.world.reaches(QueueName::Documents, 0).await;
    assert_eq!(pdf_world.pdf(&task).await, pdf, "as often as one likes");
    assert_eq!(pdf_world.world.depth(QueueName::Documents).await, 0, "and it is not made again");
    assert_eq!(pdf_world.world.spooled(), 0);
}

#[tokio::test]
async fn documents_of_all_formats_are_in_the_order_sent() {
    let mut pdf_world = PdfWorld::new().await;
    pdf_world.start_worker();
    // A photo that is upside down according to its EXIF data, a scan of two pages, and a PDF.
    let samples = [
        ("letter.jpg", DocumentFormat::Jpeg, 1),
        ("scan.tiff", DocumentFormat::Tiff, 2),
        ("invoice.pdf", DocumentFormat::Pdf, 2),
    ];
    let task = pdf_world.task_of(&samples, None, vec![None; 5]).await;
    let pages = seen(&pdf_world.pdf(&task).await);
    let (mut documents, mut sent) = (documents(), Vec::new());
    for (name, format, pages) in samples {
        let file = samples_folder().join(name);
        sent.extend((1..=pages).map(|page| documents.page(&file, format, page).expect("a page")));
    }
    assert_eq!(pages.len(), sent.len());
    for (number, (made, sent)) in (1..).zip(pages.iter().zip(&sent)) {
        let (made_ratio, ratio) =
            (f64::from(made.width()) / f64::from(made.height()), f64::from(sent.width()) / f64::from(sent.height()));
        assert!((made_ratio / ratio - 1.0).abs() < 0.01, "page {number}: {made:?} for {sent:?}");
        let gap = (mean(made) - mean(sent)).abs();
        assert!(gap < 3.0, "page {number}: {gap} of 255");
    }
}

#[tokio::test]
async fn without_a_wait_202_is_returned_and_the_pdf_is_requested_once() {
    let pdf_world = PdfWorld::new().await;
    let task = pdf_world.task(None, [None, None]).await;
    for _ in 0..3 {
        let answer = pdf_world.get(&task, "format=pdf&wait=0").await;
        assert_eq!((answer.status, answer.header("retry-after")), (202, Some("2")));
        let url = format!("{}/task/{}/result?format=pdf", pdf_world.base, task.id);
        assert_eq!(answer.json(), json!({"task_id": task.id, "status": "preparing", "result_url": url}));
    }
    assert_eq!(pdf_world.world.depth(QueueName::Documents).await, 1);
    let wrong = pdf_world.get(&task, "format=pdf&wait=soon").await.problem(422, "invalid_field");
    assert_eq!(wrong["pointer"], "#/wait");
}

#[tokio::test]
async fn redacted_parts_and_unredacted_pages_are_black() {
    let mut pdf_world = PdfWorld::new().await;
    pdf_world.start_worker();
    let (policy, ink) = (Some(RedactPolicy::default()), inked());
    let known = || page(&[("[email]", ink), ("Total", rectangle(100.0, 2200.0, 300.0, 2250.0))]);
    let task = pdf_world.task(policy.clone(), [Some(redacted(known(), &[Some(ink)])), None]).await;
    let pdf = pdf_world.pdf(&task).await;
    assert_eq!(text(&pdf), ["[email]\nTotal", ""]);
    let (pages, sent) = (seen(&pdf), invoice());
    assert!(extremes(&pages[0], &ink).1 < 40, "{:?}", extremes(&pages[0], &ink));
    assert!(difference(&pages[0], &sent[0]) < 60.0, "the rest of it is to be seen");
    assert!(is_black(&pages[1]));

    let (nowhere, unsearched) = (redacted(known(), &[Some(ink), None]), known());
    let task = pdf_world.task(policy, [Some(nowhere), Some(unsearched)]).await;
    assert!(seen(&pdf_world.pdf(&task).await).iter().all(is_black), "fails closed");
}

#[tokio::test]
async fn a_text_of_another_page_size_is_omitted() {
    let mut pdf_world = PdfWorld::new().await;
    pdf_world.start_worker();
    let other = || PageText { width: 100, ..page(&[("Elsewhere", rectangle(10.0, 10.0, 90.0, 30.0))]) };
    let plain = pdf_world.pdf(&pdf_world.task(None, [Some(other()), Some(page(&[]))]).await).await;
    assert_eq!(text(&plain), own_text());
    assert!(!is_black(&seen(&plain)[0]));
    let covered = pdf_world.task(Some(RedactPolicy::default()), [Some(redacted(other(), &[])), None]).await;
    assert!(is_black(&seen(&pdf_world.pdf(&covered).await)[0]));
}

/// Returns a program that runs this script before the child's own program.
fn instead(bootstrap: &Path, does: &str) -> PathBuf {
    let program = bootstrap.with_file_name("instead");
    let folder = bootstrap.parent().expect("a folder").display();
    let script = format!("#!/bin/sh\ncd '{folder}'\n{does}\nexec ./bootstrap \"$@\"\n");
    std::fs::write(&program, script).expect("a script");
    std::fs::set_permissions(&program, PermissionsExt::from_mode(0o755)).expect("its permissions");
    program
}

#[tokio::test]
async fn a_renderer_that_is_killed_from_outside_is_replaced() {
    let killed_once = |bootstrap: PathBuf| inspector(instead(&bootstrap, "mkdir met 2>&- && kill -9 $$"));
    let mut pdf_world = PdfWorld::with(|_| {}, killed_once).await;
    pdf_world.start_worker();
    let pdf = pdf_world.pdf(&pdf_world.task(None, [None, None]).await).await;
    assert!(pdf_world.program.path().join("met").exists());
    let (made, sent) = (seen(&pdf), invoice());
    for (page, sent) in made.iter().zip(&sent) {
        assert!(difference(page, sent) < SAME);
    }
}

/// Returns a PDF of two pages: the first one draws 10⁸ rectangles by forms within forms, the second one draws one.
fn bomb_and_page() -> Vec<u8> {
    let form = |resources: &str, content: &str| {
        let entries = format!("/Type/XObject/Subtype/Form/BBox[0 0 595 842]{resources}/Length {}", content.len());
        format!("<<{entries}>>stream\n{content}\nendstream")
    };
    let of_page = |form: u32| {
        let resources = format!("/Resources<</XObject<</F {form} 0 R>>>>");
        // The size of the texts in these tests.
        format!("<</Type/Page/Parent 2 0 R/MediaBox[0 0 595.28 841.89]{resources}/Contents 5 0 R>>")
    };
    let mut objects = vec![
        "<</Type/Catalog/Pages 2 0 R>>".to_owned(),
        "<</Type/Pages/Count 2/Kids[3 0 R 4 0 R]>>".to_owned(),
        of_page(14),
        of_page(6),
        "<</Length 5>>stream\n/F Do\nendstream".to_owned(),
        form("", "10 10 100 100 re f"),
    ];
    for inner in 6..14 {
        objects.push(form(&format!("/Resources<</XObject<</F {inner} 0 R>>>>"), &"/F Do ".repeat(10)));
    }
    let mut file = "%PDF-1.7\n".to_owned();
    for (number, object) in (1..).zip(objects) {
        let _ = write!(file, "{number} 0 obj\n{object}\nendobj\n");
    }
    // Without a cross-reference table, which readers rebuild.
    file += "trailer\n<</Root 1 0 R>>\n%%EOF\n";
    file.into_bytes()
}

#[tokio::test]
async fn a_page_that_exceeds_a_limit_is_blank() {
    let limits = SandboxLimits { page: Duration::from_secs(1), memory: 128 << 20, ..SandboxLimits::default() };
    let mut pdf_world = PdfWorld::with(|_| {}, |bootstrap| inspector_with(bootstrap, limits)).await;
    pdf_world.start_worker();
    let file = pdf_world.program.path().join("bomb.pdf");
    std::fs::write(&file, bomb_and_page()).expect("written");
    let lines = [("Text", rectangle(100.0, 100.0, 300.0, 150.0))];
    let name = file.to_str().expect("UTF-8");
    let texts = vec![Some(page(&lines)), Some(page(&lines))];
    let task = pdf_world.task_of(&[(name, DocumentFormat::Pdf, 2)], None, texts).await;
    let pdf = pdf_world.pdf(&task).await;
    assert_eq!(text(&pdf), ["Text", "Text"]);
    let made = seen(&pdf);
    let whole = rectangle(0.0, 0.0, 1600.0, 2300.0);
    assert_eq!(extremes(&made[0], &whole), (255, 255), "an empty page");
    assert!(extremes(&made[1], &whole).0 < 40, "the second page is there");
}

#[tokio::test]
async fn a_failed_pdf_returns_its_reason_and_is_not_retried_by_every_call() {
    let missing_program = |bootstrap: PathBuf| inspector(bootstrap.with_file_name("missing"));
    let mut pdf_world = PdfWorld::with(|_| {}, missing_program).await;
    pdf_world.start_worker();
    let task = pdf_world.task(None, [None, None]).await;
    for _ in 0..2 {
        let problem = pdf_world.get(&task, "format=pdf&wait=60").await.problem(409, "result_failed");
        assert_eq!(problem["detail"], "The result could not be made: The pages could not be rendered.");
        assert_eq!((&problem["retryable"], &problem["task_id"]), (&json!(true), &json!(task.id)));
    }
    pdf_world.world.reaches(QueueName::Documents, 0).await;
    assert_eq!(pdf_world.world.depth(QueueName::DeadDocuments).await, 0);
}

#[tokio::test]
async fn a_pdf_that_would_be_too_large_is_refused() {
    let mut pdf_world = PdfWorld::with(|settings| settings.max_result_pages = 1, inspector).await;
    pdf_world.start_worker();
    let task = pdf_world.task(None, [None, None]).await;
    let problem = pdf_world.get(&task, "format=pdf").await.problem(422, "result_too_large");
    assert_eq!((&problem["pointer"], &problem["retryable"]), (&json!("#/format"), &json!(false)));
    assert_eq!(pdf_world.results(&task).await, [""; 0], "the PDF was not requested");

    let mut pdf_world = PdfWorld::with(|settings| settings.max_result_bytes = 1000, inspector).await;
    pdf_world.start_worker();
    let task = pdf_world.task(None, [None, None]).await;
    pdf_world.get(&task, "format=pdf&wait=60").await.problem(422, "result_too_large");
}

#[tokio::test]
async fn a_task_without_a_single_page_has_no_pdf() {
    let pdf_world = PdfWorld::new().await;
    let failed = DocumentState::Failed(Failure::new(FailureCode::EncryptedDocument, "It asks for a password."));
    let documents = vec![Document::new(1, None, failed)];
    let task = Task::new(TaskId::derive_from(&["locked"]), Tenant::default(), now(), documents, None);
    pdf_world.world.backend.tasks.create(task.clone()).await.expect("created");
    let problem = pdf_world.get(&task, "format=pdf").await.problem(409, "result_failed");
    assert_eq!(problem["retryable"], json!(false));
}

#[tokio::test]
async fn a_timeout_or_too_many_attempts_fail_the_pdf() {
    let slow = |bootstrap: PathBuf| inspector(instead(&bootstrap, "exec sleep 600"));
    let pdf_world = PdfWorld::with(|settings| settings.result_limit = Duration::from_millis(300), slow).await;
    for (attempt, expected) in [(1, "not made within"), (4, "attempt to make the PDF crashed")] {
        let task = pdf_world.task(None, [None, None]).await;
        assert_eq!(pdf_world.get(&task, "format=pdf&wait=0").await.status, 202);
        pdf_world.attempt(attempt).await;
        let problem = pdf_world.get(&task, "format=pdf&wait=0").await.problem(409, "result_failed");
        assert!(problem["detail"].as_str().is_some_and(|detail| detail.contains(expected)), "{problem}");
        assert_eq!(pdf_world.world.depth(QueueName::Documents).await, 0);
        let task = pdf_world.world.backend.tasks.task(task.id).await.expect("it is there");
        assert_eq!(
            task.documents[0].state,
            DocumentState::Split(SplitDocument { format: DocumentFormat::Pdf, pages: 2 })
        );
    }
    assert_eq!(pdf_world.world.spooled(), 0);
}

#[tokio::test]
async fn a_deleted_task_leaves_no_pdf() {
    let pdf_world = PdfWorld::new().await;
    let task = pdf_world.task(None, [None, None]).await;
    assert_eq!(pdf_world.get(&task, "format=pdf&wait=0").await.status, 202);
    pdf_world.world.backend.tasks.expire(task.id, UnixMillis(1)).await.expect("expired");
    pdf_world.attempt(1).await;
    assert_eq!(pdf_world.results(&task).await, [""; 0]);
    pdf_world.get(&task, "format=pdf").await.problem(404, "task_not_found");
}

#[tokio::test]
async fn a_large_result_is_redirected_to_its_download_url() {
    let mut pdf_world = PdfWorld::with(|settings| settings.inline_result_bytes = 100, inspector).await;
    pdf_world.start_worker();
    let task = pdf_world.task(None, [Some(page(&[("Text", rectangle(100.0, 100.0, 300.0, 150.0))])), None]).await;
    let whole = pdf_world.get(&task, "format=json").await;
    assert_eq!(whole.json()[0]["pages"][0]["lines"][0]["text"], "Text", "through a file, and as it is");
    assert_eq!(whole.header("content-length"), Some(whole.text.len().to_string().as_str()));
    assert_eq!(pdf_world.results(&task).await, [""; 0]);

    pdf_world.world.faults.take_uploads();
    for (format, ending) in [("json", "json"), ("json", "json"), ("hocr", "hocr"), ("pdf", "pdf")] {
        let answer = pdf_world.get(&task, &format!("format={format}&wait=60")).await;
        assert_eq!(answer.status, 303, "{format}: {}", answer.text);
        let name = format!("name={}.{ending}", task.id);
        let location = answer.header("location").expect("an address").to_owned();
        assert!(location.contains(&name) && location.starts_with("https://store.example/results/"), "{location}");
        let body = answer.json();
        assert_eq!(body["result_url"], location);
        assert!(body["expires_at"].as_str().is_some_and(|at| at.ends_with('Z')), "{body}");
        assert_eq!(answer.header("cache-control"), Some("no-store"));
    }
    assert_eq!(pdf_world.results(&task).await, ["1.hocr", "1.json", "1.pdf", "1.pdf.json"]);
    let stored = pdf_world.world.backend.objects.read(&format!("results/{}/1.json", task.id)).await.expect("stored");
    assert_eq!(stored, whole.text);
    let short = pdf_world.get(&task, "format=text").await;
    assert_eq!((short.status, short.text.as_str()), (200, "Text\n\u{C}\u{C}"), "a short one is answered at once");
}

#[tokio::test]
async fn a_message_of_another_round_makes_nothing() {
    let pdf_world = PdfWorld::new().await;
    let task = pdf_world.task(None, [None, None]).await;
    let message = DocumentMessage { task_id: task.id, document: 0, round: 2, job: DocumentJob::SearchablePdf };
    let queue = pdf_world.world.backend.queue(QueueName::Documents);
    quire_platform::send(queue.as_ref(), &task, [message]).await.expect("sent");
    pdf_world.attempt(1).await;
    assert_eq!(pdf_world.results(&task).await, [""; 0]);
    assert_eq!(pdf_world.world.depth(QueueName::Documents).await, 0);
}
