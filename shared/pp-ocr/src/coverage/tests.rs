use proptest::prelude::*;

use super::*;

const WHITE: u8 = 255;

fn quad(left: f32, top: f32, width: f32, height: f32) -> Quad {
    Quad([[left, top], [left + width, top], [left + width, top + height], [left, top + height]])
}

/// A line of 600 × 40 pixels with characters at these shares of its width.
fn line(confidence: f32, places: &[f32]) -> DetectedLine {
    let reading = LineReading {
        text: "x".repeat(places.len()),
        confidence,
        characters: places.len(),
        places: places.iter().map(|place| (place * 720.0) as usize).collect(),
        columns: 720,
        ..LineReading::default()
    };
    DetectedLine::new(quad(20.0, 20.0, 600.0, 40.0), reading)
}

/// A page of 640 × 80 pixels, black where `is_ink`.
fn page(is_ink: impl Fn(u32, u32) -> bool) -> PageImage {
    let (width, height) = (640, 80);
    let pixel = |index: u32| [if is_ink(index % width, index / width) { 0 } else { WHITE }; 3];
    PageImage::new(width, height, (0..width * height).flat_map(pixel).collect())
}

/// Strokes 4 pixels wide and 20 high, every 12 pixels: the rhythm of print.
fn strokes(x: u32, y: u32) -> bool {
    (30..610).contains(&x) && (30..50).contains(&y) && (x % 12 < 4 || y / 10 == 3 && x % 12 < 8)
}

fn warnings(page: &PageImage, line: DetectedLine) -> Vec<WarningKind> {
    check_coverage(page, &mut [line], &[]).into_iter().map(|warning| warning.kind).collect()
}

/// Characters in the first part of a line only.
fn beginning() -> Vec<f32> {
    (1..20).map(|index| index as f32 * 0.02).collect()
}

#[test]
fn print_without_characters_is_unread() {
    let print = page(strokes);
    let unread = WarningKind::UnreadText { lines: 1, characters: 23 };
    let unread = [unread];
    assert_eq!(warnings(&print, line(0.3, &[0.5])), unread, "dropped for its low confidence");
    assert_eq!(warnings(&print, line(0.0, &[])), unread);
    let [WarningKind::UnreadText { lines: 1, characters }] = warnings(&print, line(0.9, &beginning()))[..] else {
        panic!("the second half of the line is unread")
    };
    assert!((12..=16).contains(&characters), "{characters}");
    let evenly: Vec<f32> = (1..50).map(|index| index as f32 * 0.02).collect();
    assert_eq!(warnings(&print, line(0.9, &evenly)), []);
}

#[test]
fn the_rest_of_a_line_that_another_line_contains_was_read() {
    let print = page(strokes);
    let rest = || DetectedLine { quad: quad(24.0, 24.0, 50.0, 34.0), ..line(0.0, &[]) };
    let evenly: Vec<f32> = (1..50).map(|index| index as f32 * 0.02).collect();
    let found = |whole: DetectedLine| check_coverage(&print, &mut [whole, rest()], &[]).len();
    assert_eq!(found(line(0.9, &evenly)), 0);
    assert_eq!(found(line(0.9, &beginning())), 1, "the second half of the other line is unread");
    let end: Vec<f32> = (20..50).map(|index| index as f32 * 0.02).collect();
    assert_eq!(found(line(0.9, &end)), 1, "both are unread there");
    assert_eq!(check_coverage(&print, &mut [rest()], &[]).len(), 1, "there is no other line");
}

#[test]
fn blanks_rules_dots_and_bars_are_not_print() {
    let second_half = |x: u32| x > 280;
    let rule = page(|x, y| second_half(x) && (46..48).contains(&y));
    let dots = page(|x, y| second_half(x) && (44..47).contains(&y) && x % 12 < 3);
    let bar = page(|x, y| second_half(x) && (18..62).contains(&y));
    for (name, page) in [("blank", page(|_, _| false)), ("rule", rule), ("dots", dots), ("bar", bar)] {
        assert_eq!(warnings(&page, line(0.9, &beginning())), [], "{name}");
        assert_eq!(warnings(&page, line(0.2, &[])), [], "{name}");
    }
}

#[test]
fn small_print_that_is_not_sure_is_too_small() {
    let small = |confidence| DetectedLine { quad: quad(20.0, 20.0, 300.0, 13.0), ..line(confidence, &beginning()) };
    let blank = page(|_, _| false);
    assert_eq!(warnings(&blank, small(0.92)), [WarningKind::TooSmall]);
    assert_eq!(warnings(&blank, small(0.99)), []);
    let part = CropRect { left: 100, top: 30, width: 50, height: 20 };
    let found = check_coverage(&blank, &mut [], &[part]);
    let polygon = Some([[100.0, 30.0], [150.0, 30.0], [150.0, 50.0], [100.0, 50.0]]);
    assert_eq!(found, [Warning { kind: WarningKind::TooSmall, polygon }]);
    let covered = CropRect { left: 0, top: 0, width: 640, height: 80 };
    assert_eq!(check_coverage(&blank, &mut [line(0.99, &beginning())], &[covered]), []);
}

#[test]
fn lines_that_are_close_are_one_region() {
    let column = |left: f32| (0..5).map(move |row| quad(left, 50.0 * row as f32, 200.0, 40.0));
    let both: Vec<Quad> = column(0.0).chain(column(900.0)).collect();
    let found = regions(&both);
    assert_eq!(found.iter().map(Vec::len).collect::<Vec<_>>(), [5, 5]);
    assert_eq!(bounds(&found[0]), [[0.0, 0.0], [200.0, 0.0], [200.0, 240.0], [0.0, 240.0]]);
    let scattered: Vec<Quad> = (0..30).map(|index| quad(0.0, 500.0 * index as f32, 200.0, 40.0)).collect();
    assert_eq!(regions(&scattered).len(), 1, "too many regions are reported as one");
}

proptest! {
    #[test]
    fn every_part_is_in_one_region(places in prop::collection::vec((0_u16..2000, 0_u16..2000), 0..60)) {
        let parts: Vec<Quad> = places.into_iter().map(|(x, y)| quad(x.into(), y.into(), 100.0, 30.0)).collect();
        let found = regions(&parts);
        prop_assert_eq!(found.iter().map(Vec::len).sum::<usize>(), parts.len());
        prop_assert!(found.len() <= MAX_REGIONS);
    }
}
