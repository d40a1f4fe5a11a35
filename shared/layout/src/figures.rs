//! Figures: large areas of ink in which there is no text.

use crate::{gray::GrayImage, rect::Rect};

/// Size of a cell of the coarse map, in heights of a line.
const CELL: f32 = 0.5;
/// A cell has ink if this share of its pixels
const MIN_INK: f32 = 0.2;
/// differs from the paper by this much, of 255.
const MIN_DIFFERENCE: u8 = 24;
/// Minimum width and height of a figure, in heights of a line.
const MIN_SIDE: f32 = 4.0;
/// Minimum share of its bounding box that has ink.
const MIN_FILL: f32 = 0.45;
/// Distance from the edges of the page, in cells, within which there is no figure: the surface beside a photographed
/// page, and the shadow of its edge.
const EDGE: usize = 1;

/// Returns the figures of a page, from the top. `taken` are the places of text and tables.
pub(crate) fn find_figures(image: &GrayImage, taken: &[Rect], line_height: f32) -> Vec<Rect> {
    let cell = (CELL * line_height).max(4.0);
    let columns = (image.width() as f32 / cell) as usize;
    let rows = (image.height() as f32 / cell) as usize;
    if columns < 2 * EDGE + 2 || rows < 2 * EDGE + 2 {
        return Vec::new();
    }
    let mut ink = ink_map(image, cell, columns, rows);
    for rect in taken {
        let range = |from: f32, to: f32, most: usize| {
            ((from / cell).max(0.0) as usize).min(most)..((to / cell).ceil().max(0.0) as usize).min(most)
        };
        for row in range(rect.top, rect.bottom, rows) {
            ink[row * columns..][range(rect.left, rect.right, columns)].fill(false);
        }
    }
    let min_cells = (MIN_SIDE * line_height / cell) as usize;
    let mut figures: Vec<Rect> = components(&mut ink, columns, rows)
        .into_iter()
        .filter(|(area, [left, top, right, bottom])| {
            let (wide, high) = (right - left, bottom - top);
            let touches_edge = *left < EDGE || *top < EDGE || *right > columns - EDGE || *bottom > rows - EDGE;
            !touches_edge && wide >= min_cells && high >= min_cells && *area as f32 >= MIN_FILL * (wide * high) as f32
        })
        .map(|(_, sides)| {
            let [left, top, right, bottom] = sides.map(|side| side as f32 * cell);
            Rect { left, top, right, bottom }
        })
        .collect();
    figures.sort_by(|a, b| a.top.total_cmp(&b.top));
    figures
}

/// Returns which cells have ink.
fn ink_map(image: &GrayImage, cell: f32, columns: usize, rows: usize) -> Vec<bool> {
    let mut counts = [0_u32; 32];
    for y in (0..image.height()).step_by(8) {
        image.row(y).iter().step_by(8).for_each(|pixel| counts[usize::from(pixel / 8)] += 1);
    }
    let paper = (0..32_u8).max_by_key(|step| counts[usize::from(*step)]).unwrap_or(31) * 8 + 4;
    let mut map = Vec::with_capacity(columns * rows);
    for row in 0..rows {
        let lines = (row as f32 * cell) as usize..((row + 1) as f32 * cell) as usize;
        for column in 0..columns {
            let pixels = (column as f32 * cell) as usize..((column + 1) as f32 * cell) as usize;
            let (mut dark, mut all) = (0_u32, 0_u32);
            for y in lines.clone().step_by(3) {
                for pixel in image.row(y)[pixels.clone()].iter().step_by(3) {
                    dark += u32::from(pixel.abs_diff(paper) >= MIN_DIFFERENCE);
                    all += 1;
                }
            }
            map.push(dark as f32 >= MIN_INK * all.max(1) as f32);
        }
    }
    map
}

/// Returns the connected areas: the number of their cells, and their sides.
fn components(ink: &mut [bool], columns: usize, rows: usize) -> Vec<(usize, [usize; 4])> {
    let mut found = Vec::new();
    for start in 0..columns * rows {
        if !ink[start] {
            continue;
        }
        ink[start] = false;
        let mut open = vec![start];
        let mut area = 0;
        let mut sides = [columns, rows, 0, 0];
        while let Some(place) = open.pop() {
            let (row, column) = (place / columns, place % columns);
            area += 1;
            sides = [sides[0].min(column), sides[1].min(row), sides[2].max(column + 1), sides[3].max(row + 1)];
            let neighbors = [
                (row > 0).then(|| place - columns),
                (row + 1 < rows).then(|| place + columns),
                (column > 0).then(|| place - 1),
                (column + 1 < columns).then(|| place + 1),
            ];
            for next in neighbors.into_iter().flatten() {
                if std::mem::take(&mut ink[next]) {
                    open.push(next);
                }
            }
        }
        found.push((area, sides));
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Paper of 400 × 300 pixels with dark rectangles.
    fn page(rects: &[[usize; 4]]) -> GrayImage {
        let mut pixels = vec![250; 120_000];
        for [left, top, right, bottom] in rects {
            for y in *top..*bottom {
                pixels[y * 400 + left..y * 400 + right].fill(120);
            }
        }
        GrayImage::new(400, 300, pixels)
    }

    #[test]
    fn an_area_of_ink_without_text_is_a_figure() {
        let image = page(&[[100, 50, 250, 200], [30, 220, 380, 240]]);
        let text = Rect { left: 25.0, top: 215.0, right: 385.0, bottom: 245.0 };
        let [figure] = find_figures(&image, &[text], 20.0)[..] else { panic!("one figure") };
        assert!((figure.left - 100.0).abs() <= 10.0 && (figure.bottom - 200.0).abs() <= 10.0, "{figure:?}");
    }

    #[test]
    fn edges_and_small_areas_are_no_figures() {
        assert_eq!(find_figures(&page(&[[0, 0, 400, 90], [100, 150, 140, 190]]), &[], 20.0), []);
        assert_eq!(find_figures(&GrayImage::new(3, 3, vec![0; 9]), &[], 20.0), []);
    }
}
