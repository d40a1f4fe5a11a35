//! Benchmark of searchable PDFs: `cargo run --release -p quire-submit --example searchable_rate [PAGES] [FILE]`.
//!
//! Makes the searchable PDF of PAGES pages (default: 300), each with fifty lines of text, or of repeated documents of
//! FILE. Pages are rendered by child processes of this program, as on AWS. Prints the duration, the peak memory of this
//! process and of a child, and the size of the PDF.
#![expect(clippy::print_stdout, reason = "prints its result")]

use std::{
    fmt::Write as _,
    process::ExitCode,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use async_trait::async_trait;
use quire_document::{DocumentLimits, Documents};
use quire_egress::{Client, EgressPolicy};
use quire_platform::{Backend, Consumer, QueueName, send};
use quire_platform_embedded::Embedded;
use quire_routes::Config;
use quire_sandbox::{Sandbox, SandboxLimits, SandboxProgram};
use quire_submit::{AppState, ChildInspector, Health, HealthReport, SubmitSettings, ingest_all};
use quire_tasks::{
    Document, DocumentJob, DocumentMessage, DocumentState, EngineName, Line, ObjectKey, Outcome, PageText,
    SplitDocument, Task, TaskId, Tenant, UnixMillis,
};
use serde_json::Map;

const LINES: usize = 50;

static DONE: AtomicBool = AtomicBool::new(false);

#[derive(Debug)]
struct AlwaysHealthy;

#[async_trait]
impl Health for AlwaysHealthy {
    async fn health(&self) -> HealthReport {
        HealthReport { ok: true, details: Map::new() }
    }
}

fn main() -> ExitCode {
    if let Some(code) = quire_sandbox::run_if_child() {
        return code;
    }
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let pages = arguments.first().map_or(300, |pages| pages.parse().expect("a number of pages"));
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    runtime.block_on(measure(pages, arguments.get(1).map(String::as_str)));
    ExitCode::SUCCESS
}

fn pdfium() -> std::path::PathBuf {
    quire_native_libs::pdfium(&quire_native_libs::Progress::Silent).expect("pdfium")
}

async fn measure(pages: u32, file: Option<&str>) {
    let folder = tempfile::tempdir().expect("a folder");
    let embedded = Embedded::open(folder.path(), "rate").expect("open the backend");
    let backend = embedded.backend();
    let bytes = file.map_or_else(|| pdf(pages), |file| std::fs::read(file).expect("a file"));
    let task = task(&backend, &bytes, pages).await;
    let program = SandboxProgram::this().expect("this program");
    let documents = DocumentLimits::default();
    let sandbox = Sandbox::new(program, Some(pdfium()), documents, SandboxLimits::default());
    let inspector = Arc::new(ChildInspector::new(sandbox, documents));
    let egress = Client::new(EgressPolicy::default()).expect("a client");
    let (settings, routes) = (SubmitSettings::default(), Arc::new(Config::default()));
    let app = Arc::new(AppState::new(backend.clone(), inspector, egress, settings, Arc::new(AlwaysHealthy), routes));
    let message = DocumentMessage { task_id: task.id, document: 0, round: 1, job: DocumentJob::SearchablePdf };
    let queue = backend.queue(QueueName::Documents);
    send(queue.as_ref(), &task, [message]).await.expect("sent");
    let consumer = Consumer::new(queue, Duration::from_hours(1));
    let received = consumer.receive(1, Duration::from_secs(10)).await.expect("received");
    let before = resident("/proc/self/status");
    let watch = std::thread::spawn(watch);
    let begun = Instant::now();
    ingest_all(&app, received, Duration::from_hours(1)).await;
    let took = begun.elapsed();
    let key = ObjectKey::Result { task_id: task.id, round: 1, ending: "pdf" }.to_string();
    let made = backend.objects.local_file(&key).await.expect("it was made");
    let size = std::fs::metadata(made).expect("it is there").len();
    let each = took.as_secs_f64() * 1e3 / f64::from(pages);
    DONE.store(true, Ordering::Relaxed);
    let (own, child) = (resident("/proc/self/status"), watch.join().expect("it ends"));
    println!("{pages} pages in {took:.1?}, {each:.0} ms each; {:.1} s of CPU time; {} MB", spent(), size >> 20);
    println!("this process: {before} MB before, at most {own} MB; a child: at most {child} MB");
}

/// Creates a task that has ended, with text on every page.
async fn task(backend: &Backend, bytes: &[u8], pages: u32) -> Task {
    let task_id = TaskId::derive_from(&["rate"]);
    let (file, mut opened) = (tempfile::NamedTempFile::new().expect("a file"), documents());
    std::fs::write(file.path(), bytes).expect("written");
    let split: SplitDocument = opened.inspect(file.path()).expect("a document");
    let image = opened.page(file.path(), split.format, 1).expect("a page");
    let text = text(image.page_width(), image.page_height());
    let mut documents = Vec::new();
    for number in 1..=pages / split.pages {
        backend
            .objects
            .put(&ObjectKey::Document { task_id, document: number }.to_string(), bytes.to_vec().into())
            .await
            .expect("put");
        documents.push(Document::new(number, None, DocumentState::Split(split)));
    }
    let task = Task::new(task_id, Tenant::default(), UnixMillis(4_000_000_000_000), documents, None);
    backend.tasks.create(task.clone()).await.expect("created");
    let json = serde_json::to_vec(&text).expect("JSON");
    for page in task.pages() {
        backend
            .objects
            .put(&ObjectKey::PageText { page, round: 1 }.to_string(), json.clone().into())
            .await
            .expect("put");
        backend.tasks.complete_page(page, 1, Outcome::succeeded(Some(0.9))).await.expect("completed");
    }
    task
}

fn documents() -> Documents {
    Documents::new(Some(pdfium()), DocumentLimits::default())
}

fn text(width: u32, height: u32) -> PageText {
    let engine: EngineName = "rate@1".parse().expect("a name");
    let line = |index: usize| {
        let (left, right) = (100.0, width as f32 - 100.0);
        let top = height as f32 * (index as f32 + 1.0) / (LINES as f32 + 2.0);
        let polygon = Some([[left, top], [right, top], [right, top + 30.0], [left, top + 30.0]]);
        Line {
            text: format!("Line {index} 第{index}行 of a page that has many"),
            confidence: Some(0.9),
            polygon,
            ..Line::default()
        }
    };
    PageText::from_lines(engine, width, height, 0, (0..LINES).map(line).collect())
}

/// Returns a PDF of this many A4 pages, each with [`LINES`] lines.
fn pdf(pages: u32) -> Vec<u8> {
    let mut file = "%PDF-1.7\n".to_owned();
    let mut offsets = Vec::new();
    let mut object = |file: &mut String, content: &str| {
        offsets.push(file.len());
        let _ = write!(file, "{} 0 obj\n{content}\nendobj\n", offsets.len());
    };
    let kids = (0..pages).fold(String::new(), |kids, page| format!("{kids}{} 0 R ", 4 + 2 * page));
    object(&mut file, "<</Type/Catalog/Pages 2 0 R>>");
    object(&mut file, &format!("<</Type/Pages/Count {pages}/Kids[{kids}]>>"));
    object(&mut file, "<</Type/Font/Subtype/Type1/BaseFont/Helvetica>>");
    for page in 0..pages {
        let about = "/Type/Page/Parent 2 0 R/MediaBox[0 0 595 842]/Resources<</Font<</F 3 0 R>>>>";
        object(&mut file, &format!("<<{about}/Contents {} 0 R>>", 5 + 2 * page));
        let lines = (0..LINES).fold(String::new(), |lines, line| {
            format!(
                "{lines}(Line {line} of page {page}: the quick brown fox jumps over the lazy dog, and so on) Tj T* "
            )
        });
        let text = format!("BT /F 11 Tf 15 TL 50 790 Td {lines}ET");
        object(&mut file, &format!("<</Length {}>>stream\n{text}\nendstream", text.len()));
    }
    let (start, count) = (file.len(), offsets.len() + 1);
    let entries = offsets.iter().fold(String::new(), |entries, offset| format!("{entries}{offset:010} 00000 n \n"));
    let _ = write!(file, "xref\n0 {count}\n0000000000 65535 f \n{entries}");
    let _ = write!(file, "trailer\n<</Size {count}/Root 1 0 R>>\nstartxref\n{start}\n%%EOF\n");
    file.into_bytes()
}

/// Returns the CPU time in seconds of this process and of its terminated children.
fn spent() -> f64 {
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap_or_default();
    // See proc(5): after the name follow the state and, as fields 14 to 17, four times in ticks of 10 ms.
    let fields = stat.rsplit_once(')').map_or("", |(_, fields)| fields).split_whitespace();
    fields.skip(11).take(4).filter_map(|ticks| ticks.parse::<f64>().ok()).sum::<f64>() / 100.0
}

/// Samples the peak memory of the children in MB until the benchmark is done.
fn watch() -> u64 {
    let mut most = 0;
    while !DONE.load(Ordering::Relaxed) {
        for thread in std::fs::read_dir("/proc/self/task").into_iter().flatten().flatten() {
            let children = std::fs::read_to_string(thread.path().join("children")).unwrap_or_default();
            let sizes = children.split_whitespace().map(|child| resident(&format!("/proc/{child}/status")));
            most = sizes.fold(most, u64::max);
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    most
}

/// Returns the peak memory of a process in MB (`VmHWM`).
fn resident(status: &str) -> u64 {
    let status = std::fs::read_to_string(status).unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    let kilobytes = line.and_then(|line| line.split_whitespace().next()?.parse::<u64>().ok());
    kilobytes.unwrap_or(0) >> 10
}
