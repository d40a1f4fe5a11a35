//! GPU features on a CPU: fixed shapes, argmax in the model, a shared device, and out-of-memory errors.

mod color_model;

use std::{
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    thread,
};

use color_model::{ColorModel, ColorModelFault, ColorPage};
use ndarray::{Array3, Array4, ArrayView4, Axis, s};
use quire_document::PageImage;
use quire_native_libs::Progress;
use quire_pp_ocr::{
    Alphabet, BatchPolicy, CtcStep, Device, Engine, GpuOptions, GpuPpOcr, ModelError, ModelFiles, OcrModel, PpOcr,
    Provider,
};
use quire_tasks::{EngineName, PageText};

fn files() -> ModelFiles {
    let natives = quire_native_libs::locate(&Progress::Silent).expect("the native libraries can be downloaded");
    let library = natives.onnxruntime;
    let detection = natives.detection;
    let recognition = natives.recognition;
    ModelFiles::small(library, detection, recognition)
}

/// A GPU policy that is small enough to warm up on a CPU.
fn small() -> BatchPolicy {
    BatchPolicy {
        detection_shapes: vec![(352, 256), (256, 352)],
        detection_max_pixels: 352 * 256,
        recognition_widths: vec![96, 320],
        recognition_max_width: 640,
        fixed_batches: true,
        piece_max_width: 320,
        processing_threads: 2,
        ..BatchPolicy::for_provider(Provider::Cuda)
    }
}

fn options(provider: Provider) -> GpuOptions {
    GpuOptions { provider, memory_bytes: None, engine_cache: Path::new("").to_owned() }
}

fn on_the_cpu(policy: &BatchPolicy) -> GpuPpOcr {
    GpuPpOcr::load(&files(), policy, &options(Provider::OnnxRuntime)).expect("the models are valid")
}

fn notice() -> PageImage {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data");
    let image = image::open(folder.join("notice.png")).expect("the file is a PNG image").into_rgb8();
    let (width, height) = image.dimensions();
    let mut pixels = image.into_raw();
    pixels.chunks_exact_mut(PageImage::CHANNELS).for_each(|pixel| pixel.swap(0, 2));
    PageImage::new(width, height, pixels)
}

/// Converts a page to the model input.
fn picture(page: &PageImage) -> Array3<f32> {
    let width = page.width() as usize;
    let height = page.height() as usize;
    let value = |(channel, row, column)| {
        f32::from(page.pixels()[(row * width + column) * PageImage::CHANNELS + channel]) / 127.5 - 1.0
    };
    Array3::from_shape_fn((PageImage::CHANNELS, height, width), value)
}

/// Line images across the page: some show a line, some half of one, some nothing.
fn strips(page: &PageImage, width: usize) -> Array4<f32> {
    let picture = picture(page);
    let tops: Vec<usize> = (0..picture.dim().1 - 48).step_by(24).collect();
    let mut strips = Array4::zeros((tops.len(), 3, 48, width));
    let width = width.min(picture.dim().2);
    for (top, mut strip) in tops.into_iter().zip(strips.axis_iter_mut(Axis(0))) {
        strip.slice_mut(s![.., .., ..width]).assign(&picture.slice(s![.., top..top + 48, ..width]));
    }
    strips
}

fn classes(lines: &[Vec<CtcStep>]) -> Vec<Vec<u32>> {
    lines.iter().map(|line| line.iter().map(|step| step.class).collect()).collect()
}

#[test]
fn argmax_in_the_model_matches_argmax_of_its_output() {
    let mut plain = PpOcr::load(&files(), Device::Cpu, 1).expect("the models are valid");
    let mut bound =
        on_the_cpu(&BatchPolicy { detection_shapes: Vec::new(), recognition_widths: Vec::new(), ..small() });
    assert_eq!((plain.name(), plain.alphabet()), (bound.name(), bound.alphabet()));
    let strips = strips(&notice(), 320);
    let expected = plain.recognize(strips.view()).expect("a result");
    let found = bound.recognize(strips.view()).expect("a result");
    assert_eq!(classes(&found), classes(&expected));
    // One computes a line's steps in one matrix product, the other in several; the last bits may differ.
    let pairs = found.iter().flatten().zip(expected.iter().flatten());
    let farthest = pairs.map(|(a, b)| (a.probability - b.probability).abs()).fold(0.0, f32::max);
    assert!(farthest < 1e-4, "{farthest}");
    let seen = expected.iter().flatten().filter(|step| step.class != Alphabet::BLANK && step.probability > 0.9).count();
    assert!(seen > 10, "the strips show text: {seen}");

    let mut page = Array4::zeros((2, 3, 64, 96));
    page.index_axis_mut(Axis(0), 1).assign(&picture(&notice()).slice(s![.., ..64, ..96]));
    assert_eq!(
        bound.detect(page.view()).expect("the run succeeds"),
        plain.detect(page.view()).expect("the run succeeds")
    );

    let nothing = Array4::from_elem((1, 3, 48, 64), f32::NAN);
    let steps = bound.recognize(nothing.view()).expect("a result");
    assert!(steps.iter().flatten().all(|step| step.probability.is_nan()), "probabilities are NaN");
}

