//! One open document.

use std::{
    fs::File,
    io::{self, Read, Seek, SeekFrom},
    panic::{AssertUnwindSafe, catch_unwind},
    path::{Path, PathBuf},
};

use quire_tasks::{DocumentFormat, Failure, FailureCode, SplitDocument};

use crate::{
    DocumentLimits, PageImage, PageSpace, PdfCopy, StoredImage, embedding,
    file_failure::file_failure,
    format::{SNIFF_BYTES, sniff, unsupported_format},
    pdf::{self, PdfFile},
    raster,
    tiff::TiffFile,
};

/// An open document. It reads only from its file, which may be a descriptor that another process has opened, and never
/// opens a path.
#[derive(Debug)]
pub struct Document {
    file: File,
    format: DocumentFormat,
    limits: DocumentLimits,
    pdfium_library: Option<PathBuf>,
    /// The parsed PDF or TIFF. Parsing a document of 3,000 pages 3,000 times would take longer than decoding them.
    parsed: Option<MultiPageFile>,
}

#[derive(Debug)]
enum MultiPageFile {
    Pdf(Box<PdfFile>),
    Tiff(TiffFile),
}

impl Document {
    /// Identifies the format of a document by its bytes. `pdfium_library` is bound at the first PDF; images do not need
    /// it.
    ///
    /// # Errors
    /// Fails with a [`Failure`] for the customer if the document is empty, too large or of an unknown format; with
    /// `Internal` if the file cannot be read.
    pub fn open(mut file: File, pdfium_library: Option<PathBuf>, limits: DocumentLimits) -> Result<Self, Failure> {
        limits.check_bytes(file.metadata().map_err(|error| file_failure(&error))?.len())?;
        let mut head = Vec::new();
        file.seek(SeekFrom::Start(0)).map_err(|error| file_failure(&error))?;
        (&mut file).take(SNIFF_BYTES as u64).read_to_end(&mut head).map_err(|error| file_failure(&error))?;
        let format = sniff(&head).ok_or_else(|| unsupported(&head))?;
        Ok(Self::with_format(file, format, pdfium_library, limits))
    }

    /// Returns a document whose format is known.
    pub(crate) const fn with_format(
        file: File,
        format: DocumentFormat,
        pdfium_library: Option<PathBuf>,
        limits: DocumentLimits,
    ) -> Self {
        Self { file, format, limits, pdfium_library, parsed: None }
    }

    /// Returns the format.
    pub const fn format(&self) -> DocumentFormat {
        self.format
    }

    /// Returns the format and the number of pages, without decoding any.
    ///
    /// # Errors
    /// Fails with a [`Failure`] for the customer if the document has too many pages or pixels, needs a password, or
    /// cannot be opened; with `Internal` if the file cannot be read or pdfium is missing.
    pub fn inspect(&mut self) -> Result<SplitDocument, Failure> {
        self.catch_panics(FailureCode::UnreadableDocument, |document| {
            let pages = document.count_pages()?;
            document.limits.check_pages(pages)?;
            Ok(SplitDocument { format: document.format, pages })
        })
    }

    /// Decodes or renders one page, counted from 1.
    ///
    /// # Errors
    /// Fails with a [`Failure`] for the customer if the page or the document cannot be decoded; with `Internal` if the
    /// file cannot be read or pdfium is missing.
    pub fn page(&mut self, page: u32) -> Result<PageImage, Failure> {
        self.catch_panics(FailureCode::UnreadablePage, |document| document.decode(page, false))
    }

    /// As [`Document::page`], with the text layer of a PDF's page.
    ///
    /// # Errors
    /// Fails like [`Document::page`].
    pub fn page_with_text_layer(&mut self, page: u32) -> Result<PageImage, Failure> {
        self.catch_panics(FailureCode::UnreadablePage, |document| document.decode(page, true))
    }

    /// Returns the resolution, in pixels per inch, of the image that [`Document::page`] returns for this page. Only a
    /// PDF has a reliable page size; the metadata of other formats is mostly wrong. Default: 200, as typical for scans.
    ///
    /// # Errors
    /// Fails like [`Document::page`].
    pub fn dpi(&mut self, page: u32) -> Result<f32, Failure> {
        if self.format != DocumentFormat::Pdf {
            return Ok(pdf::FULL_DPI as f32);
        }
        self.catch_panics(FailureCode::UnreadablePage, |document| match document.parsed()? {
            MultiPageFile::Pdf(pdf) => pdf.dpi(page),
            MultiPageFile::Tiff(_) => Ok(pdf::FULL_DPI as f32),
        })
    }

    /// Copies the objects of a PDF for another one, in which they are numbered from `first`.
    ///
    /// # Errors
    /// Fails with a [`Failure`] for the customer if the document is not a PDF, or cannot be copied although its pages
    /// can be rendered: it is too large or too complex, or its structure is damaged.
    pub fn copy_pdf(&mut self, first: u32) -> Result<PdfCopy, Failure> {
        self.with_pdf(FailureCode::UnreadableDocument, |pdf| pdf.copy(first))
    }

