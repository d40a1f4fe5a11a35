//! Hostile models and pages: each has a result or an error code, in a bounded number of runs.

mod any_model;

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use any_model::{AnyModel, plain};
use ndarray::{Array3, s};
use proptest::prelude::*;
use quire_document::PageImage;
use quire_pp_ocr::{BatchPolicy, CtcStep, Engine, ModelError, Provider};
use quire_tasks::{Failure, FailureCode, PageText, WarningCode};

/// Time limit of a page in the worker. Nothing here takes more than two seconds of CPU time.
const LIMIT: Duration = Duration::from_mins(2);

fn failed(result: Result<PageText, Failure>, reason: &str) {
    let failure = result.expect_err(reason);
    assert_eq!(failure.code, FailureCode::ModelFailed, "{failure}");
    assert!(failure.message.contains(reason), "{failure} does not say {reason:?}");
}

/// Invariants that clients rely on.
fn assert_in_order(text: &PageText) {
    assert!(text.confidence().is_none_or(|confidence| (0.0..=1.0).contains(&confidence)), "{:?}", text.confidence());
    for line in &text.lines {
        assert!(line.confidence.is_some_and(|confidence| (0.0..=1.0).contains(&confidence)), "{line:?}");
        let inside =
            |[x, y]: [f32; 2]| (0.0..=text.width as f32).contains(&x) && (0.0..=text.height as f32).contains(&y);
        assert!(line.polygon.is_some_and(|polygon| polygon.into_iter().all(inside)), "{line:?}");
    }
}

#[test]
fn maps_with_nan_or_another_shape_fail_their_page() {
    for value in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY] {
        let map = move |pages: ndarray::ArrayView4<'_, f32>| {
            let mut map = Array3::zeros((pages.dim().0, pages.dim().2, pages.dim().3));
            map[[0, 7, 9]] = value;
            map
        };
        failed(AnyModel::finding(map).read(plain(200, 100, 255)), "NaN or infinity");
    }
    for shape in [(1, 96, 191), (1, 95, 192), (1, 192, 96), (2, 96, 192), (0, 96, 192), (1, 0, 0)] {
        failed(AnyModel::finding(move |_| Array3::zeros(shape)).read(plain(200, 100, 255)), "expected");
    }
}

#[test]
fn maps_of_any_finite_values_have_a_result() {
    for value in [f32::MIN_POSITIVE / 2.0, -0.0, -1e38, f32::MIN, 0.999, 1.5, f32::MAX] {
        let map = move |pages: ndarray::ArrayView4<'_, f32>| {
            let mut map = Array3::zeros((pages.dim().0, pages.dim().2, pages.dim().3));
            map.slice_mut(s![.., 10..40, 10..150]).fill(value);
            map
        };
        let text = AnyModel::finding(map).read(plain(200, 100, 255)).expect("a result");
        assert_eq!(text.lines.len(), usize::from(value > 0.5), "{value}");
        assert_in_order(&text);
    }
}

#[test]
fn a_map_full_of_text_is_one_line_inside_its_page() {
    for (width, height) in [(1, 1), (1, 700), (700, 1), (2, 2), (31, 33), (640, 480), (10_000, 10), (10, 10_000)] {
        let text = AnyModel::finding_all().read(plain(width, height, 0)).expect("a result");
        assert_eq!(text.lines.len(), 1, "{width} × {height}");
        assert_in_order(&text);
    }
}

#[test]
fn regions_without_area_are_no_lines() {
    let hairs = |pages: ndarray::ArrayView4<'_, f32>| {
        let mut map = Array3::zeros((pages.dim().0, pages.dim().2, pages.dim().3));
        map.slice_mut(s![0, 5, ..]).fill(1.0);
        map.slice_mut(s![0, 20.., 7]).fill(1.0);
        map[[0, 40, 90]] = 1.0;
        for step in 0..40 {
            map[[0, 50 + step, 100 + step]] = 1.0;
        }
        map
    };
    assert_eq!(AnyModel::finding(hairs).read(plain(320, 320, 255)).expect("a result").lines, []);
}

/// 160 × 125 boxes of 4 × 4 pixels.
fn specks(pages: &ndarray::ArrayView4<'_, f32>) -> Array3<f32> {
    let (count, _, height, width) = pages.dim();
    Array3::from_shape_fn((count, height, width), |(_, y, x)| {
        f32::from(u8::from(x < 5 * 160 && y < 5 * 125 && x % 5 < 4 && y % 5 < 4))
    })
}

