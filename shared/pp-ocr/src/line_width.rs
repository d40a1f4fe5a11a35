//! Chooses the width of line images: fewer columns save time, as long as every character keeps enough of them.
//!
//! A step of the recognizer covers 8 columns. A Latin letter has 12 to 16 columns at a height of 48, which is just
//! enough: in small print, where boxes are large for their text, it has fewer, and letters are lost. A Chinese
//! character has 30 to 40 columns and is read as well with half of them. The first lines of a page determine its width
//! ratio; every reading tells whether its line had enough columns.

use crate::{alphabet::Alphabet, ctc::LineReading, line_image::STEP_WIDTH, model::CtcStep};

/// Default width ratio. Clean pages have the same accuracy as at full width, and poor scans a slightly better one (63
/// dpi: 0.08 % wrong characters, compared to 0.13 % at full width and 0.15 % at 0.84).
pub(crate) const DEFAULT_WIDTH_RATIO: f32 = 0.92;

/// Minimum ratio. At 0.5, clean Chinese pages at 85 dpi and poor photographs have one error in 7,142 characters.
const MIN_WIDTH_RATIO: f32 = 0.55;
/// Larger ratios save too little, compared to the lines that must be read twice.
const MAX_CONDENSED_RATIO: f32 = 0.75;
/// Maximum ratio. No text is set so tightly that it needs more.
const MAX_WIDTH_RATIO: f32 = 1.4;
/// Mean columns per character on condensed pages. A monospaced page is read without an error at 14, and with four
/// errors in 2,600 characters at 11.
const CONDENSED_COLUMNS: f32 = 14.0;
/// Lines with fewer columns per character are crowded: small print loses one letter in 150 at 10, and none at 12.5.
const CROWDED_COLUMNS: f32 = 11.5;
/// Columns per character that a crowded line gets in the second reading.
const RELAXED_COLUMNS: f32 = 13.0;
/// Consecutive characters that make a narrow stretch.
const STRETCH_CHARACTERS: usize = 4;
/// Minimum columns between the first and last character of a stretch: 13 per character, in whole steps.
const MIN_STRETCH_COLUMNS: f32 = 40.0;
/// Minimum confidence of readings of condensed lines. Except for stains, all lines of a Chinese page are above it.
const SURE: f32 = 0.93;
/// Lines with fewer columns at the default ratio are not adjusted: they are cheap, and often numbers, whose digits must
/// not merge.
const MIN_ADJUSTED_COLUMNS: usize = 192;

/// A reading of a line with the spacing of its characters.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct SpacedReading {
    pub(crate) reading: LineReading,
    /// Columns at the default ratio.
    columns: f32,
    /// Columns of the narrowest stretch at the default ratio; infinite if there is none.
    narrowest: f32,
}

impl Default for SpacedReading {
    fn default() -> Self {
        Self { reading: LineReading::default(), columns: 0.0, narrowest: f32::INFINITY }
    }
}

impl SpacedReading {
    /// Creates a reading from the recognizer's steps. `columns` is the width of the line image, and `drawn` its ratio
    /// to the width on the page.
    pub(crate) fn new(reading: LineReading, steps: &[CtcStep], columns: usize, drawn: f32) -> Self {
        let mut before = Alphabet::BLANK;
        let begins = |(_, step): &(usize, &CtcStep)| {
            let repeated = std::mem::replace(&mut before, step.class) == step.class;
            !repeated && step.class != Alphabet::BLANK
        };
        let places: Vec<usize> = steps.iter().enumerate().filter(begins).map(|(place, _)| place).collect();
        let stretches = places.windows(STRETCH_CHARACTERS).map(|stretch| stretch[STRETCH_CHARACTERS - 1] - stretch[0]);
        let narrowest = stretches.min().map_or(f32::INFINITY, |steps| (steps * STEP_WIDTH) as f32);
        let usual = DEFAULT_WIDTH_RATIO / drawn;
        Self { reading, columns: columns as f32 * usual, narrowest: narrowest * usual }
    }

    /// Appends the next piece of the same line.
    pub(crate) fn append(&mut self, next: &Self) {
        self.reading.append(&next.reading);
        self.columns += next.columns;
        self.narrowest = self.narrowest.min(next.narrowest);
    }

