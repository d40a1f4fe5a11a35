//! PP-OCR with OpenVINO, and errors that are the same for both providers. The libraries are downloaded on first use. On
//! systems without OpenVINO only ONNX Runtime is tested.

use std::{fs, path::Path};

use image::{RgbImage, imageops};
use ndarray::Array4;
use quire_document::PageImage;
use quire_native_libs::{Models, Progress, has_openvino};
use quire_pp_ocr::{BatchPolicy, CtcStep, Engine, LoadError, ModelFiles, OcrModel, PpOcr, Provider};

fn providers() -> Vec<Provider> {
    let all = [Provider::OnnxRuntime, Provider::OpenVino];
    all.into_iter().filter(|provider| *provider != Provider::OpenVino || has_openvino()).collect()
}

fn files(provider: Provider) -> ModelFiles {
    let Models { detection, recognition } =
        quire_native_libs::models(&Progress::Silent).expect("the models can be downloaded");
    let library = match provider {
        Provider::OpenVino => quire_native_libs::openvino(&Progress::Silent),
        _ => quire_native_libs::onnxruntime(&Progress::Silent),
    };
    ModelFiles::small(library.expect("the library can be downloaded"), detection, recognition)
}

fn load(provider: Provider) -> PpOcr {
    PpOcr::load(&files(provider), provider, 1).expect("the models are valid")
}

fn data(name: &str) -> std::path::PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data").join(name)
}

fn page(image: RgbImage) -> PageImage {
    let (width, height) = image.dimensions();
    let mut pixels = image.into_raw();
    pixels.chunks_exact_mut(PageImage::CHANNELS).for_each(|pixel| pixel.swap(0, 2));
    PageImage::new(width, height, pixels)
}

#[test]
fn a_bilingual_page_reads_the_same_with_every_provider() {
    let notice = image::open(data("notice.png")).expect("the file is a PNG image").into_rgb8();
    let expected = fs::read_to_string(data("notice.txt")).expect("the text file can be read");
    for provider in providers() {
        let model = load(provider);
        assert_eq!(model.provider(), provider);
        let mut engine = Engine::new(Box::new(model), BatchPolicy::for_provider(provider));
        for (image, rotation) in [(notice.clone(), 0), (imageops::rotate180(&notice), 180)] {
            let text = engine.read(&[page(image)]).remove(0).expect("the page is readable");
            assert_eq!((text.text().as_str(), text.rotation), (expected.trim_end(), rotation), "{provider}");
        }
    }
}

#[test]
fn a_nan_input_does_not_affect_the_next_run() {
    for provider in providers() {
        let mut model = load(provider);
        let strips = Array4::from_elem((2, 3, 48, 64), f32::NAN);
        let steps = model.recognize(strips.view()).expect("the run succeeds");
        assert_eq!(steps.iter().map(Vec::len).collect::<Vec<_>>(), [8, 8], "{provider}");
        // ONNX Runtime propagates NaN; OpenVINO's kernels compute max(NaN, 0) = 0.
        let probable = |step: &CtcStep| step.probability.is_nan() || (0.0..=1.0).contains(&step.probability);
        assert!(steps.iter().flatten().all(probable), "{provider}: {steps:?}");
        let map = model.detect(Array4::from_elem((1, 3, 32, 64), f32::INFINITY).view()).expect("the run succeeds");
        assert_eq!(map.dim(), (1, 32, 64));
        let blank = model.recognize(Array4::zeros((1, 3, 48, 64)).view()).expect("the run succeeds");
        assert!(blank[0].iter().all(|step| (0.0..=1.0).contains(&step.probability)), "{provider}: {blank:?}");
    }
}

fn refused(files: &ModelFiles, provider: Provider) -> String {
    PpOcr::load(files, provider, 1).expect_err("the files are not PP-OCRv6").to_string()
}

#[test]
fn every_provider_has_the_same_errors_for_invalid_files() {
    let folder = tempfile::tempdir().expect("the folder can be created");
    let whole = fs::read(files(Provider::OnnxRuntime).recognition).expect("the model can be read");
    let place =
        |text: &[u8]| whole.windows(text.len()).position(|window| window == text).expect("the model contains the text");
    let with = |at: usize, byte: u8| {
        let mut bytes = whole.clone();
        bytes[at] = byte;
        bytes
    };
    let characters = place(b"character");
    let line_end = characters
        + 64
        + whole[characters + 64..].iter().position(|&byte| byte == b'\n').expect("the metadata has several lines");
    let cases = [
        ("half.onnx", whole[..whole.len() / 2].to_vec(), "the file is truncated: expected at least 21"),
        ("empty.onnx", Vec::new(), "not an ONNX file"),
        ("page.onnx", b"<html>not found</html>".to_vec(), "cannot load the model"),
        ("unnamed.onnx", with(characters, b'C'), "expected an entry `character`"),
        ("fewer.onnx", with(line_end, b'x'), "an entry of 18709 classes, expected an entry `character`"),
    ];
    for (name, bytes, expected) in cases {
        let path = folder.path().join(name);
        fs::write(&path, bytes).expect("the file can be written");
        let said = providers().into_iter().map(|provider| {
            let files = ModelFiles { recognition: path.clone(), ..files(provider) };
            refused(&files, provider)
        });
        for said in said {
            assert!(said.contains(expected) && said.contains(name), "{said}");
        }
    }
}

#[test]
fn swapped_models_are_an_error_with_the_expected_shape() {
    for provider in providers() {
        let ModelFiles { library, detection, recognition, .. } = files(provider);
        let swapped = ModelFiles::small(library, recognition, detection);
        assert!(refused(&swapped, provider).contains("expected one tensor of f32 [-1, 3, -1, -1]"), "{provider}");
    }
}

#[test]
fn a_second_openvino_library_is_an_error() {
    if !has_openvino() {
        return;
    }
    load(Provider::OpenVino);
    let other = ModelFiles { library: data("notice.png"), ..files(Provider::OpenVino) };
    let error = PpOcr::load(&other, Provider::OpenVino, 1).expect_err("another library is loaded");
    assert!(matches!(error, LoadError::OtherRuntime { .. }), "{error}");
}
