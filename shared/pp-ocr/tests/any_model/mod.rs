//! A fake model with any output.

use ndarray::{Array3, ArrayView4};
use quire_document::PageImage;
use quire_pp_ocr::{Alphabet, BatchPolicy, CtcStep, Engine, ModelError, OcrModel, Provider};
use quire_tasks::{EngineName, Failure, PageText};

type DetectFn = dyn FnMut(ArrayView4<'_, f32>) -> Result<Array3<f32>, ModelError> + Send;
type RecognizeFn = dyn FnMut(ArrayView4<'_, f32>) -> Result<Vec<Vec<CtcStep>>, ModelError> + Send;

pub(crate) struct AnyModel {
    alphabet: Alphabet,
    detect: Box<DetectFn>,
    recognize: Box<RecognizeFn>,
}

impl AnyModel {
    /// Creates a model that detects text according to `map`, `[N, 3, H, W]` to `[N, H, W]`, and reads each line as one
    /// `a`.
    pub(crate) fn finding(map: impl FnMut(ArrayView4<'_, f32>) -> Array3<f32> + Send + 'static) -> Self {
        let mut map = map;
        let sure = CtcStep { class: 1, probability: 0.99 };
        Self {
            alphabet: Alphabet::from_metadata("a\nb"),
            detect: Box::new(move |pages| Ok(map(pages))),
            recognize: Box::new(move |strips| Ok(vec![vec![sure]; strips.dim().0])),
        }
    }

    /// Creates a model that detects text everywhere.
    pub(crate) fn finding_all() -> Self {
        Self::finding(|pages| Array3::ones((pages.dim().0, pages.dim().2, pages.dim().3)))
    }

    /// Replaces the recognizer.
    pub(crate) fn reading(
        self,
        recognize: impl FnMut(ArrayView4<'_, f32>) -> Result<Vec<Vec<CtcStep>>, ModelError> + Send + 'static,
    ) -> Self {
        Self { recognize: Box::new(recognize), ..self }
    }

    /// Returns an engine that puts whole micro-batches into one run.
    pub(crate) fn pooled(self) -> Engine {
        let pixels = usize::MAX;
        let width = usize::MAX;
        let policy = BatchPolicy {
            detection_max_pixels: pixels,
            recognition_max_width: width,
            ..BatchPolicy::for_provider(Provider::OnnxRuntime)
        };
        Engine::new(Box::new(self), policy)
    }

    /// Reads one page.
    pub(crate) fn read(self, page: PageImage) -> Result<PageText, Failure> {
        self.pooled().read(&[page]).remove(0)
    }
}

impl OcrModel for AnyModel {
    fn name(&self) -> EngineName {
        EngineName { name: "any".to_owned(), version: "1".to_owned() }
    }

    fn alphabet(&self) -> &Alphabet {
        &self.alphabet
    }

    fn detect(&mut self, pages: ArrayView4<'_, f32>) -> Result<Array3<f32>, ModelError> {
        (self.detect)(pages)
    }

    fn recognize(&mut self, strips: ArrayView4<'_, f32>) -> Result<Vec<Vec<CtcStep>>, ModelError> {
        (self.recognize)(strips)
    }
}

/// A page of one gray level.
pub(crate) fn plain(width: u32, height: u32, gray: u8) -> PageImage {
    PageImage::new(width, height, vec![gray; (width * height) as usize * PageImage::CHANNELS])
}
