//! Further readings of numbers, whose points and digits are small and have no context that would tell what is right.

use crate::{ctc::LineReading, geometry::Quad};

/// Maximum number of characters of a number, with its separators and currency.
const MAX_CHARACTERS: usize = 16;
/// Numbers with a lower certainty are read again. Of 2,078 lines all above 0.98 were right.
const SURE_NUMBER: f32 = 0.98;
/// A distance between two digits that is so many times the smallest one may hide a point: in proportional fonts a point
/// takes half of a digit.
const WIDE_GAP: f32 = 1.35;
/// What is printed between digits, and before or after them.
const SYMBOLS: &str = ".,:-/+%$€£¥*# '";
/// Letters that look like digits, in the order of those digits.
const LOOKALIKES: [&str; 10] = ["OoQDU", "lI|iJ", "Zz", "", "A", "Ss", "Gb", "T", "B", "gq"];
/// The crops of the other readings: how much longer and lower they are on each side, as shares of the height.
const OTHER_CROPS: [[f32; 2]; 2] = [[0.15, 0.08], [0.25, -0.1]];
/// Minimum factor of the certainty of a number whose readings differ.
const MIN_SHARE: f32 = 0.01;
/// Minimum number of other numbers in a column of numbers.
const MIN_COLUMN: usize = 2;

/// Returns whether every character is a digit or a symbol of numbers.
pub(crate) fn is_number(text: &str) -> bool {
    text.chars().any(|character| character.is_ascii_digit())
        && text.chars().all(|character| character.is_ascii_digit() || SYMBOLS.contains(character))
}

/// Returns whether a text is a number, or an amount of which one digit may have been read as a letter. Codes of letters
/// and digits are none.
fn is_like_number(text: &str) -> bool {
    let looks_like_digit = |character: char| LOOKALIKES.iter().any(|letters| letters.contains(character));
    let digits = text.chars().filter(char::is_ascii_digit).count();
    let letters = text.chars().filter(|&character| looks_like_digit(character)).count();
    let symbols = text.chars().filter(|&character| SYMBOLS.contains(character)).count();
    let is_amount = letters == 1 && digits >= 2 && text.contains(['.', ',']);
    digits > 0 && digits + letters + symbols == text.chars().count() && (letters == 0 || is_amount)
}

/// Returns whether a line is to be read again: a number that is not certain, or digits with a gap for a point.
pub(crate) fn is_doubtful_number(reading: &LineReading) -> bool {
    let text = reading.text.trim();
    if text.chars().count() > MAX_CHARACTERS || !is_like_number(text) {
        return false;
    }
    !is_number(text) || reading.certainty() < SURE_NUMBER || has_gap_for_point(reading)
}

/// Returns whether two digits of a number without separators are so far apart that a point may be between them.
fn has_gap_for_point(reading: &LineReading) -> bool {
    let is_plain = reading.text.chars().all(|character| character.is_ascii_digit());
    let distances: Vec<usize> = reading.places.windows(2).map(|pair| pair[1].saturating_sub(pair[0])).collect();
    let (Some(widest), Some(narrowest)) = (distances.iter().max(), distances.iter().min()) else { return false };
    is_plain && distances.len() >= 2 && *widest as f32 >= WIDE_GAP * *narrowest as f32
}

/// Returns the crops of the other readings: one at a larger scale and one at a smaller one.
pub(crate) fn other_crops(quad: &Quad) -> [Quad; 2] {
    let heights = quad.breadth() / quad.length().max(1.0);
    let crop = |longer: f32, lower: f32| {
        quad.section(-longer * heights, 1.0 + longer * heights).rotated(1).section(lower, 1.0 - lower).rotated(3)
    };
    OTHER_CROPS.map(|[longer, lower]| crop(longer, lower))
}

