//! The state of one page while it is read.

use std::borrow::Cow;

use quire_document::PageImage;
use quire_inference::ModelError;
use quire_tasks::{EngineName, Failure, FailureCode, Line, PageText, Warning, WarningKind, Word};

use crate::{
    coverage::{DetectedLine, check_coverage},
    crop_rect::CropRect,
    ctc::LineReading,
    geometry::Quad,
    ink_fragments::ink_fragments,
    isolated_ink::isolated_characters,
    line_limit::limit_lines,
    line_split::split_at_gutters,
    numbers::{best_number, doubtful_digits, is_doubtful_number, is_number, other_crops},
    orientation::{
        QuarterTurns, character_cells, is_direction_doubtful, is_doubtful, is_east_asian, is_upside_down, sample_lines,
    },
    reading_order::{reading_order, vertical_reading_order},
    uncertainty::is_uncertain,
    word_boxes::word_boxes,
};

/// Minimum confidence of a digit that detection missed. Specks and strokes are below it.
const MIN_DIGIT_CONFIDENCE: f32 = 0.8;

/// A line of a page of the micro-batch that is to be read.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct LineSelection {
    pub(crate) state: usize,
    pub(crate) line: usize,
    /// Position and reading direction.
    pub(crate) quad: Quad,
}

/// The text that was detected on a page.
#[derive(Debug, Default)]
pub(crate) struct DetectedText {
    pub(crate) lines: Vec<Quad>,
    /// Regions with print that is too small to tell its lines apart.
    pub(crate) illegible: Vec<CropRect>,
}

/// A page with its lines, their readings and its orientation.
#[derive(Debug)]
pub(crate) struct PageState<'a> {
    page: &'a PageImage,
    turns: QuarterTurns,
    /// Whether the upright page has vertical text, from right to left.
    is_vertical: bool,
    /// Whether the page has gutters between columns.
    is_divided: bool,
    /// Positions of the lines, from the start of their text.
    lines: Vec<Quad>,
    readings: Vec<Option<LineReading>>,
    /// Number of lines that were detected. Those behind them are ink that may be single digits.
    detected: usize,
    /// Whether the page has more lines than the limit.
    is_cut_off: bool,
    /// Regions with print that is too small to tell its lines apart.
    illegible: Vec<CropRect>,
    failure: Option<ModelError>,
}

impl<'a> PageState<'a> {
    pub(crate) fn new(page: &'a PageImage, detected: Result<DetectedText, ModelError>) -> Self {
        let (DetectedText { lines, illegible }, failure) = match detected {
            Ok(detected) => (detected, None),
            Err(error) => (DetectedText::default(), Some(error)),
        };
        let (lines, is_cut_off) = limit_lines(lines);
        let turns = QuarterTurns::guess(&lines);
        let (lines, is_divided) = split_at_gutters(page, lines, turns.along());
        let lines: Vec<Quad> = lines.into_iter().map(|line| turns.oriented(line)).collect();
        let readings = vec![None; lines.len()];
        let detected = lines.len();
        Self { page, turns, is_vertical: false, is_divided, lines, readings, detected, is_cut_off, illegible, failure }
    }

