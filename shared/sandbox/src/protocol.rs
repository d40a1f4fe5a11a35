//! The messages between a child and its parent, over one Unix socket.
//!
//! A frame is the length of its head (4 bytes, little-endian), the head (JSON), and, after a rendered page, its pixels
//! and its text layer (JSON), or other data, whose lengths follow from the head. The document's descriptor travels
//! beside [`Request::Open`].

use std::{
    io::{self, IoSlice, IoSliceMut, Read, Write},
    mem::MaybeUninit,
    os::{
        fd::{AsFd, BorrowedFd, OwnedFd},
        unix::net::UnixStream,
    },
    path::PathBuf,
};

use quire_document::{DocumentLimits, MAX_COPY_BYTES, MAX_PAGE_PIXELS, MAX_SIDE, PageImage};
use quire_tasks::{Failure, SplitDocument, Warning, WarningKind};
use rustix::net::{
    RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SendAncillaryBuffer, SendAncillaryMessage, SendFlags,
    recvmsg, sendmsg,
};
use serde::{Deserialize, Serialize, de::DeserializeOwned};

use crate::{
    layer::{self, MAX_LAYER_BYTES},
    lockdown::Lockdown,
    probe::ProbeReport,
};

/// The most bytes of a head.
const MAX_HEAD_BYTES: usize = 64 << 10;
/// The most characters of a failure's message.
const MAX_MESSAGE_CHARS: usize = 500;
/// The most bytes of data after a head: a copy's, and what describes it.
const MAX_DATA_BYTES: u64 = 2 * MAX_COPY_BYTES as u64;
/// The most warnings of a page.
const MAX_WARNINGS: usize = 16;
/// The range of plausible resolutions in pixels per inch.
const DPI: std::ops::RangeInclusive<f32> = 1.0..=100_000.0;

/// A request of the parent.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Request {
    /// The first frame; the child locks itself down and responds with [`Response::Ready`].
    Setup(Setup),
    /// The document, once per child. It has no response; an error is the response to the next request.
    Open,
    /// Count the pages.
    Inspect { cpu_secs: u64 },
    /// Render a page.
    Page { page: u32, text_layer: bool, cpu_secs: u64 },
    /// Copy the objects of a PDF, numbered from `first`.
    CopyPdf { first: u32, cpu_secs: u64 },
    /// Return the coordinates and the own text of a PDF's page.
    PageSpace { page: u32, cpu_secs: u64 },
    /// Return the image of a page in a form that a PDF can contain.
    StoredImage { page: u32, cpu_secs: u64 },
    /// Try what must be impossible.
    Probe { file: PathBuf },
}

/// The settings of a child.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Setup {
    pub(crate) pdfium: Option<PathBuf>,
    /// The folders with fonts.
    pub(crate) fonts: Vec<PathBuf>,
    /// The memory limit in bytes, including pixels.
    pub(crate) memory: u64,
    pub(crate) max_bytes: u64,
    pub(crate) max_pages: u32,
    pub(crate) max_pixels: u64,
}

impl Setup {
    pub(crate) const fn document_limits(&self) -> DocumentLimits {
        let Self { max_bytes, max_pages, max_pixels, .. } = *self;
        DocumentLimits { max_bytes, max_pages, max_pixels }
    }
}

/// A response of the child.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Response {
    Ready(Lockdown),
    /// The child could not prepare itself.
    NotReady(String),
    Inspected(SplitDocument),
    Page(PageHead),
    /// Data: JSON of this length, and other bytes.
    Data {
        json: u64,
        other: u64,
    },
    Failed(Failure),
    Probed(ProbeReport),
}

impl Response {
    /// Returns the number of bytes that follow the head, if the head is plausible.
    pub(crate) fn data_bytes(&self) -> Option<usize> {
        match self {
            Self::Page(head) => head.payload_bytes(),
            Self::Data { json, other } => {
                json.checked_add(*other).filter(|bytes| *bytes <= MAX_DATA_BYTES).map(|bytes| bytes as usize)
            }
            _ => Some(0),
        }
    }
}

/// The head of a rendered page.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct PageHead {
    pub(crate) width: u32,
    pub(crate) height: u32,
    pub(crate) page_width: u32,
    pub(crate) page_height: u32,
    pub(crate) dpi: f32,
    pub(crate) warnings: Vec<Warning>,
    /// The bytes of the text layer after the pixels; 0 without one.
    pub(crate) layer_bytes: usize,
}

impl PageHead {
    pub(crate) fn of(image: &PageImage, dpi: f32, layer_bytes: usize) -> Self {
        Self {
            width: image.width(),
            height: image.height(),
            page_width: image.page_width(),
            page_height: image.page_height(),
            dpi,
            warnings: image.warnings().to_vec(),
            layer_bytes,
        }
    }

