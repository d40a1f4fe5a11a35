//! Pages whose lines are colored bars, and a fake model that reads colors as letters.

use std::sync::{Arc, Mutex, PoisonError};

use ndarray::{Array3, ArrayView3, ArrayView4, Axis, s};
use quire_document::PageImage;
use quire_pp_ocr::{Alphabet, CtcStep, ModelError, OcrModel};
use quire_tasks::EngineName;

const LETTERS: &str = "a\nb\nc\nd\ne\nf\ng\nx\ny\nz";

/// A page with one bar per letter. The first tenth of a bar is red, to mark the start of the text.
#[derive(Debug, Clone)]
pub(crate) struct ColorPage {
    letters: Vec<char>,
    pub(crate) width: u32,
}

impl ColorPage {
    pub(crate) const LEFT: u32 = 32;
    pub(crate) const TOP: u32 = 32;
    const BAR: u32 = 24;
    const PITCH: u32 = 64;

    pub(crate) fn new(letters: &str) -> Self {
        Self { letters: letters.chars().collect(), width: 320 }
    }

    pub(crate) fn wide(self, width: u32) -> Self {
        Self { width, ..self }
    }

    pub(crate) fn height(&self) -> u32 {
        // Pages of up to five lines have the same size.
        2 * Self::TOP + Self::PITCH * (self.letters.len() as u32).max(5)
    }

    fn pixel(&self, x: u32, y: u32) -> [u8; 3] {
        let row = y.saturating_sub(Self::TOP) / Self::PITCH;
        let inside = (y + Self::PITCH - Self::TOP) % Self::PITCH;
        let bar = (Self::LEFT..self.width - Self::LEFT).contains(&x) && y >= Self::TOP && inside < Self::BAR;
        match self.letters.get(row as usize).filter(|_| bar) {
            None => [255; 3],
            Some(_) if x < Self::LEFT + (self.width - 2 * Self::LEFT) / 10 => [0, 0, 255],
            Some(letter) => [class_of(*letter) * 20, 0, 0],
        }
    }

    pub(crate) fn image(&self) -> PageImage {
        self.turned(0)
    }

    /// Returns the page, rotated clockwise by quarter turns.
    pub(crate) fn turned(&self, quarters: u16) -> PageImage {
        let width = self.width;
        let height = self.height();
        let upright = |x: u32, y: u32| self.pixel(x, y);
        let (columns, rows) = if quarters.is_multiple_of(2) { (width, height) } else { (height, width) };
        let pixel = |x: u32, y: u32| match quarters {
            0 => upright(x, y),
            1 => upright(y, height - 1 - x),
            2 => upright(width - 1 - x, height - 1 - y),
            _ => upright(width - 1 - y, x),
        };
        let pixels = (0..rows).flat_map(|y| (0..columns).flat_map(move |x| pixel(x, y)));
        PageImage::new(columns, rows, pixels.collect())
    }
}

fn class_of(letter: char) -> u8 {
    let index = LETTERS.split('\n').position(|known| known.chars().eq([letter]));
    index.map_or(0, |index| index as u8 + 1)
}

/// How the model misbehaves.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) enum ColorModelFault {
    #[default]
    Reads,
    FailsOn(char),
    NotANumberOn(char),
    UnsureOn(char),
    DetectionFailsOn(char),
    DetectionNotANumberOn(char),
    /// Detection returns low probabilities for a page with this letter, and fails in the zoomed pass.
    DetectionFailsCloserOn(char),
}

/// Detects everything that is not white, and reads its color.
#[derive(Debug, Clone)]
pub(crate) struct ColorModel {
    mood: ColorModelFault,
    alphabet: Alphabet,
    /// Batch sizes of the detection runs and of the recognition runs.
    runs: Arc<Mutex<(Vec<usize>, Vec<usize>)>>,
}

impl Default for ColorModel {
    fn default() -> Self {
        Self::with(ColorModelFault::Reads)
    }
}

