//! Decides whether the text that a page itself contains can be used instead of reading its image: a sample of each font
//! must agree with what is printed, and invisible words do not count.

use std::ops::Range;

use icu_normalizer::DecomposingNormalizerBorrowed;
use quire_document::{LayerLine, LayerWord, PageImage, TextLayer};
use quire_tasks::{EngineName, Line, PageText, TextSource, WarningKind};

use crate::{
    ctc::LineReading,
    deskew::deskew,
    geometry::{Point, Quad},
    page_state::page_polygon,
    reading_order::reading_order,
    script::Unreadable,
    visible_words::{extent, has_ink, has_print, without_words},
    xy_cut::{pieces, regions},
};

/// The direction of the text.
const RIGHT: Point = [1.0, 0.0];

/// Most samples of a page, one per font.
const MAX_SAMPLES: usize = 8;
/// Most doubtful words that are read in addition.
const MAX_DOUBTFUL: usize = 6;
/// Length of a sample in characters. Longer ones are not more certain, but take longer.
const SAMPLE_CHARACTERS: usize = 20;
/// Fewest letters and digits of a sample: marks and bullets are not read reliably out of their line.
const MIN_CHARACTERS: usize = 3;
/// Share of a sample's letters and digits that the recognizer may read differently. It errs in less than 1 % of printed
/// characters; fonts with a wrong mapping differ in most.
const MAX_DIFFERENCE: f32 = 0.2;
/// Share of the words that may be invisible. A page with more of them shows something else than it says.
const MAX_INVISIBLE: f32 = 0.2;
/// Probability from which the recognizer cannot read a sample.
const UNREADABLE: f32 = 0.5;
/// Margin around a sample, as a share of its height, as detection leaves it.
const SAMPLE_MARGIN: f32 = 0.1;

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

/// A part of a line that is read to compare it with the layer.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct LayerSample {
    pub(crate) quad: Quad,
    text: String,
    /// Whether each character must be the same.
    is_strict: bool,
}

impl VisibleLayer {
    /// Returns the visible text of a page's layer; `None` if it has none, or if it cannot be used.
    pub(crate) fn of_page(page: &PageImage) -> Option<Self> {
        let TextLayer { lines, has_other_content, is_incomplete } = page.text_layer()?;
        if *is_incomplete {
            return None;
        }
        let all = lines.iter().map(|line| line.words.len()).sum::<usize>();
        let visible = |line: &LayerLine| {
            let words: Vec<LayerWord> =
                line.words.iter().filter(|word| has_ink(page, &word.polygon)).cloned().collect();
            (!words.is_empty()).then_some(LayerLine { words, polygon: line.polygon })
        };
        let lines: Vec<LayerLine> = lines.iter().filter_map(visible).collect();
        let seen = lines.iter().map(|line| line.words.len()).sum::<usize>();
        let is_usable = seen > 0 && (all - seen) as f32 <= MAX_INVISIBLE * all as f32;
        is_usable.then_some(Self { lines, has_other_content: *has_other_content })
    }

    /// Returns the parts that are read: the longest one of each font, and doubtful words.
    pub(crate) fn samples(&self) -> Vec<LayerSample> {
        let mut longest: Vec<(u32, LayerSample)> = Vec::new();
        for line in &self.lines {
            for words in line.words.chunk_by(|a, b| a.font == b.font) {
                let sample = LayerSample::of_words(line, words);
                match longest.iter_mut().find(|(font, _)| *font == words[0].font) {
                    Some((_, known)) if known.characters() < sample.characters() => *known = sample,
                    Some(_) => {}
                    None => longest.push((words[0].font, sample)),
                }
            }
        }
        let mut samples: Vec<LayerSample> = longest.into_iter().map(|(_, sample)| sample).collect();
        samples.retain(|sample| sample.characters() >= MIN_CHARACTERS);
        samples.sort_by_key(|sample| std::cmp::Reverse(sample.characters()));
        samples.truncate(MAX_SAMPLES);
        samples.extend(self.doubtful_words());
        samples
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
        let mut lines: Vec<Line> = self.lines.iter().map(|line| to_line(page, line)).collect();
        let mut fragments: Vec<Vec<Range<f32>>> = self.lines.iter().map(word_ranges).collect();
        fragments.extend(rest.iter().map(|_| vec![0.0..1.0]));
        lines.extend(rest);
        let quads: Vec<Quad> = lines.iter().map(|line| Quad(line.polygon.unwrap_or_default())).collect();
        let is_divided = regions(pieces(&deskew(&quads, RIGHT), &fragments)).len() > 1;
        let order = reading_order(&quads, is_divided.then_some(&fragments[..]), RIGHT);
        let lines = order.into_iter().map(|index| lines[index].clone()).collect();
        let text = PageText::from_lines(engine.clone(), page.page_width(), page.page_height(), 0, lines);
        PageText { source, warnings, ..text }
    }
}