    /// Returns the number of bytes of the pixels, if the head is plausible.
    pub(crate) fn pixel_bytes(&self) -> Option<usize> {
        let pixels = u64::from(self.width) * u64::from(self.height);
        let has_size = self.width.min(self.height) > 0 && self.width.max(self.height) <= MAX_SIDE;
        let is_scaled_down = self.page_width >= self.width && self.page_height >= self.height;
        let is_plausible = has_size && is_scaled_down && pixels <= MAX_PAGE_PIXELS && DPI.contains(&self.dpi);
        is_plausible.then_some(pixels as usize * PageImage::CHANNELS)
    }

    /// Returns the number of bytes after the head, if it is plausible.
    pub(crate) fn payload_bytes(&self) -> Option<usize> {
        let is_plausible = self.layer_bytes <= MAX_LAYER_BYTES;
        self.pixel_bytes().filter(|_| is_plausible).map(|pixels| pixels + self.layer_bytes)
    }

    /// Returns the image of this payload, whose length was checked with [`PageHead::payload_bytes`].
    pub(crate) fn into_image(self, payload: Vec<u8>) -> PageImage {
        let mut pixels = payload;
        let layer = pixels.split_off(pixels.len() - self.layer_bytes);
        let layer = layer::parse(&layer, self.width, self.height);
        let warnings = self.warnings.iter().filter_map(|warning| self.cleaned_warning(warning)).take(MAX_WARNINGS);
        let warnings = warnings.collect();
        let image = PageImage::new(self.width, self.height, pixels);
        image.of_page(self.page_width, self.page_height).with_warnings(warnings).with_text_layer(layer)
    }

    /// Returns a warning that may be shown; `None` if it is not about the image: the child has not read any text.
    fn cleaned_warning(&self, warning: &Warning) -> Option<Warning> {
        if !warning.code().is_of_image() {
            return None;
        }
        let kind = match &warning.kind {
            WarningKind::MissingFonts { fonts } => WarningKind::missing_fonts(fonts.iter().map(String::as_str)),
            WarningKind::Damaged { rows } => WarningKind::Damaged { rows: (*rows).min(self.page_height) },
            kind => kind.clone(),
        };
        let is_on_page = |&[x, y]: &[f32; 2]| {
            (0.0..=self.page_width as f32).contains(&x) && (0.0..=self.page_height as f32).contains(&y)
        };
        let polygon = warning.polygon.filter(|corners| corners.iter().all(is_on_page));
        Some(Warning { kind, polygon })
    }
}

/// Returns the failure with a message that may be shown: short, and without control characters.
pub(crate) fn cleaned(failure: &Failure) -> Failure {
    let message = failure.message.chars().filter(|character| !character.is_control()).take(MAX_MESSAGE_CHARS).collect();
    Failure { code: failure.code, message }
}

/// Returns a frame without pixels.
pub(crate) fn frame(message: &impl Serialize) -> io::Result<Vec<u8>> {
    let head = serde_json::to_vec(message)?;
    let mut frame = Vec::with_capacity(4 + head.len());
    frame.extend((head.len() as u32).to_le_bytes());
    frame.extend(head);
    Ok(frame)
}

/// Returns the length of a head.
///
/// # Errors
/// When it exceeds the limit.
pub(crate) fn head_bytes(prefix: [u8; 4]) -> io::Result<usize> {
    let bytes = u32::from_le_bytes(prefix) as usize;
    if bytes > MAX_HEAD_BYTES { Err(io::Error::other("the head of a message is too long")) } else { Ok(bytes) }
}

/// Parses a head.
///
/// # Errors
/// When it is not a message.
pub(crate) fn parse<T: DeserializeOwned>(head: &[u8]) -> io::Result<T> {
    Ok(serde_json::from_slice(head)?)
}

/// Sends bytes with a descriptor. Returns the number of bytes sent.
///
/// # Errors
/// Of the socket; `WouldBlock` if it is non-blocking and full.
pub(crate) fn send_with_descriptor(socket: impl AsFd, bytes: &[u8], descriptor: BorrowedFd<'_>) -> io::Result<usize> {
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
    let mut control = SendAncillaryBuffer::new(&mut space);
    let descriptors = [descriptor];
    control.push(SendAncillaryMessage::ScmRights(&descriptors));
    Ok(sendmsg(socket, &[IoSlice::new(bytes)], &mut control, SendFlags::empty())?)
}

