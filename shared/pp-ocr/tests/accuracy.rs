//! The real models on pages as in practice: rotated, upside down, in columns, with text at the edges.

use std::path::{Path, PathBuf};

use image::{Rgb, RgbImage, imageops};
use quire_document::PageImage;
use quire_native_libs::Progress;
use quire_pp_ocr::{BatchPolicy, Device, Engine, ModelFiles, PpOcr, Provider};
use quire_tasks::{PageText, Script, WarningCode, WarningKind};

fn engine() -> Engine {
    let natives = quire_native_libs::locate(&Progress::Silent).expect("the native libraries can be downloaded");
    let library = natives.onnxruntime;
    let detection = natives.detection;
    let recognition = natives.recognition;
    let files = ModelFiles::small(library, detection, recognition);
    let model = PpOcr::load(&files, Device::Cpu, 1).expect("the models are valid");
    Engine::new(Box::new(model), BatchPolicy::for_provider(Provider::OnnxRuntime))
}

fn data(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data").join(name)
}

fn notice() -> RgbImage {
    image::open(data("notice.png")).expect("the file is a PNG image").into_rgb8()
}

fn read(image: RgbImage) -> PageText {
    let (width, height) = image.dimensions();
    let mut pixels = image.into_raw();
    pixels.chunks_exact_mut(PageImage::CHANNELS).for_each(|pixel| pixel.swap(0, 2));
    engine().read(&[PageImage::new(width, height, pixels)]).remove(0).expect("the page is readable")
}

fn expected() -> String {
    std::fs::read_to_string(data("notice.txt")).expect("the text file can be read").trim_end().to_owned()
}

fn without_blanks(text: &str) -> String {
    text.split_whitespace().collect()
}

/// Rotates the image around its center on a larger canvas.
fn slanted(image: &RgbImage, degrees: f32) -> RgbImage {
    let (width, height) = image.dimensions();
    let (sine, cosine) = degrees.to_radians().sin_cos();
    let margin = (height.max(width) as f32 * sine.abs()) as u32;
    let mut sheet = RgbImage::from_pixel(width + margin, height + margin, Rgb([255; 3]));
    let middle = |side: u32| side as f32 / 2.0;
    for (x, y, pixel) in sheet.enumerate_pixels_mut() {
        let u = x as f32 - middle(width + margin);
        let v = y as f32 - middle(height + margin);
        let x = u * cosine + v * sine + middle(width);
        let y = v * cosine - u * sine + middle(height);
        if let Some(found) = imageops::interpolate_bilinear(image, x, y) {
            *pixel = found;
        }
    }
    sheet
}

#[test]
fn a_rotated_page_reads_like_a_straight_one() {
    let text = read(slanted(&notice(), 7.0));
    assert_eq!((without_blanks(&text.text()), text.rotation), (without_blanks(&expected()), 0));
}

#[test]
fn a_page_cut_close_to_its_text_loses_no_line() {
    let notice = notice();
    let dark = |x: u32, y: u32| notice.get_pixel(x, y).0[1] < 200;
    let (width, height) = notice.dimensions();
    let rows: Vec<u32> = (0..height).filter(|&y| (0..width).any(|x| dark(x, y))).collect();
    let columns: Vec<u32> = (0..width).filter(|&x| (0..height).any(|y| dark(x, y))).collect();
    let top = rows[0];
    let bottom = rows[rows.len() - 1];
    let left = columns[0];
    let right = columns[columns.len() - 1];
    let cut = imageops::crop_imm(&notice, left, top, right + 1 - left, bottom + 1 - top).to_image();
    assert!(cut.width() < width && cut.height() < height);
    assert_eq!(without_blanks(&read(cut).text()), without_blanks(&expected()));
}