/// Returns the best one of several readings of a number, the first of them from the crop of detection: the number that
/// has the largest sum of certainties, with its points if they were read at all. If the readings differ, the certainty
/// is lowered to the share of the best one.
pub(crate) fn best_number(readings: &[LineReading]) -> Option<LineReading> {
    let support = |text: &str| -> f32 {
        let same = readings.iter().filter(|reading| digits(reading.text.trim()) == digits(text));
        same.map(LineReading::certainty).sum()
    };
    let rank = |reading: &LineReading| {
        let text = reading.text.trim();
        (is_number(text), support(text), separators(text), reading.certainty())
    };
    let is_better = |a: &LineReading, b: &LineReading| {
        let ((number, support, points, sure), (other_number, other_support, other_points, other_sure)) =
            (rank(a), rank(b));
        let order = number.cmp(&other_number).then(support.total_cmp(&other_support));
        order.then(points.cmp(&other_points)).then(sure.total_cmp(&other_sure))
    };
    // The first one of equal readings.
    let best = readings.iter().rev().max_by(|a, b| is_better(a, b))?;
    let same: Vec<&LineReading> = readings.iter().filter(|reading| reading.text.trim() == best.text.trim()).collect();
    let most = same.iter().map(|reading| reading.log_likelihood).fold(f32::NEG_INFINITY, f32::max);
    let all: f32 = readings.iter().map(LineReading::certainty).sum();
    let share = same.iter().map(|reading| reading.certainty()).sum::<f32>() / all.max(f32::MIN_POSITIVE);
    let log_likelihood = if same.len() == readings.len() { most } else { most + share.max(MIN_SHARE).ln() };
    let mut best = best.clone();
    best.set_log_likelihood(log_likelihood);
    Some(best)
}

fn digits(text: &str) -> String {
    text.chars().filter(char::is_ascii_digit).collect()
}

/// Counts the points and commas between two digits.
fn separators(text: &str) -> usize {
    let characters: Vec<char> = text.chars().collect();
    characters.windows(3).filter(|around| has_separator(around)).count()
}

fn has_separator(around: &[char]) -> bool {
    matches!(around, [before, '.' | ',', after] if before.is_ascii_digit() && after.is_ascii_digit())
}

