//! Reads pages line by line: detection, orientation, recognition, reading order.

use std::time::Instant;

use ndarray::{ArrayView2, s};
use quire_document::PageImage;
use quire_inference::{ModelError, ProcessingPool, RunBuffer, run_with_bisection};
use quire_tasks::{EngineName, Failure, PageText};

use crate::{
    cost_counters::{CostCounters, MeteredModel},
    crop_rect::CropRect,
    ctc::LineReading,
    detection::detection_size,
    fixed_shapes::InputPlacement,
    geometry::Quad,
    line_batches::{LineSource, read_lines},
    line_width::{DEFAULT_WIDTH_RATIO, SpacedReading, page_width_ratio},
    model::OcrModel,
    page_reader::PageReader,
    page_state::{DetectedText, LineSelection, PageState},
    policy::BatchPolicy,
    policy_runs::DetectionRun,
    resample::resample,
    zoomed_detection::{DetectedLines, analyze_map},
};

/// Maximum detection passes: the whole page, then its halves or a region with small print, then halves of those.
const MAX_PASSES: usize = 3;

/// A region of a page of the micro-batch that detection must analyze.
struct PageRegion {
    page: usize,
    part: CropRect,
}

/// A page, a crop of it, and the crop's placement in a run.
type PlacedCrop<'a> = (&'a PageImage, CropRect, InputPlacement);

/// Replaces known lines in a region by the lines found there. Skips lines that a line from beyond the region's edge
/// already covers.
fn replace_lines(lines: &mut Vec<Quad>, part: &CropRect, found: Vec<Quad>) {
    lines.retain(|line| !part.contains(line.center()));
    let beyond = lines.len();
    for line in found {
        if !lines[..beyond].iter().any(|known| known.contains(line.center())) {
            lines.push(line);
        }
    }
}

/// Reads pages line by line with a detection and a recognition model.
pub(crate) struct LineReader {
    model: MeteredModel,
    policy: BatchPolicy,
    pool: ProcessingPool,
}

impl LineReader {
    pub(crate) fn new(model: Box<dyn OcrModel>, policy: BatchPolicy) -> Self {
        let pool = ProcessingPool::new(policy.processing_threads);
        Self { model: MeteredModel::new(model), policy, pool }
    }
}

impl PageReader for LineReader {
    fn name(&self) -> EngineName {
        self.model.model().name()
    }

    fn policy(&self) -> &BatchPolicy {
        &self.policy
    }

    fn read(&mut self, pages: &[PageImage]) -> Vec<Result<PageText, Failure>> {
        let started = Instant::now();
        let detected = self.detect(pages);
        let mut states: Vec<PageState<'_>> =
            pages.iter().zip(detected).map(|(page, detected)| PageState::new(page, detected)).collect();
        // First read a few lines of each page, to detect whether it is upside down and which width suits its lines.
        let default_widths = vec![DEFAULT_WIDTH_RATIO; pages.len()];
        let mut representative: Vec<Vec<SpacedReading>> = vec![Vec::new(); pages.len()];
        for (pick, line) in self.read_selected(&mut states, &default_widths, PageState::orientation_samples) {
            states[pick.state].set_reading(pick.line, line.reading.clone());
            representative[pick.state].extend(Some(line).filter(SpacedReading::is_representative));
        }
        let mut upside_down = Vec::new();
        for (pick, line) in self.read_selected(&mut states, &default_widths, PageState::upside_down_samples) {
            upside_down.push((pick, line.reading.clone()));
            representative[pick.state].extend(Some(line).filter(SpacedReading::is_representative));
        }
        for readings in upside_down.chunk_by(|a, b| a.0.state == b.0.state) {
            states[readings[0].0.state].turn_if_better(readings);
        }
        // Vertical text runs along the side of the page, but its characters are upright.
        let upright: Vec<(LineSelection, LineReading)> = self
            .read_selected(&mut states, &default_widths, PageState::upright_cells)
            .into_iter()
            .map(|(pick, cell)| (pick, cell.reading))
            .collect();
        for readings in upright.chunk_by(|a, b| a.0.state == b.0.state) {
            states[readings[0].0.state].detect_vertical_text(readings);
        }
        let widths: Vec<f32> = representative.into_iter().map(page_width_ratio).collect();
        for (pick, line) in self.read_selected(&mut states, &widths, PageState::unread) {
            states[pick.state].set_reading(pick.line, line.reading);
        }
        for (pick, line) in self.read_selected(&mut states, &default_widths, PageState::alternative_readings) {
            states[pick.state].replace_if_better(pick.line, pick.quad, line.reading);
        }
        let name = self.name();
        let texts = states.into_iter().map(|state| state.into_page_text(&name)).collect();
        self.model.costs.pages += pages.len() as u64;
        self.model.costs.total += started.elapsed();
        texts
    }

    fn take_costs(&mut self) -> CostCounters {
        std::mem::take(&mut self.model.costs)
    }
}