impl LayerSample {
    /// Returns words of one font, of which only the first characters count.
    fn of_words(line: &LayerLine, words: &[LayerWord]) -> Self {
        let mut characters = 0;
        let enough = words.iter().position(|word| {
            characters += word.text.chars().count();
            characters >= SAMPLE_CHARACTERS
        });
        let words = &words[..=enough.unwrap_or(words.len() - 1)];
        let texts: Vec<&str> = words.iter().map(|word| word.text.as_str()).collect();
        let ([left, _], [right, _]) = extent(words.iter().map(|word| &word.polygon));
        let ([_, top], [_, bottom]) = extent([&line.polygon]);
        let margin = SAMPLE_MARGIN * (bottom - top);
        let [left, right] = [left - margin, right + margin];
        let quad = Quad([[left, top], [right, top], [right, bottom], [left, bottom]]);
        Self { quad, text: texts.join(" "), is_strict: false }
    }

    /// Returns the number of letters and digits.
    fn characters(&self) -> usize {
        self.text.chars().filter(|character| character.is_alphanumeric()).count()
    }

    /// Returns whether what is printed is what the layer says.
    pub(crate) fn agrees_with(&self, reading: &LineReading) -> bool {
        if let Some((Unreadable::Script(script), probability)) = reading.scripts.unreadable()
            && probability >= UNREADABLE
        {
            let letters = self.text.chars().filter(|character| character.is_alphabetic()).count();
            let of_script = self.text.chars().filter(|character| script.contains(*character)).count();
            return 2 * of_script > letters;
        }
        let (said, printed) = (comparable(&self.text), comparable(&reading.text));
        let differences = edit_distance(&said, &printed);
        if self.is_strict {
            differences == 0
        } else {
            differences as f32 <= MAX_DIFFERENCE * said.len().max(printed.len()) as f32
        }
    }
}

fn to_line(page: &PageImage, line: &LayerLine) -> Line {
    Line { text: line.text(), confidence: Some(1.0), polygon: Some(page_polygon(page, Quad(line.polygon))) }
}

/// Returns the words of a line as shares of its length.
fn word_ranges(line: &LayerLine) -> Vec<Range<f32>> {
    let ([left, _], [right, _]) = extent([&line.polygon]);
    let share = |x: f32| ((x - left) / (right - left).max(f32::MIN_POSITIVE)).clamp(0.0, 1.0);
    let range = |word: &LayerWord| {
        let ([start, _], [end, _]) = extent([&word.polygon]);
        share(start)..share(end)
    };
    line.words.iter().map(range).collect()
}

/// Returns the letters and digits of a text without accents and case: what the recognizer can be expected to read the
/// same.
fn comparable(text: &str) -> Vec<char> {
    let decomposed = DecomposingNormalizerBorrowed::new_nfkd().normalize(text);
    decomposed.chars().filter(|character| character.is_alphanumeric()).flat_map(char::to_lowercase).collect()
}

/// Returns the number of characters to insert, delete or replace (Levenshtein distance).
fn edit_distance(a: &[char], b: &[char]) -> usize {
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, left) in a.iter().enumerate() {
        let mut diagonal = std::mem::replace(&mut row[0], i + 1);
        for (j, right) in b.iter().enumerate() {
            let replaced = diagonal + usize::from(left != right);
            diagonal = row[j + 1];
            row[j + 1] = replaced.min(diagonal + 1).min(row[j] + 1);
        }
    }
    row[b.len()]
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

    fn reading(text: &str) -> LineReading {
        LineReading { text: text.to_owned(), ..LineReading::default() }
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
        let expected = [("longest ofice", false), ("other", false), ("ofice", true)];
        assert_eq!(samples, expected.map(|(text, strict)| (text.to_owned(), strict)));
    }

    #[test]
    fn a_sample_agrees_up_to_accents_and_few_errors() {
        let sample =
            LayerSample { quad: Quad::default(), text: "Café au lait, 12,50 €".to_owned(), is_strict: false };
        assert!(sample.agrees_with(&reading("cafe au lait 12.50")));
        assert!(sample.agrees_with(&reading("Cafe au 1ait, 12,50 €")));
        assert!(!sample.agrees_with(&reading("Dbgf bv mbju, 23,61")), "each letter is another one");
        assert!(!sample.agrees_with(&reading("")));
        let strict = LayerSample { text: "ofice".to_owned(), is_strict: true, ..sample };
        assert!(!strict.agrees_with(&reading("office")));
        assert!(strict.agrees_with(&reading("Ofice")));
    }

    #[test]
    fn the_edit_distance_counts_characters() {
        let distance = |a: &str, b: &str| edit_distance(&comparable(a), &comparable(b));
        assert_eq!([distance("kitten", "sitting"), distance("", "abc"), distance("same", "same")], [3, 3, 0]);
    }
}
