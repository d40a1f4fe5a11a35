//! Detects the orientation of a page.

use crate::{
    ctc::LineReading,
    geometry::{Point, Quad},
    script::Unreadable,
};

/// Number of clockwise quarter turns that make the page upright.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct QuarterTurns(u16);

/// Number of lines that are read to detect the orientation.
const SAMPLE_LINES: usize = 3;
/// Minimum confidence to accept the orientation without reading the sample upside down, too. Barely legible upright
/// text is below it and costs a second reading; several upside-down words never reach it.
const SURE: f32 = 0.9;
/// The same for a sample of few characters: `9` and `6` are legible in both directions.
const SURE_OF_FEW: f32 = 0.98;
/// Number of characters of such a sample.
const FEW_CHARACTERS: usize = 16;
/// By how much the confidence upside down must be higher, because most pages are upright.
const MIN_ADVANTAGE: f32 = 0.05;
/// Confidence upside down that suffices as evidence. On 420 small pages in 12 scripts, upside-down ones are above 0.93,
/// and pages in scripts that cannot be read are below 0.9 in either direction.
const CERTAIN: f32 = 0.92;
/// Probability from which a line is in a script that cannot be read, so that its confidence says nothing.
const UNREADABLE: f32 = 0.99;
/// Minimum aspect ratio of lines that show a direction.
const DIRECTED_ASPECT: f32 = 2.0;
/// Minimum ratio of height to width of a box that may be vertical text: two characters, as boxes are expanded, or the
/// digit 1.
const TALL_ASPECT: f32 = 1.5;
/// Minimum ratio of height to width of a box that is not a single character.
const VERTICAL_ASPECT: f32 = 2.5;
/// The same on pages with vertical text, e.g. two characters or the end of a paragraph.
const VERTICAL_PAGE_ASPECT: f32 = 1.2;
/// Maximum number of characters that are read upright to detect vertical text.
const MAX_CELLS: usize = 6;
/// Minimum number of characters to detect vertical text.
const MIN_CELLS: usize = 3;
/// Half of a character's cell, as a share of the distance between characters.
const HALF_CELL_RATIO: f32 = 0.55;

impl QuarterTurns {
    pub(crate) const fn degrees(self) -> u16 {
        self.0 * 90
    }

    /// Returns the direction of text on the page as received.
    pub(crate) const fn along(self) -> Point {
        match self.0 {
            0 => [1.0, 0.0],
            1 => [0.0, -1.0],
            2 => [-1.0, 0.0],
            _ => [0.0, 1.0],
        }
    }

    pub(crate) const fn upside_down(self) -> Self {
        Self((self.0 + 2) % 4)
    }

    pub(crate) const fn on_side(self) -> bool {
        self.0 % 2 == 1
    }

    /// Returns the orientation if apparent lines on their side are columns of upright characters.
    pub(crate) const fn as_vertical_text(self) -> Self {
        Self((self.0 + 1) % 4)
    }

    /// Guesses from the boxes whether the page is on its side. Assumes text that runs downward first, because vertical
    /// Chinese and Japanese do.
    pub(crate) fn guess(lines: &[Quad]) -> Self {
        let mut wide = 0.0;
        let mut tall = 0.0;
        for line in lines {
            let line = line.facing([1.0, 0.0]);
            let length = line.length();
            let breadth = line.breadth();
            if length > DIRECTED_ASPECT * breadth {
                wide += length;
            } else if breadth > DIRECTED_ASPECT * length {
                tall += breadth;
            }
        }
        Self(if tall > wide { 3 } else { 0 })
    }

    /// Returns the line from the start of its text, on a page of this orientation. Vertical text on an upright page
    /// runs downward.
    pub(crate) fn oriented(self, line: Quad) -> Quad {
        let level = line.facing(self.along());
        if level.breadth() > VERTICAL_ASPECT * level.length() { level.rotated(1) } else { level }
    }

