//! Parts of a text layer that are read, to compare what the layer says with what is printed.

use std::collections::BTreeMap;

use icu_normalizer::DecomposingNormalizerBorrowed;
use quire_document::{LayerLine, LayerWord};

use crate::{ctc::LineReading, geometry::Quad, script::Unreadable, visible_words::extent};

/// Length of a sample in characters. Longer ones are not more certain, but take longer.
const SAMPLE_CHARACTERS: usize = 20;
/// Share of the letters and digits that the recognizer may read differently. It errs in less than 1 % of printed ones;
/// fonts with a wrong mapping differ in most.
const MAX_DIFFERENCE: f32 = 0.1;
/// Probability from which the recognizer cannot read a sample.
const UNREADABLE: f32 = 0.5;
/// Margin around a sample, as a share of its height, as detection leaves it.
const SAMPLE_MARGIN: f32 = 0.1;

/// A part of a line that is read to compare it with the layer.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct LayerSample {
    pub(crate) quad: Quad,
    pub(crate) text: String,
    pub(crate) font: u32,
    /// Whether each character must be the same.
    pub(crate) is_strict: bool,
}

impl LayerSample {
    /// Returns words of one font, of which only the first characters count.
    pub(crate) fn of_words(line: &LayerLine, words: &[LayerWord]) -> Self {
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
    pub(crate) fn characters(&self) -> usize {
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

/// Returns the letters and digits of a text without accents and case, and those that look the same as one: what the
/// recognizer can be expected to read the same.
pub(crate) fn comparable(text: &str) -> Vec<char> {
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

    fn reading(text: &str) -> LineReading {
        LineReading { text: text.to_owned(), ..LineReading::default() }
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
