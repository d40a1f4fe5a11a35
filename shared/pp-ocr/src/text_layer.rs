//! Decides whether the text that a page itself contains can be used instead of reading its image: a sample of each font
//! must agree with what is printed, and invisible words do not count.

use std::{collections::BTreeSet, ops::Range};

use quire_document::{LayerLine, LayerWord, PageImage, TextLayer};
use quire_tasks::{EngineName, Line, PageText, TextSource, WarningKind, Word};

use crate::{
    deskew::deskew,
    geometry::{Point, Quad},
    layer_sample::{LayerSample, comparable},
    page_state::page_polygon,
    reading_order::reading_order,
    visible_words::{extent, has_ink, has_print, without_words},
    xy_cut::{pieces, regions},
};

/// The direction of the text.
const RIGHT: Point = [1.0, 0.0];

/// Most fonts of a page that have a sample of their own.
const MAX_FONTS: usize = 8;
/// Most words that are read because they have further characters of a font,
const MAX_COVERING: usize = 6;
/// and most doubtful words.
const MAX_DOUBTFUL: usize = 6;
/// Fewest letters and digits of a sample: marks and bullets are not read reliably out of their line.
const MIN_CHARACTERS: usize = 3;
/// Most lines of a page whose text is used.
const MAX_LINES: usize = 3_000;
/// Share of the smaller of two lines that both cover if one of them hides the other.
const HIDING_SHARE: f32 = 0.5;
/// Share of the words that may be invisible. A page with more of them shows something else than it says.
const MAX_INVISIBLE: f32 = 0.2;

/// Returns the text that a page itself contains, without reading its image or checking the text; with the warning
/// [`NoTextLayer`](WarningKind::NoTextLayer) if it has none.
pub fn read_text_layer(page: &PageImage, engine: &EngineName) -> PageText {
    let lines = page.text_layer().map(|layer| layer.lines.clone()).unwrap_or_default();
    let has_text = !lines.is_empty();
    let text = VisibleLayer { lines, has_other_content: false }.into_page_text(page, engine, None);
    PageText { warnings: if has_text { Vec::new() } else { vec![WarningKind::NoTextLayer.into()] }, ..text }
}

/// The visible text of a layer.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct VisibleLayer {
    lines: Vec<LayerLine>,
    has_other_content: bool,
}

impl VisibleLayer {
    /// Returns the visible text of a page's layer; `None` if it has none, or if it cannot be used.
    pub(crate) fn of_page(page: &PageImage) -> Option<Self> {
        let TextLayer { lines, has_other_content, is_incomplete } = page.text_layer()?;
        if *is_incomplete || lines.len() > MAX_LINES {
            return None;
        }
        let all = lines.iter().map(|line| line.words.len()).sum::<usize>();
        let visible = |line: &LayerLine| {
            let words: Vec<LayerWord> =
                line.words.iter().filter(|word| has_ink(page, &word.polygon)).cloned().collect();
            (!words.is_empty()).then_some(LayerLine { words, polygon: line.polygon })
        };
        let lines: Vec<LayerLine> = without_copies(lines.iter().filter_map(visible).collect())?;
        let seen = lines.iter().map(|line| line.words.len()).sum::<usize>();
        let is_usable = seen > 0 && (all - seen) as f32 <= MAX_INVISIBLE * all as f32;
        is_usable.then_some(Self { lines, has_other_content: *has_other_content })
    }

    /// Returns the parts that are read: the longest one of each font, words with its other characters, and doubtful
    /// words.
    pub(crate) fn samples(&self) -> Vec<LayerSample> {
        let mut longest: Vec<LayerSample> = Vec::new();
        for line in &self.lines {
            for words in line.words.chunk_by(|a, b| a.font == b.font) {
                let sample = LayerSample::of_words(line, words);
                match longest.iter_mut().find(|known| known.font == sample.font) {
                    Some(known) if known.characters() < sample.characters() => *known = sample,
                    Some(_) => {}
                    None => longest.push(sample),
                }
            }
        }
        let mut samples = longest;
        samples.retain(|sample| sample.characters() >= MIN_CHARACTERS);
        samples.sort_by_key(|sample| std::cmp::Reverse(sample.characters()));
        samples.truncate(MAX_FONTS);
        samples.extend(self.covering_words(&samples));
        samples.extend(self.doubtful_words());
        samples
    }

    /// Returns words with characters that are not in the samples, those with the most of them first.
    fn covering_words(&self, samples: &[LayerSample]) -> Vec<LayerSample> {
        let characters = |sample: &LayerSample| -> BTreeSet<(u32, char)> {
            comparable(&sample.text).into_iter().map(|character| (sample.font, character)).collect()
        };
        let mut covered: BTreeSet<(u32, char)> = samples.iter().flat_map(characters).collect();
        let words = self.lines.iter().flat_map(|line| line.words.iter().map(move |word| (line, word)));
        let words = words.map(|(line, word)| LayerSample::of_words(line, std::slice::from_ref(word)));
        let words: Vec<(LayerSample, BTreeSet<(u32, char)>)> = words
            .filter(|word| word.characters() >= MIN_CHARACTERS)
            .map(|word| {
                let its = characters(&word);
                (word, its)
            })
            .collect();
        let mut covering = Vec::new();
        while covering.len() < MAX_COVERING {
            let new = |its: &BTreeSet<(u32, char)>| its.difference(&covered).count();
            let Some((word, its)) = words.iter().max_by_key(|(_, its)| new(its)).filter(|(_, its)| new(its) > 0) else {
                break;
            };
            covering.push(word.clone());
            covered.extend(its);
        }
        covering
    }