    /// Same, on a page with vertical text, where a smaller aspect ratio makes a column.
    pub(crate) fn oriented_in_vertical_page(self, line: Quad) -> Quad {
        let level = line.facing(self.along());
        if level.breadth() > VERTICAL_PAGE_ASPECT * level.length() { level.rotated(1) } else { level }
    }

    /// Returns the other direction in which a tall box can be read.
    pub(crate) fn alternative(self, line: &Quad) -> Option<Quad> {
        let level = line.facing(self.along());
        let tall = level.breadth() > TALL_ASPECT * level.length();
        tall.then(|| if level == *line { line.rotated(1) } else { line.rotated(2) })
    }
}

/// Returns the most informative lines: the longest ones in the direction of the page.
pub(crate) fn sample_lines(lines: &[Quad], turns: QuarterTurns) -> Vec<usize> {
    let lengths = lines.iter().map(|line| line.facing(turns.along())).map(|line| (line.length(), line.breadth()));
    let directed = lengths.enumerate().filter(|(_, (length, breadth))| *length > DIRECTED_ASPECT * breadth);
    let mut candidates: Vec<(usize, f32)> = directed.map(|(index, (length, _))| (index, length)).collect();
    candidates.sort_by(|a, b| b.1.total_cmp(&a.1));
    candidates.into_iter().take(SAMPLE_LINES).map(|(index, _)| index).collect()
}

/// Returns whether a character is Chinese or kana, which may be set vertically.
pub(crate) const fn is_east_asian(character: char) -> bool {
    matches!(character, '\u{3041}'..='\u{30ff}' | '\u{3400}'..='\u{9fff}' | '\u{f900}'..='\u{faff}')
}

/// Returns some characters of a line that runs along the side of the page, each with its upright position in case the
/// line is a column of vertical text. The recognizer reads such columns sideways, too, so only single characters
/// distinguish vertical text from a rotated page.
pub(crate) fn character_cells(line: &Quad, reading: &LineReading) -> Vec<(char, Quad)> {
    let characters: Vec<char> = reading.text.chars().collect();
    let mut distances: Vec<usize> = reading.places.windows(2).map(|pair| pair[1] - pair[0]).collect();
    distances.sort_unstable();
    let middles = characters.iter().zip(&reading.places).filter(|(character, _)| is_east_asian(**character));
    let middles: Vec<(char, usize)> = middles.map(|(&character, &place)| (character, place)).collect();
    if characters.len() != reading.places.len() || middles.len() < MIN_CELLS || reading.columns == 0 {
        return Vec::new();
    }
    let half = distances[distances.len() / 2] as f32 * HALF_CELL_RATIO;
    let cell = |(character, middle): (char, usize)| {
        let at = |column: f32| (column / reading.columns as f32).clamp(0.0, 1.0);
        (character, line.section(at(middle as f32 - half), at(middle as f32 + half)).rotated(3))
    };
    let count = middles.len().min(MAX_CELLS);
    (0..count).map(|index| cell(middles[index * middles.len() / count])).collect()
}

/// Returns the mean confidence of a sample, weighted by characters; 0 without characters.
pub(crate) fn mean_confidence<'a>(sample: impl Iterator<Item = &'a LineReading>) -> f32 {
    let mut whole = LineReading::default();
    sample.for_each(|reading| whole.append(reading));
    whole.confidence
}

/// Returns whether the reading of a line is poor.
pub(crate) fn is_doubtful(confidence: f32) -> bool {
    confidence < SURE
}

/// Returns whether the sample must also be read upside down.
pub(crate) fn is_direction_doubtful(sample: &[&LineReading]) -> bool {
    let characters = sample.iter().map(|reading| reading.characters).sum::<usize>();
    let sure = if characters < FEW_CHARACTERS { SURE_OF_FEW } else { SURE };
    mean_confidence(sample.iter().copied()) < sure
}

