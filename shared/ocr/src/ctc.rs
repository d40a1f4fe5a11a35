//! Greedy CTC decoding: the recognizer's steps to text.

use crate::{Alphabet, Step};

/// What a line says.
#[derive(Debug, Clone, PartialEq, Default)]
pub(crate) struct Reading {
    pub(crate) text: String,
    /// The mean probability of the characters; 0 without any.
    pub(crate) confidence: f32,
    /// How many characters the recognizer saw, spaces included.
    pub(crate) characters: usize,
}

impl Reading {
    /// Appends what stands further right in the same line. Lines are cut in gaps: between Latin letters that was a
    /// space, which neither piece shows.
    pub(crate) fn append(&mut self, next: &Self) {
        let ends = (self.text.chars().next_back(), next.text.chars().next());
        if matches!(ends, (Some(last), Some(first)) if last.is_ascii_graphic() && first.is_ascii_graphic()) {
            self.text.push(' ');
        }
        let characters = self.characters + next.characters;
        let sum = self.confidence * self.characters as f32 + next.confidence * next.characters as f32;
        self.text.push_str(&next.text);
        self.confidence = if characters == 0 { 0.0 } else { sum / characters as f32 };
        self.characters = characters;
    }
}

/// Blanks are dropped, and neighbors of the same class are one character.
pub(crate) fn decode(steps: &[Step], alphabet: &Alphabet) -> Reading {
    let mut reading = Reading::default();
    let mut sum = 0.0;
    let mut before = Alphabet::BLANK;
    for step in steps {
        let repeated = std::mem::replace(&mut before, step.class) == step.class;
        if let Some(character) = alphabet.character(step.class).filter(|_| !repeated) {
            reading.text.push_str(character);
            reading.characters += 1;
            sum += step.probability;
        }
    }
    reading.confidence = if reading.characters == 0 { 0.0 } else { sum / reading.characters as f32 };
    reading
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn steps(classes: &[u32]) -> Vec<Step> {
        classes.iter().map(|&class| Step { class, probability: 0.5 }).collect()
    }

    #[test]
    fn repeats_are_one_character_unless_a_blank_stands_between() {
        let alphabet = Alphabet::from_metadata("a\nb");
        let text = |classes: &[u32]| decode(&steps(classes), &alphabet).text;
        assert_eq!(text(&[0, 1, 1, 0, 1, 2, 2, 3, 0]), "aab ");
        assert_eq!(text(&[]), "");
        assert_eq!(text(&[0, 0]), "");
        assert_eq!(text(&[1, 77, 1]), "aa");
    }

    #[test]
    fn a_piece_counts_by_its_characters() {
        let mut reading = Reading { text: "abc".to_owned(), confidence: 1.0, characters: 3 };
        reading.append(&Reading { text: "d".to_owned(), confidence: 0.6, characters: 1 });
        assert_eq!((reading.text.as_str(), reading.characters), ("abc d", 4));
        assert!((reading.confidence - 0.9).abs() < 1e-6);
        reading.append(&Reading { text: "天".to_owned(), confidence: 0.9, characters: 1 });
        assert_eq!(reading.text, "abc d天");
        let mut nothing = Reading::default();
        nothing.append(&Reading::default());
        assert_eq!(nothing, Reading::default());
    }

    proptest! {
        #[test]
        fn a_text_written_with_blanks_reads_back(classes in prop::collection::vec(1_u32..6, 0..40), repeat in 1_usize..4) {
            let alphabet = Alphabet::from_metadata("v\nw\nx\ny");
            let written: Vec<u32> =
                classes.iter().flat_map(|&class| std::iter::repeat_n(class, repeat).chain([0])).collect();
            let expected: String = classes.iter().filter_map(|&class| alphabet.character(class)).collect();
            let reading = decode(&steps(&written), &alphabet);
            prop_assert_eq!(reading.text, expected);
            prop_assert_eq!(reading.characters, classes.len());
        }

        #[test]
        fn a_confidence_is_between_its_probabilities(steps in prop::collection::vec((0_u32..9, 0.0_f32..=1.0), 1..50)) {
            let steps: Vec<Step> = steps.into_iter().map(|(class, probability)| Step { class, probability }).collect();
            let reading = decode(&steps, &Alphabet::from_metadata("a\nb\nc"));
            prop_assert!((0.0..=1.0001).contains(&reading.confidence));
        }
    }
}