/// The child's side: receives a request, with the descriptor that came with it. Returns `None` when the parent has
/// closed the socket.
///
/// # Errors
/// Of the socket, or if the bytes are not a request.
pub(crate) fn receive(socket: &mut UnixStream) -> io::Result<Option<(Request, Option<OwnedFd>)>> {
    let mut prefix = [0; 4];
    let mut descriptor = None;
    let mut filled = 0;
    while filled < prefix.len() {
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
        let mut control = RecvAncillaryBuffer::new(&mut space);
        let mut buffer = [IoSliceMut::new(&mut prefix[filled..])];
        let received = recvmsg(&*socket, &mut buffer, &mut control, RecvFlags::empty())?;
        for message in control.drain() {
            if let RecvAncillaryMessage::ScmRights(descriptors) = message {
                descriptor = descriptors.last().or(descriptor);
            }
        }
        match received.bytes {
            0 if filled == 0 => return Ok(None),
            0 => return Err(io::ErrorKind::UnexpectedEof.into()),
            bytes => filled += bytes,
        }
    }
    let mut head = vec![0; head_bytes(prefix)?];
    socket.read_exact(&mut head)?;
    Ok(Some((parse(&head)?, descriptor)))
}

/// The child's side: sends a response, with the pixels of a rendered page or other data.
///
/// # Errors
/// Of the socket.
pub(crate) fn respond(socket: &mut UnixStream, response: &Response, data: &[u8]) -> io::Result<()> {
    socket.write_all(&frame(response)?)?;
    socket.write_all(data)
}

#[cfg(test)]
mod tests {
    use quire_tasks::FailureCode;

    use super::*;

    fn head(warnings: Vec<Warning>) -> PageHead {
        PageHead { width: 10, height: 20, page_width: 10, page_height: 20, dpi: 200.0, warnings, layer_bytes: 0 }
    }

    #[test]
    fn warnings_of_a_child_are_few_plausible_and_printable() {
        let polygon = |x: f32| Some([[0.0, 0.0], [x, 0.0], [x, 20.0], [0.0, 20.0]]);
        let fonts = vec!["\u{1b}[2JSimSun\n".to_owned(); 1000];
        let warnings = vec![
            WarningKind::MissingFonts { fonts }.into(),
            Warning { kind: WarningKind::Damaged { rows: u32::MAX }, polygon: polygon(10.0) },
            Warning { kind: WarningKind::Damaged { rows: 3 }, polygon: polygon(f32::INFINITY) },
            WarningKind::CutOff.into(),
        ];
        let image = head(warnings).into_image(vec![0; 600]);
        let expected = [
            WarningKind::MissingFonts { fonts: vec!["2JSimSun".to_owned()] }.into(),
            Warning { kind: WarningKind::Damaged { rows: 20 }, polygon: polygon(10.0) },
            WarningKind::Damaged { rows: 3 }.into(),
        ];
        assert_eq!(image.warnings(), expected);
        let many = vec![WarningKind::Damaged { rows: 1 }.into(); 500];
        assert_eq!(head(many).into_image(vec![0; 600]).warnings().len(), MAX_WARNINGS);
    }

    #[test]
    fn an_implausible_page_is_refused() {
        let good = head(Vec::new());
        assert_eq!(good.pixel_bytes(), Some(600));
        for bad in [
            PageHead { width: 0, ..good.clone() },
            PageHead { page_width: 9, ..good.clone() },
            PageHead { dpi: f32::NAN, ..good.clone() },
            PageHead { width: 70_000, page_width: 70_000, ..good.clone() },
            PageHead { width: 60_000, height: 60_000, page_width: 60_000, page_height: 60_000, ..good },
        ] {
            assert_eq!(bad.pixel_bytes(), None, "{bad:?}");
        }
    }

    #[test]
    fn a_message_of_a_child_is_short_and_printable() {
        let failure = Failure::new(FailureCode::UnreadablePage, format!("\u{1b}[2J{}", "x".repeat(9000)));
        let message = cleaned(&failure).message;
        assert!(message.starts_with("[2Jx") && message.len() == MAX_MESSAGE_CHARS, "{message}");
    }

    #[test]
    fn a_request_arrives_with_its_descriptor() {
        let (mut ours, mut theirs) = UnixStream::pair().expect("a socket");
        let file = tempfile::tempfile().expect("a file");
        let frame = frame(&Request::Open).expect("JSON");
        assert_eq!(send_with_descriptor(&ours, &frame, file.as_fd()).expect("sent"), frame.len());
        assert!(matches!(receive(&mut theirs), Ok(Some((Request::Open, Some(_))))));
        ours.write_all(&u32::MAX.to_le_bytes()).expect("sent");
        assert!(receive(&mut theirs).is_err(), "the head is too long");
        drop(ours);
        assert!(matches!(receive(&mut theirs), Ok(None)));
    }
}