#[test]
fn readers_that_share_a_device_read_the_same() {
    let policy = BatchPolicy { readers: 2, ..small() };
    let expected = {
        let mut alone = Engine::new(
            Box::new(PpOcr::load(&files(), Device::Cpu, 1).expect("the models are valid")),
            BatchPolicy::for_provider(Provider::OnnxRuntime),
        );
        alone.read(&[notice()]).remove(0).expect("the page is readable").text()
    };
    let engine = GpuPpOcr::load_engine(files(), &policy, options(Provider::OnnxRuntime)).expect("the models are valid");
    thread::scope(|scope| {
        let readers = engine.into_readers();
        assert_eq!(readers.len(), 2);
        for mut reader in readers {
            let expected = &expected;
            scope.spawn(move || {
                for text in reader.read(&[notice(), notice()]) {
                    assert_eq!(text.expect("the page is readable").text(), *expected);
                }
                let work = reader.take_costs();
                assert_eq!((work.pages, work.detection.items), (2, 2));
                assert!(work.recognition.padded > work.recognition.drawn);
            });
        }
    });
}

#[test]
fn missing_gpu_libraries_are_listed() {
    for (provider, library) in [(Provider::Cuda, "providers_cuda.so"), (Provider::TensorRt, "providers_tensorrt.so")] {
        // The CPU build of ONNX Runtime has no such provider in its folder, also on machines with a GPU.
        let text = GpuPpOcr::load(&files(), &small(), &options(provider))
            .expect_err("the provider is not available")
            .to_string();
        let expected = if cfg!(feature = "cuda") { library } else { "--features cuda" };
        assert!(text.contains(expected), "{text}");
    }
}

/// A policy with one shape for the pages of the color model.
fn pooled() -> BatchPolicy {
    BatchPolicy {
        detection_shapes: vec![(320, 384)],
        detection_max_pixels: 8 * 320 * 384,
        recognition_widths: vec![800],
        recognition_max_width: 16 * 800,
        fixed_batches: true,
        piece_max_width: 800,
        processing_threads: 3,
        ..BatchPolicy::for_provider(Provider::Cuda)
    }
}

fn texts(engine: &mut Engine, pages: &[&str]) -> Vec<Option<String>> {
    let pages: Vec<PageImage> = pages.iter().map(|text| ColorPage::new(text).image()).collect();
    engine.read(&pages).iter().map(|result| result.as_ref().ok().map(PageText::text)).collect()
}

fn some(texts: &[&str]) -> Vec<Option<String>> {
    texts.iter().map(|text| Some((*text).to_owned())).collect()
}

#[test]
fn incomplete_batches_are_padded() {
    let model = ColorModel::default();
    let mut engine = Engine::new(Box::new(model.clone()), pooled());
    assert_eq!(texts(&mut engine, &["abc", "d", "efg"]), some(&["a\nb\nc", "d", "e\nf\ng"]));
    assert_eq!((model.detected(), model.recognized()), (vec![4], vec![8]));
    let work = engine.take_costs();
    assert!((work.detection.padding_share() - 0.25).abs() < 0.1, "{work:?}");
    // The contents of the buffer from an earlier run are not read again.
    assert_eq!(texts(&mut engine, &["", "", ""]), some(&["", "", ""]));
    assert_eq!(texts(&mut engine, &["a"]), some(&["a"]));
}

