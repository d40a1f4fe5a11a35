#![expect(clippy::float_cmp, reason = "small whole numbers, which are exact")]

use super::*;

/// Input and output of detection for an area.
struct DetectorView {
    picture: Array2<f32>,
    map: Array2<f32>,
}

/// Twice as large as its map.
const PAGE: CropRect = CropRect { left: 100, top: 200, width: 640, height: 896 };
const PIXELS: usize = 320 * 448;

impl DetectorView {
    fn blank() -> Self {
        Self { picture: Array2::from_elem((448, 320), 1.0), map: Array2::zeros((448, 320)) }
    }

    fn with_line(mut self, rows: std::ops::Range<usize>, probability: f32) -> Self {
        self.map.slice_mut(s![rows.clone(), 40..280]).fill(probability);
        self.with_ink(rows)
    }

    /// Strokes of one pixel.
    fn with_ink(mut self, rows: std::ops::Range<usize>) -> Self {
        self.picture.slice_mut(s![rows, 40..280;2]).fill(-1.0);
        self
    }

    fn area(&self, part: &CropRect) -> AreaMap {
        let hints = print_hints(&self.picture.view(), &self.map.view());
        AreaMap { part: *part, map: self.map.clone(), hints, tiles: vec![Tile::single(self.map.dim())] }
    }

    fn found(&self, part: &CropRect) -> DetectedLines {
        analyze_map(&blank_page(), &self.area(part), false, PIXELS, &BoxThresholds::default())
    }

    fn zoomed(&self, part: &CropRect) -> Option<CropRect> {
        self.found(part).zoom.map(|zoom| zoom.part)
    }
}

fn blank_page() -> PageImage {
    PageImage::new(800, 1_200, vec![255; 800 * 1_200 * PageImage::CHANNELS])
}

#[test]
fn reliable_lines_and_hints_on_blank_paper_are_not_zoomed() {
    let mut seen = DetectorView::blank().with_line(30..36, 0.9).with_line(60..66, 0.7).with_ink(100..160);
    seen.map.slice_mut(s![200..400, 40..280]).fill(0.15);
    let found = seen.found(&PAGE);
    assert_eq!((found.lines.len(), found.zoom), (2, None));
    assert_eq!(found.lines[0].quad.center(), [100.0 + 2.0 * 160.0, 200.0 + 2.0 * 33.0]);
}

#[test]
fn small_print_is_zoomed_with_the_lines_that_it_cuts() {
    let footnotes = DetectorView::blank().with_line(30..36, 0.9).with_line(384..448, 0.1);
    let below = |top: u32| CropRect { left: 100, top, width: 640, height: 200 + 896 - top };
    assert_eq!(footnotes.zoomed(&PAGE), Some(below(200 + 2 * 352)), "from the cells above");
    let cut = footnotes.with_line(350..356, 0.9);
    assert_eq!(cut.zoomed(&PAGE), Some(below(200 + 2 * 347)), "with half of its height above");
    let chain = cut.with_line(345..349, 0.9);
    assert_eq!(chain.zoomed(&PAGE), Some(below(200 + 2 * 343)), "with the line that the first one meets");
}

#[test]
fn lines_that_run_together_are_zoomed() {
    let is_sure = |probability| DetectorView::blank().with_line(384..400, probability).zoomed(&PAGE).is_none();
    assert!(is_sure(0.6));
    assert!(!is_sure(0.5));
}

#[test]
fn a_page_of_small_print_is_zoomed_in_tiles() {
    let found = DetectorView::blank().with_line(10..240, 0.1).with_line(244..440, 0.1).found(&PAGE);
    let zoom = found.zoom.expect("small print");
    assert_eq!(zoom.part, CropRect { left: 100, top: 200, width: 640, height: 896 });
    assert_eq!(zoom.size, (640, 448), "twice the pixels of a run");
}

#[test]
fn no_pass_magnifies_beyond_the_pixels_of_the_page() {
    let seen = DetectorView::blank().with_line(384..448, 0.1);
    let at_full_size = seen.found(&CropRect { width: 360, height: 504, ..PAGE });
    assert_eq!(at_full_size.zoom, None);
    assert!(at_full_size.illegible.is_some(), "what is too small at full size is reported");
    assert!(seen.found(&CropRect { width: 420, height: 588, ..PAGE }).zoom.is_some());
}

#[test]
fn fine_print_without_a_hint_is_zoomed_only_on_large_pages() {
    let mut pixels = vec![255_u8; 1_600 * 2_240 * PageImage::CHANNELS];
    for (row, column) in (1_000..1_012).flat_map(|row| (400..700).step_by(4).map(move |column| (row, column))) {
        let first = (row * 1_600 + column) * PageImage::CHANNELS;
        pixels[first..first + 2 * PageImage::CHANNELS].fill(0);
    }
    let page = PageImage::new(1_600, 2_240, pixels);
    let area = DetectorView::blank().area(&CropRect::whole(&page));
    let zoom = |is_large| analyze_map(&page, &area, is_large, PIXELS, &BoxThresholds::default()).zoom;
    assert_eq!(zoom(false), None);
    let part = zoom(true).expect("print without a hint").part;
    assert!(part.contains([400.0, 1_000.0]) && part.contains([700.0, 1_012.0]), "{part:?}");
    assert!(part.height < 600, "only the print is zoomed: {part:?}");
}
