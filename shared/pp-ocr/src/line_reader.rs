//! Reads pages line by line: detection, orientation, recognition, reading order.

use std::time::Instant;

use quire_document::PageImage;
use quire_inference::{ModelError, ProcessingPool};
use quire_tasks::{EngineName, Failure, PageText};

use crate::{
    cost_counters::{CostCounters, MeteredModel},
    ctc::LineReading,
    geometry::Quad,
    layer_sample::{LayerSample, agree},
    line_batches::{LineSource, read_lines},
    line_width::{DEFAULT_WIDTH_RATIO, SpacedReading, page_width_ratio},
    model::OcrModel,
    page_detection::PageDetector,
    page_reader::PageReader,
    page_state::{DetectedText, LineSelection, PageState},
    policy::BatchPolicy,
    text_layer::VisibleLayer,
};

/// Reads pages line by line with a detection and a recognition model.
pub(crate) struct LineReader {
    name: EngineName,
    model: MeteredModel,
    /// Reads lines again that the model is not certain of.
    precise: Option<MeteredModel>,
    policy: BatchPolicy,
    pool: ProcessingPool,
}

/// Which model reads.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Which {
    Fast,
    /// The precise one, if there is one.
    Precise,
}

impl LineReader {
    pub(crate) fn new(model: Box<dyn OcrModel>, policy: BatchPolicy) -> Self {
        let pool = ProcessingPool::new(policy.processing_threads);
        Self { name: model.name(), model: MeteredModel::new(model), precise: None, policy, pool }
    }

    /// Creates a reader with a fast model and a precise one.
    pub(crate) fn tiered(
        name: EngineName,
        fast: Box<dyn OcrModel>,
        precise: Box<dyn OcrModel>,
        policy: BatchPolicy,
    ) -> Self {
        Self { name, precise: Some(MeteredModel::new(precise)), ..Self::new(fast, policy) }
    }
}

impl PageReader for LineReader {
    fn name(&self) -> EngineName {
        self.name.clone()
    }

    fn policy(&self) -> &BatchPolicy {
        &self.policy
    }

    fn read(&mut self, pages: &[PageImage]) -> Vec<Result<PageText, Failure>> {
        let started = Instant::now();
        let layers = self.trusted_layers(pages);
        let layered: Vec<(&PageImage, &Option<VisibleLayer>)> = pages.iter().zip(&layers).collect();
        let rests = self.pool.map(&layered, |(page, layer)| layer.as_ref()?.rest_of(page));
        let images: Vec<&PageImage> = layered
            .iter()
            .zip(&rests)
            .filter_map(|((page, layer), rest)| if layer.is_some() { rest.as_ref() } else { Some(page) })
            .collect();
        let mut read = self.read_images(&images).into_iter();
        let mut next = || read.next().expect("every image was read");
        let name = self.name();
        let mut texts = Vec::with_capacity(pages.len());
        for ((page, layer), rest) in pages.iter().zip(layers).zip(rests) {
            texts.push(match layer {
                None => next(),
                Some(layer) => {
                    let rest = rest.map(|_| next()).transpose();
                    rest.map(|rest| layer.into_page_text(page, &name, rest))
                }
            });
        }
        self.model.costs.pages += pages.len() as u64;
        self.model.costs.total += started.elapsed();
        texts
    }

    fn take_costs(&mut self) -> CostCounters {
        std::mem::take(&mut self.model.costs)
    }
}

impl LineReader {
    /// Returns the text layers that can be used: samples of them are what is printed.
    fn trusted_layers(&mut self, pages: &[PageImage]) -> Vec<Option<VisibleLayer>> {
        let visible = self.pool.map(pages, VisibleLayer::of_page);
        let samples: Vec<Vec<LayerSample>> =
            visible.iter().map(|layer| layer.as_ref().map(VisibleLayer::samples).unwrap_or_default()).collect();
        let sources: Vec<LineSource<'_>> = pages
            .iter()
            .zip(&samples)
            .flat_map(|(page, samples)| samples.iter().map(move |sample| (page, sample.quad)))
            .map(|(page, quad)| LineSource { page, quad, width_ratio: DEFAULT_WIDTH_RATIO })
            .collect();
        let model = self.precise.as_mut().unwrap_or(&mut self.model);
        let readings = read_lines(model, &self.policy, &self.pool, &sources);
        let mut readings = readings.into_iter().map(|reading| reading.ok().map(|reading| reading.reading));
        let mut is_trusted = |samples: &[LayerSample]| {
            let read: Vec<Option<LineReading>> = readings.by_ref().take(samples.len()).collect();
            agree(samples, &read)
        };
        visible.into_iter().zip(&samples).map(|(layer, samples)| layer.filter(|_| is_trusted(samples))).collect()
    }

