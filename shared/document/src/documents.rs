//! The façade: checks at the door, pages for the worker.

use std::{
    fs::File,
    io::{self, Read},
    panic::{AssertUnwindSafe, catch_unwind},
    path::{Path, PathBuf},
    time::SystemTime,
};

use image::ImageFormat;
use quire_tasks::{DocumentFormat, Failure, FailureCode, SplitDocument};

use crate::{
    Limits, PageImage, PdfiumUnavailable,
    format::{SNIFF_BYTES, sniff},
    pdf::{self, PdfFile},
    picture,
    tiff::TiffFile,
};

/// Opens documents, one at a time.
///
/// It can be sent to the thread that is to own it. Several may live in one process, though they then take turns inside
/// pdfium, of which a process has one: the first library that is bound.
#[derive(Debug)]
pub struct Documents {
    pdfium_library: Option<PathBuf>,
    limits: Limits,
    kept: Option<Kept>,
}

/// The document with pages that was read last: a worker mostly reads one page of it after another, and opening 3,000
/// pages 3,000 times would cost more than reading them.
#[derive(Debug)]
struct Kept {
    identity: Identity,
    opened: Opened,
}

#[derive(Debug)]
enum Opened {
    Pdf(PdfFile),
    Tiff(TiffFile),
}

/// Which file it was: another may come to lie under the same path.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Identity {
    path: PathBuf,
    bytes: u64,
    modified: Option<SystemTime>,
}

impl Documents {
    /// Documents within `limits`. `pdfium_library` is bound when the first PDF comes; images never need it.
    pub const fn new(pdfium_library: Option<PathBuf>, limits: Limits) -> Self {
        Self { pdfium_library, limits, kept: None }
    }

    /// Binds pdfium now: at start-up, an unfit library is better news than with the first PDF.
    ///
    /// # Errors
    /// [`PdfiumUnavailable`], saying what is wrong with it.
    pub fn bind_pdfium(&self) -> Result<(), PdfiumUnavailable> {
        pdf::bind(self.pdfium_library.as_deref())
    }

    /// The check at the door: what the document is and how many pages it has, without decoding any.
    ///
    /// # Errors
    /// A [`Failure`] for the customer: the document is empty, too large, of no known format, has too many pages or
    /// pixels, asks for a password or cannot be opened. `Internal`, when the file cannot be read or pdfium is missing.
    pub fn inspect(&mut self, file: &Path) -> Result<SplitDocument, Failure> {
        guarded(FailureCode::UnreadableDocument, || self.check(file))
    }

    /// Decodes or renders one page, counted from 1. The document last used stays open.
    ///
    /// # Errors
    /// A [`Failure`] for the customer: this page, or the whole document, cannot be read. `Internal`, when the file
    /// cannot be read or pdfium is missing.
    pub fn page(&mut self, file: &Path, format: DocumentFormat, page: u32) -> Result<PageImage, Failure> {
        guarded(FailureCode::UnreadablePage, || self.read(file, format, page))
    }

    /// How many pixels of the image that [`Documents::page`] makes of this page are an inch on paper. A PDF says how large its
    /// pages are; what the others say of it is mostly wrong, so that they count as scanned in the usual way.
    ///
    /// # Errors
    /// As [`Documents::page`].
    pub fn dpi(&mut self, file: &Path, format: DocumentFormat, page: u32) -> Result<f32, Failure> {
        if format != DocumentFormat::Pdf {
            return Ok(pdf::FULL_DPI as f32);
        }
        guarded(FailureCode::UnreadablePage, || {
            let kept = self.opened(file, format)?;
            let dpi = match &kept.opened {
                Opened::Pdf(pdf) => pdf.dpi(page),
                Opened::Tiff(_) => Ok(pdf::FULL_DPI as f32),
            };
            self.kept = Some(kept);
            dpi
        })
    }

