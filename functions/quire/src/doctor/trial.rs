//! A page of our own, read as any other is.

use std::{
    fmt::Write as _,
    io::Write as _,
    process::{Command, ExitCode, Stdio},
    time::Instant,
};

use anyhow::Context;
use clap::ValueEnum;
use quire_document::{Documents, Limits};
use quire_native_libs::Progress;
use quire_pp_ocr::Provider;
use quire_tasks::DocumentFormat;
use serde::{Deserialize, Serialize};

use crate::{Machine, cli, engine};

/// What the page says.
const TEXT: &str = "Quire reads 0123456789";

/// How reading went.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(super) struct Trial {
    pub(super) ok: bool,
    /// What ran the models: another one than was chosen, where that could not be loaded.
    pub(super) provider: Option<String>,
    pub(super) load_seconds: f64,
    /// With the rendering of the page, the first time that the models run.
    pub(super) read_seconds: f64,
    pub(super) text: String,
    /// What went wrong.
    pub(super) problem: Option<String>,
}

impl Trial {
    /// What to do about what went otherwise than it should, where these were to run the models.
    pub(super) fn advice(&self, chosen: Provider) -> Option<String> {
        if let Some(problem) = &self.problem {
            return Some(format!("A page could not be read: {problem}. Mend that, or try another --provider."));
        }
        if !self.ok {
            return Some(format!("The page that says {TEXT:?} was read as {:?}: try another --provider.", self.text));
        }
        let other = self.provider.as_deref().filter(|provider| *provider != chosen.as_str())?;
        Some(format!("Reading with {other} takes longer than with {chosen}; --provider {chosen} says what it lacks."))
    }

    fn failed(problem: String) -> Self {
        Self { problem: Some(problem), ..Self::default() }
    }
}

/// Has a child read the page, so that native code that crashes is told of and not met.
pub(super) fn in_child(engine: &cli::Engine) -> Trial {
    tried_in_child(engine).unwrap_or_else(|error| Trial::failed(format!("{error:#}")))
}

fn tried_in_child(engine: &cli::Engine) -> anyhow::Result<Trial> {
    let device = engine.device.to_possible_value().context("every device has a name")?;
    let output = Command::new(std::env::current_exe()?)
        .args(["doctor", "--trial", "--device", device.get_name(), "--provider", engine.provider.as_str()])
        .stdin(Stdio::null())
        .stderr(Stdio::inherit())
        .output()?;
    let answer = serde_json::from_slice(&output.stdout);
    // A child that crashes says nothing.
    Ok(answer.unwrap_or_else(|_| Trial::failed(format!("the process that tried it ended with {}", output.status))))
}

/// Reads the page in this process, and prints how it went.
pub(super) fn run(engine: &cli::Engine) -> anyhow::Result<ExitCode> {
    let trial = read(engine).unwrap_or_else(|error| Trial::failed(format!("{error:#}")));
    let mut out = std::io::stdout().lock();
    serde_json::to_writer(&mut out, &trial)?;
    writeln!(out)?;
    Ok(if trial.ok { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn read(given: &cli::Engine) -> anyhow::Result<Trial> {
    let started = Instant::now();
    let (mut reader, provider) = engine::pp_ocr(Machine::shared(given, 1))?;
    let load_seconds = started.elapsed().as_secs_f64();
    let started = Instant::now();
    let mut file = tempfile::NamedTempFile::new()?;
    file.write_all(pdf(TEXT).as_bytes())?;
    let mut documents = Documents::new(Some(quire_native_libs::pdfium(&Progress::Silent)?), Limits::default());
    let page = documents.page(file.path(), DocumentFormat::Pdf, 1).context("a PDF of ours could not be drawn")?;
    let text = reader.read(&[page]).remove(0).context("it could not be read")?.text();
    let read_seconds = started.elapsed().as_secs_f64();
    let squeezed = |text: &str| text.split_whitespace().collect::<String>();
    let ok = squeezed(&text) == squeezed(TEXT);
    Ok(Trial { ok, provider: Some(provider.to_string()), load_seconds, read_seconds, text, problem: None })
}

/// One page, as large as a card, with a line of text in a font that every reader of PDFs has.
fn pdf(text: &str) -> String {
    let drawing = format!("BT /F 24 Tf 20 40 Td ({text}) Tj ET");
    let objects = [
        "<< /Type /Catalog /Pages 2 0 R >>".to_owned(),
        "<< /Type /Pages /Kids [3 0 R] /Count 1 >>".to_owned(),
        "<< /Type /Page /Parent 2 0 R /MediaBox [0 0 340 100] /Contents 4 0 R /Resources << /Font << /F 5 0 R >> >> >>"
            .to_owned(),
        format!("<< /Length {} >>\nstream\n{drawing}\nendstream", drawing.len()),
        "<< /Type /Font /Subtype /Type1 /BaseFont /Helvetica >>".to_owned(),
    ];
    let mut file = "%PDF-1.4\n".to_owned();
    let mut places = String::new();
    for (index, object) in objects.iter().enumerate() {
        let _ = writeln!(places, "{:010} 00000 n ", file.len());
        let _ = writeln!(file, "{} 0 obj\n{object}\nendobj", index + 1);
    }
    let (start, size) = (file.len(), objects.len() + 1);
    let _ = write!(file, "xref\n0 {size}\n0000000000 65535 f \n{places}");
    let _ = write!(file, "trailer\n<< /Size {size} /Root 1 0 R >>\nstartxref\n{start}\n%%EOF\n");
    file
}
