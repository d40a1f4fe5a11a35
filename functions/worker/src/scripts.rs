//! Pages of which some lines are in a script that the first engine cannot read: which engines read those lines, and
//! how their lines are merged. Pure.

use std::collections::BTreeSet;

use quire_tasks::{Line, PageText, Polygon, Script, Warning, WarningKind};

/// Lines of another engine with a lower confidence do not count as read.
const MIN_CONFIDENCE: f32 = 0.5;

/// Returns the scripts of a page that its engine could not read.
pub(crate) fn unreadable_scripts(text: &PageText) -> BTreeSet<Script> {
    text.warnings.iter().filter_map(script_of).map(|(script, _)| script).collect()
}

/// Takes lines of `other` that are in regions which `text` warns of, or have letters of these scripts, wherever they
/// are more confident than what is known there, and reduces the warnings by the lines that were found. Everything else
/// stays as the first engine has read it, since an engine for some scripts cannot be trusted with the others.
pub(crate) fn merge_scripts(text: &mut PageText, other: &PageText, scripts: &BTreeSet<Script>) {
    let is_wanted = |warning: &&Warning| script_of(warning).is_some_and(|(script, _)| scripts.contains(&script));
    let regions: Vec<Option<Bounds>> =
        text.warnings.iter().filter(is_wanted).map(|warning| warning.polygon.as_ref().map(Bounds::of)).collect();
    let mut taken = Vec::new();
    for line in &other.lines {
        let Some(bounds) = Bounds::of_line(line) else { continue };
        let is_in_region = regions.iter().any(|region| contains(region.as_ref(), &bounds));
        let has_letters = line.text.chars().any(|letter| scripts.iter().any(|script| script.contains(letter)));
        if is_confident(line) && (is_in_region || has_letters) && take(&mut text.lines, line, &bounds) {
            taken.push(bounds);
        }
    }
    let warnings = std::mem::take(&mut text.warnings);
    text.warnings = warnings.into_iter().filter_map(|warning| remaining(warning, &taken, scripts)).collect();
    if !taken.is_empty() {
        text.script_engines.push(other.engine.clone());
    }
}

fn script_of(warning: &Warning) -> Option<(Script, u32)> {
    match warning.kind {
        WarningKind::UnreadableScript { script, lines } => Some((script, lines)),
        _ => None,
    }
}

fn is_confident(line: &Line) -> bool {
    line.confidence.is_none_or(|confidence| confidence >= MIN_CONFIDENCE)
}

/// Returns whether a line is in a region; without a region, the whole page is meant.
fn contains(region: Option<&Bounds>, line: &Bounds) -> bool {
    region.is_none_or(|region| region.contains_center_of(line))
}

/// Returns the warning for the lines that were not found, if any.
fn remaining(warning: Warning, taken: &[Bounds], scripts: &BTreeSet<Script>) -> Option<Warning> {
    let region = warning.polygon.as_ref().map(Bounds::of);
    let found = taken.iter().filter(|line| contains(region.as_ref(), line)).count() as u32;
    let kind = match warning.kind {
        _ if found == 0 => warning.kind,
        WarningKind::UnreadableScript { script, lines } if scripts.contains(&script) => {
            WarningKind::UnreadableScript { script, lines: lines.saturating_sub(found) }
        }
        WarningKind::UnreadText { lines, characters } => {
            let left = lines.saturating_sub(found);
            WarningKind::UnreadText { lines: left, characters: characters * left / lines.max(1) }
        }
        other => other,
    };
    let is_settled =
        matches!(kind, WarningKind::UnreadableScript { lines: 0, .. } | WarningKind::UnreadText { lines: 0, .. });
    (!is_settled).then_some(Warning { kind, ..warning })
}