    /// Returns doubtful words, each once.
    fn doubtful_words(&self) -> Vec<LayerSample> {
        let mut doubtful: Vec<LayerSample> = Vec::new();
        for line in &self.lines {
            for word in line.words.iter().filter(|word| word.is_doubtful) {
                let sample = LayerSample { is_strict: true, ..LayerSample::of_words(line, std::slice::from_ref(word)) };
                let is_new = doubtful.iter().all(|known| known.text != sample.text);
                if is_new && sample.characters() >= MIN_CHARACTERS {
                    doubtful.push(sample);
                }
            }
        }
        // The longest ones are read most reliably.
        doubtful.sort_by_key(|sample| std::cmp::Reverse(sample.characters()));
        doubtful.truncate(MAX_DOUBTFUL);
        doubtful
    }

    /// Returns the page without the text of the layer, if there is print left that must be read.
    pub(crate) fn rest_of(&self, page: &PageImage) -> Option<PageImage> {
        if !self.has_other_content {
            return None;
        }
        let words = self.lines.iter().flat_map(|line| &line.words).map(|word| &word.polygon);
        let rest = without_words(page, words);
        has_print(&rest).then_some(rest)
    }

    /// Returns the text of the page, of which `rest` is what was read beside the layer.
    pub(crate) fn into_page_text(self, page: &PageImage, engine: &EngineName, rest: Option<PageText>) -> PageText {
        let source = if rest.is_some() { TextSource::Mixed } else { TextSource::TextLayer };
        let (rest, warnings) = rest.map(|rest| (rest.lines, rest.warnings)).unwrap_or_default();
        let shapes: Vec<Quad> = detected_shapes(&self.lines);
        let mut lines: Vec<Line> = self.lines.iter().map(|line| to_line(page, line)).collect();
        let mut fragments: Vec<Vec<Range<f32>>> = self.lines.iter().zip(&shapes).map(word_ranges).collect();
        fragments.extend(rest.iter().map(|_| vec![0.0..1.0]));
        let mut quads: Vec<Quad> = shapes.into_iter().map(|shape| Quad(page_polygon(page, shape))).collect();
        quads.extend(rest.iter().map(|line| Quad(line.polygon.unwrap_or_default())));
        lines.extend(rest);
        let is_divided = regions(pieces(&deskew(&quads, RIGHT), &fragments)).len() > 1;
        let order = reading_order(&quads, is_divided.then_some(&fragments[..]), RIGHT);
        let lines = order.into_iter().map(|index| lines[index].clone()).collect();
        let text = PageText::from_lines(engine.clone(), page.page_width(), page.page_height(), 0, lines);
        PageText { source, warnings, ..text }
    }
}

/// Returns the lines without those that are drawn again in their place, e.g. to make them bold; `None` if one line is in
/// the place of another: one of them is hidden.
fn without_copies(lines: Vec<LayerLine>) -> Option<Vec<LayerLine>> {
    let mut kept: Vec<LayerLine> = Vec::with_capacity(lines.len());
    for line in lines {
        let mut is_copy = false;
        for other in kept.iter().filter(|other| is_hiding(other, &line)) {
            if other.text() != line.text() {
                return None;
            }
            is_copy = true;
        }
        if !is_copy {
            kept.push(line);
        }
    }
    Some(kept)
}

/// Returns whether two lines share most of the smaller one, by the places of their glyphs.
fn is_hiding(a: &LayerLine, b: &LayerLine) -> bool {
    let bounds = |line: &LayerLine| extent(line.words.iter().map(|word| &word.polygon));
    let (([left, top], [right, bottom]), ([other_left, other_top], [other_right, other_bottom])) =
        (bounds(a), bounds(b));
    let shared = (right.min(other_right) - left.max(other_left)).max(0.0)
        * (bottom.min(other_bottom) - top.max(other_top)).max(0.0);
    let smaller = ((right - left) * (bottom - top)).min((other_right - other_left) * (other_bottom - other_top));
    shared > HIDING_SHARE * smaller
}

fn to_line(page: &PageImage, line: &LayerLine) -> Line {
    let word = |word: &LayerWord| Word {
        text: word.text.clone(),
        confidence: Some(1.0),
        polygon: page_polygon(page, Quad(word.polygon)),
    };
    Line {
        text: line.text(),
        confidence: Some(1.0),
        polygon: Some(page_polygon(page, Quad(line.polygon))),
        words: line.words.iter().map(word).collect(),
    }
}

