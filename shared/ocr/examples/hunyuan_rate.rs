//! How many tokens and pages a second a HunyuanOCR folder gives at several numbers of slots:
//!
//! ```sh
//! cargo run --release -p quire-ocr --example hunyuan_rate -- \
//!     [--cuda] [--threads 1] [--slots 1,2,4,8] [--tokens N] [--rounds 8] FOLDER PAGE…
//! ```
#![expect(clippy::print_stdout, reason = "a command's answer goes to its standard output")]

use std::{error::Error, time::Instant};

use quire_document::PageImage;
use quire_natives::Progress;
use quire_ocr::{Device, HunyuanFiles, HunyuanOcr, HunyuanOptions, Instruction, PageFeed, PageJob, ReadError, Reading};

type Failed = Box<dyn Error + Send + Sync>;

/// What to measure.
struct Plan {
    options: HunyuanOptions,
    slots: Vec<usize>,
    max_tokens: Option<usize>,
    rounds: usize,
    /// The folder, then the pages.
    files: Vec<String>,
}

fn main() -> Result<(), Failed> {
    let plan = plan(std::env::args().skip(1))?;
    let [folder, files @ ..] = &plan.files[..] else { return Err("FOLDER PAGE… are needed".into()) };
    let pages = files.iter().map(|file| decode(file)).collect::<Result<Vec<_>, _>>()?;
    let natives = HunyuanFiles { onnxruntime: quire_natives::onnxruntime(&Progress::Silent)?, folder: folder.into() };
    println!("slots  pages/s  tokens/s  ms/token  slots' MB  failed");
    for &slots in &plan.slots {
        rate(&natives, &plan, slots, &pages)?;
    }
    Ok(())
}

fn plan(arguments: impl Iterator<Item = String>) -> Result<Plan, Failed> {
    let options = HunyuanOptions::cpu(1);
    let mut plan = Plan { options, slots: vec![1, 2, 4, 8], max_tokens: None, rounds: 8, files: Vec::new() };
    let mut arguments = arguments.peekable();
    while let Some(argument) = arguments.next() {
        let mut number = || arguments.next().ok_or(format!("{argument} asks for a number"));
        match argument.as_str() {
            "--cuda" => plan.options.device = Device::Cuda,
            "--threads" => plan.options.threads = number()?.parse()?,
            "--tokens" => plan.max_tokens = Some(number()?.parse()?),
            "--rounds" => plan.rounds = number()?.parse()?,
            "--slots" => plan.slots = number()?.split(',').map(str::parse).collect::<Result<_, _>>()?,
            _ => plan.files.push(argument),
        }
    }
    Ok(plan)
}

/// One line of the table: all rounds over the pages, after one to warm up.
fn rate(natives: &HunyuanFiles, plan: &Plan, slots: usize, pages: &[PageImage]) -> Result<(), Failed> {
    let mut engine = HunyuanOcr::load(natives, &HunyuanOptions { slots, ..plan.options.clone() })?;
    let (instruction, max_tokens) = (engine.instruction("text", &[])?, plan.max_tokens);
    let rounds = |rounds: usize| Rounds {
        images: pages,
        instruction: instruction.clone(),
        max_tokens,
        next: 0,
        count: rounds * pages.len(),
        tokens: 0,
        failed: 0,
    };
    engine.serve(&mut rounds(1));
    let mut feed = rounds(plan.rounds);
    let started = Instant::now();
    engine.serve(&mut feed);
    let seconds = started.elapsed().as_secs_f64();
    let (pages, tokens) = (feed.count as f64 / seconds, feed.tokens as f64 / seconds);
    let (ms, megabytes) = (1000.0 / tokens, engine.slot_bytes() / 1_000_000);
    println!("{slots:5} {pages:8.2} {tokens:9.1} {ms:9.3} {megabytes:10} {:7}", feed.failed);
    Ok(())
}

/// Every page so many times.
struct Rounds<'p> {
    images: &'p [PageImage],
    instruction: Instruction,
    max_tokens: Option<usize>,
    next: usize,
    count: usize,
    tokens: usize,
    failed: usize,
}

impl<'p> PageFeed<'p> for Rounds<'p> {
    fn next(&mut self, _wait: bool) -> Option<PageJob<'p>> {
        let page = self.next;
        self.next += 1;
        let image = &self.images[page % self.images.len()];
        let job = PageJob::new(page as u64, image, self.instruction.clone());
        (page < self.count).then_some(PageJob { max_tokens: self.max_tokens, ..job })
    }

    fn ended(&mut self, _ticket: u64, outcome: Result<Reading, ReadError>) {
        match outcome {
            Ok(reading) => self.tokens += reading.tokens.len(),
            Err(_) => self.failed += 1,
        }
    }
}

fn decode(file: &str) -> Result<PageImage, Failed> {
    let image = image::open(file)?.into_rgb8();
    let (width, height) = image.dimensions();
    let mut pixels = image.into_raw();
    pixels.chunks_exact_mut(PageImage::CHANNELS).for_each(|pixel| pixel.swap(0, 2));
    Ok(PageImage::new(width, height, pixels))
}
