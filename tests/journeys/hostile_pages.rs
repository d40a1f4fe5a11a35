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

use crate::{
    harness::{ServeOptions, ServeProcess, TestPage, UploadFile, png, png_header, quire, without_whitespace},
    poison_pages::outcomes,
};

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

/// Returns a PDF of 586 bytes whose form draws itself twice, and that twice, and so on.
fn pdf_that_draws_itself() -> Vec<u8> {
    let form = "/Type/XObject/Subtype/Form/BBox[0 0 595 842]/Resources<</XObject<</F 4 0 R>>>>";
    let objects = [
        "<</Type/Catalog/Pages 2 0 R>>",
        "<</Type/Pages/Count 1/Kids[3 0 R]>>",
        "<</Type/Page/Parent 2 0 R/MediaBox[0 0 595 842]/Contents 5 0 R/Resources<</XObject<</F 4 0 R>>>>>>",
        &format!("<<{form}/Length 11>>stream\n/F Do /F Do\nendstream"),
        "<</Length 5>>stream\n/F Do\nendstream",
    ];
    let mut file = "%PDF-1.7\n".to_owned();
    for (number, object) in (1..).zip(objects) {
        file.extend([&number.to_string(), " 0 obj\n", object, "\nendobj\n"]);
    }
    // Without a cross-reference table, which readers rebuild.
    file += "trailer\n<</Root 1 0 R>>\n%%EOF\n";
    file.into_bytes()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pdf_that_draws_itself_is_too_complex_and_its_neighbor_is_read() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let options = ServeOptions::new(folder.path()).workers(1).variable("QUIRE_SANDBOX_MEMORY_MB", "64");
    let serve = ServeProcess::start(options.variable("QUIRE_SANDBOX_PAGE_SECS", "5")).await;
    let files = [
        UploadFile::new("bomb.pdf", pdf_that_draws_itself()),
        UploadFile::new("aside.png", png(&TestPage::new("Aside"))),
    ];
    let id = serve.api().submit_without_callback(files).await.accepted_task_id();
    let task = serve.api().await_end(&id).await;
    assert_eq!(outcomes(&task), ["too_complex", "Aside"], "{task:#}");
    let message = &task["documents"][0]["pages"][0]["error"]["message"];
    assert!(message.as_str().is_some_and(|message| message.contains("Page 1 is too complex")), "{task:#}");
    let health = serve.api().get("/healthz").await;
    assert_eq!(health.body["workers"]["restarts"], 0, "the worker lives on");
}
