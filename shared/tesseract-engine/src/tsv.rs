//! Tesseract's tab-separated values: a row per block, paragraph, line and word.
//!
//! The columns are level, page, block, paragraph, line, word, left, top, width, height, confidence and text
//! (`TessBaseAPI::GetTSVText`). Level 4 is a line, level 5 one of its words. The confidence is from 0 to 100.

use quire_tasks::{Line, Polygon, Word};

const COLUMNS: usize = 12;
const LINE_LEVEL: u32 = 4;
const WORD_LEVEL: u32 = 5;

/// Parses the output, and returns the lines that have text. Their polygons are in pixels of the image.
///
/// # Errors
/// Which row is not in the format.
pub(crate) fn parse(output: &str) -> Result<Vec<Line>, String> {
    let mut lines = Vec::new();
    let mut open: Option<OpenLine> = None;
    for (number, row) in output.lines().enumerate().skip(1) {
        let row = Row::parse(row).ok_or_else(|| format!("row {} of its output is invalid", number + 1))?;
        match row.level {
            LINE_LEVEL => {
                lines.extend(open.replace(OpenLine::new(row.polygon())).and_then(OpenLine::close));
            }
            WORD_LEVEL => {
                let Some(line) = &mut open else {
                    return Err(format!("row {} of its output is a word without a line", number + 1));
                };
                line.add(row.text, row.confidence, row.polygon());
            }
            _ => {}
        }
    }
    lines.extend(open.and_then(OpenLine::close));
    Ok(lines)
}

struct Row<'a> {
    level: u32,
    bounds: [f32; 4],
    confidence: f32,
    text: &'a str,
}

impl<'a> Row<'a> {
    fn parse(row: &'a str) -> Option<Self> {
        let mut columns = [""; COLUMNS];
        let mut count = 0;
        for column in row.splitn(COLUMNS, '\t') {
            columns[count] = column;
            count += 1;
        }
        // Rows that are no words may end after the confidence.
        if count < COLUMNS - 1 {
            return None;
        }
        let number = |index: usize| columns[index].parse::<f32>().ok().filter(|number| number.is_finite());
        let bounds = [number(6)?, number(7)?, number(8)?, number(9)?];
        Some(Self { level: columns[0].parse().ok()?, bounds, confidence: number(10)?, text: columns[11] })
    }

    fn polygon(&self) -> Polygon {
        let [left, top, width, height] = self.bounds;
        [[left, top], [left + width, top], [left + width, top + height], [left, top + height]]
    }
}

/// A line whose words follow.
struct OpenLine {
    polygon: Polygon,
    text: String,
    /// The sum of the confidences of the characters.
    confidence: f32,
    characters: usize,
    words: Vec<Word>,
}

impl OpenLine {
    const fn new(polygon: Polygon) -> Self {
        Self { polygon, text: String::new(), confidence: 0.0, characters: 0, words: Vec::new() }
    }

    fn add(&mut self, word: &str, confidence: f32, polygon: Polygon) {
        let word = word.trim();
        if word.is_empty() {
            return;
        }
        let confidence = confidence.clamp(0.0, 100.0) / 100.0;
        let last = self.text.chars().next_back();
        match (self.words.last_mut(), last.zip(word.chars().next())) {
            (Some(before), Some((last, first)))
                if is_written_without_spaces(last) && is_written_without_spaces(first) =>
            {
                before.text.push_str(word);
                before.confidence = before.confidence.map(|before| before.min(confidence));
                before.polygon = around(&before.polygon, &polygon);
            }
            (before, _) => {
                if before.is_some() {
                    self.text.push(' ');
                }
                self.words.push(Word { text: word.to_owned(), confidence: Some(confidence), polygon });
            }
        }
        self.text.push_str(word);
        let characters = word.chars().count();
        self.confidence += confidence * characters as f32;
        self.characters += characters;
    }

    fn close(self) -> Option<Line> {
        if self.text.is_empty() {
            return None;
        }
        let confidence = self.confidence / self.characters as f32;
        Some(Line { text: self.text, polygon: Some(self.polygon), confidence: Some(confidence), words: self.words })
    }
}

