use proptest::prelude::*;

use super::*;

const RIGHT: Point = [1.0, 0.0];

fn line(left: f32, top: f32, width: f32, height: f32) -> Quad {
    Quad([[left, top], [left + width, top], [left + width, top + height], [left, top + height]])
}

/// `count` lines of one column, of which the last one is short.
fn column(left: f32, top: f32, width: f32, count: usize) -> Vec<Quad> {
    let width_of = |index| if index + 1 == count { width / 3.0 } else { width };
    (0..count).map(|index| line(left, top + 30.0 * index as f32, width_of(index), 24.0)).collect()
}

fn order_of(lines: &[Quad], along: Point) -> Vec<usize> {
    reading_order(lines, Some(&whole(lines)), along)
}

fn whole(lines: &[Quad]) -> Vec<Vec<Range<f32>>> {
    vec![std::iter::once(0.0..1.0).collect(); lines.len()]
}

fn in_order(lines: &[Quad]) -> bool {
    order_of(lines, RIGHT) == (0..lines.len()).collect::<Vec<_>>()
}

#[test]
fn two_columns_under_a_title_are_read_one_after_the_other() {
    let mut lines = vec![line(50.0, 20.0, 900.0, 60.0)];
    lines.extend(column(50.0, 120.0, 430.0, 20));
    lines.extend(column(520.0, 120.0, 430.0, 19));
    assert!(in_order(&lines));
}

#[test]
fn three_columns_are_read_one_after_the_other() {
    let lines: Vec<Quad> = [50.0, 370.0, 690.0].into_iter().flat_map(|left| column(left, 100.0, 290.0, 12)).collect();
    assert!(in_order(&lines));
}

#[test]
fn a_heading_in_the_middle_divides_the_columns() {
    let mut lines = column(50.0, 0.0, 430.0, 6);
    lines.extend(column(520.0, 0.0, 430.0, 6));
    lines.push(line(50.0, 200.0, 900.0, 30.0));
    lines.extend(column(50.0, 260.0, 430.0, 6));
    lines.extend(column(520.0, 260.0, 430.0, 6));
    assert!(in_order(&lines));
}

#[test]
fn a_table_is_read_row_by_row() {
    let cells = [(50.0, 30.0), (120.0, 160.0), (400.0, 150.0), (620.0, 40.0), (700.0, 100.0), (850.0, 110.0)];
    let row = |index: usize| cells.map(|(left, width)| line(left, 40.0 * index as f32 + (left * 0.01), width, 24.0));
    assert!(in_order(&(0..15).flat_map(row).collect::<Vec<_>>()));
}

#[test]
fn one_column_with_ragged_lines_has_no_gutter() {
    let widths = [900.0, 300.0, 880.0, 890.0, 250.0, 910.0, 400.0, 900.0];
    let lines: Vec<Quad> =
        widths.iter().enumerate().map(|(index, &width)| line(50.0, 30.0 * index as f32, width, 24.0)).collect();
    assert!(in_order(&lines));
}

#[test]
fn a_slanted_row_stays_a_row() {
    let slanted = |quad: Quad| Quad(quad.0.map(|[x, y]| [x - 0.05 * y, y + 0.05 * x]));
    let row = |top: f32| [0.0, 300.0, 600.0, 900.0].map(|left| line(left, top, 120.0, 24.0));
    let lines: Vec<Quad> = (0..8).flat_map(|index| row(36.0 * index as f32)).map(slanted).collect();
    assert!(in_order(&lines));
}

#[test]
fn a_page_on_its_side_is_read_in_the_direction_of_its_text() {
    // Text runs upward: the first line is the leftmost one and starts at its bottom.
    let upward = |left: f32, bottom: f32| {
        Quad([[left, bottom], [left, bottom - 200.0], [left + 24.0, bottom - 200.0], [left + 24.0, bottom]])
    };
    let lines = [upward(0.0, 900.0), upward(0.0, 600.0), upward(40.0, 900.0), upward(40.0, 600.0)];
    assert_eq!(order_of(&lines, [0.0, -1.0]), [0, 1, 2, 3]);
}

#[test]
fn paragraphs_that_end_at_the_same_height_do_not_divide_the_columns() {
    let paragraphs = |left: f32| {
        let mut lines = column(left, 0.0, 430.0, 2);
        lines.extend(column(left, 90.0, 430.0, 5));
        lines.extend(column(left, 270.0, 430.0, 2));
        lines
    };
    assert!(in_order(&[paragraphs(50.0), paragraphs(520.0)].concat()));
}

