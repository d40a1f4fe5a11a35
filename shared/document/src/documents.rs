//! Inspects documents and decodes their pages.

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
    DocumentLimits, PageImage, PdfiumUnavailable,
    format::{SNIFF_BYTES, sniff},
    pdf::{self, PdfFile},
    raster,
    tiff::TiffFile,
};

/// Inspects documents and decodes their pages, one document at a time.
///
/// It is `Send`, and all its methods block: give it a thread of its own. A process binds pdfium only once, and a lock
/// serializes all calls to it.
///
/// ```no_run
/// use std::path::Path;
///
/// use quire_document::{DocumentLimits, Documents};
///
/// let mut documents = Documents::new(Some("libpdfium.so".into()), DocumentLimits::default());
/// let file = Path::new("invoice.pdf");
/// let document = documents.inspect(file)?;
/// for number in 1..=document.pages {
///     let image = documents.page(file, document.format, number)?;
///     println!("page {number}: {} × {} pixels", image.width(), image.height());
/// }
/// # Ok::<(), quire_tasks::Failure>(())
/// ```
#[derive(Debug)]
pub struct Documents {
    pdfium_library: Option<PathBuf>,
    limits: DocumentLimits,
    cached: Option<OpenDocument>,
}

/// The cached document. A worker mostly reads the pages of one document in sequence, and opening a document of 3,000
/// pages 3,000 times would take longer than decoding them.
#[derive(Debug)]
struct OpenDocument {
    identity: FileIdentity,
    file: MultiPageFile,
}

#[derive(Debug)]
enum MultiPageFile {
    Pdf(PdfFile),
    Tiff(TiffFile),
}

/// Identifies a file: another one may replace it under the same path.
#[derive(Debug, Clone, PartialEq, Eq)]
struct FileIdentity {
    path: PathBuf,
    bytes: u64,
    modified: Option<SystemTime>,
}

impl Documents {
    /// Creates a reader with these limits. `pdfium_library` is bound at the first PDF; images do not need it.
    pub const fn new(pdfium_library: Option<PathBuf>, limits: DocumentLimits) -> Self {
        Self { pdfium_library, limits, cached: None }
    }

    /// Binds pdfium now, so that an unusable library is detected at startup instead of at the first PDF.
    ///
    /// # Errors
    /// Fails with [`PdfiumUnavailable`].
    pub fn bind_pdfium(&self) -> Result<(), PdfiumUnavailable> {
        pdf::bind(self.pdfium_library.as_deref())
    }

    /// Returns the format and the number of pages of a document, without decoding any.
    ///
    /// # Errors
    /// Fails with a [`Failure`] for the customer if the document is empty, too large, of an unknown format, has too
    /// many pages or pixels, needs a password, or cannot be opened; with `Internal` if the file cannot be read or
    /// pdfium is missing.
    pub fn inspect(&mut self, file: &Path) -> Result<SplitDocument, Failure> {
        catch_panics(FailureCode::UnreadableDocument, || self.inspect_file(file))
    }

    /// Decodes or renders one page, counted from 1. The document stays open until another one is read.
    ///
    /// # Errors
    /// Fails with a [`Failure`] for the customer if the page or the document cannot be decoded; with `Internal` if the
    /// file cannot be read or pdfium is missing.
    pub fn page(&mut self, file: &Path, format: DocumentFormat, page: u32) -> Result<PageImage, Failure> {
        catch_panics(FailureCode::UnreadablePage, || self.decode(file, format, page))
    }

    /// Returns the resolution, in pixels per inch, of the image that [`Documents::page`] returns for this page. Only a
    /// PDF has a reliable page size; the metadata of other formats is mostly wrong. Default: 200, as typical for scans.
    ///
    /// # Errors
    /// Fails like [`Documents::page`].
    pub fn dpi(&mut self, file: &Path, format: DocumentFormat, page: u32) -> Result<f32, Failure> {
        if format != DocumentFormat::Pdf {
            return Ok(pdf::FULL_DPI as f32);
        }
        catch_panics(FailureCode::UnreadablePage, || {
            let document = self.open_document(file, format)?;
            let dpi = match &document.file {
                MultiPageFile::Pdf(pdf) => pdf.dpi(page),
                MultiPageFile::Tiff(_) => Ok(pdf::FULL_DPI as f32),
            };
            self.cached = Some(document);
            dpi
        })
    }

