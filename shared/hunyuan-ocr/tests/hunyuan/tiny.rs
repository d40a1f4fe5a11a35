//! The tiny model of `export/export.py --tiny`, its pages, and the output of transformers' `generate()`.

use std::{collections::VecDeque, path::PathBuf};

use quire_document::PageImage;
use quire_hunyuan_ocr::{Device, HunyuanFiles, HunyuanOcr, HunyuanOptions};
use quire_native_libs::Progress;
use quire_ocr::{PageFeed, PageJob, PageReading, ReadError};
use serde_json::Value;

/// A page with its expected result.
#[derive(Debug, Clone)]
pub(crate) struct ReferencePage {
    pub(crate) image: PageImage,
    pub(crate) tokens: Vec<u32>,
    pub(crate) text: String,
}

pub(crate) fn data(path: &str) -> PathBuf {
    [env!("CARGO_MANIFEST_DIR"), "tests/data/hunyuan-tiny", path].iter().collect()
}

fn references_file() -> Value {
    let text = std::fs::read_to_string(data("references.json")).expect("the references can be read");
    serde_json::from_str(&text).expect("the references are JSON")
}

pub(crate) fn references() -> Vec<ReferencePage> {
    let pages = references_file()["pages"].as_array().expect("the value is a list").clone();
    let token = |token: &Value| token.as_u64().expect("the value is a token") as u32;
    let reference = |page: &Value| ReferencePage {
        image: image(page["page"].as_str().expect("the reference has a name")),
        tokens: page["tokens"].as_array().expect("the value is a list").iter().map(token).collect(),
        text: page["text"].as_str().expect("the value is a string").to_owned(),
    };
    pages.iter().map(reference).collect()
}

fn image(name: &str) -> PageImage {
    let image = image::open(data(&format!("pages/{name}.png"))).expect("the image can be decoded").into_rgb8();
    let (width, height) = image.dimensions();
    let mut pixels = image.into_raw();
    pixels.chunks_exact_mut(PageImage::CHANNELS).for_each(|pixel| pixel.swap(0, 2));
    PageImage::new(width, height, pixels)
}

pub(crate) fn files() -> HunyuanFiles {
    let onnxruntime = quire_native_libs::onnxruntime(&Progress::Silent).expect("ONNX Runtime can be downloaded");
    HunyuanFiles { onnxruntime, folder: data("model") }
}

pub(crate) fn options(slots: usize) -> HunyuanOptions {
    HunyuanOptions {
        device: Device::Cpu,
        threads: 1,
        slots,
        slot_tokens: 256,
        max_pixels: None,
        vision_max_pixels: 1 << 20,
    }
}

pub(crate) fn load(slots: usize) -> HunyuanOcr {
    HunyuanOcr::load(&files(), &options(slots)).expect("the tiny model is valid")
}

/// A feed of jobs, with their outcomes in the order in which they ended.
#[derive(Debug, Default)]
pub(crate) struct JobQueue<'p> {
    jobs: VecDeque<PageJob<'p>>,
    pub(crate) ended: Vec<(u64, Result<PageReading, ReadError>)>,
}

impl<'p> JobQueue<'p> {
    pub(crate) fn new(jobs: impl IntoIterator<Item = PageJob<'p>>) -> Self {
        Self { jobs: jobs.into_iter().collect(), ended: Vec::new() }
    }

    pub(crate) fn outcome(&self, ticket: u64) -> &Result<PageReading, ReadError> {
        let mut found = self.ended.iter().filter(|(of, _)| *of == ticket);
        let (_, outcome) = found.next().expect("the page has ended");
        assert!(found.next().is_none(), "the page has ended once");
        outcome
    }

    pub(crate) fn reading(&self, ticket: u64) -> &PageReading {
        self.outcome(ticket).as_ref().expect("the page was read")
    }
}

impl<'p> PageFeed<'p> for JobQueue<'p> {
    fn next(&mut self, _wait: bool) -> Option<PageJob<'p>> {
        self.jobs.pop_front()
    }

    fn ended(&mut self, ticket: u64, outcome: Result<PageReading, ReadError>) {
        self.ended.push((ticket, outcome));
    }
}
