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
    let natives = quire_native_libs::locate(&Progress::Silent).expect("the native parts can be had");
    let (library, detection, recognition) = (natives.onnxruntime, natives.detection, natives.recognition);
    ModelFiles { library, detection, recognition }
}

fn engine(policy: BatchPolicy) -> Engine {
    let model = PpOcr::load(&files(), Device::Cpu, 1).expect("the models load");
    Engine::new(Box::new(model), policy)
}

fn data(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data").join(name)
}

fn notice() -> RgbImage {
    image::open(data("notice.png")).expect("a PNG").into_rgb8()
}

fn expected() -> String {
    let text = fs::read_to_string(data("notice.txt")).expect("the text of the page");
    text.trim_end().to_owned()
}

fn page(image: RgbImage) -> PageImage {
    let (width, height) = image.dimensions();
    let mut pixels = image.into_raw();
    pixels.chunks_exact_mut(PageImage::CHANNELS).for_each(|pixel| pixel.swap(0, 2));
    PageImage::new(width, height, pixels)
}

fn read(engine: &mut Engine, image: RgbImage) -> PageText {
    engine.read(&[page(image)]).remove(0).expect("the page can be read")
}

#[test]
fn a_bilingual_page_reads_the_same_whichever_way_up_it_is() {
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
    let [start, end, ..] = text.lines[0].polygon.expect("a place");
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
        assert_eq!(text.expect("the page can be read").text(), expected());
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
    PpOcr::load(files, Device::Cpu, 1).expect_err("these files are no PP-OCR")
}

#[test]
fn a_truncated_model_is_refused_by_its_name() {
    let folder = tempfile::tempdir().expect("a folder");
    let files = files();
    let bytes = fs::read(&files.detection).expect("the model");
    let truncated = folder.path().join("truncated.onnx");
    for length in [0, 1_000, bytes.len() / 2] {
        fs::write(&truncated, &bytes[..length]).expect("a file");
        let error = refused(&ModelFiles { detection: truncated.clone(), ..files.clone() });
        assert!(matches!(&error, LoadError::Model { path, .. } if *path == truncated), "{error}");
    }
    let missing = refused(&ModelFiles { recognition: folder.path().join("none.onnx"), ..files });
    assert!(missing.to_string().contains("none.onnx"), "{missing}");
}

#[test]
fn another_model_is_refused_with_what_was_expected() {
    let files = files();
    let swapped = ModelFiles { detection: files.recognition.clone(), ..files.clone() };
    assert!(refused(&swapped).to_string().contains("expected one tensor of f32 [-1, 3, -1, -1]"));
    let swapped = ModelFiles { recognition: files.detection.clone(), ..files };
    assert!(refused(&swapped).to_string().contains("expected one tensor of f32 [-1, 3, 48, -1]"));
}

#[test]
fn a_process_keeps_its_first_runtime() {
    let files = files();
    PpOcr::load(&files, Device::Cpu, 1).expect("the models load");
    let other = ModelFiles { library: data("notice.png"), ..files };
    assert!(matches!(refused(&other), LoadError::OtherRuntime { .. }));
}

#[test]
fn cuda_is_refused_with_what_is_missing() {
    // The CPU build of ONNX Runtime has no CUDA provider in its folder, also on machines with a GPU.
    let error = PpOcr::load(&files(), Device::Cuda, 1).expect_err("no CUDA here");
    let text = error.to_string();
    if cfg!(feature = "cuda") {
        assert!(text.contains("libonnxruntime_providers_cuda.so") && text.contains("LD_LIBRARY_PATH"), "{text}");
    } else {
        assert!(text.contains("--features cuda"), "{text}");
    }
}
