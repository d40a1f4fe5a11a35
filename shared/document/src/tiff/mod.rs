//! Decoding of TIFF, which may have several pages. Images are decoded band by band with the codecs of other crates, so
//! that large pages are downscaled on the way and damaged ones are decoded in part.

mod chunks;
mod codec;
mod directory;
mod image;
mod old_jpeg;
mod samples;
mod shape;
mod stored;
mod tags;

use std::{fs::File, io::BufReader};

use quire_tasks::{DocumentFormat, Failure, FailureCode};

use self::directory::{Directory, DirectoryChain, LostPage};
use crate::{
    DocumentLimits, PageImage, StoredImage,
    embedding::{encoded_again, unfit},
    image_fault::ImageFault,
    rows::check_size,
    transparency::Alpha,
};

/// An open TIFF with its parsed directories.
#[derive(Debug)]
pub(crate) struct TiffFile {
    file: File,
    chain: DirectoryChain,
}

impl TiffFile {
    /// Parses the directories without decoding pixels.
    pub(crate) fn open(file: File, limits: &DocumentLimits) -> Result<Self, Failure> {
        let unreadable = |fault: ImageFault| fault.into_failure(FailureCode::UnreadableDocument, "The TIFF");
        let chain = DirectoryChain::read(&mut BufReader::new(&file), limits.max_pages)
            .map_err(|error| unreadable(error.into()))?;
        if chain.lost == Some(LostPage::TooMany) {
            return Err(unreadable(ImageFault::Invalid("it has too many directories")));
        }
        if chain.pages.is_empty() {
            return Err(unreadable(match chain.lost {
                Some(LostPage::Truncated) => ImageFault::Truncated,
                Some(_) => ImageFault::Invalid("its first directory is damaged"),
                None => ImageFault::Invalid("it has no pages"),
            }));
        }
        Ok(Self { file, chain })
    }

    /// Returns the number of pages. Pages whose directories are lost count as one, which fails.
    pub(crate) fn pages(&self) -> u32 {
        self.chain.pages.len() as u32 + u32::from(self.chain.lost.is_some())
    }

    /// Checks the size of every page.
    pub(crate) fn check_pixels(&self, limits: &DocumentLimits) -> Result<(), Failure> {
        let check = |page: &Directory| check_size(page.size, limits.max_pixels);
        let checked = self.chain.pages.iter().try_for_each(check);
        checked.map_err(|fault| fault.into_failure(FailureCode::UnreadableDocument, "The TIFF"))
    }

    /// Returns the image of a page, counted from 1, in a form that a PDF can contain.
    pub(crate) fn stored_image(&self, page: u32, limits: &DocumentLimits) -> Result<StoredImage, Failure> {
        let decoded = self.decode(page, limits)?;
        if !decoded.warnings().is_empty() {
            return Err(unfit("The image is damaged."));
        }
        let directory = &self.chain.pages[page as usize - 1];
        let size = (decoded.page_width(), decoded.page_height());
        match stored::fax_image(&self.file, self.chain.layout, directory, size) {
            Some(stored) => Ok(stored),
            None => encoded_again(&decoded, &self.file, DocumentFormat::Tiff),
        }
    }

    /// Decodes one page, counted from 1.
    pub(crate) fn decode(&self, page: u32, limits: &DocumentLimits) -> Result<PageImage, Failure> {
        let unreadable = |fault: ImageFault| fault.into_failure(FailureCode::UnreadablePage, &format!("Page {page}"));
        let directory = (page as usize).checked_sub(1).and_then(|index| self.chain.pages.get(index));
        let Some(directory) = directory else {
            let reason = match self.chain.lost {
                Some(lost) if page == self.pages() => format!("{lost}, and later pages cannot be found"),
                _ => "the TIFF has no such page".to_owned(),
            };
            let message = format!("Page {page} cannot be decoded: {reason}.");
            return Err(Failure::new(FailureCode::UnreadablePage, message));
        };
        let decode = |alpha| image::decode(&self.file, self.chain.layout, directory, limits, alpha);
        let decoded = match decode(Alpha::Applied) {
            Err(ImageFault::Invisible) => decode(Alpha::Ignored),
            decoded => decoded,
        };
        decoded.map_err(unreadable)
    }
}