/// Returns the boxes that detection would find, for which the reading order is made: 0.72 times the height of the glyphs
/// and 1.33 times that of typical lines, measured on pages at 200 dpi.
fn detected_shapes(lines: &[LayerLine]) -> Vec<Quad> {
    let bounds: Vec<(Point, Point)> =
        lines.iter().map(|line| extent(line.words.iter().map(|word| &word.polygon))).collect();
    let mut heights: Vec<f32> = bounds.iter().map(|(low, high)| high[1] - low[1]).collect();
    heights.sort_by(f32::total_cmp);
    let typical = heights.get(heights.len() / 2).copied().unwrap_or_default();
    let shape = |([left, top], [right, bottom]): &(Point, Point)| {
        let half = 0.36 * (bottom - top) + 0.67 * typical;
        let (middle, margin) = (f32::midpoint(*top, *bottom), 0.4 * typical);
        let ([left, right], [top, bottom]) = ([left - margin, right + margin], [middle - half, middle + half]);
        Quad([[left, top], [right, top], [right, bottom], [left, bottom]])
    };
    bounds.iter().map(shape).collect()
}

/// Returns the words of a line as shares of the length of its box.
fn word_ranges((line, shape): (&LayerLine, &Quad)) -> Vec<Range<f32>> {
    let ([left, _], [right, _]) = extent([&shape.0]);
    let share = |x: f32| ((x - left) / (right - left).max(f32::MIN_POSITIVE)).clamp(0.0, 1.0);
    let range = |word: &LayerWord| {
        let ([start, _], [end, _]) = extent([&word.polygon]);
        share(start)..share(end)
    };
    line.words.iter().map(range).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn word(text: &str, left: f32, font: u32) -> LayerWord {
        let right = left + 10.0 * text.chars().count() as f32;
        let polygon = [[left, 5.0], [right, 5.0], [right, 15.0], [left, 15.0]];
        LayerWord { text: text.to_owned(), polygon, font, is_doubtful: false }
    }

    fn line(words: Vec<LayerWord>) -> LayerLine {
        let ([left, _], [right, _]) = extent(words.iter().map(|word| &word.polygon));
        LayerLine { words, polygon: [[left, 0.0], [right, 0.0], [right, 20.0], [left, 20.0]] }
    }

    /// A page with a bar in the place of each word, except for invisible ones.
    fn page(lines: Vec<LayerLine>, is_printed: impl Fn(&str) -> bool) -> PageImage {
        let mut pixels = vec![255; 400 * 30 * 3];
        for word in lines.iter().flat_map(|line| &line.words).filter(|word| is_printed(&word.text)) {
            for x in word.polygon[0][0] as usize..word.polygon[1][0] as usize {
                for y in 7..13 {
                    pixels[(y * 400 + x) * 3..][..3].fill(0);
                }
            }
        }
        let layer = TextLayer { lines, ..TextLayer::default() };
        PageImage::new(400, 30, pixels).with_text_layer(Some(layer))
    }

    #[test]
    fn invisible_words_are_not_text() {
        let words = ["one", "two", "three", "four", "five", "white"];
        let words: Vec<LayerWord> =
            words.iter().enumerate().map(|(at, text)| word(text, 60.0 * at as f32, 0)).collect();
        let seen = VisibleLayer::of_page(&page(vec![line(words)], |text| text != "white")).expect("a layer");
        assert_eq!(seen.lines[0].text(), "one two three four five");
    }

    #[test]
    fn a_page_that_shows_something_else_is_read() {
        let words = vec![word("seen", 0.0, 0), word("white", 60.0, 0)];
        assert_eq!(VisibleLayer::of_page(&page(vec![line(words.clone())], |text| text != "white")), None);
        let incomplete = TextLayer { lines: vec![line(words)], is_incomplete: true, ..TextLayer::default() };
        assert_eq!(VisibleLayer::of_page(&page(Vec::new(), |_| true).with_text_layer(Some(incomplete))), None);
    }

    #[test]
    fn each_font_has_a_sample_and_doubtful_words_have_their_own() {
        let doubtful = LayerWord { is_doubtful: true, ..word("ofice", 250.0, 0) };
        let lines =
            vec![line(vec![word("short", 0.0, 0), word("other", 60.0, 1), word("longest", 130.0, 0), doubtful])];
        let layer = VisibleLayer::of_page(&page(lines, |_| true)).expect("a layer");
        let samples: Vec<(String, bool)> =
            layer.samples().into_iter().map(|sample| (sample.text, sample.is_strict)).collect();
        let expected = [("longest ofice", false), ("other", false), ("short", false), ("ofice", true)];
        assert_eq!(samples, expected.map(|(text, strict)| (text.to_owned(), strict)), "only `short` has an h");
    }

    #[test]
    fn a_line_in_the_place_of_another_hides_it() {
        let first = line(vec![word("hidden", 0.0, 0)]);
        let copy = line(vec![word("hidden", 1.0, 0)]);
        let other = line(vec![word("shown", 5.0, 0)]);
        let beside = line(vec![word("beside", 100.0, 0)]);
        assert_eq!(without_copies(vec![first.clone(), copy, beside.clone()]), Some(vec![first.clone(), beside]));
        assert_eq!(without_copies(vec![first, other]), None);
    }
}