    fn inspect_file(&self, path: &Path) -> Result<SplitDocument, Failure> {
        let (mut file, identity) = open(path)?;
        self.limits.check_bytes(identity.bytes)?;
        let mut head = Vec::new();
        (&mut file).take(SNIFF_BYTES as u64).read_to_end(&mut head).map_err(|error| file_failure(&error))?;
        let format = sniff(&head).ok_or_else(|| {
            let message = "The document is not a PDF, PNG, JPEG, TIFF, WebP or BMP, judging by its bytes.";
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
            DocumentFormat::Png => self.image_pages(file, ImageFormat::Png)?,
            DocumentFormat::Jpeg => self.image_pages(file, ImageFormat::Jpeg)?,
            DocumentFormat::Webp => self.image_pages(file, ImageFormat::WebP)?,
            DocumentFormat::Bmp => self.image_pages(file, ImageFormat::Bmp)?,
        };
        self.limits.check_pages(pages)?;
        Ok(SplitDocument { format, pages })
    }

    fn image_pages(&self, file: File, format: ImageFormat) -> Result<u32, Failure> {
        raster::size(file, format, &self.limits).map(|_| 1)
    }

    fn decode(&mut self, path: &Path, format: DocumentFormat, page: u32) -> Result<PageImage, Failure> {
        let format = match format {
            DocumentFormat::Pdf | DocumentFormat::Tiff => {
                // Out of the cache during decoding, so that a document that makes its decoder panic is not reused.
                let document = self.open_document(path, format)?;
                let image = match &document.file {
                    MultiPageFile::Pdf(pdf) => pdf.render(page),
                    MultiPageFile::Tiff(tiff) => tiff.decode(page, &self.limits),
                };
                self.cached = Some(document);
                return image;
            }
            DocumentFormat::Png => ImageFormat::Png,
            DocumentFormat::Jpeg => ImageFormat::Jpeg,
            DocumentFormat::Webp => ImageFormat::WebP,
            DocumentFormat::Bmp => ImageFormat::Bmp,
        };
        if page != 1 {
            let message = format!("There is no page {page}: an image has one page.");
            return Err(Failure::new(FailureCode::UnreadablePage, message));
        }
        raster::decode(open(path)?.0, format, &self.limits)
    }

    /// Takes the document out of the cache, or opens it.
    fn open_document(&mut self, path: &Path, format: DocumentFormat) -> Result<OpenDocument, Failure> {
        let (file, identity) = open(path)?;
        // The cached document is closed before another one is opened.
        if let Some(document) = self.cached.take()
            && document.identity == identity
        {
            return Ok(document);
        }
        let file = match format {
            DocumentFormat::Tiff => MultiPageFile::Tiff(TiffFile::open(file, &self.limits)?),
            _ => MultiPageFile::Pdf(PdfFile::open(self.pdfium_library.as_deref(), file)?),
        };
        Ok(OpenDocument { identity, file })
    }
}

fn open(path: &Path) -> Result<(File, FileIdentity), Failure> {
    let opened = || -> io::Result<_> {
        let file = File::open(path)?;
        let metadata = file.metadata()?;
        let identity =
            FileIdentity { path: path.to_owned(), bytes: metadata.len(), modified: metadata.modified().ok() };
        Ok((file, identity))
    };
    opened().map_err(|error| file_failure(&error))
}

/// The cause is our own disk, not the document.
fn file_failure(error: &io::Error) -> Failure {
    Failure::new(FailureCode::Internal, format!("The document's file cannot be read: {error}."))
}

/// Converts a panic of a decoder to a failure, so that an invalid document affects no other page.
fn catch_panics<T>(code: FailureCode, work: impl FnOnce() -> Result<T, Failure>) -> Result<T, Failure> {
    catch_unwind(AssertUnwindSafe(work))
        .unwrap_or_else(|_| Err(Failure::new(code, "The document is invalid in a way that its decoder cannot handle.")))
}
