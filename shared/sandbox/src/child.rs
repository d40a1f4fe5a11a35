//! The child's side: gives up its rights, then parses one document.

use std::{
    fs::File,
    io,
    os::{fd::AsFd, unix::net::UnixStream},
    process::ExitCode,
    time::Duration,
};

use quire_document::{Document, Documents};
use quire_tasks::{Failure, FailureCode};
use rustix::{process::Resource, time::ClockId};
use serde::Serialize;

use crate::{
    layer,
    lockdown::{self, MemoryLimits},
    probe,
    protocol::{PageHead, Request, Response, Setup, receive, respond},
};

/// The argument with which the program is started as a child.
pub(crate) const ARGUMENT: &str = "sandbox-child";
/// More processor time than the parent grants: the parent ends the child first, and knows why.
const CPU_GRACE: Duration = Duration::from_secs(2);

/// Runs this process as a child if it was started as one; otherwise returns `None`. Must be called at the start of
/// `main`, before any thread is started.
pub fn run_if_child() -> Option<ExitCode> {
    (std::env::args_os().nth(1)? == ARGUMENT).then(run_as_child)
}

/// Serves the parent on standard input, which is a Unix socket, until the parent closes it.
pub fn run_as_child() -> ExitCode {
    let served = io::stdin().as_fd().try_clone_to_owned().and_then(|socket| serve(&mut UnixStream::from(socket)));
    // Standard error leads nowhere: the parent sees the exit code.
    if served.is_ok() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// The document, once it is there; or why it cannot be opened.
type OpenedDocument = Option<Result<Document, Failure>>;

fn serve(socket: &mut UnixStream) -> io::Result<()> {
    let Some((Request::Setup(setup), _)) = receive(socket)? else {
        return Err(io::Error::other("the first request is not the setup"));
    };
    // Bound and initialized before the rights are given up: it is a file.
    if setup.pdfium.is_some()
        && let Err(error) =
            Documents::new(setup.pdfium.clone(), setup.document_limits()).bind_pdfium_with_fonts(&setup.fonts)
    {
        return respond(socket, &Response::NotReady(error.to_string()), &[]);
    }
    let lockdown = lockdown::lock_down(MemoryLimits { step: setup.memory }, &setup.fonts);
    respond(socket, &Response::Ready(lockdown), &[])?;
    let mut document = None;
    while let Some((request, descriptor)) = receive(socket)? {
        match request {
            Request::Open if document.is_none() => {
                let file = File::from(descriptor.ok_or_else(|| io::Error::other("no document came with the request"))?);
                document = Some(Document::open(file, setup.pdfium.clone(), setup.document_limits()));
            }
            Request::Open | Request::Setup(_) => return Err(io::Error::other("a child has one document")),
            request => answer(socket, request, &mut document)?,
        }
    }
    Ok(())
}

fn answer(socket: &mut UnixStream, request: Request, document: &mut OpenedDocument) -> io::Result<()> {
    let answered = match request {
        Request::Inspect { cpu_secs } => {
            limit_cpu_time(cpu_secs);
            opened(document).and_then(Document::inspect).map(|split| (Response::Inspected(split), Vec::new()))
        }
        Request::Page { page, text_layer, cpu_secs } => {
            limit_cpu_time(cpu_secs);
            opened(document).and_then(|document| render(document, page, text_layer))
        }
        Request::CopyPdf { first, cpu_secs } => {
            limit_cpu_time(cpu_secs);
            let copied = opened(document).and_then(|document| document.copy_pdf(first));
            copied.map(|mut copy| {
                let bytes = std::mem::take(&mut copy.bytes);
                data(&copy, &bytes)
            })
        }
        Request::PageSpace { page, cpu_secs } => {
            limit_cpu_time(cpu_secs);
            opened(document).and_then(|document| document.page_space(page)).map(|space| data(&space, &[]))
        }
        Request::StoredImage { page, cpu_secs } => {
            limit_cpu_time(cpu_secs);
            let stored = opened(document).and_then(|document| document.stored_image(page));
            stored.map(|mut image| {
                let bytes = std::mem::take(&mut image.bytes);
                data(&image, &bytes)
            })
        }
        Request::Probe { file } => Ok((Response::Probed(probe::try_everything(&file)), Vec::new())),
        Request::Setup(_) | Request::Open => return Err(io::Error::other("handled by the caller")),
    };
    match answered {
        Ok((response, data)) => respond(socket, &response, &data),
        Err(failure) => respond(socket, &Response::Failed(failure), &[]),
    }
}

fn opened(document: &mut OpenedDocument) -> Result<&mut Document, Failure> {
    match document {
        Some(Ok(document)) => Ok(document),
        Some(Err(failure)) => Err(failure.clone()),
        None => Err(Failure::new(FailureCode::Internal, "No document was opened.")),
    }
}

fn render(document: &mut Document, page: u32, text_layer: bool) -> Result<(Response, Vec<u8>), Failure> {
    let image = if text_layer { document.page_with_text_layer(page)? } else { document.page(page)? };
    let dpi = document.dpi(page)?;
    let layer = image.text_layer().map(layer::encode).unwrap_or_default();
    let response = Response::Page(PageHead::of(&image, dpi, layer.len()));
    let mut data = image.into_pixels();
    data.extend(layer);
    Ok((response, data))
}

/// Returns a response with a value and other bytes.
fn data(value: &impl Serialize, other: &[u8]) -> (Response, Vec<u8>) {
    let mut data = serde_json::to_vec(value).expect("plain data serializes to JSON");
    let response = Response::Data { json: data.len() as u64, other: other.len() as u64 };
    data.extend_from_slice(other);
    (response, data)
}

/// Lets the kernel end this process (SIGXCPU) soon after the limit: the parent, which does so at the limit, may have
/// died or be stopped.
fn limit_cpu_time(cpu_secs: u64) {
    let used = rustix::time::clock_gettime(ClockId::ProcessCPUTime).tv_sec as u64;
    lockdown::set_soft_limit(Resource::Cpu, used + cpu_secs + CPU_GRACE.as_secs());
}

impl Setup {
    /// Returns the setup for these settings.
    pub(crate) fn new(
        pdfium: Option<std::path::PathBuf>,
        fonts: Vec<std::path::PathBuf>,
        memory: u64,
        limits: &quire_document::DocumentLimits,
    ) -> Self {
        let quire_document::DocumentLimits { max_bytes, max_pages, max_pixels } = *limits;
        Self { pdfium, fonts, memory, max_bytes, max_pages, max_pixels }
    }
}
