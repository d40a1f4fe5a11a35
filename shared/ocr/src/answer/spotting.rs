//! Parses text with positions, in the four formats that HunyuanOCR was trained to return:
//!
//! ```text
//! text(x1,y1),(x2,y2)more text(x1,y1),(x2,y2)
//! <ref>text</ref><quad>(x1,y1),(x2,y2)</quad>
//! <quad><pos_x1><pos_y1><pos_x2><pos_y2></quad><ref>text</ref>
//! [{"box": [x1, y1, x2, y2], "text": "text"}]
//! ```

use std::ops::Range;

use quire_tasks::{Line, Polygon};
use serde_json::Value;

use super::parsed::{ModelAnswer, ParsedAnswer, join_lines, shift_range};

/// Coordinates are in thousandths of the page's width and height.
const FRAME: f32 = 1000.0;
const TAGS: [&str; 4] = ["<ref>", "</ref>", "<quad>", "</quad>"];
/// Answers for a page without text.
const NO_TEXT: [&str; 3] = ["没有文字", "无文字", "no text"];
/// Maximum length of such an answer: a longer one is text of the page that contains the same words.
const NO_TEXT_MAX_CHARS: usize = 40;

/// Two opposite corners in thousandths: normally left, top, right and bottom.
type Corners = [f32; 4];

/// Returns the lines of an answer with their positions. Text without a position becomes a line without one, and the
/// answer counts as malformed.
pub(super) fn spots(answer: &ModelAnswer, body: Range<usize>, page: (u32, u32)) -> ParsedAnswer {
    let text = &answer.text[body.clone()];
    if let Some(list) = text.trim_start().strip_prefix('[').filter(|list| list.trim_start().starts_with(['{', ']'])) {
        return of_json(answer, body.end - list.len()..body.end, page);
    }
    let places = places(text);
    if places.is_empty() {
        let empty = text.trim().is_empty() || says_no_text(text);
        return ParsedAnswer {
            is_well_formed: empty,
            ..ParsedAnswer::from_lines(unplaced(answer, if empty { 0..0 } else { body }))
        };
    }
    in_text(answer, body, &places, page)
}

/// Returns the non-blank lines of a range, without positions.
fn unplaced(answer: &ModelAnswer, part: Range<usize>) -> impl Iterator<Item = Line> {
    answer.lines(part).filter(|line| !line.text.trim().is_empty())
}

/// Parses alternating texts and positions.
fn in_text(
    answer: &ModelAnswer,
    body: Range<usize>,
    places: &[(Range<usize>, Corners)],
    page: (u32, u32),
) -> ParsedAnswer {
    let text = &answer.text[body.clone()];
    let mut gaps: Vec<Range<usize>> = Vec::new();
    let mut start = 0;
    for (place, _) in places {
        gaps.push(start..place.start);
        start = place.end;
    }
    gaps.push(start..text.len());
    // One gap belongs to no position: the last one, or the first one if positions precede their texts.
    let places_first = text.trim_start().starts_with("<quad>");
    let lonely = gaps.remove(if places_first { 0 } else { places.len() });
    let found = gaps.into_iter().zip(places).filter_map(|(gap, (_, corners))| {
        let gap = without_tags(text, gap);
        // The second of two adjacent positions has no text.
        let nothing = text[gap.clone()].trim_matches([',', ' ', '\n']).is_empty();
        (!nothing)
            .then(|| Line { polygon: Some(polygon(*corners, page)), ..answer.line(shift_range(&gap, body.start)) })
    });
    let mut lines: Vec<Line> = found.collect();
    let lonely = without_tags(text, lonely);
    let is_well_formed = lonely.is_empty();
    let place = if places_first { 0 } else { lines.len() };
    lines.splice(place..place, unplaced(answer, shift_range(&lonely, body.start)));
    ParsedAnswer { is_well_formed, ..ParsedAnswer::from_lines(lines) }
}

fn says_no_text(text: &str) -> bool {
    let lower = text.to_lowercase();
    NO_TEXT.iter().any(|words| lower.contains(words)) && text.trim().chars().count() <= NO_TEXT_MAX_CHARS
}

/// Returns all positions in a text, with their ranges.
fn places(text: &str) -> Vec<(Range<usize>, Corners)> {
    let mut places = Vec::new();
    let mut from = 0;
    while let Some(found) = text[from..].find(['(', '<']) {
        let start = from + found;
        let place = in_parentheses(&text[start..]).or_else(|| in_tags(&text[start..]));
        from = start + 1;
        if let Some((corners, rest)) = place {
            from = text.len() - rest.len();
            places.push((start..from, corners));
        }
    }
    places
}

