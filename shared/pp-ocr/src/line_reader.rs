//! A page line by line: detect, orient, recognize, put in order.

use std::time::Instant;

use ndarray::{ArrayView2, s};
use quire_document::PageImage;
use quire_inference::{Hands, ModelError, RunBuffer, run_isolating};
use quire_tasks::{EngineName, Failure, PageText};

use crate::{
    cost_counters::{Metered, Work},
    crop_rect::Part,
    ctc::Reading,
    detection::detection_size,
    fixed_shapes::Fit,
    geometry::Quad,
    line_batches::{LineImage, read_lines},
    line_width::{Spaced, USUAL, width_of_page},
    model::Model,
    page_reader::PageReader,
    page_state::{Pick, Sheet},
    policy::Policy,
    policy_runs::PixelRun,
    resample::resample,
    zoomed_detection::{Found, found},
};

/// How often a page is looked at: as a whole, its halves or a part that has small print, and the halves of these.
const LOOKS: usize = 3;

/// A look at a part of a page of the micro-batch.
struct Look {
    page: usize,
    part: Part,
}

/// A part of a page, and how it is put into a run.
type Drawn<'a> = (&'a PageImage, Part, Fit);

/// Puts the lines that were found in a part of a page in the place of those that were known there. At the part's edge a
/// sliver of a line beyond it may look like one.
fn replace(lines: &mut Vec<Quad>, part: &Part, found: Vec<Quad>) {
    lines.retain(|line| !part.holds(line.center()));
    let beyond = lines.len();
    for line in found {
        if !lines[..beyond].iter().any(|known| known.holds(line.center())) {
            lines.push(line);
        }
    }
}

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
    /// The places of the text lines of each page. Parts with small print are looked at once more, closer, and what a closer
    /// look finds there holds.
    fn detect(&mut self, pages: &[PageImage]) -> Vec<Result<Vec<Quad>, ModelError>> {
        let mut detected: Vec<Result<Vec<Quad>, ModelError>> = pages.iter().map(|_| Ok(Vec::new())).collect();
        let whole = |(page, image)| Look { page, part: Part::whole(image) };
        let mut looks: Vec<Look> = pages.iter().enumerate().map(whole).collect();
        for _ in 0..LOOKS {
            let mut closer = Vec::new();
            for (look, found) in looks.iter().zip(self.look(pages, &looks)) {
                match (&mut detected[look.page], found) {
                    (Ok(lines), Ok(found)) => {
                        replace(lines, &look.part, found.lines);
                        closer.extend(found.closer.into_iter().map(|part| Look { page: look.page, part }));
                    }
                    (detected, Err(error)) => *detected = Err(error),
                    (Err(_), Ok(_)) => {}
                }
            }
            looks = closer;
        }
        detected
    }

    /// What there is in parts of pages.
    fn look(&mut self, pages: &[PageImage], looks: &[Look]) -> Vec<Result<Found, ModelError>> {
        let fits: Vec<Fit> = looks.iter().map(|look| self.fit(&look.part)).collect();
        let shapes: Vec<(u32, u32)> = fits.iter().map(|fit| fit.shape).collect();
        let mut found: Vec<Option<Result<Found, ModelError>>> = looks.iter().map(|_| None).collect();
        for PixelRun { members, size, .. } in self.policy.pixel_runs(&shapes) {
            let mut left = &members[..];
            while !left.is_empty() {
                // Fewer than were planned, once there was no memory for as many.
                let (members, rest) = left.split_at(self.model.fitting_pages(size).min(left.len()));
                left = rest;
                let answers = run_isolating(members, &mut |members| {
                    let drawn = |&look: &usize| (&pages[looks[look].page], looks[look].part, fits[look]);
                    self.detect_run(&members.iter().map(drawn).collect::<Vec<_>>())
                });
                for (&look, answer) in members.iter().zip(answers) {
                    found[look] = Some(answer);
                }
            }
        }
        found.into_iter().map(|found| found.expect("every look is a member of a run")).collect()
    }

    /// How a part of a page is put into a run.
    fn fit(&self, part: &Part) -> Fit {
        let exact = detection_size(part.width, part.height, self.policy.detection_page_pixels);
        self.policy.detection_fit((part.width, part.height), exact)
    }

    /// One detection run over parts of pages that have one shape.
    fn detect_run(&mut self, parts: &[Drawn<'_>]) -> Result<Vec<Found>, ModelError> {
        let (width, height) = parts[0].2.shape;
        let batch = self.policy.batch(parts.len());
        let shape = [batch, PageImage::CHANNELS, height as usize, width as usize];
        let mut run = self.model.detection_run(shape);
        self.hands.draw(parts, run.input_mut(), |(page, part, fit), mut place| {
            let (columns, rows) = (fit.content.0 as usize, fit.content.1 as usize);
            place.slice_mut(s![.., rows.., ..]).fill(0.0);
            place.slice_mut(s![.., .., columns..]).fill(0.0);
            resample(page, part, place.slice_mut(s![.., ..rows, ..columns]));
        });
        let drawn = parts.iter().map(|(.., fit)| fit.content.0 as usize * fit.content.1 as usize).sum();
        let answer = self.model.detect(&mut run, drawn);
        let found = answer.and_then(|()| self.found(parts, &run, [batch, shape[2], shape[3]]));
        self.model.keep_detection(run);
        found
    }

    /// What the maps of a run of this shape show.
    fn found(
        &self,
        parts: &[Drawn<'_>],
        run: &RunBuffer,
        [batch, height, width]: [usize; 3],
    ) -> Result<Vec<Found>, ModelError> {
        let (pictures, maps, expected) = (run.input(), run.answer(), (batch, height, width));
        if maps.dim() != expected {
            return Err(ModelError::Shape { expected: format!("{expected:?}"), found: format!("{:?}", maps.dim()) });
        }
        let max_pixels = self.policy.detection_page_pixels;
        let answers: Vec<_> = parts.iter().zip(pictures.outer_iter()).zip(maps.outer_iter()).collect();
        let found = self.hands.map(&answers, |(((_, part, fit), picture), map)| {
            let (columns, rows) = (fit.content.0 as usize, fit.content.1 as usize);
            let map: ArrayView2<'_, f32> = map.slice(s![..rows, ..columns]);
            if !map.iter().all(|value| value.is_finite()) {
                return Err(ModelError::NotANumber);
            }
            Ok(found(part, &picture.slice(s![1, ..rows, ..columns]), &map, max_pixels))
        });
        found.into_iter().collect()
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