#[test]
fn a_heading_in_a_column_with_nothing_beside_it_divides_the_page() {
    let mut lines = [column(50.0, 0.0, 430.0, 6), column(520.0, 0.0, 430.0, 6)].concat();
    lines.push(line(50.0, 220.0, 250.0, 40.0));
    lines.extend([column(50.0, 300.0, 430.0, 6), column(520.0, 300.0, 430.0, 6)].concat());
    assert!(in_order(&lines));
}

#[test]
fn a_table_between_columns_is_read_row_by_row() {
    let mut lines = [column(50.0, 0.0, 430.0, 6), column(520.0, 0.0, 430.0, 6)].concat();
    let cells = [(60.0, 30.0), (140.0, 120.0), (300.0, 120.0), (550.0, 40.0), (700.0, 80.0), (850.0, 100.0)];
    lines.extend((0..4).flat_map(|row| cells.map(|(left, width)| line(left, 240.0 + 50.0 * row as f32, width, 24.0))));
    lines.extend([column(50.0, 480.0, 430.0, 6), column(520.0, 480.0, 430.0, 6)].concat());
    assert!(in_order(&lines));
}

#[test]
fn a_table_with_cells_of_several_lines_has_no_columns() {
    let row = |top: f32| {
        let mut cells = vec![line(50.0, top, 30.0, 24.0), line(120.0, top, 180.0, 24.0), line(400.0, top, 240.0, 24.0)];
        cells.extend([line(700.0, top, 60.0, 24.0), line(850.0, top, 110.0, 24.0)]);
        cells.push(line(400.0, top + 35.0, 240.0, 24.0));
        cells
    };
    assert!(in_order(&(0..8).flat_map(|index| row(90.0 * index as f32)).collect::<Vec<_>>()));
}

#[test]
fn a_note_in_the_margin_is_read_after_the_paragraph_beside_it() {
    let mut lines = column(300.0, 0.0, 600.0, 8);
    lines.push(line(50.0, 95.0, 150.0, 18.0));
    assert!(in_order(&lines));
}

#[test]
fn vertical_text_is_read_from_right_to_left_below_its_title() {
    let downward = |left: f32, height: f32| {
        Quad([[left + 30.0, 100.0], [left + 30.0, 100.0 + height], [left, 100.0 + height], [left, 100.0]])
    };
    let mut lines = vec![line(300.0, 20.0, 300.0, 50.0)];
    lines
        .extend((0..10).map(|index| downward(800.0 - 60.0 * index as f32, if index % 4 == 3 { 400.0 } else { 800.0 })));
    lines.push(line(440.0, 1000.0, 60.0, 20.0));
    assert_eq!(vertical_reading_order(&lines, Some(&whole(&lines)), RIGHT), (0..12).collect::<Vec<_>>());
}

/// `count` lines of a justified column on a common grid, each as several boxes with wide spaces between them.
fn justified(left: f32, width: f32, count: usize) -> Vec<Quad> {
    let words = |row: usize| {
        let words = 1 + row % 3;
        let gap = 22.0 + 5.0 * (row % 4) as f32;
        let length = (width - gap * (words - 1) as f32) / words as f32;
        (0..words).map(move |word| line(left + word as f32 * (length + gap), 30.0 * row as f32, length, 24.0))
    };
    (0..count).flat_map(words).collect()
}

#[test]
fn five_justified_columns_on_one_grid_are_read_one_after_the_other() {
    let columns = (0..5).flat_map(|column| justified(240.0 * column as f32, 220.0, 30));
    assert!(in_order(&columns.collect::<Vec<_>>()));
}

#[test]
fn labels_and_values_stay_together() {
    let value = |row: usize| 90.0 + 37.0 * (row % 5) as f32;
    for pairs in [1_usize, 2] {
        let pair = |row: usize, pair: usize| {
            let left = 600.0 * pair as f32;
            let top = 45.0 * row as f32;
            [line(left, top, 70.0 + 23.0 * (row % 4) as f32, 24.0), line(left + 250.0, top, value(row + pair), 24.0)]
        };
        let form: Vec<Quad> = (0..14).flat_map(|row| (0..pairs).flat_map(move |index| pair(row, index))).collect();
        assert!(in_order(&form), "{pairs}");
    }
}

#[test]
fn headers_and_footers_are_read_before_and_after_the_columns() {
    let mut lines = vec![line(0.0, -70.0, 160.0, 20.0), line(800.0, -70.0, 110.0, 20.0)];
    lines.extend((0..3).flat_map(|column| justified(320.0 * column as f32, 290.0, 25)));
    lines.extend([line(0.0, 820.0, 120.0, 20.0), line(860.0, 820.0, 40.0, 20.0)]);
    assert!(in_order(&lines));
    lines.pop();
    assert!(in_order(&lines), "a footer below one column");
}