impl LineReader {
    /// Returns the lines of each page. Regions with small print are detected again, zoomed in, and those results
    /// replace the first ones.
    fn detect(&mut self, pages: &[PageImage]) -> Vec<Result<DetectedText, ModelError>> {
        let mut detected: Vec<Result<DetectedText, ModelError>> =
            pages.iter().map(|_| Ok(DetectedText::default())).collect();
        let whole = |(page, image)| PageRegion { page, part: CropRect::whole(image) };
        let mut regions: Vec<PageRegion> = pages.iter().enumerate().map(whole).collect();
        for _ in 0..MAX_PASSES {
            let mut zoomed = Vec::new();
            for (region, found) in regions.iter().zip(self.detect_regions(pages, &regions)) {
                match (&mut detected[region.page], found) {
                    (Ok(text), Ok(found)) => {
                        replace_lines(&mut text.lines, &region.part, found.lines);
                        text.illegible.extend(found.illegible);
                        zoomed
                            .extend(found.zoom_regions.into_iter().map(|part| PageRegion { page: region.page, part }));
                    }
                    (detected, Err(error)) => *detected = Err(error),
                    (Err(_), Ok(_)) => {}
                }
            }
            regions = zoomed;
        }
        detected
    }

    /// Runs detection on regions of pages. Returns one result per region.
    fn detect_regions(
        &mut self,
        pages: &[PageImage],
        regions: &[PageRegion],
    ) -> Vec<Result<DetectedLines, ModelError>> {
        let fits: Vec<InputPlacement> = regions.iter().map(|region| self.place_region(&region.part)).collect();
        let shapes: Vec<(u32, u32)> = fits.iter().map(|fit_to_shapes| fit_to_shapes.shape).collect();
        let mut found: Vec<Option<Result<DetectedLines, ModelError>>> = regions.iter().map(|_| None).collect();
        for DetectionRun { members, size, .. } in self.policy.pack_pages(&shapes) {
            let mut left = &members[..];
            while !left.is_empty() {
                // At most as many as fit into memory, which is known after the first out-of-memory error.
                let (members, rest) = left.split_at(self.model.max_pages(size).min(left.len()));
                left = rest;
                let answers = run_with_bisection(members, &mut |members| {
                    let drawn = |&region: &usize| (&pages[regions[region].page], regions[region].part, fits[region]);
                    self.detect_run(&members.iter().map(drawn).collect::<Vec<_>>())
                });
                for (&region, answer) in members.iter().zip(answers) {
                    found[region] = Some(answer);
                }
            }
        }
        found.into_iter().map(|found| found.expect("every region is a member of a run")).collect()
    }

    /// Returns how a region is placed in a run.
    fn place_region(&self, part: &CropRect) -> InputPlacement {
        let exact = detection_size(part.width, part.height, self.policy.detection_page_pixels);
        self.policy.place_page((part.width, part.height), exact)
    }

    /// Runs detection once on crops of the same shape.
    fn detect_run(&mut self, parts: &[PlacedCrop<'_>]) -> Result<Vec<DetectedLines>, ModelError> {
        let (width, height) = parts[0].2.shape;
        let batch = self.policy.batch(parts.len());
        let shape = [batch, PageImage::CHANNELS, height as usize, width as usize];
        let mut run = self.model.detection_buffer(shape);
        self.pool.draw(parts, run.input_mut(), |(page, part, fit_to_shapes), mut place| {
            let columns = fit_to_shapes.content.0 as usize;
            let rows = fit_to_shapes.content.1 as usize;
            place.slice_mut(s![.., rows.., ..]).fill(0.0);
            place.slice_mut(s![.., .., columns..]).fill(0.0);
            resample(page, part, place.slice_mut(s![.., ..rows, ..columns]));
        });
        let drawn = parts
            .iter()
            .map(|(.., fit_to_shapes)| fit_to_shapes.content.0 as usize * fit_to_shapes.content.1 as usize)
            .sum();
        let answer = self.model.detect(&mut run, drawn);
        let found = answer.and_then(|()| self.analyze_maps(parts, &run, [batch, shape[2], shape[3]]));
        self.model.return_detection_buffer(run);
        found
    }

    /// Analyzes the maps of a run of this shape.
    fn analyze_maps(
        &self,
        parts: &[PlacedCrop<'_>],
        run: &RunBuffer,
        [batch, height, width]: [usize; 3],
    ) -> Result<Vec<DetectedLines>, ModelError> {
        let pictures = run.input();
        let maps = run.output();
        let expected = (batch, height, width);
        if maps.dim() != expected {
            return Err(ModelError::Shape { expected: format!("{expected:?}"), found: format!("{:?}", maps.dim()) });
        }
        let max_pixels = self.policy.detection_page_pixels;
        let answers: Vec<_> = parts.iter().zip(pictures.outer_iter()).zip(maps.outer_iter()).collect();
        let found = self.pool.map(&answers, |(((_, part, fit_to_shapes), picture), map)| {
            let columns = fit_to_shapes.content.0 as usize;
            let rows = fit_to_shapes.content.1 as usize;
            let map: ArrayView2<'_, f32> = map.slice(s![..rows, ..columns]);
            if !map.iter().all(|value| value.is_finite()) {
                return Err(ModelError::NotANumber);
            }
            Ok(analyze_map(part, &picture.slice(s![1, ..rows, ..columns]), &map, max_pixels))
        });
        found.into_iter().collect()
    }

    /// Reads the lines that `pick` selects of each page, in batches over all pages, with the width ratio of each page.
    /// A page fails if one of its lines fails.
    fn read_selected<'a>(
        &mut self,
        states: &mut [PageState<'a>],
        widths: &[f32],
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
        let readings = read_lines(&mut self.model, &self.policy, &self.pool, &images);
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
