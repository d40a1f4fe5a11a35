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

/// Replaces the lines in regions that `text` warns of by those of `other`, wherever these are more confident, and
/// removes the warnings of regions whose lines were all found. Everything else stays as the first engine has read it,
/// since an engine for some scripts cannot be trusted with the others. Returns whether a line was taken.
pub(crate) fn merge_scripts(text: &mut PageText, other: &PageText, scripts: &BTreeSet<Script>) -> bool {
    let mut is_merged = false;
    let warnings = std::mem::take(&mut text.warnings);
    for warning in warnings {
        let Some((_, missing)) = script_of(&warning).filter(|(script, _)| scripts.contains(script)) else {
            text.warnings.push(warning);
            continue;
        };
        let found = merge_region(&mut text.lines, &other.lines, warning.polygon.as_ref());
        is_merged |= found > 0;
        text.warnings.extend(remaining(&warning, missing, found));
    }
    if is_merged {
        text.script_engines.push(other.engine.clone());
    }
    is_merged
}

fn script_of(warning: &Warning) -> Option<(Script, u32)> {
    match warning.kind {
        WarningKind::UnreadableScript { script, lines } => Some((script, lines)),
        _ => None,
    }
}

/// Returns the warning for the lines that were not found, if any.
fn remaining(warning: &Warning, missing: u32, found: u32) -> Option<Warning> {
    let lines = missing.checked_sub(found).filter(|lines| *lines > 0)?;
    let (script, _) = script_of(warning)?;
    Some(Warning { kind: WarningKind::UnreadableScript { script, lines }, polygon: warning.polygon })
}

/// Returns how many lines were taken.
fn merge_region(lines: &mut Vec<Line>, others: &[Line], region: Option<&Polygon>) -> u32 {
    let is_in_region = |line: &&Line| match (region.map(Bounds::of), Bounds::of_line(line)) {
        (Some(region), Some(bounds)) => region.contains_center_of(&bounds),
        // Without a region, the whole page is meant.
        (region, _) => region.is_none(),
    };
    let confident = |line: &&Line| line.confidence.is_none_or(|confidence| confidence >= MIN_CONFIDENCE);
    let mut found: Vec<Line> = others.iter().filter(is_in_region).filter(confident).cloned().collect();
    found.retain(|line| !lines.iter().filter(is_in_region).any(|known| is_better(known, line)));
    if found.is_empty() {
        return 0;
    }
    let count = found.len() as u32;
    let first = lines.iter().position(|line| is_in_region(&line)).unwrap_or(lines.len());
    let (mut inside, mut outside): (Vec<Line>, Vec<Line>) =
        std::mem::take(lines).into_iter().partition(|line| is_in_region(&line));
    inside.retain(|line| !found.iter().any(|other| covers_the_same(line, other)));
    if inside.is_empty() {
        inside = found;
    } else {
        inside.extend(found);
        let top = |line: &Line| Bounds::of_line(line).map_or(0.0, |bounds| bounds.center()[1]);
        inside.sort_by(|a, b| top(a).total_cmp(&top(b)));
    }
    let first = first.min(outside.len());
    outside.splice(first..first, inside);
    *lines = outside;
    count
}

/// Returns whether a known line is in the place of another one, and more confident.
fn is_better(known: &Line, other: &Line) -> bool {
    covers_the_same(known, other) && known.confidence.unwrap_or(1.0) >= other.confidence.unwrap_or(1.0)
}

fn covers_the_same(a: &Line, b: &Line) -> bool {
    match (Bounds::of_line(a), Bounds::of_line(b)) {
        (Some(a), Some(b)) => a.contains_center_of(&b) || b.contains_center_of(&a),
        _ => false,
    }
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
        Line { text: text.to_owned(), polygon: Some(polygon), confidence: Some(confidence) }
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
        let is_merged = merge_scripts(&mut first, &page("tesseract@5", other), &CYRILLIC.into());
        assert_eq!(first.script_engines.len(), usize::from(is_merged));
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
        let first = page("pp-ocr@1", vec![line("a", 0.0, 0.5)]);
        assert_eq!(
            unreadable_scripts(&PageText { warnings: warnings.clone(), ..first.clone() }),
            [Script::Hangul].into()
        );
        let (lines, kept, _) = merged(first, warnings.clone(), vec![line("Счёт", 0.0, 0.95)]);
        assert_eq!((lines, kept), (vec!["a".to_owned()], warnings));
    }
}