fn table(left: f32, pitch: f32, rows: usize) -> Vec<Quad> {
    let row = |row: usize| {
        let top = pitch * row as f32;
        let name = 80.0 + 29.0 * (row % 5) as f32;
        [line(left, top, name, 24.0), line(left + 240.0, top, 100.0, 24.0), line(left + 400.0, top, 40.0, 24.0)]
    };
    (0..rows).flat_map(row).collect()
}

#[test]
fn adjacent_tables_are_not_interleaved() {
    for (pitch, other) in [(40.0, 53.0), (45.0, 38.0), (45.0, 45.0)] {
        assert!(in_order(&[table(0.0, pitch, 14), table(560.0, other, 12)].concat()), "{pitch} {other}");
    }
}

/// The gutter before the quantities goes down to the totals, and beside the notes.
#[test]
fn a_table_above_totals_and_notes_is_read_row_by_row() {
    let cells = [(73.0, 20.0), (147.0, 46.0), (294.0, 80.0), (490.0, 18.0), (561.0, 36.0), (650.0, 50.0)];
    let mut lines: Vec<Quad> =
        (0..7).flat_map(|row| cells.map(|(left, width)| line(left, 102.0 + 27.3 * row as f32, width, 13.0))).collect();
    for (top, left) in [(305.0, 460.0), (331.0, 474.0), (360.0, 470.0)] {
        lines.extend([line(left, top, 586.0 - left, 13.0), line(648.0, top, 52.0, 13.0)]);
    }
    lines.push(line(70.0, 400.0, 247.0, 14.0));
    lines.extend((0..7).map(|row| line(70.0, 453.0 + 25.8 * row as f32, 320.0 - 40.0 * (row % 3) as f32, 13.0)));
    assert!(in_order(&lines));
}

#[test]
fn a_sidebar_is_read_on_its_own() {
    let mut lines: Vec<Quad> =
        (0..18).map(|row| line(0.0, 23.0 * row as f32, 200.0 - 9.0 * (row % 4) as f32, 18.0)).collect();
    lines.extend(column(250.0, 0.0, 640.0, 30));
    assert!(in_order(&lines));
}

#[test]
fn a_river_of_spaces_does_not_divide_a_paragraph() {
    let row = |row: usize| {
        let split = if (4..9).contains(&row) { 300.0 } else { 120.0 + 61.0 * (row % 7) as f32 };
        let top = 30.0 * row as f32;
        [line(0.0, top, split, 24.0), line(split + 20.0, top, 580.0 - split, 24.0)]
    };
    let lines: Vec<Quad> = (0..20).flat_map(row).collect();
    assert_eq!(regions(pieces(&lines, &whole(&lines))).len(), 1);
}

#[test]
fn paragraphs_beside_each_other_that_always_end_together_are_a_table() {
    let row = |top: f32| [0.0, 480.0].map(|left| column(left, top, 430.0, 4)).concat();
    let lines: Vec<Quad> = (0..5).flat_map(|index| row(190.0 * index as f32)).collect();
    let order = order_of(&lines, RIGHT);
    let place = |line: usize| order.iter().position(|other| *other == line);
    // Eight lines per row.
    assert!((0..8).all(|line| (8..40).all(|other| place(line) < place(other))));
}

proptest! {
    #[test]
    fn every_line_is_read_exactly_once(
        places in prop::collection::vec((0_u16..1000, 0_u16..1000, 0_u16..600, 0_u16..80), 0..120)
    ) {
        let lines: Vec<Quad> = places
            .into_iter()
            .map(|(left, top, width, height)| line(left.into(), top.into(), width.into(), height.into()))
            .collect();
        let cut = |index: usize| [0.0..0.3 + (index % 3) as f32 * 0.1, 0.75..1.0].to_vec();
        let fragments: Vec<Vec<Range<f32>>> = (0..lines.len()).map(cut).collect();
        let mut order = reading_order(&lines, Some(&fragments), RIGHT);
        order.sort_unstable();
        prop_assert_eq!(order, (0..lines.len()).collect::<Vec<_>>());
    }

    #[test]
    fn order_does_not_depend_on_the_position_on_the_page(
        columns in 1_usize..5, rows in 3_usize..25, gutter in 16_u16..60, x in -2000_i16..2000, y in -2000_i16..2000,
    ) {
        let left = |column: usize| (230.0 + f32::from(gutter)) * column as f32;
        let mut lines: Vec<Quad> = (0..columns).flat_map(|column| justified(left(column), 230.0, rows)).collect();
        lines.extend(table(0.0, 41.0, rows).into_iter().map(|cell| cell.shifted([0.0, 30.0 * rows as f32 + 80.0])));
        let shifted: Vec<Quad> = lines.iter().map(|line| line.shifted([x.into(), y.into()])).collect();
        prop_assert_eq!(order_of(&lines, RIGHT), order_of(&shifted, RIGHT));
    }
}
