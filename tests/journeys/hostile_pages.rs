//! Pages at the edge of what a page can be, through `quire read`: each has an answer or a clear code, at once.

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

use crate::harness::{Sheet, png, png_header, quire, squeezed};

fn encoded(image: impl Into<DynamicImage>, format: ImageFormat) -> Vec<u8> {
    let mut bytes = Cursor::new(Vec::new());
    image.into().write_to(&mut bytes, format).expect("it can be encoded");
    bytes.into_inner()
}

fn as_png(image: impl Into<DynamicImage>) -> Vec<u8> {
    encoded(image, ImageFormat::Png)
}

/// Noise: any will do, the same one every time.
fn noise(width: u32, height: u32) -> RgbImage {
    let mut state = 0x2545_f491_u32;
    RgbImage::from_fn(width, height, |_, _| {
        state ^= state << 13;
        state ^= state >> 17;
        state ^= state << 5;
        Rgb([state as u8, (state >> 8) as u8, (state >> 16) as u8])
    })
}

/// What `quire read` says of these files: for each its text, or the code of its failure.
async fn read(files: Vec<(&str, Vec<u8>)>) -> Vec<(String, String)> {
    let folder = tempfile::tempdir().expect("a folder");
    let mut arguments: Vec<String> = ["read", "--format", "json"].map(str::to_owned).into();
    let names: Vec<String> = files.iter().map(|(name, _)| (*name).to_owned()).collect();
    for (name, bytes) in files {
        let path = folder.path().join(name);
        fs::write(&path, bytes).expect("a file");
        arguments.push(path.to_string_lossy().into_owned());
    }
    let ended = quire(arguments).await;
    let answers: Value = serde_json::from_str(&ended.stdout).unwrap_or_else(|error| panic!("{error}: {ended:#?}"));
    let said = |answer: &Value| {
        let code = answer["error"]["code"].as_str().or(answer["pages"][0]["error"]["code"].as_str());
        code.map_or_else(|| squeezed(answer["text"].as_str().expect("a text")), str::to_owned)
    };
    let answers = answers.as_array().expect("an array").iter().map(said);
    names.into_iter().zip(answers).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn pages_of_any_shape_and_without_text_have_an_answer() {
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
        // Says that it is larger than any page may be.
        ("bomb.png", png_header(60_000, 60_000)),
    ];
    let started = Instant::now();
    let answers = read(files).await;
    assert!(started.elapsed() < Duration::from_mins(1), "{:?}", started.elapsed());
    for (name, said) in answers {
        let expected = if name == "bomb.png" { "too_many_pixels" } else { "" };
        assert_eq!(said, expected, "{name}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_text_reads_the_same_in_every_kind_of_image() {
    let sheet = image::load_from_memory(&png(&Sheet::new("Seven kinds"))).expect("a PNG");
    let (width, height) = sheet.dimensions();
    let gray = sheet.to_luma8();
    let ink = |x: u32, y: u32| gray.get_pixel(x, y).0[0] < 128;
    // The text is only in how transparent it is; the color below is black everywhere.
    let clear = RgbaImage::from_fn(width, height, |x, y| Rgba([0, 0, 0, if ink(x, y) { 255 } else { 0 }]));
    let wide = image::ImageBuffer::<Luma<u16>, _>::from_fn(width, height, |x, y| {
        Luma([if ink(x, y) { 0x0101_u16 } else { 0xfefe }])
    });
    let two = GrayImage::from_fn(width, height, |x, y| Luma([if ink(x, y) { 0 } else { 255 }]));
    let huge = imageops::resize(&gray, width * 4, height * 4, imageops::FilterType::Triangle);
    let read = read(vec![
        ("color.png", as_png(sheet.clone())),
        ("gray.jpg", encoded(gray.clone(), ImageFormat::Jpeg)),
        ("clear.png", as_png(clear)),
        ("wide.png", as_png(wide)),
        ("two.bmp", encoded(two, ImageFormat::Bmp)),
        ("gray.tiff", encoded(gray, ImageFormat::Tiff)),
        ("color.webp", encoded(sheet, ImageFormat::WebP)),
        ("giant.png", as_png(huge)),
    ]);
    for (name, said) in read.await {
        assert_eq!(said, "Sevenkinds", "{name}");
    }
}

/// What is made for printers, and what has few colors, decodes: what it says is its tests' business.
#[tokio::test(flavor = "multi_thread")]
async fn images_of_rare_kinds_have_an_answer() {
    let fixtures = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../shared/document/tests/fixtures");
    let names = ["cmyk.jpg", "cmyk.tif", "palette.tif", "g4.tif", "big.tif"];
    let files = names.map(|name| (name, fs::read(fixtures.join(name)).expect("a fixture")));
    for (name, said) in read(files.into()).await {
        assert!(!said.contains('_'), "{name} has failed: {said}");
    }
}