    pub(crate) const fn page(&self) -> &'a PageImage {
        self.page
    }

    /// Marks the page as failed. The first error is kept.
    pub(crate) fn fail(&mut self, error: ModelError) {
        self.failure.get_or_insert(error);
        // Its other lines need not be read.
        self.lines.clear();
        self.readings.clear();
        self.detected = 0;
    }

    pub(crate) fn set_reading(&mut self, line: usize, reading: LineReading) {
        if let Some(settled) = self.readings.get_mut(line) {
            *settled = Some(reading);
        }
    }

    pub(crate) fn orientation_samples(&self) -> Vec<(usize, Quad)> {
        sample_lines(&self.lines, self.turns).into_iter().map(|line| (line, self.lines[line])).collect()
    }

    pub(crate) fn upside_down_samples(&self) -> Vec<(usize, Quad)> {
        let sample = sample_lines(&self.lines, self.turns);
        let read: Vec<&LineReading> = sample.iter().filter_map(|&line| self.readings[line].as_ref()).collect();
        if !is_direction_doubtful(&read) {
            return Vec::new();
        }
        sample.into_iter().map(|line| (line, self.lines[line].rotated(2))).collect()
    }

    /// Turns the page upside down if its sample is clearly more legible that way.
    pub(crate) fn turn_if_better(&mut self, upside_down: &[(LineSelection, LineReading)]) {
        let lines = upside_down.iter().map(|(pick, _)| pick.line);
        let upright: Vec<&LineReading> = lines.filter_map(|line| self.readings.get(line)?.as_ref()).collect();
        let reversed: Vec<&LineReading> = upside_down.iter().map(|(_, reading)| reading).collect();
        if !is_upside_down(&upright, &reversed) {
            return;
        }
        self.turns = self.turns.upside_down();
        self.lines.iter_mut().for_each(|line| *line = line.rotated(2));
        for (pick, reading) in upside_down {
            self.set_reading(pick.line, reading.clone());
        }
    }

    /// If lines run along the side of the page, returns characters of one of them to test whether they are upright.
    pub(crate) fn upright_cells(&self) -> Vec<(usize, Quad)> {
        if !self.turns.on_side() {
            return Vec::new();
        }
        let cells_of = |&line: &usize| {
            let cells = character_cells(&self.lines[line], self.readings[line].as_ref()?);
            (!cells.is_empty()).then(|| cells.into_iter().map(|(_, quad)| (line, quad)).collect())
        };
        sample_lines(&self.lines, self.turns).iter().find_map(cells_of).unwrap_or_default()
    }

    /// Switches to vertical text if the upright characters match the characters of their line.
    pub(crate) fn detect_vertical_text(&mut self, upright: &[(LineSelection, LineReading)]) {
        let Some(line) = upright.first().map(|(pick, _)| pick.line).filter(|line| *line < self.lines.len()) else {
            return;
        };
        let Some(reading) = self.readings[line].as_ref() else { return };
        let in_line = character_cells(&self.lines[line], reading);
        let same =
            in_line.iter().zip(upright).filter(|((character, _), (_, upright))| upright.text.contains(*character));
        if 2 * same.count() < in_line.len() {
            return;
        }
        self.turns = self.turns.as_vertical_text();
        self.is_vertical = true;
        for (line, reading) in self.lines.iter_mut().zip(&self.readings) {
            if reading.is_none() {
                *line = self.turns.oriented_in_vertical_page(*line);
            }
        }
    }

    pub(crate) fn unread(&self) -> Vec<(usize, Quad)> {
        let lines = self.lines.iter().copied().enumerate();
        lines.filter(|&(line, _)| self.readings[line].is_none()).collect()
    }

    /// Returns the lines that a fast model is not certain of.
    pub(crate) fn doubtful_readings(&self) -> Vec<(usize, Quad)> {
        let is_doubtful = |line: &usize| self.readings[*line].as_ref().is_some_and(is_uncertain);
        (0..self.lines.len()).filter(is_doubtful).map(|line| (line, self.lines[line])).collect()
    }

    /// Returns tall boxes with a poor reading, in their other direction.
    pub(crate) fn alternative_readings(&self) -> Vec<(usize, Quad)> {
        let doubtful = |line: usize| self.readings[line].as_ref().is_none_or(|reading| is_doubtful(reading.confidence));
        let lines = self.lines.iter().enumerate().filter(|(line, _)| doubtful(*line));
        lines.filter_map(|(line, quad)| Some((line, self.turns.alternative(quad)?))).collect()
    }

    pub(crate) fn replace_if_better(&mut self, line: usize, quad: Quad, reading: LineReading) {
        let now = self.readings.get(line).and_then(Option::as_ref).map_or(0.0, |reading| reading.confidence);
        if reading.confidence > now && line < self.lines.len() {
            self.lines[line] = quad;
            self.set_reading(line, reading);
        }
    }

    /// Adds ink of the size of a character that was not detected, on upright pages.
    pub(crate) fn add_isolated_characters(&mut self) {
        if self.turns.degrees() == 0 && !self.is_vertical && self.failure.is_none() {
            self.lines.extend(isolated_characters(self.page, &self.lines));
            self.readings.resize(self.lines.len(), None);
        }
    }

    /// Returns numbers that are read again, with the crops of the other readings.
    pub(crate) fn doubtful_numbers(&self) -> Vec<(usize, Quad)> {
        let read: Vec<(usize, Quad, &LineReading)> = (self.lines.iter().zip(&self.readings).enumerate())
            .filter_map(|(line, (quad, reading))| Some((line, *quad, reading.as_ref()?)))
            .collect();
        let pairs: Vec<(Quad, &LineReading)> = read.iter().map(|&(_, quad, reading)| (quad, reading)).collect();
        let mut doubtful: Vec<usize> = doubtful_digits(&pairs);
        doubtful.extend((0..pairs.len()).filter(|&index| is_doubtful_number(pairs[index].1)));
        doubtful.sort_unstable();
        doubtful.dedup();
        let crops = |index: usize| other_crops(&read[index].1).map(|crop| (read[index].0, crop));
        doubtful.into_iter().flat_map(crops).collect()
    }

    /// Keeps the best one of the readings of each number; `others` are those of the other crops.
    pub(crate) fn choose_numbers(&mut self, others: &[(LineSelection, LineReading)]) {
        for others in others.chunk_by(|a, b| a.0.line == b.0.line) {
            if let Some(Some(first)) = self.readings.get_mut(others[0].0.line) {
                let all = std::iter::once(&*first).chain(others.iter().map(|(_, reading)| reading));
                let all: Vec<LineReading> = all.cloned().collect();
                *first = best_number(&all).unwrap_or_default();
            }
        }
    }

    /// Returns whether a line belongs to the page: what was not detected does only if it is a digit.
    fn is_line(&self, line: usize) -> bool {
        let is_digit =
            |reading: &LineReading| is_number(reading.text.trim()) && reading.confidence >= MIN_DIGIT_CONFIDENCE;
        line < self.detected || self.readings[line].as_ref().is_some_and(is_digit)
    }

    /// Returns the text, with polygons in the coordinates of the original page.
    pub(crate) fn into_page_text(self, engine: &EngineName) -> Result<PageText, Failure> {
        if let Some(error) = self.failure {
            return Err(Failure::new(FailureCode::ModelFailed, format!("cannot read the page: {error}")));
        }
        let lines = (0..self.lines.len()).filter(|&line| self.is_line(line));
        let mut detected: Vec<DetectedLine> = lines
            .map(|line| DetectedLine::new(self.lines[line], self.readings[line].clone().unwrap_or_default()))
            .collect();
        let mut warnings: Vec<Warning> = if self.is_cut_off { vec![WarningKind::CutOff.into()] } else { Vec::new() };
        for warning in check_coverage(self.page, &mut detected, &self.illegible) {
            let polygon = warning.polygon.map(|corners| page_polygon(self.page, Quad(corners)));
            warnings.push(Warning { polygon, ..warning });
        }
        detected.retain(DetectedLine::is_legible);
        let quads: Vec<Quad> = detected.iter().map(|line| line.quad).collect();
        let line = |index: usize| Line {
            text: self.printed(&detected[index].reading.text).trim().to_owned(),
            confidence: Some(detected[index].reading.certainty()),
            polygon: Some(page_polygon(self.page, quads[index])),
            words: self.words(&detected[index]),
        };
        let order = if self.is_vertical { vertical_reading_order } else { reading_order };
        // Fragments are found again, because reading may have changed the lines and their directions.
        let fragments: Option<Vec<_>> =
            self.is_divided.then(|| quads.iter().map(|quad| ink_fragments(self.page, quad)).collect());
        let lines = order(&quads, fragments.as_deref(), self.turns.along()).into_iter().map(line).collect();
        let width = self.page.page_width();
        let height = self.page.page_height();
        let text = PageText::from_lines(engine.clone(), width, height, self.turns.degrees(), lines);
        Ok(PageText { warnings, ..text })
    }

    /// Returns the text of a line as it is printed. In vertical text a comma is at the upper right of its cell. The
    /// recognizer, which sees the line on its side, reads it as an apostrophe, which Chinese and Japanese do not use.
    /// Both have the same number of bytes.
    fn printed<'b>(&self, text: &'b str) -> Cow<'b, str> {
        if self.is_vertical && text.chars().any(is_east_asian) {
            Cow::Owned(text.replace('\u{2019}', "，"))
        } else {
            Cow::Borrowed(text)
        }
    }

    /// Returns the words of a line with their positions.
    fn words(&self, line: &DetectedLine) -> Vec<Word> {
        let DetectedLine { quad, reading, .. } = line;
        let text = self.printed(&reading.text);
        let boxes = word_boxes(self.page, quad, &reading.words);
        let words = reading.words.iter().zip(boxes).map(|(word, quad)| Word {
            text: text[word.bytes.clone()].to_owned(),
            confidence: Some(word.certainty().min(1.0)),
            polygon: page_polygon(self.page, quad),
        });
        words.collect()
    }
}

/// Returns the polygon in pixels of the original page, clamped to its edges.
pub(crate) fn page_polygon(page: &PageImage, quad: Quad) -> [[f32; 2]; 4] {
    let width = page.page_width() as f32;
    let height = page.page_height() as f32;
    let scaled = quad.scaled(width / page.width() as f32, height / page.height() as f32);
    scaled.0.map(|[x, y]| [x.clamp(0.0, width), y.clamp(0.0, height)])
}
