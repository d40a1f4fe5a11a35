//! Connected components of a probability map, by run-length encoding of its rows.

use ndarray::ArrayView2;

use crate::geometry::Point;

/// Pixels `start..end` of one row above the threshold.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct PixelSpan {
    row: usize,
    start: usize,
    end: usize,
}

/// A connected component: pixels that touch by a side or a corner.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Component {
    runs: Vec<PixelSpan>,
}

impl Component {
    /// Returns the number of pixels.
    #[cfg(test)]
    pub(crate) fn area(&self) -> usize {
        self.runs.iter().map(|run| run.end - run.start).sum()
    }

    /// Returns the outer corners of its spans; their convex hull is that of the component.
    pub(crate) fn outline(&self) -> Vec<Point> {
        let corners = |run: &PixelSpan| {
            let top = run.row as f32;
            let left = run.start as f32;
            let right = run.end as f32;
            [[left, top], [right, top], [left, top + 1.0], [right, top + 1.0]]
        };
        self.runs.iter().flat_map(corners).collect()
    }
}

/// Returns the components of values above a threshold, ordered by their first row. NaN counts as below the threshold.
pub(crate) fn components(map: &ArrayView2<'_, f32>, threshold: f32) -> Vec<Component> {
    let mut runs: Vec<PixelSpan> = Vec::new();
    let mut parents: Vec<usize> = Vec::new();
    let mut above = 0..0;
    for (row, values) in map.outer_iter().enumerate() {
        let first = runs.len();
        runs.extend(runs_of_row(row, values.iter().map(|&value| value > threshold)));
        parents.extend(first..runs.len());
        join_rows(&runs, above, first..runs.len(), &mut parents);
        above = first..runs.len();
    }
    gather(&runs, &mut parents)
}

fn runs_of_row(row: usize, over: impl Iterator<Item = bool>) -> Vec<PixelSpan> {
    let mut runs = Vec::new();
    let mut start = None;
    let closed = over.chain([false]);
    for (column, over) in closed.enumerate() {
        match (over, start) {
            (true, None) => start = Some(column),
            (false, Some(first)) => {
                runs.push(PixelSpan { row, start: first, end: column });
                start = None;
            }
            _ => {}
        }
    }
    runs
}

/// Merges the spans of two adjacent rows that touch, including at corners (union-find).
fn join_rows(
    runs: &[PixelSpan],
    mut above: std::ops::Range<usize>,
    below: std::ops::Range<usize>,
    parents: &mut [usize],
) {
    for current in below {
        while above.start < above.end && runs[above.start].end < runs[current].start {
            above.start += 1;
        }
        for touching in above.clone().take_while(|&index| runs[index].start <= runs[current].end) {
            let a = root(parents, touching);
            let b = root(parents, current);
            parents[a.max(b)] = a.min(b);
        }
    }
}

fn root(parents: &mut [usize], mut index: usize) -> usize {
    while parents[index] != index {
        parents[index] = parents[parents[index]];
        index = parents[index];
    }
    index
}

fn gather(runs: &[PixelSpan], parents: &mut [usize]) -> Vec<Component> {
    let mut components: Vec<Component> = Vec::new();
    let mut component_of = vec![usize::MAX; runs.len()];
    for (index, run) in runs.iter().enumerate() {
        // A root precedes its members, so its component already exists.
        let root = root(parents, index);
        if root == index {
            component_of[index] = components.len();
            components.push(Component { runs: Vec::new() });
        }
        components[component_of[root]].runs.push(*run);
    }
    components
}

#[cfg(test)]
mod tests {
    use ndarray::Array2;
    use proptest::prelude::*;

    use super::*;

    fn map(rows: &[&str]) -> Array2<f32> {
        let width = rows.first().map_or(0, |row| row.len());
        let values = rows.iter().flat_map(|row| row.bytes()).map(|byte| if byte == b'#' { 0.9 } else { 0.0 });
        Array2::from_shape_vec((rows.len(), width), values.collect()).expect("rows are equally long")
    }

    #[test]
    fn regions_touch_by_corners_and_join_late() {
        let areas =
            |rows: &[&str]| -> Vec<usize> { components(&map(rows).view(), 0.5).iter().map(Component::area).collect() };
        assert_eq!(areas(&["##..", "..#.", "...#"]), [4]);
        assert_eq!(areas(&["#.#", "#.#", "###"]), [7]);
        assert_eq!(areas(&["#.#.#", "#.#.#", "....."]), [2, 2, 2]);
        assert_eq!(areas(&["#...#", ".#.#.", "..#.."]), [5]);
    }

    #[test]
    fn nan_belongs_to_no_component() {
        let mut map = Array2::from_elem((2, 2), f32::NAN);
        assert_eq!(components(&map.view(), 0.5), []);
        map[[1, 1]] = 1.0;
        assert_eq!(components(&map.view(), 0.5).len(), 1);
    }

    /// Reference implementation by flood fill.
    fn flooded(cells: &Array2<bool>) -> Vec<usize> {
        let (height, width) = cells.dim();
        let mut open = cells.clone();
        let mut areas = Vec::new();
        for start in (0..height).flat_map(|y| (0..width).map(move |x| (y, x))) {
            let mut stack = vec![start];
            let mut area = 0;
            while let Some((y, x)) = stack.pop() {
                if std::mem::take(&mut open[[y, x]]) {
                    area += 1;
                    let rows = y.saturating_sub(1)..(y + 2).min(height);
                    let columns = x.saturating_sub(1)..(x + 2).min(width);
                    stack.extend(rows.flat_map(|y| columns.clone().map(move |x| (y, x))));
                }
            }
            areas.extend((area > 0).then_some(area));
        }
        areas
    }

    proptest! {
        #[test]
        fn runs_find_what_flooding_finds(cells in prop::collection::vec(any::<bool>(), 120)) {
            let cells = Array2::from_shape_vec((10, 12), cells).expect("there are 120 cells");
            let map = cells.mapv(|cell| f32::from(u8::from(cell)));
            let mut areas: Vec<usize> = components(&map.view(), 0.5).iter().map(Component::area).collect();
            let mut expected = flooded(&cells);
            areas.sort_unstable();
            expected.sort_unstable();
            prop_assert_eq!(areas, expected);
        }
    }
}
