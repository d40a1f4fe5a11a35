//! Limits the cost of a page: lines beyond it are not read, and the result has a warning.

use crate::{geometry::Quad, line_image::LINE_IMAGE_HEIGHT};

/// Maximum columns of the line images of a page: twenty times those of a densely printed A4 page (28,000), or a receipt
/// of 1,500 lines. They take a minute on one thread; the time limit of a page is two minutes. Without it, a page of
/// specks would have unbounded cost.
const MAX_COLUMNS: f32 = 600_000.0;
/// Minimum cost of a line, in columns: a run has a fixed cost even for one character.
const MIN_LINE_COLUMNS: f32 = 64.0;
/// Maximum cost of a line, in columns, because longer ones are squeezed.
const MAX_LINE_COLUMNS: f32 = 50_000.0;

/// Returns the largest lines within the limit, in the original order, and whether lines were dropped.
pub(crate) fn limit_lines(mut lines: Vec<Quad>) -> (Vec<Quad>, bool) {
    if lines.iter().map(cost_in_columns).sum::<f32>() <= MAX_COLUMNS {
        return (lines, false);
    }
    let mut by_area: Vec<usize> = (0..lines.len()).collect();
    by_area.sort_by(|&a, &b| area(&lines[b]).total_cmp(&area(&lines[a])));
    let mut is_kept = vec![false; lines.len()];
    let mut spent = 0.0;
    for index in by_area {
        spent += cost_in_columns(&lines[index]);
        if spent > MAX_COLUMNS {
            break;
        }
        is_kept[index] = true;
    }
    let mut is_kept = is_kept.into_iter();
    lines.retain(|_| is_kept.next() == Some(true));
    (lines, true)
}

/// Returns the cost of a line in columns, in whichever direction it is read.
fn cost_in_columns(line: &Quad) -> f32 {
    let length = line.length();
    let breadth = line.breadth();
    let aspect = length.max(breadth) / length.min(breadth).max(1e-3);
    (LINE_IMAGE_HEIGHT as f32 * aspect).clamp(MIN_LINE_COLUMNS, MAX_LINE_COLUMNS)
}

fn area(line: &Quad) -> f32 {
    line.length() * line.breadth()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(left: f32, width: f32, height: f32) -> Quad {
        Quad([[left, 0.0], [left + width, 0.0], [left + width, height], [left, height]])
    }

    #[test]
    fn a_normal_page_is_below_the_limit() {
        let lines: Vec<Quad> = (0..400).map(|index| line(index as f32, 600.0, 40.0)).collect();
        assert_eq!(limit_lines(lines.clone()), (lines, false));
        assert_eq!(limit_lines(Vec::new()), (Vec::new(), false));
    }

    #[test]
    fn beyond_the_limit_the_largest_lines_are_kept_in_order() {
        let size = |index: usize| if index.is_multiple_of(10) { 20.0 } else { 10.0 };
        let lines: Vec<Quad> = (0..20_000).map(|index| line(index as f32, size(index), size(index))).collect();
        let (kept, cut_off) = limit_lines(lines);
        // Every line has the minimum cost.
        assert_eq!((kept.len(), cut_off), (600_000 / 64, true));
        assert_eq!(
            kept.iter().filter(|line| line.length() > 15.0).count(),
            2_000,
            "none of the larger ones is missing"
        );
        assert!(kept.is_sorted_by(|a, b| a.0[0][0] < b.0[0][0]));
    }

    #[test]
    fn hairlines_and_points_have_a_bounded_cost() {
        let hairlines = vec![line(0.0, 1e6, 0.0); 100];
        assert_eq!(limit_lines(hairlines).0.len(), 12);
        let points = vec![Quad([[1.0, 1.0]; 4]); 10_000];
        assert_eq!(limit_lines(points).0.len(), 600_000 / 64);
    }
}
