//! The engine of HunyuanOCR.

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

/// HunyuanOCR through ONNX Runtime. One thread's.
#[derive(Debug)]
pub struct HunyuanOcr {
    reader: HunyuanReader<OnnxNetwork>,
}

impl HunyuanOcr {
    /// Loads a folder.
    ///
    /// # Errors
    /// [`LoadError`] says what is missing or wrong, and what was expected.
    pub fn load(files: &HunyuanFiles, options: &HunyuanOptions) -> Result<Self, LoadError> {
        let manifest = Manifest::load(&files.folder)?;
        let vocabulary = Vocabulary::load(&manifest)?;
        let slots = options.slots.max(1);
        let options = HunyuanOptions { slots, ..options.clone() };
        let capacity = options.slot_tokens.min(manifest.decoder.max_positions);
        let network = OnnxNetwork::load(&files.onnxruntime, &manifest, &options, capacity)?;
        Ok(Self { reader: HunyuanReader::new(network, manifest, vocabulary, &options, capacity) })
    }

    /// The modes that the folder has an instruction for.
    pub fn modes(&self) -> impl Iterator<Item = ModeName> {
        ModeName::ALL.into_iter().filter(|mode| self.reader.manifest.modes.contains_key(mode.as_str()))
    }

    /// Bytes of the slots on the device.
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
