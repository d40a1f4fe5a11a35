//! Decides whether the text that a page itself contains can be used instead of reading its image: a sample of each font
//! must agree with what is printed, and invisible words do not count.

use std::{
    collections::{BTreeMap, BTreeSet},
    ops::Range,
};

use icu_normalizer::DecomposingNormalizerBorrowed;
use quire_document::{LayerLine, LayerWord, PageImage, TextLayer};
use quire_tasks::{EngineName, Line, PageText, TextSource, WarningKind, Word};

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

/// Most fonts of a page that have a sample of their own.
const MAX_FONTS: usize = 8;
/// Most words that are read because they have further characters of a font,
const MAX_COVERING: usize = 6;
/// and most doubtful words.
const MAX_DOUBTFUL: usize = 6;
/// Length of a sample in characters. Longer ones are not more certain, but take longer.
const SAMPLE_CHARACTERS: usize = 20;
/// Fewest letters and digits of a sample: marks and bullets are not read reliably out of their line.
const MIN_CHARACTERS: usize = 3;
/// Share of the letters and digits that the recognizer may read differently. It errs in less than 1 % of printed ones;
/// fonts with a wrong mapping differ in most.
const MAX_DIFFERENCE: f32 = 0.1;
/// Most lines of a page whose text is used.
const MAX_LINES: usize = 3_000;
/// Share of the smaller of two lines that both cover if one of them hides the other.
const HIDING_SHARE: f32 = 0.5;
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
    font: u32,
    /// Whether each character must be the same.
    is_strict: bool,
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
        Self { quad, text: texts.join(" "), font: words[0].font, is_strict: false }
    }

    /// Returns the number of letters and digits.
    fn characters(&self) -> usize {
        self.text.chars().filter(|character| character.is_alphanumeric()).count()
    }

    /// Returns whether the recognizer says that it cannot read the script of the sample, which is that of its letters.
    fn is_in_unreadable_script(&self, reading: &LineReading) -> bool {
        let Some((Unreadable::Script(script), probability)) = reading.scripts.unreadable() else { return false };
        let letters = self.text.chars().filter(|character| character.is_alphabetic()).count();
        let of_script = self.text.chars().filter(|character| script.contains(*character)).count();
        probability >= UNREADABLE && 2 * of_script > letters
    }
}

/// Returns whether what is printed is what the layer says: no character of a font is read as another one wherever it
/// is sampled, and few are at all. `readings` are those of the samples, in their order; `None` if it failed.
pub(crate) fn agree(samples: &[LayerSample], readings: &[Option<LineReading>]) -> bool {
    let mut seen: BTreeMap<(u32, char), bool> = BTreeMap::new();
    let (mut differences, mut characters) = (0, 0);
    for (sample, reading) in samples.iter().zip(readings) {
        let Some(reading) = reading else { return false };
        if sample.is_in_unreadable_script(reading) {
            continue;
        }
        let (said, printed) = (comparable(&sample.text), comparable(&reading.text));
        let same = same_characters(&said, &printed);
        let different = said.len().max(printed.len()) - same.iter().filter(|same| **same).count();
        if sample.is_strict && different > 0 {
            return false;
        }
        differences += different;
        characters += said.len();
        for (character, same) in said.iter().zip(same) {
            *seen.entry((sample.font, *character)).or_default() |= same;
        }
    }
    !samples.is_empty() && seen.values().all(|same| *same) && differences as f32 <= MAX_DIFFERENCE * characters as f32
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

/// Returns the letters and digits of a text without accents and case, and those that look the same as one: what the
/// recognizer can be expected to read the same.
fn comparable(text: &str) -> Vec<char> {
    let decomposed = DecomposingNormalizerBorrowed::new_nfkd().normalize(text);
    let folded = decomposed.chars().filter(|character| character.is_alphanumeric()).flat_map(char::to_lowercase);
    let look = |character: char| match character {
        'i' | '1' => 'l',
        '0' => 'o',
        other => other,
    };
    folded.map(look).collect()
}

/// Returns for each character of `a` whether it is the same in `b`, for the alignment with the fewest insertions,
/// deletions and replacements (Levenshtein distance).
fn same_characters(a: &[char], b: &[char]) -> Vec<bool> {
    let mut costs = vec![(0..=b.len()).collect::<Vec<usize>>()];
    for (i, left) in a.iter().enumerate() {
        let mut row = vec![i + 1];
        for (j, right) in b.iter().enumerate() {
            let replaced = costs[i][j] + usize::from(left != right);
            row.push(replaced.min(costs[i][j + 1] + 1).min(row[j] + 1));
        }
        costs.push(row);
    }
    let mut same = vec![false; a.len()];
    let (mut i, mut j) = (a.len(), b.len());
    while i > 0 && j > 0 {
        let is_same = a[i - 1] == b[j - 1];
        if costs[i][j] == costs[i - 1][j - 1] + usize::from(!is_same) {
            (i, j) = (i - 1, j - 1);
            same[i] = is_same;
        } else if costs[i][j] == costs[i - 1][j] + 1 {
            i -= 1;
        } else {
            j -= 1;
        }
    }
    same
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

    fn sample(text: &str) -> LayerSample {
        LayerSample { quad: Quad::default(), text: text.to_owned(), font: 0, is_strict: false }
    }

    fn agrees(samples: &[LayerSample], printed: &[&str]) -> bool {
        agree(samples, &printed.iter().map(|text| Some(reading(text))).collect::<Vec<_>>())
    }

    #[test]
    fn a_sample_agrees_up_to_accents_and_few_errors() {
        let cafe = [sample("Café am Markt, Ulm: 12,50 €")];
        assert!(agrees(&cafe, &["cafe am Markt Ulm 12.50"]));
        assert!(agrees(&cafe, &["Cafe am Markt, Uln: l2,5O €"]), "one m is an m, and an l looks like a 1");
        assert!(!agrees(&cafe, &["Cafe am Markt, Ulm: 12,60 €"]), "the only 5 is a 6");
        assert!(!agrees(&cafe, &["Dbgf bn Nbslu, Vmn: 23,61"]), "each letter is another one");
        assert!(!agrees(&cafe, &[""]));
        assert!(!agree(&cafe, &[None]));
        assert!(!agree(&[], &[]), "nothing is known");
    }

    #[test]
    fn a_character_must_be_read_as_itself_somewhere() {
        let samples = ["printing", "nothing", "else here that is different"].map(sample);
        assert!(agrees(&samples, &["printing", "nothlng", "else here that is different"]));
        assert!(!agrees(&samples, &["prixtixg", "xothixg", "else here that is differext"]), "each n is an x");
    }

    #[test]
    fn doubtful_words_must_be_the_same() {
        let strict = LayerSample { is_strict: true, ..sample("ofice") };
        assert!(!agrees(std::slice::from_ref(&strict), &["office"]));
        assert!(agrees(&[strict], &["Ofice"]));
    }
}