/// Parses `(x1,y1),(x2,y2)` at the start of a text. Returns the corners and the rest.
fn in_parentheses(text: &str) -> Option<(Corners, &str)> {
    let mut corners = [0.0; 4];
    let mut rest = text;
    for (corner, (before, after)) in corners.iter_mut().zip([("(", ","), ("", ")"), (",(", ","), ("", ")")]) {
        for sign in before.chars() {
            rest = rest.trim_start_matches(' ').strip_prefix(sign)?;
        }
        (*corner, rest) = number(rest.trim_start_matches(' '))?;
        rest = rest.trim_start_matches(' ').strip_prefix(after)?;
    }
    Some((corners, rest))
}

/// Parses `<pos_x1><pos_y1><pos_x2><pos_y2>` at the start of a text. Returns the corners and the rest.
fn in_tags(text: &str) -> Option<(Corners, &str)> {
    let mut corners = [0.0; 4];
    let mut rest = text;
    for corner in &mut corners {
        (*corner, rest) = number(rest.strip_prefix("<pos_")?)?;
        rest = rest.strip_prefix('>')?;
    }
    Some((corners, rest))
}

/// Parses a number of up to four digits; coordinates are not larger.
fn number(text: &str) -> Option<(f32, &str)> {
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    let (digits, rest) = text.split_at_checked(digits).filter(|(digits, _)| (1..=4).contains(&digits.len()))?;
    Some((digits.parse().ok()?, rest))
}

/// Trims tags and white space from a range.
fn without_tags(text: &str, mut part: Range<usize>) -> Range<usize> {
    loop {
        let inner = &text[part.clone()];
        let begun = TAGS.iter().fold(inner.trim_start(), |rest, tag| rest.strip_prefix(tag).unwrap_or(rest));
        let ended = TAGS.iter().fold(begun.trim_end(), |rest, tag| rest.strip_suffix(tag).unwrap_or(rest));
        if ended.len() == inner.len() {
            return part;
        }
        part.start += inner.len() - begun.len();
        part.end = part.start + ended.len();
    }
}

/// Parses the entries of a JSON list, after its bracket, up to the first error.
fn of_json(answer: &ModelAnswer, body: Range<usize>, page: (u32, u32)) -> ParsedAnswer {
    let text = &answer.text[body.clone()];
    let confidence = answer.confidence(body.clone());
    let mut lines = Vec::new();
    let mut is_well_formed = true;
    let mut rest = text.trim_start();
    while !rest.starts_with(']') && !rest.is_empty() {
        let mut entries = serde_json::Deserializer::from_str(rest).into_iter::<Value>();
        let Some(Ok(entry)) = entries.next() else { break };
        let said = entry["text"].as_str().map(join_lines);
        let corners = corners(&entry["box"]).or_else(|| corners(&entry["bbox"]));
        is_well_formed &= corners.is_some() && said.is_some();
        let text = said.unwrap_or_else(|| entry.to_string());
        if !text.is_empty() {
            lines.push(Line {
                text,
                confidence,
                polygon: corners.map(|corners| polygon(corners, page)),
                ..Line::default()
            });
        }
        rest = rest[entries.byte_offset()..].trim_start();
        rest = rest.strip_prefix(',').unwrap_or(rest).trim_start();
    }
    let rest = rest.strip_prefix(']').unwrap_or(rest).trim_start();
    let unread = body.end - rest.len()..body.end;
    is_well_formed &= unread.is_empty();
    lines.extend(unplaced(answer, unread));
    ParsedAnswer { is_well_formed, ..ParsedAnswer::from_lines(lines) }
}

fn corners(value: &Value) -> Option<Corners> {
    let numbers: Option<Vec<f32>> = value.as_array()?.iter().map(|number| Some(number.as_f64()? as f32)).collect();
    numbers?.try_into().ok()
}

/// Converts corners to a polygon in pixels: clockwise from the top left, clamped to the page.
fn polygon([x1, y1, x2, y2]: Corners, (width, height): (u32, u32)) -> Polygon {
    let pixels = |thousandths: f32, side: u32| thousandths.clamp(0.0, FRAME) * side as f32 / FRAME;
    let left = pixels(x1.min(x2), width);
    let right = pixels(x1.max(x2), width);
    let top = pixels(y1.min(y2), height);
    let bottom = pixels(y1.max(y2), height);
    [[left, top], [right, top], [right, bottom], [left, bottom]]
}