#[test]
fn a_page_that_fails_in_a_padded_batch_fails_alone() {
    for mood in [ColorModelFault::DetectionFailsOn('x'), ColorModelFault::DetectionNotANumberOn('x')] {
        let mut engine = Engine::new(Box::new(ColorModel::with(mood)), pooled());
        assert_eq!(texts(&mut engine, &["a", "x", "b"]), [Some("a".to_owned()), None, Some("b".to_owned())]);
    }
    let reduced = BatchPolicy { detection_shapes: vec![(192, 288)], ..pooled() };
    let mut engine = Engine::new(Box::new(ColorModel::with(ColorModelFault::DetectionFailsCloserOn('x'))), reduced);
    assert_eq!(texts(&mut engine, &["a", "xx", "b"]), [Some("a".to_owned()), None, Some("b".to_owned())]);
    for mood in [ColorModelFault::FailsOn('x'), ColorModelFault::NotANumberOn('x')] {
        let mut engine = Engine::new(Box::new(ColorModel::with(mood)), pooled());
        assert_eq!(texts(&mut engine, &["ab", "axb", "c"]), [Some("a\nb".to_owned()), None, Some("c".to_owned())]);
    }
    let mut engine = Engine::new(Box::new(ColorModel::with(ColorModelFault::UnsureOn('x'))), pooled());
    assert_eq!(texts(&mut engine, &["axb", "x"]), some(&["a\nb", ""]));
}

#[test]
fn pages_of_other_sizes_are_placed_in_the_only_shape() {
    let model = ColorModel::default();
    let mut engine = Engine::new(Box::new(model.clone()), pooled());
    let page = ColorPage::new("abc");
    let wide = ColorPage::new("de").wide(640);
    let read: Vec<String> = engine
        .read(&[page.image(), wide.image()])
        .into_iter()
        .map(|text| text.expect("the page is readable").text())
        .collect();
    assert_eq!(read, ["a\nb\nc", "d\ne"]);
    assert_eq!(model.detected(), [2], "in one run");
}

/// A device with memory for a limited number of pages and lines.
#[derive(Clone)]
struct LimitedMemoryModel {
    model: ColorModel,
    most: (usize, usize),
    refused: Arc<AtomicUsize>,
}

impl LimitedMemoryModel {
    fn fits(&self, items: usize, most: usize) -> Result<(), ModelError> {
        if items <= most {
            return Ok(());
        }
        self.refused.fetch_add(1, Ordering::Relaxed);
        Err(ModelError::Memory("Failed to allocate memory for requested buffer of size 939524096".to_owned()))
    }
}

impl OcrModel for LimitedMemoryModel {
    fn name(&self) -> EngineName {
        self.model.name()
    }

    fn alphabet(&self) -> &Alphabet {
        self.model.alphabet()
    }

    fn detect(&mut self, pages: ArrayView4<'_, f32>) -> Result<Array3<f32>, ModelError> {
        self.fits(pages.dim().0, self.most.0)?;
        self.model.detect(pages)
    }

    fn recognize(&mut self, strips: ArrayView4<'_, f32>) -> Result<Vec<Vec<CtcStep>>, ModelError> {
        self.fits(strips.dim().0, self.most.1)?;
        self.model.recognize(strips)
    }
}

fn small_device(most: (usize, usize)) -> LimitedMemoryModel {
    LimitedMemoryModel { model: ColorModel::default(), most, refused: Arc::default() }
}

#[test]
fn out_of_memory_halves_this_run_and_later_ones() {
    let device = small_device((2, 3));
    let mut engine = Engine::new(Box::new(device.clone()), pooled());
    let pages = ["abc", "bcd", "cde", "def", "efg", "fga", "gab", "abc"];
    let expected: Vec<String> =
        pages.iter().map(|page| page.chars().map(String::from).collect::<Vec<_>>().join("\n")).collect();
    let expected: Vec<Option<String>> = expected.into_iter().map(Some).collect();
    assert_eq!(texts(&mut engine, &pages), expected);
    assert!(device.model.detected().iter().all(|&pages| pages <= 2), "{:?}", device.model.detected());
    let refused = device.refused.load(Ordering::Relaxed);
    assert!(refused > 0);
    // Runs of 8, 4 and 4 pages and of 16, 8 … lines failed; from now on none fails.
    assert_eq!(texts(&mut engine, &pages), expected);
    assert_eq!(device.refused.load(Ordering::Relaxed), refused, "what was learned is kept");
}

#[test]
fn out_of_memory_reduces_runs_to_one_item() {
    let mut engine = Engine::new(Box::new(small_device((1, 1))), pooled());
    assert_eq!(texts(&mut engine, &["ab", "cd", "efg"]), some(&["a\nb", "c\nd", "e\nf\ng"]));
    let mut engine = Engine::new(Box::new(small_device((0, 1))), pooled());
    assert_eq!(texts(&mut engine, &["ab"]), [None], "what has no memory alone fails, and does not come back for ever");
}
