//! A page line by line: detect, orient, recognize, put in order.

use std::time::Instant;

use ndarray::{ArrayView2, s};
use quire_document::PageImage;
use quire_tasks::{EngineName, Failure, PageText};

use crate::{
    Model, ModelError, PageReader, PixelRun, Policy, RunBuffer,
    ctc::Reading,
    detection::{detection_size, text_lines},
    geometry::Quad,
    gpu_shapes::Fit,
    hands::Hands,
    lines::{LineImage, read_lines},
    resample::resample,
    runs::run_isolating,
    sheet::{Pick, Sheet},
    spacing::{Spaced, USUAL, width_of_page},
    work::{Metered, Work},
};

/// Reads lines with a model that finds them and a model that reads one.
pub(crate) struct LineReader {
    model: Metered,
    policy: Policy,
    hands: Hands,
}

impl LineReader {
    pub(crate) fn new(model: Box<dyn Model>, policy: Policy) -> Self {
        let hands = Hands::new(policy.hands);
        Self { model: Metered::new(model), policy, hands }
    }
}

impl PageReader for LineReader {
    fn name(&self) -> EngineName {
        self.model.model().name()
    }

    fn policy(&self) -> &Policy {
        &self.policy
    }

    fn read(&mut self, pages: &[PageImage]) -> Vec<Result<PageText, Failure>> {
        let started = Instant::now();
        let detected = self.detect(pages);
        let mut sheets: Vec<Sheet<'_>> =
            pages.iter().zip(detected).map(|(page, lines)| Sheet::new(page, lines)).collect();
        // A few lines of each page first: they tell whether it stands on its head, and how wide its lines are best drawn.
        let usual = vec![USUAL; pages.len()];
        let mut telling: Vec<Vec<Spaced>> = vec![Vec::new(); pages.len()];
        for (pick, line) in self.read_picks(&mut sheets, &usual, Sheet::samples) {
            sheets[pick.sheet].settle(pick.line, line.reading.clone());
            telling[pick.sheet].extend(Some(line).filter(Spaced::is_telling));
        }
        let mut upside_down = Vec::new();
        for (pick, line) in self.read_picks(&mut sheets, &usual, Sheet::doubtful_samples_upside_down) {
            upside_down.push((pick, line.reading.clone()));
            telling[pick.sheet].extend(Some(line).filter(Spaced::is_telling));
        }
        for readings in upside_down.chunk_by(|a, b| a.0.sheet == b.0.sheet) {
            sheets[readings[0].0.sheet].turn_if_better(readings);
        }
        // Vertical text runs along the page's side, but its characters stand upright.
        let upright: Vec<(Pick, Reading)> = self
            .read_picks(&mut sheets, &usual, Sheet::upright_cells)
            .into_iter()
            .map(|(pick, cell)| (pick, cell.reading))
            .collect();
        for readings in upright.chunk_by(|a, b| a.0.sheet == b.0.sheet) {
            sheets[readings[0].0.sheet].set_vertically_if_upright(readings);
        }
        let widths: Vec<f32> = telling.into_iter().map(width_of_page).collect();
        for (pick, line) in self.read_picks(&mut sheets, &widths, Sheet::unread) {
            sheets[pick.sheet].settle(pick.line, line.reading);
        }
        for (pick, line) in self.read_picks(&mut sheets, &usual, Sheet::doubtful_otherwise) {
            sheets[pick.sheet].settle_if_better(pick.line, pick.quad, line.reading);
        }
        let name = self.name();
        let texts = sheets.into_iter().map(|sheet| sheet.into_text(&name)).collect();
        self.model.work.pages += pages.len() as u64;
        self.model.work.total += started.elapsed();
        texts
    }

    fn take_work(&mut self) -> Work {
        std::mem::take(&mut self.model.work)
    }
}

