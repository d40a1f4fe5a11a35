//! The engine with a fake model: batching, order of results, and errors.

mod color_model;

use color_model::{ColorModel, ColorModelFault, ColorPage};
use quire_document::PageImage;
use quire_pp_ocr::{BatchPolicy, Engine, Provider};
use quire_tasks::{EngineName, Failure, FailureCode, PageText};

/// A budget that is large enough for one run.
fn pooled() -> BatchPolicy {
    BatchPolicy {
        detection_max_pixels: usize::MAX,
        recognition_max_width: usize::MAX,
        ..BatchPolicy::for_provider(Provider::OnnxRuntime)
    }
}

fn read(model: &ColorModel, policy: BatchPolicy, pages: &[PageImage]) -> Vec<Result<PageText, Failure>> {
    Engine::new(Box::new(model.clone()), policy).read(pages)
}

fn texts(results: &[Result<PageText, Failure>]) -> Vec<Option<String>> {
    results.iter().map(|result| result.as_ref().ok().map(PageText::text)).collect()
}

fn some(texts: &[&str]) -> Vec<Option<String>> {
    texts.iter().map(|text| Some((*text).to_owned())).collect()
}

#[test]
fn lines_of_all_pages_share_runs() {
    let model = ColorModel::default();
    let pages = [ColorPage::new("abc"), ColorPage::new(""), ColorPage::new("dbeaz"), ColorPage::new("f")]
        .map(|page| page.image());
    let results = read(&model, pooled(), &pages);
    assert_eq!(texts(&results), some(&["a\nb\nc", "", "d\nb\ne\na\nz", "f"]));
    assert_eq!(model.detected(), [4], "pages of one size share a run");
    assert_eq!(model.recognized(), [7, 2], "three lines a page tell its orientation, then come the rest");
}

#[test]
fn on_a_cpu_every_page_and_line_runs_alone() {
    let model = ColorModel::default();
    let results = read(
        &model,
        BatchPolicy::for_provider(Provider::OnnxRuntime),
        &[ColorPage::new("abcd").image(), ColorPage::new("e").image()],
    );
    assert_eq!(texts(&results), some(&["a\nb\nc\nd", "e"]));
    assert_eq!(model.detected(), [1, 1]);
    assert_eq!(model.recognized(), [1; 5]);
}

#[test]
fn pages_of_different_sizes_do_not_share_a_run() {
    let model = ColorModel::default();
    let wide = ColorPage::new("b").wide(640);
    let results = read(&model, pooled(), &[ColorPage::new("a").image(), wide.image(), ColorPage::new("c").image()]);
    assert_eq!(texts(&results), some(&["a", "b", "c"]));
    let mut runs = model.detected();
    runs.sort_unstable();
    assert_eq!(runs, [1, 2]);
}

#[test]
fn a_failed_line_fails_only_its_page() {
    let model = ColorModel::with(ColorModelFault::FailsOn('x'));
    let pages = ["abc", "axb", "def", "g"].map(|text| ColorPage::new(text).image());
    let results = read(&model, pooled(), &pages);
    assert_eq!(texts(&results), [Some("a\nb\nc".into()), None, Some("d\ne\nf".into()), Some("g".into())]);
    let failure = results[1].as_ref().expect_err("the page with the poison line fails");
    assert_eq!(failure.code, FailureCode::ModelFailed);
}

#[test]
fn nan_fails_only_its_page() {
    let model = ColorModel::with(ColorModelFault::NotANumberOn('x'));
    let results = read(&model, pooled(), &["ab", "x", "c"].map(|text| ColorPage::new(text).image()));
    assert_eq!(texts(&results), [Some("a\nb".into()), None, Some("c".into())]);
}

#[test]
fn a_page_on_which_detection_fails_fails_alone() {
    for mood in [ColorModelFault::DetectionFailsOn('x'), ColorModelFault::DetectionNotANumberOn('x')] {
        let pages = ["a", "b", "x", "c", "d"].map(|text| ColorPage::new(text).image());
        let results = read(&ColorModel::with(mood), pooled(), &pages);
        assert_eq!(texts(&results), [Some("a".into()), Some("b".into()), None, Some("c".into()), Some("d".into())]);
        assert!(results[2].as_ref().is_err_and(|failure| failure.code == FailureCode::ModelFailed));
    }
}