#[test]
fn twenty_thousand_boxes_are_limited_with_a_warning() {
    let runs = Arc::new(AtomicUsize::new(0));
    let strips = Arc::new(AtomicUsize::new(0));
    let counted_runs = Arc::clone(&runs);
    let counted_strips = Arc::clone(&strips);
    let model = AnyModel::finding(|pages| specks(&pages)).reading(move |input| {
        counted_runs.fetch_add(1, Ordering::Relaxed);
        counted_strips.fetch_add(input.dim().0, Ordering::Relaxed);
        Ok(vec![vec![CtcStep { class: 1, probability: 0.99 }]; input.dim().0])
    });
    let mut engine = Engine::new(Box::new(model), BatchPolicy::for_provider(Provider::OnnxRuntime));
    let started = Instant::now();
    let text = engine.read(&[plain(800, 640, 255)]).remove(0).expect("a result");
    assert!(started.elapsed() < LIMIT, "{:?}", started.elapsed());
    assert_eq!(text.warning_codes(), [WarningCode::CutOff]);
    assert!((8_000..10_000).contains(&text.lines.len()), "{}", text.lines.len());
    assert_eq!(runs.load(Ordering::Relaxed), strips.load(Ordering::Relaxed));
    assert!(strips.load(Ordering::Relaxed) < 10_000 + 10, "each is read once, but a few that tell the orientation");
    assert_in_order(&text);
}

#[test]
fn a_page_below_the_limit_has_no_warning() {
    let text = AnyModel::finding_all().read(plain(64, 64, 0)).expect("a result");
    assert_eq!(text.warnings, []);
}

#[test]
fn outputs_of_the_wrong_length_fail_every_page() {
    for count in [0_usize, 1, 3, 1000] {
        let runs = Arc::new(AtomicUsize::new(0));
        let counted = Arc::clone(&runs);
        let model = AnyModel::finding_all().reading(move |strips| {
            counted.fetch_add(1, Ordering::Relaxed);
            // Wrong for every batch size, including 1.
            Ok(vec![Vec::new(); if strips.dim().0 == count { count + 1 } else { count }])
        });
        let pages = vec![plain(100, 40, 0); 8];
        for result in model.pooled().read(&pages) {
            failed(result, "expected");
        }
        assert_eq!(runs.load(Ordering::Relaxed), 15, "8 pages, their halves, and so on down to each");
    }
}

#[test]
fn steps_of_any_values_have_a_result_or_an_error_code() {
    let read = |steps: Vec<CtcStep>| {
        AnyModel::finding_all().reading(move |strips| Ok(vec![steps.clone(); strips.dim().0])).read(plain(100, 40, 0))
    };
    for probability in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY] {
        failed(
            read(vec![CtcStep { class: 1, probability: 0.9 }, CtcStep { class: 0, probability }]),
            "NaN or infinity",
        );
    }
    for (class, probability) in
        [(1, f32::MAX), (1, f32::MIN), (1, 1e-45), (1, -1.0), (u32::MAX, 0.9), (4, 0.9), (0, 2.0)]
    {
        let text = read(vec![CtcStep { class, probability }; 3]).expect("a result");
        assert_in_order(&text);
        let text = read((0..6).map(|at| CtcStep { class: class * (at % 2), probability }).collect()).expect("a result");
        assert_in_order(&text);
    }
    assert_eq!(read(Vec::new()).expect("a result").lines, []);
}

#[test]
fn a_bad_page_is_isolated_in_few_runs() {
    let runs = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&runs);
    let model = AnyModel::finding_all().reading(move |strips| {
        counted.fetch_add(1, Ordering::Relaxed);
        let is_black = strips.outer_iter().any(|strip| strip[[0, 24, 4]] < -0.9);
        let sure = CtcStep { class: 1, probability: 0.99 };
        if is_black { Err(ModelError::Run("out of cheese".to_owned())) } else { Ok(vec![vec![sure]; strips.dim().0]) }
    });
    let pages: Vec<PageImage> = (0..64).map(|page| plain(100, 40, if page == 41 { 0 } else { 255 })).collect();
    let mut engine = model.pooled();
    let mut results = engine.read(&pages);
    failed(results.remove(41), "out of cheese");
    assert!(results.iter().all(|result| result.as_ref().is_ok_and(|text| text.text() == "a")));
    assert_eq!(runs.load(Ordering::Relaxed), 13, "twice for each halving of 64");
    let work = engine.take_costs();
    assert_eq!((work.pages, work.recognition.count()), (64, 13));
}