    /// Returns whether the line is reliable enough to choose the width ratio of its page.
    pub(crate) fn is_representative(&self) -> bool {
        self.reading.confidence >= SURE && self.reading.characters >= 2 * STRETCH_CHARACTERS
    }

    /// Returns the width ratio for a second reading, if the first one is not reliable.
    pub(crate) fn reread_width(&self, drawn: f32) -> Option<f32> {
        if self.columns < MIN_ADJUSTED_COLUMNS as f32 || drawn > DEFAULT_WIDTH_RATIO {
            return None;
        }
        let crowded = self.columns_per_character() < CROWDED_COLUMNS;
        let unsure =
            self.reading.confidence < SURE || self.narrowest * drawn / DEFAULT_WIDTH_RATIO < MIN_STRETCH_COLUMNS;
        if crowded {
            Some(self.relaxed_width())
        } else {
            (drawn < DEFAULT_WIDTH_RATIO && unsure).then_some(DEFAULT_WIDTH_RATIO)
        }
    }

    fn relaxed_width(&self) -> f32 {
        (DEFAULT_WIDTH_RATIO * RELAXED_COLUMNS / self.columns_per_character()).min(MAX_WIDTH_RATIO)
    }

    fn columns_per_character(&self) -> f32 {
        self.columns / self.reading.characters.max(1) as f32
    }
}

/// Returns the width ratio of a page from some of its lines: smaller than the default if all of them have columns to
/// spare and most would not be read twice; larger if most of them are crowded.
pub(crate) fn page_width_ratio(mut lines: Vec<SpacedReading>) -> f32 {
    lines.sort_by(|a, b| a.columns_per_character().total_cmp(&b.columns_per_character()));
    let middle = lines.len().saturating_sub(1) / 2;
    let (Some(closest), Some(typical)) = (lines.first(), lines.get(middle)) else { return DEFAULT_WIDTH_RATIO };
    if typical.columns_per_character() < CROWDED_COLUMNS {
        return typical.relaxed_width();
    }
    let condensed = (DEFAULT_WIDTH_RATIO * CONDENSED_COLUMNS / closest.columns_per_character()).max(MIN_WIDTH_RATIO);
    let twice = |line: &&SpacedReading| line.narrowest * condensed / DEFAULT_WIDTH_RATIO < MIN_STRETCH_COLUMNS;
    if condensed > MAX_CONDENSED_RATIO || lines.iter().filter(twice).count() > middle {
        DEFAULT_WIDTH_RATIO
    } else {
        condensed
    }
}

/// Returns the width ratio of a line with this number of columns at the default ratio.
pub(crate) fn line_width_ratio(page: f32, usual_columns: usize) -> f32 {
    if usual_columns < MIN_ADJUSTED_COLUMNS { DEFAULT_WIDTH_RATIO } else { page }
}

#[cfg(test)]
#[expect(clippy::float_cmp, reason = "the same constants, and small whole numbers")]
mod tests {
    use super::*;

    /// A line at the default ratio, whose characters are these numbers of steps apart.
    fn spaced(steps_apart: &[usize], confidence: f32) -> SpacedReading {
        let step = |class| CtcStep { class, probability: confidence };
        let blanks = |apart: usize| std::iter::repeat_n(step(Alphabet::BLANK), apart - 1);
        let character = |(class, &apart): (u32, &usize)| std::iter::once(step(class)).chain(blanks(apart));
        let steps: Vec<CtcStep> = (1..).zip(steps_apart).flat_map(character).collect();
        let reading = LineReading { confidence, characters: steps_apart.len(), ..LineReading::default() };
        SpacedReading::new(reading, &steps, steps.len() * STEP_WIDTH, DEFAULT_WIDTH_RATIO)
    }

    #[test]
    fn wide_characters_are_condensed_and_narrow_ones_are_not() {
        assert_eq!(page_width_ratio(vec![spaced(&[5; 30], 0.99); 3]), MIN_WIDTH_RATIO);
        assert_eq!(page_width_ratio(vec![spaced(&[2; 30], 0.99); 3]), DEFAULT_WIDTH_RATIO);
        assert_eq!(page_width_ratio(Vec::new()), DEFAULT_WIDTH_RATIO);
    }

