//! Measures a HunyuanOCR folder: the cost of a page and of a decoding step, and the throughput in tokens and pages per
//! second for several numbers of slots:
//!
//! ```sh
//! cargo run --release -p quire-hunyuan-ocr --example hunyuan_rate -- \
//!     [--cuda] [--threads 1] [--slots 1,2,4,8] [--slot-tokens N] [--max-pixels N] \
//!     [--tokens N] [--rounds 8] FOLDER PAGE…
//! ```
//!
//! See `RunTimer` for how single runs are timed.
#![expect(clippy::print_stdout, reason = "a command prints its result")]

use std::{
    error::Error,
    time::{Duration, Instant},
};

use quire_document::PageImage;
use quire_hunyuan_ocr::{Device, HunyuanFiles, HunyuanOcr, HunyuanOptions};
use quire_native_libs::Progress;
use quire_ocr::{PageFeed, PageJob, PageReading, PageStream, ReadError};
use quire_tasks::Mode;

type RateError = Box<dyn Error + Send + Sync>;

/// Tries per page; the fastest one counts.
const MOST_TRIES: usize = 3;

/// What to measure.
struct MeasurementPlan {
    options: HunyuanOptions,
    slots: Vec<usize>,
    max_tokens: Option<usize>,
    rounds: usize,
    /// The folder, followed by the pages.
    files: Vec<String>,
}

fn main() -> Result<(), RateError> {
    let plan = plan(std::env::args().skip(1))?;
    let [folder, files @ ..] = &plan.files[..] else { return Err("expected FOLDER PAGE…".into()) };
    let pages = files.iter().map(|file| decode(file)).collect::<Result<Vec<_>, _>>()?;
    let natives =
        HunyuanFiles { onnxruntime: quire_native_libs::onnxruntime(&Progress::Silent)?, folder: folder.into() };
    pages_alone(&natives, &plan, &pages)?;
    println!("\nslots  ms/step  pages/s  tokens/s  ms/token  slots' MB  failed");
    for &slots in &plan.slots {
        rate(&natives, &plan, slots, &pages)?;
    }
    Ok(())
}

fn plan(arguments: impl Iterator<Item = String>) -> Result<MeasurementPlan, RateError> {
    let options = HunyuanOptions::cpu(1);
    let mut plan = MeasurementPlan { options, slots: vec![1, 2, 4, 8], max_tokens: None, rounds: 8, files: Vec::new() };
    let mut arguments = arguments.peekable();
    while let Some(argument) = arguments.next() {
        let mut number = || arguments.next().ok_or(format!("{argument} requires a number"));
        match argument.as_str() {
            "--cuda" => plan.options.device = Device::Cuda,
            "--threads" => plan.options.threads = number()?.parse()?,
            "--tokens" => plan.max_tokens = Some(number()?.parse()?),
            "--rounds" => plan.rounds = number()?.parse()?,
            "--slots" => plan.slots = number()?.split(',').map(str::parse).collect::<Result<_, _>>()?,
            "--slot-tokens" => plan.options.slot_tokens = number()?.parse()?,
            "--max-pixels" => plan.options.max_pixels = Some(number()?.parse()?),
            _ => plan.files.push(argument),
        }
    }
    Ok(plan)
}

/// Measures the cost of encoding each page and of its prompt.
fn pages_alone(natives: &HunyuanFiles, plan: &MeasurementPlan, pages: &[PageImage]) -> Result<(), RateError> {
    // Two pages of one size are encoded in one run, directly followed by the first prompt; the second prompt runs
    // alone.
    let options = HunyuanOptions { slots: 2, vision_max_pixels: usize::MAX, ..plan.options.clone() };
    let mut engine = HunyuanOcr::load(natives, &options)?;
    println!("page  pixels     ms to look  ms of the prompt");
    for (number, page) in pages.iter().enumerate() {
        let mut fastest: Option<(f64, f64)> = None;
        for _ in 0..plan.rounds.clamp(1, MOST_TRIES) {
            let mut feed = RepeatingFeed::new(std::slice::from_ref(page), 2, Some(2));
            engine.serve(&mut feed);
            // Runs: both pages encoded and the first prompt; one step, which ends the first page; the second prompt.
            let runs = feed.watch.runs(2);
            let as_expected = feed.watch.first_end == Some(3);
            let [both, _, prompt, ..] = runs[..] else { continue };
            if !as_expected {
                continue;
            }
            let cost = (millis(both), millis(prompt));
            fastest = Some(fastest.map_or(cost, |best| (best.0.min(cost.0), best.1.min(cost.1))));
        }
        let (both, prompt) = fastest.ok_or(format!("page {number} could not be read"))?;
        let look = (both - prompt) / 2.0;
        let pixels = format!("{}x{}", page.width(), page.height());
        println!("{number:4}  {pixels:9} {look:11.1} {prompt:17.1}");
    }
    Ok(())
}