/// Hundreds of columns and thousands of rows exceed the cost limit; the remaining lines are put in order.
#[test]
fn a_page_of_narrow_columns_is_ordered_in_time() {
    let columns = |pages: ndarray::ArrayView4<'_, f32>| {
        let (count, _, height, width) = pages.dim();
        Array3::from_shape_fn((count, height, width), |(_, y, x)| f32::from(u8::from(y % 6 < 3 && x % 48 < 44)))
    };
    let mut engine =
        Engine::new(Box::new(AnyModel::finding(columns)), BatchPolicy::for_provider(Provider::OnnxRuntime));
    let started = Instant::now();
    let text = engine.read(&[plain(1_344, 1_920, 255)]).remove(0).expect("a result");
    assert!(started.elapsed() < LIMIT, "{:?}", started.elapsed());
    assert_eq!(text.warning_codes(), [WarningCode::CutOff]);
    assert!(text.lines.len() > 700, "{}", text.lines.len());
}

fn noise(width: u32, height: u32, seed: u64) -> PageImage {
    // Xorshift with a fixed seed, to be reproducible.
    let mut state = seed | 1;
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state
    };
    let stretch = 1 + next() % 9;
    let levels = 2 + next() % 254;
    let mut value = 0;
    let bytes = (0..u64::from(width) * u64::from(height) * 3).map(|index| {
        if index % stretch == 0 {
            value = (next() % levels * 255 / (levels - 1)) as u8;
        }
        value
    });
    PageImage::new(width, height, bytes.collect())
}

/// Detects text where a page is dark.
fn dark(pages: &ndarray::ArrayView4<'_, f32>) -> Array3<f32> {
    pages.index_axis(ndarray::Axis(1), 1).mapv(|green| (1.0 - green) / 2.0)
}

#[test]
fn two_hundred_pages_of_noise_have_results() {
    let started = Instant::now();
    let mut engine = AnyModel::finding(|pages| dark(&pages)).pooled();
    for seed in 0..200_u64 {
        let long = 1 + (seed * 7919 % 400) as u32;
        let short = 1 + (seed * 104_729 % 60) as u32;
        let (width, height) = if seed % 2 == 0 { (long, short) } else { (short, long) };
        let text = engine.read(&[noise(width, height, seed * 0x9e37_79b9)]).remove(0).expect("a result");
        assert_in_order(&text);
    }
    assert!(started.elapsed() < LIMIT, "{:?}", started.elapsed());
}

/// A map of up to 64 × 64 pixels: rectangles of any value on a background of any value.
type Patch = (usize, usize, usize, usize, f32);

fn patched(ground: f32, patches: &[Patch], shape: (usize, usize, usize)) -> Array3<f32> {
    let mut map = Array3::from_elem(shape, ground);
    for &(top, left, height, width, value) in patches {
        let top = top.min(shape.1);
        let left = left.min(shape.2);
        let bottom = (top + height).min(shape.1);
        let right = (left + width).min(shape.2);
        map.slice_mut(s![.., top..bottom, left..right]).fill(value);
    }
    map
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, ..ProptestConfig::default() })]

    #[test]
    fn any_map_on_any_page_has_a_result(
        (width, height) in (1_u32..300, 1_u32..300),
        frame in (1_u32..100_000, 1_u32..100_000),
        ground in -0.2_f32..0.4,
        patches in prop::collection::vec((0_usize..300, 0_usize..300, 0_usize..90, 0_usize..90, -1.0_f32..2.0), 0..12),
        steps in prop::collection::vec((0_u32..5, -0.5_f32..1.5), 0..4),
    ) {
        let to_step = |(class, probability)| CtcStep { class, probability };
        let steps: Vec<CtcStep> = steps.into_iter().map(to_step).collect();
        let model = AnyModel::finding(move |pages| {
            let (count, _, rows, columns) = pages.dim();
            patched(ground, &patches, (count, rows, columns))
        })
            .reading(move |strips| Ok(vec![steps.clone(); strips.dim().0]));
        let text = model.read(plain(width, height, 128).of_page(frame.0, frame.1)).expect("a result");
        prop_assert_eq!((text.width, text.height), frame);
        assert_in_order(&text);
    }

    #[test]
    fn any_pixels_of_a_map_may_be_text(
        cells in prop::collection::vec(any::<bool>(), 64 * 96),
    ) {
        let map = move |_: ndarray::ArrayView4<'_, f32>| {
            Array3::from_shape_fn((1, 64, 96), |(_, y, x)| f32::from(u8::from(cells[y * 96 + x])))
        };
        assert_in_order(&AnyModel::finding(map).read(plain(96, 64, 128)).expect("a result"));
    }
}
