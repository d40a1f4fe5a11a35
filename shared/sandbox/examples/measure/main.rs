//! Measures the sandbox: what becomes of hostile documents and of mutated ones, and what a child costs ordinary ones.
//!
//! ```text
//! cargo run --release -p quire-sandbox --example measure -- hostile FOLDER    # writes them to FOLDER
//! cargo run --release -p quire-sandbox --example measure -- fuzz 10000
//! cargo run --release -p quire-sandbox --example measure -- cost
//! ```

#![expect(clippy::print_stdout, reason = "the measurements are its output")]

#[path = "../../tests/it/bombs.rs"]
mod bombs;
mod mutations;

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
    process::ExitCode,
    time::{Duration, Instant},
};

use quire_document::{DocumentLimits, Documents};
use quire_native_libs::Progress;
use quire_sandbox::{Sandbox, SandboxError, SandboxLimits, SandboxProgram, run_if_child};
use quire_tasks::DocumentFormat;

use crate::mutations::{Random, mutate, seeds};

const USAGE: &str = "usage: measure hostile FOLDER | fuzz NUMBER | cost";

fn main() -> ExitCode {
    if let Some(code) = run_if_child() {
        return code;
    }
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    match arguments[..] {
        ["hostile", folder] => runtime.block_on(measure_hostile_documents(folder.as_ref())),
        ["fuzz", inputs] => runtime.block_on(fuzz(inputs.parse().expect(USAGE))),
        ["cost"] => runtime.block_on(measure_ordinary_documents()),
        _ => {
            eprintln!("{USAGE}");
            return ExitCode::from(2);
        }
    }
    ExitCode::SUCCESS
}

fn sandbox(limits: SandboxLimits) -> Sandbox {
    let program = SandboxProgram::this().expect("this program has a path");
    Sandbox::new(program, Some(pdfium()), DocumentLimits::default(), limits)
}

fn pdfium() -> PathBuf {
    quire_native_libs::pdfium(&Progress::Silent).expect("pdfium")
}

fn invoice() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../samples/invoice.pdf")
}

/// Counts the pages of a document, and renders the first one.
async fn read(sandbox: &Sandbox, file: &Path) -> Result<(), SandboxError> {
    sandbox.inspect(file).await?;
    sandbox.page(file, 1).await.map(drop)
}

/// Returns the failure's code, whether it was a crash, and the message.
fn outcome(result: Result<(), SandboxError>) -> (String, String) {
    match result {
        Ok(()) => ("rendered".to_owned(), String::new()),
        Err(SandboxError::Document(failure)) if failure.message.contains("crashed") => {
            (format!("{} (crashed)", failure.code.as_str()), failure.message)
        }
        Err(SandboxError::Document(failure)) => (failure.code.as_str().to_owned(), failure.message),
        Err(SandboxError::Infrastructure { reason, .. }) => ("infrastructure".to_owned(), reason),
    }
}

async fn measure_hostile_documents(folder: &Path) {
    fs::create_dir_all(folder).expect("the folder is created");
    let sandbox = sandbox(SandboxLimits::default());
    for (name, bytes) in bombs::too_complex().into_iter().chain(bombs::contained()) {
        let file = folder.join(format!("{}.pdf", name.replace(' ', "-")));
        fs::write(&file, &bytes).expect("written");
        let started = Instant::now();
        let (code, message) = outcome(read(&sandbox, &file).await);
        println!("{name:<24} {:>8} B  {code:<20} {:4.1} s  {message}", bytes.len(), started.elapsed().as_secs_f64());
    }
}

async fn fuzz(inputs: u32) {
    let folder = tempfile::tempdir().expect("a folder");
    let (sandbox, seeds) = (sandbox(SandboxLimits::default()), seeds());
    let mut random = Random(0x2545_f491_4f6c_dd1d);
    let mut outcomes = BTreeMap::new();
    let mut slowest = Duration::ZERO;
    let started = Instant::now();
    for number in 0..inputs {
        let file = folder.path().join(format!("{number}.pdf"));
        let seed = random.below(seeds.len());
        fs::write(&file, mutate(&mut random, &seeds[seed])).expect("written");
        let began = Instant::now();
        *outcomes.entry(outcome(read(&sandbox, &file).await).0).or_insert(0_u32) += 1;
        slowest = slowest.max(began.elapsed());
        fs::remove_file(&file).expect("removed");
    }
    println!("{inputs} inputs in {:.0?}, the slowest in {slowest:.1?}; {outcomes:#?}", started.elapsed());
    sandbox.page(&invoice(), 1).await.expect("the sandbox still works");
}

/// Returns the processor time of this process and of its children that have ended, in seconds.
fn cpu_seconds() -> f64 {
    let stat = std::fs::read_to_string("/proc/self/stat").expect("/proc");
    let (_, fields) = stat.rsplit_once(')').expect("a name");
    let fields: Vec<&str> = fields.split_whitespace().collect();
    let ticks: f64 = (11..15).map(|field| fields[field].parse::<f64>().expect("a number")).sum();
    // USER_HZ is 100 on all platforms.
    ticks / 100.0
}

/// Prints the processor time per page with and without a child, for pages of one document and for one-page documents.
async fn measure_ordinary_documents() {
    const DOCUMENTS: u32 = 40;
    let sandbox = sandbox(SandboxLimits::default());
    let mut here = Documents::new(Some(pdfium()), DocumentLimits::default());
    here.page(&invoice(), DocumentFormat::Pdf, 1).expect("the page is rendered");
    let folder = tempfile::tempdir().expect("a folder");
    for is_same in [true, false] {
        let files =
            (0..DOCUMENTS).map(|number| folder.path().join(format!("{}.pdf", if is_same { 0 } else { number })));
        let files: Vec<_> = files.collect();
        for file in &files {
            fs::copy(invoice(), file).expect("copied");
        }
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
        tokio::time::sleep(Duration::from_secs(8)).await;
        let in_child = cpu_seconds() - before;
        let name = if is_same { "pages of one document" } else { "one-page documents" };
        let [direct, in_child] = [direct, in_child].map(|seconds| seconds * 1e3 / f64::from(DOCUMENTS));
        println!("{name}: CPU time per page: {direct:.1} ms here, {in_child:.1} ms in a child");
    }
}