/// Returns single characters that may be digits: they are not certain, or a letter in a column of numbers.
pub(crate) fn doubtful_digits(lines: &[(Quad, &LineReading)]) -> Vec<usize> {
    let is_short = |reading: &LineReading| (1..=3).contains(&reading.text.trim().chars().count());
    let short: Vec<usize> = (0..lines.len()).filter(|&line| is_short(lines[line].1)).collect();
    let is_digit = |line: usize| lines[line].1.text.trim().chars().all(|character| character.is_ascii_digit());
    let in_column = |line: usize| {
        let [x, _] = lines[line].0.center();
        let reach = lines[line].0.breadth();
        let others = short.iter().filter(|&&other| other != line && (lines[other].0.center()[0] - x).abs() < reach);
        let (digits, letters): (Vec<usize>, Vec<usize>) = others.partition(|&&other| is_digit(other));
        digits.len() >= MIN_COLUMN && digits.len() > 2 * letters.len()
    };
    let is_single = |line: usize| lines[line].1.text.trim().chars().count() == 1;
    let is_doubtful = |line: usize| {
        if is_digit(line) { lines[line].1.certainty() < SURE_NUMBER } else { in_column(line) }
    };
    short.iter().copied().filter(|&line| is_single(line) && is_doubtful(line)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reading(text: &str, certainty: f32, places: &[usize]) -> LineReading {
        let characters = text.chars().count();
        let log_likelihood = certainty.ln();
        let places = places.to_vec();
        LineReading {
            text: text.to_owned(),
            confidence: certainty,
            characters,
            log_likelihood,
            places,
            ..LineReading::default()
        }
    }

    #[test]
    fn numbers_that_are_unsure_or_may_hide_a_point_are_read_again() {
        let is_doubtful =
            |text: &str, certainty, places: &[usize]| is_doubtful_number(&reading(text, certainty, places));
        assert!(is_doubtful("180", 1.0, &[8, 32, 48]), "a gap after the first digit");
        assert!(!is_doubtful("180", 1.0, &[8, 24, 40]));
        assert!(!is_doubtful("1.80", 1.0, &[8, 24, 32, 48]));
        assert!(is_doubtful("1.80", 0.9, &[8, 24, 32, 48]));
        assert!(is_doubtful("B0.73", 1.0, &[]), "a letter that looks like a digit");
        assert!(!is_doubtful("AB-12345", 0.5, &[]), "a code");
        assert!(!is_doubtful("Honey", 0.5, &[]));
        assert!(!is_doubtful("", 0.0, &[]));
    }

    fn best(readings: &[(&str, f32)]) -> (String, f32) {
        let readings: Vec<LineReading> = readings.iter().map(|&(text, sure)| reading(text, sure, &[])).collect();
        let best = best_number(&readings).expect("there is a reading");
        (best.text.clone(), best.certainty())
    }

    #[test]
    fn a_point_of_one_reading_is_kept_with_less_certainty() {
        let (text, sure) = best(&[("180", 0.998), ("1.80", 0.9), ("180", 0.9)]);
        assert_eq!(text, "1.80");
        assert!((sure - 0.9 * 0.9 / 2.798).abs() < 1e-3, "{sure}");
        assert_eq!(best(&[("180", 0.6), ("180.", 0.9), ("180", 0.5)]).0, "180.", "no point between digits is better");
    }

    #[test]
    fn most_readings_win_and_numbers_before_letters() {
        let (text, sure) = best(&[("106.74", 0.6), ("105.74", 0.8), ("106.74", 0.6)]);
        assert_eq!(text, "106.74");
        assert!((sure - 0.6 * 0.6).abs() < 1e-3, "{sure}");
        assert_eq!(best(&[("B0.73", 0.9), ("B0.73", 0.9), ("80.73", 0.6)]).0, "80.73");
    }

    #[test]
    fn equal_readings_keep_the_highest_certainty() {
        let (text, sure) = best(&[("7", 0.6), ("7", 0.9), ("7", 0.8)]);
        assert_eq!(text, "7");
        assert!((sure - 0.9).abs() < 1e-4, "{sure}");
        assert_eq!(best_number(&[]), None);
    }

    #[test]
    fn a_letter_is_doubtful_only_in_a_column_of_numbers() {
        let at = |x: f32, y: f32| Quad([[x, y], [x + 20.0, y], [x + 20.0, y + 30.0], [x, y + 30.0]]);
        let [three, five, letter] = [("3", 1.0), ("5", 1.0), ("B", 0.99)].map(|(text, sure)| reading(text, sure, &[]));
        let column = [(at(10.0, 0.0), &three), (at(10.0, 40.0), &five), (at(12.0, 80.0), &letter)];
        assert_eq!(doubtful_digits(&column), [2]);
        let elsewhere = [(at(10.0, 0.0), &three), (at(10.0, 40.0), &five), (at(500.0, 80.0), &letter)];
        assert_eq!(doubtful_digits(&elsewhere), [] as [usize; 0]);
        let unsure = reading("3", 0.8, &[]);
        assert_eq!(doubtful_digits(&[(at(0.0, 0.0), &unsure)]), [0]);
    }

    #[test]
    fn the_other_crops_have_another_scale() {
        let quad = Quad([[100.0, 10.0], [200.0, 10.0], [200.0, 60.0], [100.0, 60.0]]);
        let [larger, smaller] = other_crops(&quad).map(|crop| crop.0.map(|corner| corner.map(f32::round)));
        assert_eq!(larger, [[93.0, 14.0], [208.0, 14.0], [208.0, 56.0], [93.0, 56.0]]);
        assert_eq!(smaller, [[88.0, 5.0], [213.0, 5.0], [213.0, 65.0], [88.0, 65.0]]);
    }
}
