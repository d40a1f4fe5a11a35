//! The picture in the root README shows what the program reads: line boxes on a page, and the text of each line.

use std::{fmt::Write as _, fs, io::Cursor, process::Command};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use image::{ImageFormat, codecs::jpeg::JpegEncoder, imageops::FilterType};
use serde_json::Value;

use crate::{QUIRE, root};

const SAMPLE: &str = "samples/receipt.png";
const PICTURE: &str = "samples/receipt.svg";
/// Set to 1, the test writes the picture instead of comparing it.
const UPDATE: &str = "UPDATE_PICTURE";
const UPDATE_COMMAND: &str = "UPDATE_PICTURE=1 cargo test -p quire --test documentation picture";

/// The width of the page in the picture, in its units.
const PAGE_WIDTH: u32 = 420;
/// Where the texts start, and how far apart they are.
const TEXT_LEFT: u32 = PAGE_WIDTH + 30;
const PICTURE_WIDTH: u32 = 820;
const QUALITY: u8 = 60;
/// CPUs round differently: boxes of the same line may differ by this much, in the picture's units.
const TOLERANCE: f64 = 3.0;

/// A line as the picture shows it.
#[derive(Debug, PartialEq)]
struct ShownLine {
    /// Its text, escaped for XML.
    text: String,
    /// The corners of its box, x and y in turns, in the picture's units.
    corners: Vec<f64>,
}

#[test]
fn the_picture_shows_what_the_program_reads() {
    let page = read_sample();
    let lines = shown_lines(&page);
    assert!(lines.len() > 10, "too few lines: {lines:?}");
    let path = root().join(PICTURE);
    if std::env::var_os(UPDATE).is_some() {
        fs::write(&path, draw(&page, &lines)).expect("the picture can be written");
        return;
    }
    let committed = fs::read_to_string(&path).expect("the picture exists");
    let known = parse(&committed);
    let texts = |lines: &[ShownLine]| lines.iter().map(|line| line.text.clone()).collect::<Vec<_>>();
    assert_eq!(texts(&known), texts(&lines), "{PICTURE} is outdated; update it with: {UPDATE_COMMAND}");
    for (old, new) in known.iter().zip(&lines) {
        let near = old.corners.iter().zip(&new.corners).all(|(old, new)| (old - new).abs() <= TOLERANCE);
        assert!(near, "{PICTURE} is outdated: {old:?}, but now {new:?}; update it with: {UPDATE_COMMAND}");
    }
}

/// The sample's page, as `quire read --format json` prints it. With ONNX Runtime, which every machine has.
fn read_sample() -> Value {
    let output = Command::new(QUIRE)
        .args(["read", "--format", "json", "--workers", "1", "--provider", "onnxruntime"])
        .arg(root().join(SAMPLE))
        .output()
        .expect("quire starts");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let entries: Value = serde_json::from_slice(&output.stdout).expect("quire prints JSON");
    entries[0]["pages"][0].clone()
}

fn shown_lines(page: &Value) -> Vec<ShownLine> {
    let scale = f64::from(PAGE_WIDTH) / page["width"].as_f64().expect("a page has a width");
    let lines = page["lines"].as_array().expect("a page has lines");
    let shown = lines.iter().map(|line| {
        let corners = line["polygon"].as_array().expect("PP-OCR knows where a line is").iter();
        let numbers = corners.flat_map(|corner| corner.as_array().expect("a corner is x and y"));
        ShownLine {
            text: escaped(line["text"].as_str().expect("a line has text")),
            corners: numbers.map(|number| number.as_f64().expect("a number") * scale).collect(),
        }
    });
    shown.collect()
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}

/// Draws the picture: an SVG with the page, its boxes with numbers, and the numbered texts.
fn draw(page: &Value, lines: &[ShownLine]) -> String {
    let (jpeg, page_height) = page_image();
    let step = page_height / (lines.len() as u32 + 1);
    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {PICTURE_WIDTH} {page_height}\" \
         font-family=\"sans-serif\">\n<title>What quire reads on {SAMPLE}</title>\n\
         <rect width=\"{PICTURE_WIDTH}\" height=\"{page_height}\" fill=\"#fff\"/>\n\
         <image width=\"{PAGE_WIDTH}\" height=\"{page_height}\" href=\"data:image/jpeg;base64,{jpeg}\"/>\n"
    );
    for (index, line) in lines.iter().enumerate() {
        let (number, y) = (index + 1, step * (index as u32 + 1));
        let points: Vec<String> = line.corners.iter().map(|number| format!("{number:.1}")).collect();
        let (left, top) = (line.corners[0] - 4.0, line.corners[1] + 11.0);
        write!(
            svg,
            "<polygon points=\"{}\" fill=\"#06c\" fill-opacity=\".12\" stroke=\"#06c\"/>\n\
             <text x=\"{left:.1}\" y=\"{top:.1}\" font-size=\"9\" text-anchor=\"end\" fill=\"#06c\">{number}</text>\n\
             <text x=\"{TEXT_LEFT}\" y=\"{y}\" font-size=\"11\" text-anchor=\"end\" fill=\"#06c\">{number}</text>\n\
             <text class=\"line\" x=\"{}\" y=\"{y}\" font-size=\"15\" fill=\"#222\">{}</text>\n",
            points.join(" "),
            TEXT_LEFT + 10,
            line.text
        )
        .expect("a string can be written");
    }
    let engine = &page["engine"];
    write!(svg, "<!-- engine: {engine} -->\n</svg>\n").expect("a string can be written");
    svg
}

/// The sample as a small JPEG in base64, and its height in the picture's units.
fn page_image() -> (String, u32) {
    let image = image::open(root().join(SAMPLE)).expect("the sample is a picture");
    let height = image.height() * PAGE_WIDTH / image.width();
    // Twice the units, for screens with twice the density.
    let small = image.resize_exact(PAGE_WIDTH * 2, height * 2, FilterType::Lanczos3).into_luma8();
    let mut jpeg = Cursor::new(Vec::new());
    let encoder = JpegEncoder::new_with_quality(&mut jpeg, QUALITY);
    small.write_with_encoder(encoder).expect("a picture becomes a JPEG");
    debug_assert_eq!(image::guess_format(jpeg.get_ref()).ok(), Some(ImageFormat::Jpeg));
    (STANDARD.encode(jpeg.into_inner()), height)
}

/// The lines of a committed picture.
fn parse(svg: &str) -> Vec<ShownLine> {
    let between = |text: &str, start: &str, end: &str| {
        let (_, rest) = text.split_once(start)?;
        Some(rest.split_once(end)?.0.to_owned())
    };
    let boxes = svg.split("<polygon ").skip(1);
    let lines = boxes.map(|part| ShownLine {
        corners: between(part, "points=\"", "\"")
            .expect("a polygon has points")
            .split(' ')
            .map(|number| number.parse().expect("a number"))
            .collect(),
        text: between(part, "<text class=\"line\"", "</text>")
            .and_then(|rest| Some(rest.split_once('>')?.1.to_owned()))
            .expect("a box has its text"),
    });
    lines.collect()
}
