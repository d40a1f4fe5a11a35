//! Which character of a line is at a place of its ink. Engines report no positions of characters, so that they are
//! estimated from typical widths, and exact where every word has its own fragment of ink.

use crate::ink::Ink;

/// Maximum distance of a space from the estimated place, in widths of a Chinese character.
const MAX_SNAP: f32 = 3.0;

/// Returns the typical widths of characters, in widths of a Chinese one.
pub(crate) fn widths(characters: &[char]) -> Vec<f32> {
    characters.iter().map(|character| width(*character)).collect()
}

fn width(character: char) -> f32 {
    match character {
        ' ' | '\u{a0}' | 'i' | 'j' | 'l' | 'I' | '.' | ',' | ':' | ';' | '\'' | '|' | '!' | '(' | ')' | '[' | ']' => {
            0.28
        }
        'm' | 'w' | 'M' | 'W' | '@' | '%' => 0.85,
        'A'..='Z' => 0.65,
        '\u{0}'..='\u{2fff}' => 0.53,
        _ => 1.0,
    }
}

/// Returns the number of characters before a gap in the ink of a line.
pub(crate) fn boundary(characters: &[char], widths: &[f32], ink: &Ink, [from, to]: [f32; 2]) -> usize {
    let starts = word_starts(characters);
    let before = ink.fragments.iter().filter(|fragment| fragment[1] <= from + 1.0).count();
    if starts.len() == ink.fragments.len() && to > from {
        return starts.get(before).copied().unwrap_or(characters.len());
    }
    // By the widths of the characters in the part of the line that has ink: gaps count as wide as their space.
    let inked = |limit: f32| ink.fragments.iter().map(|[start, end]| (end.min(limit) - start).max(0.0)).sum::<f32>();
    let [_, right] = ink.extent();
    let share = inked(f32::midpoint(from, to)) / inked(right).max(f32::MIN_POSITIVE);
    let print = |index: usize| if characters[index].is_whitespace() { 0.0 } else { widths[index] };
    let wanted = share * (0..characters.len()).map(print).sum::<f32>();
    let mut sum = 0.0;
    let mut sums = vec![0.0];
    for index in 0..characters.len() {
        sum += print(index);
        sums.push(sum);
    }
    let distance = |place: &usize| (sums[*place] - wanted).abs();
    let nearest = |places: &mut dyn Iterator<Item = usize>| places.min_by(|a, b| distance(a).total_cmp(&distance(b)));
    let space = nearest(&mut starts.iter().copied().skip(1)).filter(|place| distance(place) <= MAX_SNAP);
    space.or_else(|| nearest(&mut (0..=characters.len()))).unwrap_or(0)
}

/// Returns the index of the first character of each word.
fn word_starts(characters: &[char]) -> Vec<usize> {
    let starts =
        |index: &usize| !characters[*index].is_whitespace() && (*index == 0 || characters[*index - 1].is_whitespace());
    (0..characters.len()).filter(starts).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn boundary_of(text: &str, fragments: &[[f32; 2]], gap: [f32; 2]) -> usize {
        let characters: Vec<char> = text.chars().collect();
        boundary(&characters, &widths(&characters), &Ink { fragments: fragments.to_vec() }, gap)
    }

    #[test]
    fn words_with_their_own_ink_are_exact() {
        let ink = [[0.0, 20.0], [30.0, 90.0], [200.0, 260.0]];
        assert_eq!(boundary_of("a bcdefg 12.50", &ink, [90.0, 200.0]), 9);
        assert_eq!(boundary_of("a bcdefg 12.50", &ink, [20.0, 30.0]), 2);
    }

    #[test]
    fn a_space_near_the_place_divides() {
        let ink = [[0.0, 50.0], [200.0, 260.0]];
        assert_eq!(boundary_of("a bcdefg 12.50", &ink, [50.0, 200.0]), 9);
    }

    #[test]
    fn text_without_spaces_is_divided_by_widths() {
        assert_eq!(boundary_of("数量单价", &[[0.0, 40.0], [100.0, 140.0]], [40.0, 100.0]), 2);
        assert_eq!(boundary_of("", &[[0.0, 40.0]], [40.0, 40.0]), 0);
    }
}
