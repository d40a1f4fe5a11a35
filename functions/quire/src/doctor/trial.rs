//! Reads a test page with the real models.

use std::{
    fmt::Write as _,
    io::Write as _,
    process::{Command, ExitCode, Stdio},
    time::Instant,
};

use anyhow::Context;
use quire_native_libs::Progress;
use quire_pp_ocr::Provider;
use quire_routes::PpOcrEntry;
use serde::{Deserialize, Serialize};

use crate::{
    EngineResources,
    cli::{EngineArgs, device_name},
    engine,
    sandbox::sandbox,
};

/// The text on the test page.
const TEXT: &str = "Quire reads 0123456789";

/// The result of reading the test page.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(super) struct TrialResult {
    pub(super) ok: bool,
    /// The provider that ran the models: another one than selected, if that could not be loaded.
    pub(super) provider: Option<String>,
    pub(super) load_seconds: f64,
    /// The time for the first page, rendering included.
    pub(super) read_seconds: f64,
    pub(super) text: String,
    /// What went wrong.
    pub(super) problem: Option<String>,
}

impl TrialResult {
    /// Returns advice, if the page was not read, or not by the selected provider.
    pub(super) fn advice(&self, selected: Provider) -> Option<String> {
        if let Some(problem) = &self.problem {
            return Some(format!("Cannot read the test page: {problem}. Fix that, or try another --provider."));
        }
        if !self.ok {
            return Some(format!("The test page {TEXT:?} was read as {:?}: try another --provider.", self.text));
        }
        let other = self.provider.as_deref().filter(|provider| *provider != selected.as_str())?;
        Some(format!(
            "{selected} could not be loaded, and {other} is slower; --provider {selected} shows what is missing."
        ))
    }

    fn failed(problem: String) -> Self {
        Self { problem: Some(problem), ..Self::default() }
    }
}

/// Reads the test page in a child process: a crash of native code is reported, not suffered.
pub(super) fn run_in_child(engine: &EngineArgs) -> TrialResult {
    spawn_child(engine).unwrap_or_else(|error| TrialResult::failed(format!("{error:#}")))
}

fn spawn_child(engine: &EngineArgs) -> anyhow::Result<TrialResult> {
    let output = Command::new(std::env::current_exe()?)
        .args(["doctor", "--trial", "--device", device_name(engine.device), "--provider", engine.provider.as_str()])
        .args(["--tier", engine.routes.tier.as_str()])
        .stdin(Stdio::null())
        .stderr(Stdio::inherit())
        .output()?;
    // A child that crashed has printed no JSON.
    let result = serde_json::from_slice(&output.stdout)
        .unwrap_or_else(|_| TrialResult::failed(format!("the test process ended with {}", output.status)));
    Ok(result)
}

/// Reads the test page in this process and prints the result as JSON.
pub(super) fn run(engine: &EngineArgs) -> anyhow::Result<ExitCode> {
    let result = read_test_page(engine).unwrap_or_else(|error| TrialResult::failed(format!("{error:#}")));
    let mut out = std::io::stdout().lock();
    serde_json::to_writer(&mut out, &result)?;
    writeln!(out)?;
    Ok(if result.ok { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn read_test_page(engine: &EngineArgs) -> anyhow::Result<TrialResult> {
    let started = Instant::now();
    let (mut reader, provider) = engine::pp_ocr(&PpOcrEntry::default(), EngineResources::share_of(engine, 1))?;
    let load_seconds = started.elapsed().as_secs_f64();
    let started = Instant::now();
    let mut file = tempfile::NamedTempFile::new()?;
    file.write_all(test_pdf(TEXT).as_bytes())?;
    let sandbox = sandbox(quire_native_libs::pdfium(&Progress::Silent)?, None)?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let page = runtime.block_on(sandbox.page(file.path(), 1)).context("cannot render the test page")?;
    let text = reader.read(&[page.image]).remove(0).context("cannot read the test page")?.text();
    let read_seconds = started.elapsed().as_secs_f64();
    let ok = without_whitespace(&text) == without_whitespace(TEXT);
    Ok(TrialResult { ok, provider: Some(provider.to_string()), load_seconds, read_seconds, text, problem: None })
}

fn without_whitespace(text: &str) -> String {
    text.split_whitespace().collect()
}

/// Returns a PDF with one page and one line of text, in a standard font that every PDF reader has.
fn test_pdf(text: &str) -> String {
    let content = format!("BT /F 24 Tf 20 40 Td ({text}) Tj ET");
    let objects = [
        "<< /Type /Catalog /Pages 2 0 R >>".to_owned(),
        "<< /Type /Pages /Kids [3 0 R] /Count 1 >>".to_owned(),
        "<< /Type /Page /Parent 2 0 R /MediaBox [0 0 340 100] /Contents 4 0 R /Resources << /Font << /F 5 0 R >> >> >>"
            .to_owned(),
        format!("<< /Length {} >>\nstream\n{content}\nendstream", content.len()),
        "<< /Type /Font /Subtype /Type1 /BaseFont /Helvetica >>".to_owned(),
    ];
    let mut file = "%PDF-1.4\n".to_owned();
    let mut xref_entries = String::new();
    for (index, object) in objects.iter().enumerate() {
        let _ = writeln!(xref_entries, "{:010} 00000 n ", file.len());
        let _ = writeln!(file, "{} 0 obj\n{object}\nendobj", index + 1);
    }
    let xref_offset = file.len();
    let size = objects.len() + 1;
    let _ = write!(file, "xref\n0 {size}\n0000000000 65535 f \n{xref_entries}");
    let _ = write!(file, "trailer\n<< /Size {size} /Root 1 0 R >>\nstartxref\n{xref_offset}\n%%EOF\n");
    file
}