    /// Returns the coordinates and the own text of a PDF's page, counted from 1.
    ///
    /// # Errors
    /// Fails like [`Document::page`], and if the document is not a PDF.
    pub fn page_space(&mut self, page: u32) -> Result<PageSpace, Failure> {
        self.with_pdf(FailureCode::UnreadablePage, |pdf| pdf.space(page))
    }

    /// Returns the image of a page, counted from 1, in a form that a PDF can contain.
    ///
    /// # Errors
    /// Fails like [`Document::page`], and if the page has no image, or one that is damaged or would be too large.
    pub fn stored_image(&mut self, page: u32) -> Result<StoredImage, Failure> {
        self.catch_panics(FailureCode::UnreadablePage, |document| {
            let limits = document.limits;
            if !document.has_pages() {
                return embedding::stored_image(&document.rewound()?, document.format, &limits);
            }
            match document.parsed()? {
                MultiPageFile::Pdf(_) => Err(Failure::new(FailureCode::UnsupportedFormat, "A PDF has no image.")),
                MultiPageFile::Tiff(tiff) => tiff.stored_image(page, &limits),
            }
        })
    }

    fn with_pdf<T>(
        &mut self,
        code: FailureCode,
        work: impl FnOnce(&PdfFile) -> Result<T, Failure>,
    ) -> Result<T, Failure> {
        if self.format != DocumentFormat::Pdf {
            return Err(Failure::new(FailureCode::UnsupportedFormat, "The document is not a PDF."));
        }
        self.catch_panics(code, |document| match document.parsed()? {
            MultiPageFile::Pdf(pdf) => work(pdf),
            MultiPageFile::Tiff(_) => Err(Failure::new(code, "The document is not a PDF.")),
        })
    }

    fn count_pages(&mut self) -> Result<u32, Failure> {
        let limits = self.limits;
        if !self.has_pages() {
            return raster::size(&self.rewound()?, self.format, &limits).map(|_| 1);
        }
        match self.parsed()? {
            MultiPageFile::Pdf(pdf) => Ok(pdf.pages()),
            MultiPageFile::Tiff(tiff) => tiff.check_pixels(&limits).map(|()| tiff.pages()),
        }
    }

    fn decode(&mut self, page: u32, with_text_layer: bool) -> Result<PageImage, Failure> {
        let limits = self.limits;
        if !self.has_pages() {
            if page != 1 {
                let message = format!("There is no page {page}: an image has one page.");
                return Err(Failure::new(FailureCode::UnreadablePage, message));
            }
            return raster::decode(&self.rewound()?, self.format, &limits);
        }
        match self.parsed()? {
            MultiPageFile::Pdf(pdf) => pdf.render(page, with_text_layer),
            MultiPageFile::Tiff(tiff) => tiff.decode(page, &limits),
        }
    }

    /// Returns whether the format may have several pages.
    const fn has_pages(&self) -> bool {
        matches!(self.format, DocumentFormat::Pdf | DocumentFormat::Tiff)
    }

    fn parsed(&mut self) -> Result<&MultiPageFile, Failure> {
        if self.parsed.is_none() {
            let file = self.rewound()?;
            self.parsed = Some(match self.format {
                DocumentFormat::Tiff => MultiPageFile::Tiff(TiffFile::open(file, &self.limits)?),
                _ => MultiPageFile::Pdf(Box::new(PdfFile::open(self.pdfium_library.as_deref(), file)?)),
            });
        }
        Ok(self.parsed.as_ref().expect("it was parsed above"))
    }

    /// Converts a panic of a decoder to a failure, so that an invalid document affects no other page. What the decoder
    /// has parsed is not used again.
    fn catch_panics<T>(
        &mut self,
        code: FailureCode,
        work: impl FnOnce(&mut Self) -> Result<T, Failure>,
    ) -> Result<T, Failure> {
        catch_unwind(AssertUnwindSafe(|| work(self))).unwrap_or_else(|_| {
            self.parsed = None;
            Err(Failure::new(code, "The document is invalid in a way that its decoder cannot handle."))
        })
    }

    /// Returns another handle of the file, at its start. Handles share their position: only one is used at a time.
    fn rewound(&self) -> Result<File, Failure> {
        let handle = || -> io::Result<File> {
            let mut file = self.file.try_clone()?;
            file.seek(SeekFrom::Start(0))?;
            Ok(file)
        };
        handle().map_err(|error| file_failure(&error))
    }
}

/// Refuses a document of another format, by name if it is known.
fn unsupported(head: &[u8]) -> Failure {
    let supported = "PDF, PNG, JPEG, TIFF, WebP, BMP, GIF, JPEG 2000 and JPEG XL are";
    let message = match unsupported_format(head) {
        Some(format) => format!("{format} are not supported; {supported}."),
        None => format!("The document's format is not supported, judging by its bytes; {supported}."),
    };
    Failure::new(FailureCode::UnsupportedFormat, message)
}

/// Opens a file for [`Document`].
///
/// # Errors
/// Fails with `Internal`: the cause is our own disk, not the document.
pub(crate) fn open_file(path: &Path) -> Result<File, Failure> {
    File::open(path).map_err(|error| file_failure(&error))
}