    #[test]
    fn one_line_of_narrow_characters_keeps_the_default_width() {
        let lines = vec![spaced(&[5; 30], 0.99), spaced(&[5; 30], 0.99), spaced(&[2; 60], 0.99)];
        assert_eq!(page_width_ratio(lines), DEFAULT_WIDTH_RATIO);
    }

    #[test]
    fn a_page_with_many_rereads_keeps_the_default_width() {
        let mut mixed = [5; 30];
        mixed[10..16].fill(2);
        let mixed = spaced(&mixed, 0.99);
        let wide = spaced(&[5; 30], 0.99);
        assert_eq!(page_width_ratio(vec![mixed.clone(), mixed.clone(), wide.clone()]), DEFAULT_WIDTH_RATIO);
        assert_eq!(page_width_ratio(vec![mixed, wide.clone(), wide]), MIN_WIDTH_RATIO);
    }

    #[test]
    fn an_unsure_or_narrow_condensed_line_is_read_again() {
        let again = |steps_apart: &[usize], confidence| spaced(steps_apart, confidence).reread_width(MIN_WIDTH_RATIO);
        assert_eq!(again(&[5; 20], 0.99), None);
        assert_eq!(again(&[5; 20], 0.9), Some(DEFAULT_WIDTH_RATIO));
        assert_eq!(again(&[5, 5, 5, 5, 5, 2, 2, 2, 5, 5, 5], 0.99), Some(DEFAULT_WIDTH_RATIO));
        assert_eq!(again(&[5, 5, 5, 5, 5, 2, 2, 5, 5, 5, 5], 0.99), None, "three characters are no stretch");
        assert_eq!(spaced(&[5; 20], 0.5).reread_width(DEFAULT_WIDTH_RATIO), None, "it was drawn as usual");
    }

    #[test]
    fn crowded_lines_are_widened_once() {
        let crowded = spaced(&[1, 1, 1, 2].repeat(20), 0.99);
        let width =
            crowded.reread_width(DEFAULT_WIDTH_RATIO).expect("the line is crowded, with 10 columns per character");
        assert!((width - DEFAULT_WIDTH_RATIO * 1.3).abs() < 1e-4);
        assert_eq!(page_width_ratio(vec![crowded.clone(); 3]), width);
        assert_eq!(crowded.reread_width(width), None);
        assert_eq!(spaced(&[1; 80], 0.99).reread_width(DEFAULT_WIDTH_RATIO), Some(MAX_WIDTH_RATIO));
    }

    #[test]
    fn the_spacing_is_independent_of_the_drawn_width() {
        let reading = LineReading { confidence: 0.99, characters: 9, ..LineReading::default() };
        let steps: Vec<CtcStep> = (1..10).map(|class| CtcStep { class, probability: 0.99 }).collect();
        let drawn = |width: f32| SpacedReading::new(reading.clone(), &steps, 72, width);
        assert_eq!((drawn(DEFAULT_WIDTH_RATIO).columns, drawn(DEFAULT_WIDTH_RATIO).narrowest), (72.0, 24.0));
        assert_eq!(
            (drawn(2.0 * DEFAULT_WIDTH_RATIO).columns, drawn(2.0 * DEFAULT_WIDTH_RATIO).narrowest),
            (36.0, 12.0)
        );
    }

    #[test]
    fn pieces_of_a_line_count_together() {
        let mut line = spaced(&[5; 10], 0.99);
        line.append(&spaced(&[2; 10], 0.99));
        assert_eq!((line.columns, line.narrowest, line.columns_per_character()), (560.0, 48.0, 28.0));
        assert!(!spaced(&[5; 7], 0.99).is_representative() && line.is_representative());
    }

    #[test]
    fn short_lines_keep_the_default_width() {
        assert_eq!([191, 192].map(|columns| line_width_ratio(0.6, columns)), [DEFAULT_WIDTH_RATIO, 0.6]);
        assert_eq!(spaced(&[1; 20], 0.5).reread_width(DEFAULT_WIDTH_RATIO), None);
    }
}
