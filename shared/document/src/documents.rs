//! Inspects documents and decodes their pages, by their paths.

use std::{
    fs::File,
    io,
    path::{Path, PathBuf},
    time::SystemTime,
};

use quire_tasks::{DocumentFormat, Failure, SplitDocument};

use crate::{
    DocumentLimits, PageImage, PdfiumUnavailable,
    document::{Document, open_file},
    file_failure::file_failure,
    fonts::SYSTEM_FONT_FOLDERS,
    pdf,
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
    cached: Option<CachedDocument>,
}

/// The cached document. Most callers read the pages of one document in sequence.
#[derive(Debug)]
struct CachedDocument {
    identity: FileIdentity,
    document: Document,
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
        let system: Vec<PathBuf> = SYSTEM_FONT_FOLDERS.iter().map(PathBuf::from).collect();
        self.bind_pdfium_with_fonts(&system)
    }

    /// Binds pdfium now. Text whose font a PDF does not contain is drawn with fonts in these folders, instead of with
    /// those of the system. Without effect if this process has bound pdfium already.
    ///
    /// # Errors
    /// Fails with [`PdfiumUnavailable`].
    pub fn bind_pdfium_with_fonts(&self, font_folders: &[PathBuf]) -> Result<(), PdfiumUnavailable> {
        pdf::bind(self.pdfium_library.as_deref(), font_folders)
    }

    /// Returns the format and the number of pages of a document, without decoding any.
    ///
    /// # Errors
    /// Fails like [`Document::open`] and [`Document::inspect`].
    pub fn inspect(&mut self, file: &Path) -> Result<SplitDocument, Failure> {
        Document::open(open_file(file)?, self.pdfium_library.clone(), self.limits)?.inspect()
    }

    /// Decodes or renders one page, counted from 1. The document stays open until another one is read.
    ///
    /// # Errors
    /// Fails like [`Document::page`].
    pub fn page(&mut self, file: &Path, format: DocumentFormat, page: u32) -> Result<PageImage, Failure> {
        self.with_document(file, format, |document| document.page(page))
    }

    /// Returns the resolution, in pixels per inch, of the image that [`Documents::page`] returns for this page: see
    /// [`Document::dpi`].
    ///
    /// # Errors
    /// Fails like [`Documents::page`].
    pub fn dpi(&mut self, file: &Path, format: DocumentFormat, page: u32) -> Result<f32, Failure> {
        self.with_document(file, format, |document| document.dpi(page))
    }

    fn with_document<T>(
        &mut self,
        path: &Path,
        format: DocumentFormat,
        work: impl FnOnce(&mut Document) -> Result<T, Failure>,
    ) -> Result<T, Failure> {
        let file = open_file(path)?;
        let identity = FileIdentity::of(path, &file).map_err(|error| file_failure(&error))?;
        // Out of the cache meanwhile: the cached document is closed before another one is opened.
        let cached =
            self.cached.take().filter(|cached| cached.identity == identity && cached.document.format() == format);
        let mut cached = cached.unwrap_or_else(|| {
            let document = Document::with_format(file, format, self.pdfium_library.clone(), self.limits);
            CachedDocument { identity, document }
        });
        let result = work(&mut cached.document);
        self.cached = Some(cached);
        result
    }
}

impl FileIdentity {
    fn of(path: &Path, file: &File) -> io::Result<Self> {
        let metadata = file.metadata()?;
        Ok(Self { path: path.to_owned(), bytes: metadata.len(), modified: metadata.modified().ok() })
    }
}
