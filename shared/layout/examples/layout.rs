//! Analyzes pages that were read, and prints them as the JSON of documents, or as Markdown:
//!
//! ```sh
//! quire read --format json FOLDER/*.png > read.json
//! for page in FOLDER/*.png; do magick "$page" -colorspace gray "$page.pgm"; done
//! cargo run --release -p quire-layout --example layout -- read.json FOLDER [json | markdown | time]
//! ```
#![expect(clippy::print_stdout, reason = "a command prints its results")]

use std::{error::Error, path::Path, time::Instant};

use quire_formats::{TextFormat, TextWriter};
use quire_layout::{GrayImage, analyze};
use quire_tasks::PageText;
use serde_json::{Value, json};

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [read, folder, rest @ ..] = &arguments[..] else {
        return Err("usage: layout READ.json FOLDER [FORMAT]".into());
    };
    let format = rest.first().map_or("json", String::as_str);
    let mut documents: Vec<Value> = serde_json::from_str(&std::fs::read_to_string(read)?)?;
    let (mut pages, mut milliseconds) = (0, 0.0);
    for document in &mut documents {
        let file = document["file"].as_str().unwrap_or_default().to_owned();
        let page = &mut document["pages"][0];
        if page["width"].is_null() {
            continue;
        }
        let text = PageText { blocks: Vec::new(), ..serde_json::from_value(page.clone())? };
        let gray = read_pgm(&std::fs::read(Path::new(folder).join(format!("{file}.pgm")))?)?;
        let started = Instant::now();
        let layout = analyze(&gray, &text);
        milliseconds += 1000.0 * started.elapsed().as_secs_f64();
        pages += 1;
        page["blocks"] = json!(layout.blocks);
        page["warnings"] = json!(layout.warnings);
        if format == "markdown" {
            let read = PageText { blocks: layout.blocks, ..text };
            let mut writer = TextWriter::new(TextFormat::Markdown);
            let out = writer.page(Some(&read));
            println!("=== {file}\n{out}{}", writer.end());
        }
    }
    match format {
        "json" => println!("{}", serde_json::to_string(&documents)?),
        "time" => println!("{:.2} ms a page, {pages} pages", milliseconds / f64::from(pages.max(1))),
        _ => {}
    }
    Ok(())
}

/// Reads a portable graymap of 8 bits, without comments.
fn read_pgm(bytes: &[u8]) -> Result<GrayImage, Box<dyn Error>> {
    let mut fields = bytes.splitn(5, u8::is_ascii_whitespace);
    let mut field = || fields.next().ok_or("the graymap is cut off");
    if field()? != b"P5" {
        return Err("not a binary graymap".into());
    }
    let width: usize = std::str::from_utf8(field()?)?.parse()?;
    let height: usize = std::str::from_utf8(field()?)?.parse()?;
    let _largest = field()?;
    Ok(GrayImage::new(width, height, field()?.to_vec()))
}