/// Puts a line in the place of what is known there, unless that is more confident: both are measured by the width that
/// they read times their confidence.
fn take(lines: &mut Vec<Line>, line: &Line, bounds: &Bounds) -> bool {
    let known: Vec<Option<f32>> =
        lines.iter().map(|known| Bounds::of_line(known).and_then(|known| known.overlap(bounds))).collect();
    let score = |line: &Line, width: f32| width * line.confidence.unwrap_or(1.0);
    let known_score: f32 = lines.iter().zip(&known).filter_map(|(line, width)| Some(score(line, (*width)?))).sum();
    if known_score >= score(line, bounds.width()) {
        return false;
    }
    let is_replaced = |index: usize, lines: &[Line]| {
        known[index].is_some_and(|width| Bounds::of_line(&lines[index]).is_some_and(|own| width >= own.width() / 2.0))
    };
    let replaced: Vec<usize> = (0..lines.len()).filter(|&index| is_replaced(index, lines)).collect();
    let place = replaced.first().copied().unwrap_or_else(|| place_of(lines, bounds));
    for index in replaced.into_iter().rev() {
        lines.remove(index);
    }
    lines.insert(place.min(lines.len()), line.clone());
    true
}

/// Returns the place of a new line in the reading order: before the first line below it, or at the end.
fn place_of(lines: &[Line], bounds: &Bounds) -> usize {
    let is_below = |line: &Line| {
        Bounds::of_line(line).is_some_and(|other| {
            other.center()[1] > bounds.center()[1] && other.low[0] < bounds.high[0] && bounds.low[0] < other.high[0]
        })
    };
    lines.iter().position(is_below).unwrap_or(lines.len())
}

/// The rectangle around a polygon.
struct Bounds {
    low: [f32; 2],
    high: [f32; 2],
}

impl Bounds {
    fn of(polygon: &Polygon) -> Self {
        let axis = |index: usize| polygon.iter().map(move |corner| corner[index]);
        Self {
            low: [0, 1].map(|index| axis(index).fold(f32::INFINITY, f32::min)),
            high: [0, 1].map(|index| axis(index).fold(f32::NEG_INFINITY, f32::max)),
        }
    }

    fn of_line(line: &Line) -> Option<Self> {
        line.polygon.as_ref().map(Self::of)
    }

    fn center(&self) -> [f32; 2] {
        [0, 1].map(|index| f32::midpoint(self.low[index], self.high[index]))
    }

    fn width(&self) -> f32 {
        self.high[0] - self.low[0]
    }

    /// Returns the width that both lines share, if they are in one row.
    fn overlap(&self, other: &Self) -> Option<f32> {
        let is_in = |row: &Self, line: &Self| (row.low[1]..=row.high[1]).contains(&line.center()[1]);
        let width = self.high[0].min(other.high[0]) - self.low[0].max(other.low[0]);
        (width > 0.0 && (is_in(self, other) || is_in(other, self))).then_some(width)
    }

