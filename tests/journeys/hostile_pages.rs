//! Pages of extreme shapes and rare formats through `quire read`: each returns a result or an error code in time.

use std::{
    fs,
    io::Cursor,
    path::Path,
    time::{Duration, Instant},
};

use image::{
    DynamicImage, GenericImageView as _, GrayImage, ImageFormat, Luma, Rgb, RgbImage, Rgba, RgbaImage, imageops,
};
use serde_json::Value;

use crate::harness::{TestPage, png, png_header, quire, without_whitespace};

fn encoded(image: impl Into<DynamicImage>, format: ImageFormat) -> Vec<u8> {
    let mut bytes = Cursor::new(Vec::new());
    image.into().write_to(&mut bytes, format).expect("the image can be encoded");
    bytes.into_inner()
}

fn as_png(image: impl Into<DynamicImage>) -> Vec<u8> {
    encoded(image, ImageFormat::Png)
}

/// Returns an image of deterministic noise (xorshift32).
fn noise(width: u32, height: u32) -> RgbImage {
    let mut state = 0x2545_f491_u32;
    RgbImage::from_fn(width, height, |_, _| {
        state ^= state << 13;
        state ^= state >> 17;
        state ^= state << 5;
        Rgb([state as u8, (state >> 8) as u8, (state >> 16) as u8])
    })
}

/// Runs `quire read` on these files. Returns for each its text, or its error code.
async fn read_files(files: Vec<(&str, Vec<u8>)>) -> Vec<(String, String)> {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let mut arguments: Vec<String> = ["read", "--format", "json"].map(str::to_owned).into();
    let names: Vec<String> = files.iter().map(|(name, _)| (*name).to_owned()).collect();
    for (name, bytes) in files {
        let path = folder.path().join(name);
        fs::write(&path, bytes).expect("the file can be written");
        arguments.push(path.to_string_lossy().into_owned());
    }
    let ended = quire(arguments).await;
    let documents: Value = serde_json::from_str(&ended.stdout).unwrap_or_else(|error| panic!("{error}: {ended:#?}"));
    let results = documents.as_array().expect("an array").iter().map(text_or_error);
    names.into_iter().zip(results).collect()
}

fn text_or_error(document: &Value) -> String {
    let code = document["error"]["code"].as_str().or(document["pages"][0]["error"]["code"].as_str());
    code.map_or_else(|| without_whitespace(document["text"].as_str().expect("a text")), str::to_owned)
}

#[tokio::test(flavor = "multi_thread")]
async fn pages_of_any_shape_and_without_text_get_a_result() {
    let gray = |shade: u8, width, height| as_png(RgbImage::from_pixel(width, height, Rgb([shade; 3])));
    let files = vec![
        ("one.png", gray(0, 1, 1)),
        ("wide.png", as_png(noise(10_000, 10))),
        ("tall.png", as_png(noise(10, 10_000))),
        ("line.png", gray(0, 100_000, 1)),
        ("hair.png", gray(255, 1, 100_000)),
        ("white.png", gray(255, 800, 600)),
        ("black.png", gray(0, 800, 600)),
        ("noise.png", as_png(noise(800, 600))),
        // A decompression bomb: the header claims more pixels than the limit.
        ("bomb.png", png_header(60_000, 60_000)),
    ];
    let started = Instant::now();
    let results = read_files(files).await;
    assert!(started.elapsed() < Duration::from_mins(1), "{:?}", started.elapsed());
    for (name, result) in results {
        let expected = if name == "bomb.png" { "too_many_pixels" } else { "" };
        assert_eq!(result, expected, "{name}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_text_reads_the_same_in_every_image_format() {
    let sheet = image::load_from_memory(&png(&TestPage::new("Seven kinds"))).expect("a PNG");
    let (width, height) = sheet.dimensions();
    let gray = sheet.to_luma8();
    let ink = |x: u32, y: u32| gray.get_pixel(x, y).0[0] < 128;
    // The text is in the alpha channel only; the color is black everywhere.
    let clear = RgbaImage::from_fn(width, height, |x, y| Rgba([0, 0, 0, if ink(x, y) { 255 } else { 0 }]));
    let wide = image::ImageBuffer::<Luma<u16>, _>::from_fn(width, height, |x, y| {
        Luma([if ink(x, y) { 0x0101_u16 } else { 0xfefe }])
    });
    let two = GrayImage::from_fn(width, height, |x, y| Luma([if ink(x, y) { 0 } else { 255 }]));
    let huge = imageops::resize(&gray, width * 4, height * 4, imageops::FilterType::Triangle);
    let results = read_files(vec![
        ("color.png", as_png(sheet.clone())),
        ("gray.jpg", encoded(gray.clone(), ImageFormat::Jpeg)),
        ("clear.png", as_png(clear)),
        ("wide.png", as_png(wide)),
        ("two.bmp", encoded(two, ImageFormat::Bmp)),
        ("gray.tiff", encoded(gray, ImageFormat::Tiff)),
        ("color.webp", encoded(sheet, ImageFormat::WebP)),
        ("giant.png", as_png(huge)),
    ]);
    for (name, result) in results.await {
        assert_eq!(result, "Sevenkinds", "{name}");
    }
}

/// CMYK, palette, fax and `BigTIFF` images decode. The fixtures have no expected text.
#[tokio::test(flavor = "multi_thread")]
async fn images_of_rare_formats_get_a_result() {
    let fixtures = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../shared/document/tests/fixtures");
    let names = ["cmyk.jpg", "cmyk.tif", "palette.tif", "g4.tif", "big.tif"];
    let files = names.map(|name| (name, fs::read(fixtures.join(name)).expect("the fixture can be read")));
    for (name, result) in read_files(files.into()).await {
        // Error codes have an underscore.
        assert!(!result.contains('_'), "{name} failed: {result}");
    }
}
