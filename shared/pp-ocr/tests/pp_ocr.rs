//! The real models on a small page. They are downloaded on first use.

use std::{
    fs,
    path::{Path, PathBuf},
};

use image::{RgbImage, imageops};
use quire_document::PageImage;
use quire_native_libs::Progress;
use quire_pp_ocr::{BatchPolicy, Device, Engine, LoadError, ModelFiles, PpOcr, Provider};
use quire_tasks::PageText;

fn files() -> ModelFiles {
    let natives = quire_native_libs::locate(&Progress::Silent).expect("the native libraries can be downloaded");
    let library = natives.onnxruntime;
    let detection = natives.detection;
    let recognition = natives.recognition;
    ModelFiles::small(library, detection, recognition)
}

fn engine(policy: BatchPolicy) -> Engine {
    let model = PpOcr::load(&files(), Device::Cpu, 1).expect("the models are valid");
    Engine::new(Box::new(model), policy)
}

fn data(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data").join(name)
}

fn notice() -> RgbImage {
    image::open(data("notice.png")).expect("the file is a PNG image").into_rgb8()
}

fn expected() -> String {
    let text = fs::read_to_string(data("notice.txt")).expect("the text file can be read");
    text.trim_end().to_owned()
}

fn page(image: RgbImage) -> PageImage {
    let (width, height) = image.dimensions();
    let mut pixels = image.into_raw();
    pixels.chunks_exact_mut(PageImage::CHANNELS).for_each(|pixel| pixel.swap(0, 2));
    PageImage::new(width, height, pixels)
}

fn read(engine: &mut Engine, image: RgbImage) -> PageText {
    engine.read(&[page(image)]).remove(0).expect("the page is readable")
}

/// Shrinks the notice to print of 14 pixels, and repeats it down a page 24,000 pixels high, at every offset to the
/// tiles.
fn tall_page() -> (RgbImage, usize) {
    let (width, height) = notice().dimensions();
    let small = imageops::resize(&notice(), 600, 600 * height / width, imageops::FilterType::Triangle);
    let mut page = RgbImage::from_pixel(600, 24_000, image::Rgb([255; 3]));
    let offsets: Vec<i64> = (0..5).map(|index| 100 + index * 4_700).collect();
    for top in &offsets {
        imageops::replace(&mut page, &small, 0, *top);
    }
    (page, offsets.len())
}

#[test]
fn a_receipt_of_24_000_pixels_reads_like_its_parts() {
    let mut engine = engine(BatchPolicy::for_provider(Provider::OnnxRuntime));
    let (tall, copies) = tall_page();
    let text = read(&mut engine, tall);
    let expected = vec![expected(); copies].join("\n");
    let lines = |text: &str| text.lines().map(|line| line.replace(' ', "")).collect::<Vec<_>>();
    assert_eq!(lines(&text.text()), lines(&expected), "every line once and whole");
    assert_eq!(text.warnings, []);
}

#[test]
fn a_bilingual_page_reads_the_same_in_every_orientation() {
    let mut engine = engine(BatchPolicy::for_provider(Provider::OnnxRuntime));
    let upright = read(&mut engine, notice());
    assert_eq!(upright.text(), expected());
    assert_eq!((upright.rotation, upright.engine.version.as_str()), (0, "v6-small"));
    assert!(upright.confidence().is_some_and(|confidence| confidence > 0.9));
    let turned = [imageops::rotate90(&notice()), imageops::rotate180(&notice()), imageops::rotate270(&notice())];
    for (image, rotation) in turned.into_iter().zip([270, 180, 90]) {
        let text = read(&mut engine, image);
        assert_eq!((text.text(), text.rotation), (expected(), rotation));
    }
}

#[test]
fn a_polygon_starts_where_its_text_starts() {
    let text = read(&mut engine(BatchPolicy::for_provider(Provider::OnnxRuntime)), imageops::rotate180(&notice()));
    let [start, end, ..] = text.lines[0].polygon.expect("the line has a polygon");
    assert!(
        start[0] > end[0] && start[1] > text.height as f32 / 2.0,
        "the first line of a page on its head: {start:?}"
    );
}

#[test]
fn batches_read_what_single_lines_read() {
    let pages = [page(notice()), page(imageops::rotate180(&notice())), page(notice())];
    let policy = BatchPolicy {
        detection_max_pixels: usize::MAX,
        recognition_max_width: 4_000,
        ..BatchPolicy::for_provider(Provider::OnnxRuntime)
    };
    for text in engine(policy).read(&pages) {
        assert_eq!(text.expect("the page is readable").text(), expected());
    }
}

#[test]
fn pages_without_text_have_no_lines() {
    let mut engine = engine(BatchPolicy::for_provider(Provider::OnnxRuntime));
    for (width, height) in [(1, 1), (4_000, 7), (7, 4_000), (600, 400)] {
        for shade in [0, 255] {
            let text = read(&mut engine, RgbImage::from_pixel(width, height, image::Rgb([shade; 3])));
            assert_eq!((text.lines.len(), text.rotation), (0, 0), "{width} × {height}");
        }
    }
}

fn refused(files: &ModelFiles) -> LoadError {
    PpOcr::load(files, Device::Cpu, 1).expect_err("the files are not PP-OCRv6")
}

#[test]
fn a_truncated_model_is_an_error_with_its_path() {
    let folder = tempfile::tempdir().expect("the folder can be created");
    let files = files();
    let bytes = fs::read(&files.detection).expect("the model can be read");
    let truncated = folder.path().join("truncated.onnx");
    for length in [0, 1_000, bytes.len() / 2] {
        fs::write(&truncated, &bytes[..length]).expect("the file can be written");
        let error = refused(&ModelFiles { detection: truncated.clone(), ..files.clone() });
        assert!(matches!(&error, LoadError::Model { path, .. } if *path == truncated), "{error}");
    }
    let missing = refused(&ModelFiles { recognition: folder.path().join("none.onnx"), ..files });
    assert!(missing.to_string().contains("none.onnx"), "{missing}");
}

#[test]
fn another_model_is_an_error_with_the_expected_shape() {
    let files = files();
    let swapped = ModelFiles { detection: files.recognition.clone(), ..files.clone() };
    assert!(refused(&swapped).to_string().contains("expected one tensor of f32 [-1, 3, -1, -1]"));
    let swapped = ModelFiles { recognition: files.detection.clone(), ..files };
    assert!(refused(&swapped).to_string().contains("expected one tensor of f32 [-1, 3, 48, -1]"));
}

#[test]
fn a_second_runtime_library_is_an_error() {
    let files = files();
    PpOcr::load(&files, Device::Cpu, 1).expect("the models are valid");
    let other = ModelFiles { library: data("notice.png"), ..files };
    assert!(matches!(refused(&other), LoadError::OtherRuntime { .. }));
}

#[test]
fn missing_cuda_libraries_are_listed() {
    // The CPU build of ONNX Runtime has no CUDA provider in its folder, also on machines with a GPU.
    let error = PpOcr::load(&files(), Device::Cuda, 1).expect_err("CUDA is not available");
    let text = error.to_string();
    if cfg!(feature = "cuda") {
        assert!(text.contains("libonnxruntime_providers_cuda.so") && text.contains("LD_LIBRARY_PATH"), "{text}");
    } else {
        assert!(text.contains("--features cuda"), "{text}");
    }
}
