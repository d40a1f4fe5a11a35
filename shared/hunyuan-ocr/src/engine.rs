//! The HunyuanOCR engine.

use quire_inference::LoadError;
use quire_ocr::{PageFeed, PageStream};
use quire_tasks::{EngineName, ModeName};

use crate::{
    manifest::Manifest,
    onnx::OnnxNetwork,
    options::{HunyuanFiles, HunyuanOptions},
    reader::HunyuanReader,
    vocabulary::Vocabulary,
};

/// HunyuanOCR with ONNX Runtime; reads pages on the calling thread.
///
/// # Examples
/// ```no_run
/// use quire_hunyuan_ocr::{HunyuanFiles, HunyuanOcr, HunyuanOptions};
///
/// let files = HunyuanFiles { onnxruntime: "libonnxruntime.so".into(), folder: "hunyuan-ocr".into() };
/// let engine = HunyuanOcr::load(&files, &HunyuanOptions::cpu(4))?;
/// println!("{} MB for slots", engine.slot_bytes() / 1_000_000);
/// # Ok::<(), quire_hunyuan_ocr::LoadError>(())
/// ```
#[derive(Debug)]
pub struct HunyuanOcr {
    reader: HunyuanReader<OnnxNetwork>,
}

impl HunyuanOcr {
    /// Loads an exported model folder.
    ///
    /// # Errors
    /// [`LoadError`], if a library or file is missing or wrong; the message says what was expected.
    pub fn load(files: &HunyuanFiles, options: &HunyuanOptions) -> Result<Self, LoadError> {
        let manifest = Manifest::load(&files.folder)?;
        let vocabulary = Vocabulary::load(&manifest)?;
        let slots = options.slots.max(1);
        let options = HunyuanOptions { slots, ..options.clone() };
        let capacity = options.slot_tokens.min(manifest.decoder.max_positions);
        let network = OnnxNetwork::load(&files.onnxruntime, &manifest, &options, capacity)?;
        Ok(Self { reader: HunyuanReader::new(network, manifest, vocabulary, &options, capacity) })
    }

    /// Returns the modes that the folder has a prompt for.
    pub fn modes(&self) -> impl Iterator<Item = ModeName> {
        ModeName::ALL.into_iter().filter(|mode| self.reader.manifest.modes.contains_key(mode.as_str()))
    }

    /// Returns the size of all slots in device memory, in bytes.
    pub fn slot_bytes(&self) -> usize {
        self.reader.network.slot_bytes()
    }
}

impl PageStream for HunyuanOcr {
    fn name(&self) -> EngineName {
        self.reader.name()
    }

    fn slots(&self) -> usize {
        self.reader.slots()
    }

    fn serve(&mut self, feed: &mut dyn PageFeed<'_>) {
        self.reader.read_pages(feed);
    }
}