/// Returns whether a page is upside down, from readings of the same lines in both directions.
pub(crate) fn is_upside_down(upright: &[&LineReading], upside_down: &[&LineReading]) -> bool {
    let confidence = mean_confidence(upside_down.iter().copied());
    if confidence < mean_confidence(upright.iter().copied()) + MIN_ADVANTAGE {
        return false;
    }
    if confidence >= CERTAIN {
        return true;
    }
    // The confidence of text that cannot be read in either direction says nothing about its orientation.
    let is_in_other_script = |reading: &LineReading| {
        let found = reading.scripts.unreadable();
        found.is_some_and(|(cause, probability)| cause != Unreadable::Mirrored && probability >= UNREADABLE)
    };
    let in_other_script = upright.iter().filter(|reading| is_in_other_script(reading)).count();
    let unreadable = upside_down.iter().filter(|reading| reading.scripts.unreadable().is_some()).count();
    2 * in_other_script <= upright.len() && 2 * unreadable <= upside_down.len()
}

#[cfg(test)]
#[expect(clippy::float_cmp, reason = "small whole numbers, which are exact")]
mod tests {
    use super::*;

    fn line(left: f32, top: f32, width: f32, height: f32) -> Quad {
        Quad([[left, top], [left + width, top], [left + width, top + height], [left, top + height]])
    }

    #[test]
    fn boxes_show_whether_a_page_is_on_its_side() {
        let upright = [line(0.0, 0.0, 300.0, 20.0), line(0.0, 40.0, 280.0, 20.0), line(0.0, 80.0, 20.0, 100.0)];
        assert_eq!(QuarterTurns::guess(&upright).degrees(), 0);
        let on_its_side = upright.map(|quad| Quad(quad.0.map(|[x, y]| [y, x])));
        assert_eq!(QuarterTurns::guess(&on_its_side).degrees(), 270);
        assert_eq!(QuarterTurns::guess(&[]).degrees(), 0);
        assert_eq!(QuarterTurns::guess(&[line(0.0, 0.0, 30.0, 28.0)]).degrees(), 0);
    }

    #[test]
    fn a_line_starts_where_its_text_starts() {
        let wide = line(10.0, 10.0, 100.0, 20.0);
        let start_at = |turns: u16, quad: Quad| QuarterTurns(turns).oriented(quad);
        let start = |turns: u16, quad: Quad| start_at(turns, quad).0[0];
        assert_eq!(start(0, wide), [10.0, 10.0]);
        assert_eq!(start(2, wide), [110.0, 30.0]);
        let tall = line(10.0, 10.0, 20.0, 100.0);
        assert_eq!(start(1, tall), [10.0, 110.0]);
        assert_eq!(start(3, tall), [30.0, 10.0]);
        // Vertical text on an upright page starts at the top and runs downward.
        assert_eq!(start(0, tall), [30.0, 10.0]);
        assert_eq!(QuarterTurns(3).alternative(&start_at(3, tall)), None);
    }

    #[test]
    fn a_tall_box_has_an_alternative_direction() {
        let one = QuarterTurns(0).oriented(line(10.0, 10.0, 10.0, 20.0));
        assert_eq!(one.0[0], [10.0, 10.0], "a 1 is read level at first");
        assert_eq!(QuarterTurns(0).alternative(&one).map(|quad| quad.0[0]), Some([20.0, 10.0]), "then downward");
        let spine = QuarterTurns(0).oriented(line(10.0, 10.0, 20.0, 100.0));
        assert_eq!(QuarterTurns(0).alternative(&spine).map(|quad| quad.0[0]), Some([10.0, 110.0]), "upward");
        assert_eq!(QuarterTurns(0).alternative(&line(0.0, 0.0, 20.0, 20.0)), None);
    }