#[test]
fn a_page_whose_zoomed_pass_fails_fails_alone() {
    let reduced = BatchPolicy { detection_page_pixels: 224 * 288, ..pooled() };
    for (mood, second) in [(ColorModelFault::Reads, Some("x\nx")), (ColorModelFault::DetectionFailsCloserOn('x'), None)]
    {
        let pages = ["a", "xx", "b"].map(|text| ColorPage::new(text).image());
        let results = read(&ColorModel::with(mood), reduced.clone(), &pages);
        assert_eq!(texts(&results), [Some("a"), second, Some("b")].map(|text| text.map(str::to_owned)), "{mood:?}");
    }
}

#[test]
fn lines_with_low_confidence_are_dropped() {
    let model = ColorModel::with(ColorModelFault::UnsureOn('x'));
    let results = read(&model, pooled(), &[ColorPage::new("axb").image()]);
    assert_eq!(texts(&results), some(&["a\nb"]));
}

#[test]
fn polygons_are_in_coordinates_of_the_original_page() {
    let page = ColorPage::new("a");
    let width = page.width * 4;
    let height = page.height() * 2;
    let results = read(&ColorModel::default(), pooled(), &[page.image().of_page(width, height)]);
    let text = results[0].as_ref().expect("the page is readable");
    assert_eq!((text.width, text.height), (width, height));
    let [start, end, _, below] = text.lines[0].polygon.expect("the line has a polygon");
    let x = ColorPage::LEFT as f32 * 4.0;
    let y = ColorPage::TOP as f32 * 2.0;
    assert!(start[0] < x && x - start[0] < 80.0 && start[1] < y && y - start[1] < 40.0, "{start:?}");
    assert!(end[0] > start[0] + 4.0 * 200.0 && below[1] > start[1] + 2.0 * 20.0);
}

#[test]
fn a_page_reads_the_same_in_every_orientation() {
    let upright = ColorPage::new("abcde");
    for turns in 0..4_u16 {
        let results = read(&ColorModel::default(), pooled(), &[upright.turned(turns)]);
        let text = results[0].as_ref().expect("the page is readable");
        assert_eq!(text.text(), "a\nb\nc\nd\ne", "{turns} quarter turns");
        assert_eq!(text.rotation, (4 - turns) % 4 * 90);
    }
}

#[test]
fn pages_of_extreme_sizes_have_a_result() {
    let odd = [(1, 1), (10_000, 10), (10, 10_000), (3, 2_000), (33, 31)];
    let pages = odd.map(|(width, height)| PageImage::new(width, height, vec![0; (width * height * 3) as usize]));
    for result in read(&ColorModel::default(), BatchPolicy::for_provider(Provider::OnnxRuntime), &pages) {
        assert!(result.is_ok(), "{result:?}");
    }
    assert_eq!(read(&ColorModel::default(), BatchPolicy::for_provider(Provider::OnnxRuntime), &[]).len(), 0);
}

#[test]
fn a_precise_model_reads_again_what_a_fast_one_is_not_certain_of() {
    let fast = ColorModel::with(ColorModelFault::UnsureOn('b'));
    let precise = ColorModel::default();
    let name: EngineName = "pp-ocr@auto".parse().expect("a name");
    let policy = BatchPolicy::for_provider(Provider::OnnxRuntime);
    let mut engine = Engine::tiered(name.clone(), Box::new(fast.clone()), Box::new(precise.clone()), policy);
    let results = engine.read(&[ColorPage::new("abcd").image(), ColorPage::new("ef").image()]);
    assert_eq!(texts(&results), some(&["a\nb\nc\nd", "e\nf"]));
    let page = results[0].as_ref().expect("the page is readable");
    assert_eq!((&page.engine, engine.name()), (&name, name.clone()));
    assert!(page.lines.iter().all(|line| line.confidence.is_some_and(|confidence| confidence > 0.98)), "{page:?}");
    assert_eq!((fast.detected(), precise.detected()), (vec![], vec![1, 1]));
    assert_eq!(precise.recognized(), [1], "only the line with b");
    assert!(fast.recognized().len() >= 6);
    assert_eq!(engine.take_costs().recognition.items, fast.recognized().len() as u64 + 1);
}