/// Prints one line of the table. First reads one page per slot to time the steps, then all rounds.
fn rate(natives: &HunyuanFiles, plan: &MeasurementPlan, slots: usize, pages: &[PageImage]) -> Result<(), RateError> {
    let mut engine = HunyuanOcr::load(natives, &HunyuanOptions { slots, ..plan.options.clone() })?;
    let mut wave = RepeatingFeed::new(pages, slots, plan.max_tokens);
    engine.serve(&mut wave);
    let step = wave.watch.full_step(slots).map_or_else(|| "-".to_owned(), |step| format!("{:.2}", millis(step)));
    let mut feed = RepeatingFeed::new(pages, plan.rounds * pages.len(), plan.max_tokens);
    let started = Instant::now();
    engine.serve(&mut feed);
    let seconds = started.elapsed().as_secs_f64();
    let pages = feed.count as f64 / seconds;
    let tokens = feed.tokens as f64 / seconds;
    let ms = 1000.0 / tokens;
    let megabytes = engine.slot_bytes() / 1_000_000;
    let failed = wave.failed + feed.failed;
    println!("{slots:5} {step:>8} {pages:8.3} {tokens:9.1} {ms:9.3} {megabytes:10} {failed:7}");
    Ok(())
}

fn millis(time: Duration) -> f64 {
    1000.0 * time.as_secs_f64()
}

/// Returns pages in turns, up to a number of pages.
struct RepeatingFeed<'p> {
    images: &'p [PageImage],
    max_tokens: Option<usize>,
    next: usize,
    count: usize,
    tokens: usize,
    failed: usize,
    watch: RunTimer,
}

impl<'p> RepeatingFeed<'p> {
    fn new(images: &'p [PageImage], count: usize, max_tokens: Option<usize>) -> Self {
        Self { images, max_tokens, next: 0, count, tokens: 0, failed: 0, watch: RunTimer::default() }
    }
}

impl<'p> PageFeed<'p> for RepeatingFeed<'p> {
    fn next(&mut self, _wait: bool) -> Option<PageJob<'p>> {
        self.watch.asked();
        let page = self.next;
        self.next += 1;
        let image = &self.images[page % self.images.len()];
        let job = PageJob::new(page as u64, image, Mode::Text);
        (page < self.count).then_some(PageJob { max_tokens: self.max_tokens, ..job })
    }

    fn ended(&mut self, _ticket: u64, outcome: Result<PageReading, ReadError>) {
        self.watch.ended();
        match outcome {
            Ok(reading) => self.tokens += reading.tokens.len(),
            Err(_) => self.failed += 1,
        }
    }
}

/// Times single runs from outside. The reader calls `next` before every run, so the time between two calls is that of
/// one run. Note: this is true only if the feed has as many pages as there are slots: those are admitted without a run
/// between them, and all later calls return `None`.
#[derive(Default)]
struct RunTimer {
    questions: Vec<Instant>,
    /// Number of calls before the first page ended.
    first_end: Option<usize>,
}

impl RunTimer {
    fn asked(&mut self) {
        self.questions.push(Instant::now());
    }

    fn ended(&mut self) {
        self.first_end.get_or_insert(self.questions.len());
    }

    /// Returns the duration of each run, for a feed of this many pages.
    fn runs(&self, pages: usize) -> Vec<Duration> {
        let asked = self.questions.get(pages - 1..).unwrap_or_default();
        asked.windows(2).map(|pair| pair[1].duration_since(pair[0])).collect()
    }

    /// Returns the median duration of steps with a page in every slot: those from the last prompt to the end of the
    /// first page. Between two prompts there is one step.
    fn full_step(&self, slots: usize) -> Option<Duration> {
        let runs_to_end = (self.first_end? + 1).checked_sub(slots)?;
        let mut steps = self.runs(slots).get(2 * slots - 1..runs_to_end)?.to_vec();
        steps.sort_unstable();
        steps.get(steps.len() / 2).copied()
    }
}

fn decode(file: &str) -> Result<PageImage, RateError> {
    let image = image::open(file)?.into_rgb8();
    let (width, height) = image.dimensions();
    let mut pixels = image.into_raw();
    pixels.chunks_exact_mut(PageImage::CHANNELS).for_each(|pixel| pixel.swap(0, 2));
    Ok(PageImage::new(width, height, pixels))
}