    #[test]
    fn characters_of_a_vertical_column_are_cut_out_upright() {
        let column = QuarterTurns(3).oriented(line(100.0, 0.0, 30.0, 400.0));
        let alphabet = crate::alphabet::Alphabet::from_metadata("天\n地\na");
        let steps = [1, 0, 3, 0, 2, 0, 1, 0, 2].map(|class| crate::model::CtcStep { class, probability: 1.0 });
        let reading = crate::ctc::decode_ctc(&steps, 80, &alphabet);
        let cells = character_cells(&column, &reading);
        assert_eq!(cells.iter().map(|(character, _)| *character).collect::<String>(), "天地天地");
        // 80 columns are 400 pixels. The second character is centered at column 36, i.e. pixel 180, and its cell has 16
        // columns.
        let [start, end, ..] = cells[1].1.0;
        assert!((start[1] - 136.0).abs() < 0.1 && (end[1] - 136.0).abs() < 0.1, "{start:?} {end:?}");
        assert!((start[0] - 100.0).abs() < 0.1 && (end[0] - 130.0).abs() < 0.1);
        assert_eq!(
            (QuarterTurns(3).as_vertical_text().degrees(), QuarterTurns(1).as_vertical_text().degrees()),
            (0, 180)
        );
        assert!(super::character_cells(&column, &LineReading::default()).is_empty());
    }

    #[test]
    fn the_longest_lines_are_sampled_and_short_ones_never() {
        let lines = [50.0, 300.0, 30.0, 200.0, 100.0].map(|width| line(0.0, 0.0, width, 20.0));
        assert_eq!(sample_lines(&lines, QuarterTurns(0)), [1, 3, 4]);
        assert_eq!(sample_lines(&lines, QuarterTurns(1)), [] as [usize; 0]);
    }

    #[test]
    fn a_sample_without_text_is_doubtful() {
        assert!(is_direction_doubtful(&[]));
        assert!(is_direction_doubtful(&[&LineReading::default()]));
    }

    fn reading(confidence: f32, characters: usize, class: usize) -> LineReading {
        let mut scores = ndarray::Array3::zeros((1, 4, crate::script_weights::SCRIPTS));
        scores.slice_mut(ndarray::s![.., .., class]).fill(20.0);
        let scripts = crate::script::ScriptScores::of_run(&scores.view(), 0, 32);
        LineReading { confidence, characters, scripts, ..LineReading::default() }
    }

    /// Classes of the script classifier.
    const HEBREW: usize = 6;
    const LATIN: usize = 8;
    const MIRRORED: usize = 9;

    #[test]
    fn few_characters_must_be_read_with_a_higher_confidence() {
        assert!(!is_direction_doubtful(&[&reading(0.95, 40, LATIN)]));
        assert!(is_direction_doubtful(&[&reading(0.95, 5, LATIN)]));
        assert!(!is_direction_doubtful(&[&reading(0.99, 5, LATIN)]));
        assert!(is_direction_doubtful(&[&reading(0.85, 40, LATIN)]));
    }

    #[test]
    fn a_page_is_turned_only_for_a_clearly_better_reading() {
        let turned = |upright: LineReading, upside_down: LineReading| is_upside_down(&[&upright], &[&upside_down]);
        assert!(turned(reading(0.85, 9, MIRRORED), reading(0.99, 9, LATIN)));
        assert!(!turned(reading(0.95, 5, LATIN), reading(0.98, 5, LATIN)), "69:58 is legible in both directions");
        assert!(turned(reading(0.5, 9, MIRRORED), reading(0.7, 9, LATIN)), "a blurred page");
        assert!(!is_upside_down(&[], &[]));
    }

    #[test]
    fn a_page_in_a_script_that_cannot_be_read_is_not_turned() {
        let turned = |upright: LineReading, upside_down: LineReading| is_upside_down(&[&upright], &[&upside_down]);
        assert!(!turned(reading(0.41, 9, HEBREW), reading(0.73, 9, LATIN)));
        assert!(!turned(reading(0.41, 9, LATIN), reading(0.73, 9, HEBREW)));
        assert!(turned(reading(0.83, 5, HEBREW), reading(0.99, 5, HEBREW)), "a number that is taken for Hebrew");
    }
}