impl ColorModel {
    pub(crate) fn with(mood: ColorModelFault) -> Self {
        Self { mood, alphabet: Alphabet::from_metadata(LETTERS), runs: Arc::default() }
    }

    pub(crate) fn detected(&self) -> Vec<usize> {
        self.runs.lock().unwrap_or_else(PoisonError::into_inner).0.clone()
    }

    pub(crate) fn recognized(&self) -> Vec<usize> {
        self.runs.lock().unwrap_or_else(PoisonError::into_inner).1.clone()
    }

    fn read(&self, strip: &ArrayView3<'_, f32>) -> Result<Vec<CtcStep>, ModelError> {
        let last = (0..strip.dim().2).rev().find(|&x| strip[[1, 24, x]] < 0.0).unwrap_or(0);
        let class = class_at(strip, 24, last / 2);
        let upright = strip[[2, 24, last / 10]] > 0.0;
        let probability = match self.mood {
            ColorModelFault::FailsOn(letter) if class == class_of(letter) => {
                return Err(ModelError::Run("poison".to_owned()));
            }
            ColorModelFault::NotANumberOn(letter) if class == class_of(letter) => f32::NAN,
            ColorModelFault::UnsureOn(letter) if class == class_of(letter) => 0.4,
            _ if upright => 0.99,
            _ => 0.6,
        };
        Ok(vec![CtcStep { class: class.into(), probability }, CtcStep { class: 0, probability: 1.0 }])
    }
}

fn class_at(picture: &ArrayView3<'_, f32>, y: usize, x: usize) -> u8 {
    ((picture[[0, y, x]] + 1.0) * 127.5 / 20.0).round() as u8
}

/// Returns whether a bar has this letter's color; the edge of a bar has all colors.
fn has_bar(picture: &ArrayView3<'_, f32>, letter: char) -> bool {
    let (_, height, width) = picture.dim();
    let is_letter = |&y: &usize| class_at(picture, y, width / 2) == class_of(letter);
    (0..height).filter(is_letter).count() > 4
}

impl OcrModel for ColorModel {
    fn name(&self) -> EngineName {
        EngineName { name: "color".to_owned(), version: "1".to_owned() }
    }

    fn alphabet(&self) -> &Alphabet {
        &self.alphabet
    }

    fn detect(&mut self, pages: ArrayView4<'_, f32>) -> Result<Array3<f32>, ModelError> {
        let is_closer = !self.detected().is_empty();
        self.runs.lock().unwrap_or_else(PoisonError::into_inner).0.push(pages.dim().0);
        let mut maps = pages.index_axis(Axis(1), 1).mapv(|green| f32::from(u8::from(green < 0.0)));
        for (page, mut map) in pages.outer_iter().zip(maps.outer_iter_mut()) {
            let (_, height, width) = page.dim();
            let shows = |letter| height > 44 && class_at(&page, 44, width / 2) == class_of(letter);
            match self.mood {
                ColorModelFault::DetectionFailsOn(letter) if shows(letter) => {
                    return Err(ModelError::Run("poison".to_owned()));
                }
                ColorModelFault::DetectionNotANumberOn(letter) if shows(letter) => {
                    map.slice_mut(s![0, 0]).fill(f32::NAN);
                }
                ColorModelFault::DetectionFailsCloserOn(letter) if has_bar(&page, letter) => {
                    if is_closer {
                        return Err(ModelError::Run("poison".to_owned()));
                    }
                    map.mapv_inplace(|probability| probability * 0.1);
                }
                _ => {}
            }
        }
        Ok(maps)
    }

    fn recognize(&mut self, strips: ArrayView4<'_, f32>) -> Result<Vec<Vec<CtcStep>>, ModelError> {
        self.runs.lock().unwrap_or_else(PoisonError::into_inner).1.push(strips.dim().0);
        strips.outer_iter().map(|strip| self.read(&strip)).collect()
    }
}