    /// Reads pages by their images.
    fn read_images(&mut self, pages: &[&PageImage]) -> Vec<Result<PageText, Failure>> {
        let detected = self.detect(pages);
        let mut states: Vec<PageState<'_>> =
            pages.iter().zip(detected).map(|(page, detected)| PageState::new(page, detected)).collect();
        // First read a few lines of each page, to detect whether it is upside down and which width suits its lines.
        let default_widths = vec![DEFAULT_WIDTH_RATIO; pages.len()];
        let mut representative: Vec<Vec<SpacedReading>> = vec![Vec::new(); pages.len()];
        for (pick, line) in
            self.read_selected(&mut states, &default_widths, Which::Fast, PageState::orientation_samples)
        {
            states[pick.state].set_reading(pick.line, line.reading.clone());
            representative[pick.state].extend(Some(line).filter(SpacedReading::is_representative));
        }
        let mut upside_down = Vec::new();
        for (pick, line) in
            self.read_selected(&mut states, &default_widths, Which::Fast, PageState::upside_down_samples)
        {
            upside_down.push((pick, line.reading.clone()));
            representative[pick.state].extend(Some(line).filter(SpacedReading::is_representative));
        }
        for readings in upside_down.chunk_by(|a, b| a.0.state == b.0.state) {
            states[readings[0].0.state].turn_if_better(readings);
        }
        // Vertical text runs along the side of the page, but its characters are upright.
        let upright: Vec<(LineSelection, LineReading)> = self
            .read_selected(&mut states, &default_widths, Which::Fast, PageState::upright_cells)
            .into_iter()
            .map(|(pick, cell)| (pick, cell.reading))
            .collect();
        for readings in upright.chunk_by(|a, b| a.0.state == b.0.state) {
            states[readings[0].0.state].detect_vertical_text(readings);
        }
        states.iter_mut().for_each(PageState::add_isolated_characters);
        let widths: Vec<f32> = representative.into_iter().map(page_width_ratio).collect();
        for (pick, line) in self.read_selected(&mut states, &widths, Which::Fast, PageState::unread) {
            states[pick.state].set_reading(pick.line, line.reading);
        }
        self.read_again(&mut states, &widths);
        for (pick, line) in
            self.read_selected(&mut states, &default_widths, Which::Precise, PageState::alternative_readings)
        {
            states[pick.state].replace_if_better(pick.line, pick.quad, line.reading);
        }
        let numbers: Vec<(LineSelection, LineReading)> = self
            .read_selected(&mut states, &default_widths, Which::Precise, PageState::doubtful_numbers)
            .into_iter()
            .map(|(pick, number)| (pick, number.reading))
            .collect();
        for readings in numbers.chunk_by(|a, b| a.0.state == b.0.state) {
            states[readings[0].0.state].choose_numbers(readings);
        }
        let name = self.name();
        let texts = states.into_iter().map(|state| state.into_page_text(&name)).collect();
        if let Some(precise) = &mut self.precise {
            self.model.costs += &std::mem::take(&mut precise.costs);
        }
        texts
    }

    /// Returns the lines of each page. The precise model detects them, too: with the boxes of PP-OCRv6 tiny, text around a
    /// picture was read in another order, and detection takes only a tenth of the time.
    fn detect(&mut self, pages: &[&PageImage]) -> Vec<Result<DetectedText, ModelError>> {
        let model = self.precise.as_mut().unwrap_or(&mut self.model);
        PageDetector { model, policy: &self.policy, pool: &self.pool }.detect(pages)
    }

    /// Reads lines with the precise model that the fast one is not certain of.
    fn read_again(&mut self, states: &mut [PageState<'_>], widths: &[f32]) {
        if self.precise.is_none() {
            return;
        }
        for (pick, line) in self.read_selected(states, widths, Which::Precise, PageState::doubtful_readings) {
            states[pick.state].set_reading(pick.line, line.reading);
        }
    }

    /// Reads the lines that `pick` selects of each page, in batches over all pages, with the width ratio of each page.
    /// A page fails if one of its lines fails.
    fn read_selected<'a>(
        &mut self,
        states: &mut [PageState<'a>],
        widths: &[f32],
        which: Which,
        pick: impl Fn(&PageState<'a>) -> Vec<(usize, Quad)>,
    ) -> Vec<(LineSelection, SpacedReading)> {
        let mut picks = Vec::new();
        let mut images = Vec::new();
        for (state, from) in states.iter().enumerate() {
            for (line, quad) in pick(from) {
                picks.push(LineSelection { state, line, quad });
                images.push(LineSource { page: from.page(), quad, width_ratio: widths[state] });
            }
        }
        let model = match (which, &mut self.precise) {
            (Which::Precise, Some(precise)) => precise,
            _ => &mut self.model,
        };
        let readings = read_lines(model, &self.policy, &self.pool, &images);
        let mut read = Vec::new();
        for (pick, reading) in picks.into_iter().zip(readings) {
            match reading {
                Ok(reading) => read.push((pick, reading)),
                Err(error) => states[pick.state].fail(error),
            }
        }
        read
    }
}