/// Removes blank rows, so that at most four are left between lines.
fn closely_set(image: &RgbImage) -> RgbImage {
    let is_blank = |y: u32| (0..image.width()).all(|x| image.get_pixel(x, y).0[1] > 200);
    let rows: Vec<u32> = (4..image.height()).filter(|&y| !(y - 4..=y).all(is_blank)).collect();
    RgbImage::from_fn(image.width(), rows.len() as u32, |x, y| *image.get_pixel(x, rows[y as usize]))
}

#[test]
fn columns_with_a_gutter_as_narrow_as_a_space_are_read_one_after_the_other() {
    const ROWS: i64 = 12;
    let notice = notice();
    let line = |top: u32, right: u32| imageops::crop_imm(&notice, 54, top, right - 54, 28).to_image();
    let left = line(112, 485);
    let right = imageops::resize(&line(171, 430), 430, 30, imageops::FilterType::Triangle);
    let mut page = RgbImage::from_pixel(1000, 480, Rgb([255; 3]));
    for row in 0..ROWS {
        imageops::overlay(&mut page, &left, 40, 30 + 33 * row);
        imageops::overlay(&mut page, &right, 40 + 431 + 12, 29 + 33 * row);
    }
    let lines: Vec<String> = read(page).lines.into_iter().map(|line| without_blanks(&line.text)).collect();
    let column = |line: &str| vec![without_blanks(line); ROWS as usize];
    let expected = expected();
    let texts: Vec<&str> = expected.lines().collect();
    assert_eq!(lines, [column(texts[1]), column(texts[2])].concat());
}

#[test]
fn small_print_below_large_print_is_read() {
    let notice = notice();
    let (width, height) = notice.dimensions();
    let large = imageops::resize(&notice, 4 * width, 4 * height, imageops::FilterType::Triangle);
    let small = closely_set(&notice);
    let mut page = RgbImage::from_pixel(3000, 4000, Rgb([255; 3]));
    imageops::overlay(&mut page, &large, 100, 100);
    imageops::overlay(&mut page, &small, 200, 3500);
    let twice = [expected(), expected()].concat();
    assert_eq!(without_blanks(&read(page).text()), without_blanks(&twice));
}

#[test]
fn a_blurred_line_has_a_low_confidence() {
    let notice = notice();
    let (width, height) = notice.dimensions();
    let confidence = |image: RgbImage| read(image).confidence().unwrap_or(0.0);
    let clear = confidence(notice.clone());
    // Reduced until letters are three pixels tall, and enlarged again.
    let small = imageops::resize(&notice, width / 5, height / 5, imageops::FilterType::Triangle);
    let blurred = confidence(imageops::resize(&small, width, height, imageops::FilterType::Triangle));
    assert!(clear > 0.9 && blurred < 0.5, "{clear} {blurred}");
}

/// Three lines of an invoice in each script.
#[test]
fn scripts_that_the_engine_cannot_read_are_reported() {
    let scripts = [
        Script::Arabic,
        Script::Cyrillic,
        Script::Devanagari,
        Script::Greek,
        Script::Hangul,
        Script::Hebrew,
        Script::Thai,
        Script::Vietnamese,
        Script::Other,
    ];
    for script in scripts {
        let file = data("scripts").join(format!("{}.png", script.as_str()));
        let page = read(image::open(file).expect("the file is a PNG image").into_rgb8());
        let lines = page.warnings.iter().map(|warning| match warning.kind {
            WarningKind::UnreadableScript { script: reported, lines } if reported == script => lines,
            _ => 0,
        });
        assert_eq!(lines.sum::<u32>(), 3, "{script:?}: {:?}", page.warnings);
        assert!(page.lines.iter().all(|line| line.confidence.is_some_and(|confidence| confidence < 0.1)), "{page:?}");
    }
    assert_eq!(read(notice()).warnings, []);
    let mirrored = read(imageops::flip_horizontal(&notice()));
    assert!(mirrored.warning_codes().contains(&WarningCode::Mirrored), "{:?}", mirrored.warnings);
}