/// Returns the bounding box of two upright boxes.
fn around(a: &Polygon, b: &Polygon) -> Polygon {
    let [left, top] = [0, 1].map(|axis| a[0][axis].min(b[0][axis]));
    let [right, bottom] = [0, 1].map(|axis| a[2][axis].max(b[2][axis]));
    [[left, top], [right, top], [right, bottom], [left, bottom]]
}

/// Returns whether words are written without spaces in the script of a character: Tesseract returns single characters
/// as words there. Thai, Lao and Myanmar; Khmer; kana and ideographs, with their punctuation.
const fn is_written_without_spaces(character: char) -> bool {
    matches!(character,
        '\u{e00}'..='\u{eff}' | '\u{1000}'..='\u{109f}' | '\u{1780}'..='\u{17ff}' | '\u{3000}'..='\u{30ff}'
        | '\u{3400}'..='\u{4dbf}' | '\u{4e00}'..='\u{9fff}' | '\u{f900}'..='\u{faff}' | '\u{ff00}'..='\u{ff65}')
}

#[cfg(test)]
mod tests {
    use super::*;

    const HEAD: &str =
        "level\tpage_num\tblock_num\tpar_num\tline_num\tword_num\tleft\ttop\twidth\theight\tconf\ttext\n";

    fn rows(rows: &[&str]) -> String {
        let rows: Vec<String> = rows.iter().map(|row| row.replace(' ', "\t")).collect();
        format!("{HEAD}{}\n", rows.join("\n"))
    }

    #[test]
    fn words_are_joined_to_lines_with_the_mean_confidence_of_their_characters() {
        let output = rows(&[
            "1 1 0 0 0 0 0 0 1240 292 -1",
            "4 1 1 1 1 0 62 57 676 34 -1",
            "5 1 1 1 1 1 62 57 87 27 90.0 Счёт",
            "5 1 1 1 1 2 164 64 40 20 60.0 на",
            "4 1 1 1 2 0 63 121 556 34 -1",
            "5 1 1 1 2 1 63 122 106 26 100 Итого",
        ]);
        let lines = parse(&output).expect("valid output");
        let texts: Vec<&str> = lines.iter().map(|line| line.text.as_str()).collect();
        assert_eq!(texts, ["Счёт на", "Итого"]);
        assert_eq!(lines[0].confidence, Some(0.8));
        assert_eq!(lines[0].polygon, Some([[62.0, 57.0], [738.0, 57.0], [738.0, 91.0], [62.0, 91.0]]));
        let [first, second] = &lines[0].words[..] else { panic!("two words: {lines:?}") };
        assert_eq!((first.text.as_str(), first.confidence), ("Счёт", Some(0.9)));
        assert_eq!(second.polygon, [[164.0, 64.0], [204.0, 64.0], [204.0, 84.0], [164.0, 84.0]]);
    }

    #[test]
    fn scripts_without_spaces_get_none() {
        let words = ["5 1 1 1 1 1 0 0 9 9 90 ภาษา", "5 1 1 1 1 2 0 0 9 9 90 ไทย", "5 1 1 1 1 3 0 0 9 9 90 OK"];
        let output = rows(&[&["4 1 1 1 1 0 0 0 9 9 -1"], &words[..]].concat());
        let lines = parse(&output).expect("valid output");
        assert_eq!(lines[0].text, "ภาษาไทย OK");
        assert_eq!(lines[0].words.iter().map(|word| word.text.as_str()).collect::<Vec<_>>(), ["ภาษาไทย", "OK"]);
    }

    #[test]
    fn lines_without_text_are_left_out() {
        let output = rows(&["4 1 1 1 1 0 0 0 9 9 -1", "5 1 1 1 1 1 0 0 9 9 95  "]);
        assert_eq!(parse(&output), Ok(Vec::new()));
        assert_eq!(parse(HEAD), Ok(Vec::new()));
        assert_eq!(parse(""), Ok(Vec::new()));
    }

    #[test]
    fn other_output_is_an_error() {
        for row in ["no columns", "4 1 1 1 1 0 0 0 9", "4 1 1 1 1 0 0 0 9 x -1", "5 1 1 1 1 1 0 0 9 9 95 word"] {
            assert!(parse(&rows(&[row])).is_err(), "{row}");
        }
    }
}