    fn check(&self, path: &Path) -> Result<SplitDocument, Failure> {
        let (mut file, identity) = open(path)?;
        self.limits.check_bytes(identity.bytes)?;
        let mut head = Vec::new();
        (&mut file).take(SNIFF_BYTES as u64).read_to_end(&mut head).map_err(|error| unreachable_file(&error))?;
        let format = sniff(&head).ok_or_else(|| {
            let message = "The document is no PDF, PNG, JPEG, TIFF, WebP or BMP, by its bytes.";
            Failure::new(FailureCode::UnsupportedFormat, message)
        })?;
        let (file, _) = open(path)?;
        let pages = match format {
            DocumentFormat::Pdf => PdfFile::open(self.pdfium_library.as_deref(), file)?.pages(),
            DocumentFormat::Tiff => {
                let tiff = TiffFile::open(file, &self.limits)?;
                tiff.check_pixels(&self.limits)?;
                tiff.pages()
            }
            DocumentFormat::Png => self.picture_pages(file, ImageFormat::Png)?,
            DocumentFormat::Jpeg => self.picture_pages(file, ImageFormat::Jpeg)?,
            DocumentFormat::Webp => self.picture_pages(file, ImageFormat::WebP)?,
            DocumentFormat::Bmp => self.picture_pages(file, ImageFormat::Bmp)?,
        };
        self.limits.check_pages(pages)?;
        Ok(SplitDocument { format, pages })
    }

    fn picture_pages(&self, file: File, format: ImageFormat) -> Result<u32, Failure> {
        picture::size(file, format, &self.limits).map(|_| 1)
    }

    fn read(&mut self, path: &Path, format: DocumentFormat, page: u32) -> Result<PageImage, Failure> {
        let format = match format {
            DocumentFormat::Pdf | DocumentFormat::Tiff => {
                // Taken out, so that what made a decoder panic is not met again.
                let kept = self.opened(path, format)?;
                let image = match &kept.opened {
                    Opened::Pdf(pdf) => pdf.render(page),
                    Opened::Tiff(tiff) => tiff.decode(page, &self.limits),
                };
                self.kept = Some(kept);
                return image;
            }
            DocumentFormat::Png => ImageFormat::Png,
            DocumentFormat::Jpeg => ImageFormat::Jpeg,
            DocumentFormat::Webp => ImageFormat::WebP,
            DocumentFormat::Bmp => ImageFormat::Bmp,
        };
        if page != 1 {
            let message = format!("There is no page {page}: an image has one.");
            return Err(Failure::new(FailureCode::UnreadablePage, message));
        }
        picture::decode(open(path)?.0, format, &self.limits)
    }

    /// The kept document where it is this one, or else this one, opened.
    fn opened(&mut self, path: &Path, format: DocumentFormat) -> Result<Kept, Failure> {
        let (file, identity) = open(path)?;
        // Whatever is kept ends here, before another is opened beside it.
        if let Some(kept) = self.kept.take().filter(|kept| kept.identity == identity) {
            return Ok(kept);
        }
        let opened = match format {
            DocumentFormat::Tiff => Opened::Tiff(TiffFile::open(file, &self.limits)?),
            _ => Opened::Pdf(PdfFile::open(self.pdfium_library.as_deref(), file)?),
        };
        Ok(Kept { identity, opened })
    }
}

fn open(path: &Path) -> Result<(File, Identity), Failure> {
    let opened = || -> io::Result<_> {
        let file = File::open(path)?;
        let metadata = file.metadata()?;
        let identity = Identity { path: path.to_owned(), bytes: metadata.len(), modified: metadata.modified().ok() };
        Ok((file, identity))
    };
    opened().map_err(|error| unreachable_file(&error))
}

/// Our own disk's fault, not the document's.
fn unreachable_file(error: &io::Error) -> Failure {
    Failure::new(FailureCode::Internal, format!("The document's file cannot be read: {error}."))
}

/// Decoders of hostile bytes should never panic, but when one does, it must not take the other pages with it.
fn guarded<T>(code: FailureCode, work: impl FnOnce() -> Result<T, Failure>) -> Result<T, Failure> {
    catch_unwind(AssertUnwindSafe(work))
        .unwrap_or_else(|_| Err(Failure::new(code, "The document is broken in a way that its decoder cannot handle.")))
}