impl LineReader {
    /// The places of the text lines of each page.
    fn detect(&mut self, pages: &[PageImage]) -> Vec<Result<Vec<Quad>, ModelError>> {
        let fits: Vec<Fit> = pages.iter().map(|page| self.fit(page)).collect();
        let shapes: Vec<(u32, u32)> = fits.iter().map(|fit| fit.shape).collect();
        let mut detected: Vec<Result<Vec<Quad>, ModelError>> = pages.iter().map(|_| Ok(Vec::new())).collect();
        for PixelRun { members, size, .. } in self.policy.pixel_runs(&shapes) {
            let mut left = &members[..];
            while !left.is_empty() {
                // Fewer than were planned, once there was no memory for as many.
                let (members, rest) = left.split_at(self.model.fitting_pages(size).min(left.len()));
                left = rest;
                let answers = run_isolating(members, &mut |members| {
                    let pages: Vec<(&PageImage, Fit)> =
                        members.iter().map(|&page| (&pages[page], fits[page])).collect();
                    self.detect_run(&pages)
                });
                for (&page, answer) in members.iter().zip(answers) {
                    detected[page] = answer;
                }
            }
        }
        detected
    }

    /// How a page is put into a run.
    fn fit(&self, page: &PageImage) -> Fit {
        let (width, height) = (page.width(), page.height());
        let exact = detection_size(width, height, self.policy.detection_page_pixels);
        self.policy.detection_fit((width, height), exact)
    }

    /// One detection run over pages that have one shape.
    fn detect_run(&mut self, pages: &[(&PageImage, Fit)]) -> Result<Vec<Vec<Quad>>, ModelError> {
        let (width, height) = pages[0].1.shape;
        let batch = self.policy.batch(pages.len());
        let shape = [batch, PageImage::CHANNELS, height as usize, width as usize];
        let mut run = self.model.detection_run(shape);
        self.hands.draw(pages, run.input_mut(), |(page, fit), mut place| {
            let (columns, rows) = (fit.content.0 as usize, fit.content.1 as usize);
            place.slice_mut(s![.., rows.., ..]).fill(0.0);
            place.slice_mut(s![.., .., columns..]).fill(0.0);
            resample(page, place.slice_mut(s![.., ..rows, ..columns]));
        });
        let drawn = pages.iter().map(|(_, fit)| fit.content.0 as usize * fit.content.1 as usize).sum();
        let answer = self.model.detect(&mut run, drawn);
        let lines = answer.and_then(|()| self.lines_found(pages, &run, [batch, shape[2], shape[3]]));
        self.model.keep_detection(run);
        lines
    }

    /// The lines in the maps of a run of this shape.
    fn lines_found(
        &self,
        pages: &[(&PageImage, Fit)],
        run: &RunBuffer,
        [batch, height, width]: [usize; 3],
    ) -> Result<Vec<Vec<Quad>>, ModelError> {
        let (maps, expected) = (run.answer(), (batch, height, width));
        if maps.dim() != expected {
            return Err(ModelError::Shape { expected: format!("{expected:?}"), found: format!("{:?}", maps.dim()) });
        }
        let found: Vec<_> = pages.iter().zip(maps.outer_iter()).collect();
        let lines = self.hands.map(&found, |((page, fit), map)| {
            let (columns, rows) = (fit.content.0 as usize, fit.content.1 as usize);
            let map: ArrayView2<'_, f32> = map.slice(s![..rows, ..columns]);
            let finite = map.iter().all(|value| value.is_finite());
            if finite { Ok(text_lines(&map, page.width(), page.height())) } else { Err(ModelError::NotANumber) }
        });
        lines.into_iter().collect()
    }

    /// Reads what `pick` picks of each page, in one pool over all pages, drawn as wide as `widths` says of each. A page of
    /// which a line fails has failed.
    fn read_picks<'a>(
        &mut self,
        sheets: &mut [Sheet<'a>],
        widths: &[f32],
        pick: impl Fn(&Sheet<'a>) -> Vec<(usize, Quad)>,
    ) -> Vec<(Pick, Spaced)> {
        let mut picks = Vec::new();
        let mut images = Vec::new();
        for (sheet, from) in sheets.iter().enumerate() {
            for (line, quad) in pick(from) {
                picks.push(Pick { sheet, line, quad });
                images.push(LineImage { page: from.page(), quad, drawn: widths[sheet] });
            }
        }
        let readings = read_lines(&mut self.model, &self.policy, &self.hands, &images);
        let mut read = Vec::new();
        for (pick, reading) in picks.into_iter().zip(readings) {
            match reading {
                Ok(reading) => read.push((pick, reading)),
                Err(error) => sheets[pick.sheet].fail(error),
            }
        }
        read
    }
}