    fn contains_center_of(&self, other: &Self) -> bool {
        let center = other.center();
        [0, 1].into_iter().all(|index| (self.low[index]..=self.high[index]).contains(&center[index]))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const CYRILLIC: [Script; 1] = [Script::Cyrillic];

    /// Returns a line of 100 × 10 pixels.
    fn line(text: &str, top: f32, confidence: f32) -> Line {
        let polygon = [[0.0, top], [100.0, top], [100.0, top + 10.0], [0.0, top + 10.0]];
        Line { text: text.to_owned(), polygon: Some(polygon), confidence: Some(confidence), ..Line::default() }
    }

    fn page(engine: &str, lines: Vec<Line>) -> PageText {
        PageText::from_lines(engine.parse().expect("an engine"), 200, 200, 0, lines)
    }

    /// Returns a warning of this many lines, from the top to the bottom of a region.
    fn warning(lines: u32, top: f32, bottom: f32) -> Warning {
        let polygon = [[0.0, top], [100.0, top], [100.0, bottom], [0.0, bottom]];
        let kind = WarningKind::UnreadableScript { script: Script::Cyrillic, lines };
        Warning { kind, polygon: Some(polygon) }
    }

    fn merged(mut first: PageText, warnings: Vec<Warning>, other: Vec<Line>) -> (Vec<String>, Vec<Warning>, bool) {
        first.warnings = warnings;
        merge_scripts(&mut first, &page("tesseract@5", other), &CYRILLIC.into());
        let is_merged = first.script_engines == ["tesseract@5".parse().expect("an engine")];
        (first.lines.into_iter().map(|line| line.text).collect(), first.warnings, is_merged)
    }

    #[test]
    fn unreadable_lines_are_replaced_and_others_are_kept() {
        let first =
            page("pp-ocr@1", vec![line("发票号码", 0.0, 0.98), line("4471 12", 20.0, 0.01), line("Total", 60.0, 0.99)]);
        let other = vec![
            line("Ж@#", 1.0, 0.7),
            line("Счёт 4471", 21.0, 0.95),
            line("Итого", 40.0, 0.96),
            line("Tota1", 61.0, 0.9),
        ];
        let (lines, warnings, is_merged) = merged(first, vec![warning(2, 18.0, 52.0)], other);
        assert_eq!(lines, ["发票号码", "Счёт 4471", "Итого", "Total"]);
        assert_eq!((warnings, is_merged), (Vec::new(), true));
    }

    #[test]
    fn a_more_confident_line_within_the_region_is_kept_in_its_place() {
        let first = page("pp-ocr@1", vec![line("a", 0.0, 0.01), line("发票号码", 20.0, 0.98), line("b", 40.0, 0.01)]);
        let other = vec![line("Счёт", 0.0, 0.95), line("ВШ", 20.0, 0.6), line("Итого", 40.0, 0.95)];
        let (lines, warnings, _) = merged(first, vec![warning(2, 0.0, 50.0)], other);
        assert_eq!(lines, ["Счёт", "发票号码", "Итого"]);
        assert_eq!(warnings, []);
    }

    #[test]
    fn lines_of_which_nothing_was_known_are_put_in_their_places() {
        let first = page("pp-ocr@1", vec![line("Total", 40.0, 0.99)]);
        let other = vec![line("Счёт", 0.0, 0.95), line("Итого", 20.0, 0.95), line("на", 60.0, 0.9)];
        let kind = WarningKind::UnreadText { lines: 1, characters: 4 };
        let unread = Warning { kind, ..warning(0, 55.0, 75.0) };
        let (lines, warnings, _) = merged(first, vec![warning(2, 0.0, 35.0), unread], other);
        assert_eq!(lines, ["Счёт", "Итого", "Total", "на"]);
        assert_eq!(warnings, [], "the last line is outside of the region, and has letters of the script");
    }

    #[test]
    fn a_certain_number_within_a_line_is_replaced_with_it() {
        let mut number = line("4471", 0.0, 0.99);
        number.polygon = Some([[80.0, 0.0], [100.0, 0.0], [100.0, 10.0], [80.0, 10.0]]);
        let first = page("pp-ocr@1", vec![number]);
        let (lines, warnings, _) = merged(first, vec![warning(1, 0.0, 10.0)], vec![line("Счёт № 4471", 0.0, 0.93)]);
        assert_eq!((lines, warnings), (vec!["Счёт № 4471".to_owned()], vec![]));
    }

    #[test]
    fn lines_that_nobody_read_are_still_reported() {
        let first = page("pp-ocr@1", vec![line("4471", 0.0, 0.01)]);
        let other = vec![line("Счёт", 0.0, 0.95), line("~~", 20.0, 0.3)];
        let (lines, warnings, _) = merged(first.clone(), vec![warning(3, 0.0, 50.0)], other);
        assert_eq!(lines, ["Счёт"]);
        assert_eq!(warnings, [warning(2, 0.0, 50.0)]);
        let unread = merged(first, vec![warning(3, 0.0, 50.0)], Vec::new());
        assert_eq!(unread, (vec!["4471".to_owned()], vec![warning(3, 0.0, 50.0)], false));
    }

    #[test]
    fn warnings_of_other_scripts_and_kinds_are_not_touched() {
        let hangul = WarningKind::UnreadableScript { script: Script::Hangul, lines: 1 };
        let warnings = vec![Warning::from(hangul), WarningKind::TooSmall.into()];
        let first = page("pp-ocr@1", vec![line("a", 0.0, 0.99)]);
        assert_eq!(
            unreadable_scripts(&PageText { warnings: warnings.clone(), ..first.clone() }),
            [Script::Hangul].into()
        );
        let (lines, kept, _) = merged(first, warnings.clone(), vec![line("Счёт", 0.0, 0.95)]);
        assert_eq!((lines, kept), (vec!["a".to_owned()], warnings));
    }
}
