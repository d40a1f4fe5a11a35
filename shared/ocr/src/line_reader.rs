//! A page line by line: detect, orient, recognize, put in order.

use std::time::Instant;

use ndarray::{Array4, Axis};
use quire_document::PageImage;
use quire_tasks::{EngineName, Failure, PageText};

use crate::{
    Model, ModelError, PageReader, PixelRun, Policy,
    ctc::Reading,
    detection::{detection_size, text_lines},
    geometry::Quad,
    lines::{LineImage, read_lines},
    resample::resample,
    runs::run_isolating,
    sheet::{Pick, Sheet},
    work::{Metered, Work},
};

/// Reads lines with a model that finds them and a model that reads one.
pub(crate) struct LineReader {
    model: Metered,
    policy: Policy,
}

impl LineReader {
    pub(crate) fn new(model: Box<dyn Model>, policy: Policy) -> Self {
        Self { model: Metered::new(model), policy }
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
        // A few lines of each page first: they tell whether it stands on its head.
        for (pick, reading) in self.read_picks(&mut sheets, Sheet::samples) {
            sheets[pick.sheet].settle(pick.line, reading);
        }
        let upside_down = self.read_picks(&mut sheets, Sheet::doubtful_samples_upside_down);
        for readings in upside_down.chunk_by(|a, b| a.0.sheet == b.0.sheet) {
            sheets[readings[0].0.sheet].turn_if_better(readings);
        }
        for (pick, reading) in self.read_picks(&mut sheets, Sheet::unread) {
            sheets[pick.sheet].settle(pick.line, reading);
        }
        for (pick, reading) in self.read_picks(&mut sheets, Sheet::doubtful_otherwise) {
            sheets[pick.sheet].settle_if_better(pick.line, pick.quad, reading);
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
        let size = |page: &PageImage| detection_size(page.width(), page.height(), self.policy.detection_page_pixels);
        let sizes: Vec<(u32, u32)> = pages.iter().map(size).collect();
        let mut detected: Vec<Result<Vec<Quad>, ModelError>> = pages.iter().map(|_| Ok(Vec::new())).collect();
        for PixelRun { members, size, .. } in self.policy.pixel_runs(&sizes) {
            let model = &mut self.model;
            let answers = run_isolating(&members, &mut |members| {
                let pages: Vec<&PageImage> = members.iter().map(|&page| &pages[page]).collect();
                detect_run(model, &pages, size)
            });
            for (page, answer) in members.into_iter().zip(answers) {
                detected[page] = answer;
            }
        }
        detected
    }

    /// Reads what `pick` picks of each page, in one pool over all pages. A page of which a line fails has failed.
    fn read_picks<'a>(
        &mut self,
        sheets: &mut [Sheet<'a>],
        pick: impl Fn(&Sheet<'a>) -> Vec<(usize, Quad)>,
    ) -> Vec<(Pick, Reading)> {
        let mut picks = Vec::new();
        let mut images = Vec::new();
        for (sheet, from) in sheets.iter().enumerate() {
            for (line, quad) in pick(from) {
                picks.push(Pick { sheet, line, quad });
                images.push(LineImage { page: from.page(), quad });
            }
        }
        let readings = read_lines(&mut self.model, &self.policy, &images);
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

/// One detection run over pictures of one size.
fn detect_run(
    model: &mut Metered,
    pages: &[&PageImage],
    (width, height): (u32, u32),
) -> Result<Vec<Vec<Quad>>, ModelError> {
    let mut input = Array4::zeros((pages.len(), PageImage::CHANNELS, height as usize, width as usize));
    for (page, target) in pages.iter().zip(input.axis_iter_mut(Axis(0))) {
        resample(page, target);
    }
    let maps = model.detect(&input.view())?;
    let expected = (pages.len(), height as usize, width as usize);
    if maps.dim() != expected {
        return Err(ModelError::Shape { expected: format!("{expected:?}"), found: format!("{:?}", maps.dim()) });
    }
    if !maps.iter().all(|value| value.is_finite()) {
        return Err(ModelError::NotANumber);
    }
    let lines = |(page, map): (&&PageImage, _)| text_lines(&map, page.width(), page.height());
    Ok(pages.iter().zip(maps.outer_iter()).map(lines).collect())
}
