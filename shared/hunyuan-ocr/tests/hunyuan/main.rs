//! Parity test with a tiny model: the same tokens as transformers' `generate()`, however pages share runs.

mod folder;
mod modes;
mod tiny;

use std::{
    sync::{Arc, atomic::AtomicBool},
    time::{Duration, Instant},
};

use quire_document::PageImage;
use quire_hunyuan_ocr::{HunyuanOcr, HunyuanOptions};
use quire_ocr::{PageJob, PageStream, ReadError, StopReason};
use quire_tasks::Mode;

use folder::{edit, modified_folder};
use tiny::{JobQueue, ReferencePage, files, load, options, references};

fn job(references: &[ReferencePage], page: usize) -> PageJob<'_> {
    PageJob::new(page as u64, &references[page].image, Mode::Text)
}

/// Reads pages in an order. Compares every token and the text.
fn assert_parity(engine: &mut HunyuanOcr, references: &[ReferencePage], order: impl Iterator<Item = usize>) -> usize {
    let mut queue = JobQueue::new(order.map(|page| job(references, page)));
    engine.serve(&mut queue);
    for (page, reference) in references.iter().enumerate() {
        let reading = queue.reading(page as u64);
        assert_eq!(reading.tokens, reference.tokens, "page {page}");
        assert_eq!(reading.page.text(), reference.text.trim_end(), "page {page}");
    }
    references.iter().map(|reference| reference.tokens.len()).sum()
}

#[test]
fn all_tokens_match_the_reference_for_any_number_of_slots_and_order() {
    let references = references();
    let count = references.len();
    let mut compared = 0;
    for slots in [1, 2, 3, 8] {
        let mut engine = load(slots);
        for first in 0..count {
            let forwards = (0..count).map(|index| (first + index) % count);
            compared += assert_parity(&mut engine, &references, forwards);
        }
        compared += assert_parity(&mut engine, &references, (0..count).rev());
    }
    assert_eq!(compared, 4 * (count + 1) * 502, "slots × orders × tokens");
}

#[test]
fn the_references_end_at_different_steps() {
    let references = references();
    let mut lengths: Vec<usize> = references.iter().map(|reference| reference.tokens.len()).collect();
    lengths.sort_unstable();
    lengths.dedup();
    assert_eq!(lengths, [7, 36, 46, 69, 76, 96]);
    let mut engine = load(2);
    let mut queue = JobQueue::new((0..references.len()).map(|page| job(&references, page)));
    engine.serve(&mut queue);
    let capped = (0..references.len()).filter(|&page| queue.reading(page as u64).end == StopReason::TokenLimit);
    assert_eq!(capped.count(), 1);
}

#[test]
fn it_reads_pages_as_a_page_stream() {
    let references = references();
    let mut stream: Box<dyn PageStream> = Box::new(load(3));
    assert_eq!(stream.name().to_string(), "hunyuan-tiny@random-1");
    assert_eq!(stream.slots(), 3);
    let mut queue = JobQueue::new((0..references.len()).map(|page| job(&references, page)));
    stream.serve(&mut queue);
    for (page, reference) in references.iter().enumerate() {
        let text = &queue.reading(page as u64).page;
        assert_eq!(text.text(), reference.text.trim_end());
        assert_eq!((text.width, text.height), (reference.image.width(), reference.image.height()));
        assert!(text.lines.iter().all(|line| line.confidence.is_some_and(|sure| (0.0..=1.0).contains(&sure))));
    }
    stream.serve(&mut JobQueue::new([]));
}

#[test]
fn a_token_limit_ends_only_its_page() {
    let references = references();
    let mut queue =
        JobQueue::new((0..3).map(|page| PageJob { max_tokens: (page == 1).then_some(7), ..job(&references, page) }));
    load(3).serve(&mut queue);
    assert_eq!(
        (&queue.reading(1).tokens[..], queue.reading(1).end),
        (&references[1].tokens[..7], StopReason::TokenLimit)
    );
    for page in [0, 2] {
        assert_eq!(queue.reading(page).tokens, references[page as usize].tokens);
    }
}

#[test]
fn canceled_and_late_pages_end_without_text() {
    let references = references();
    let canceled = PageJob { canceled: Arc::new(AtomicBool::new(true)), ..job(&references, 0) };
    let late = PageJob { deadline: Some(Instant::now()), ..job(&references, 1) };
    let in_time = PageJob { deadline: Some(Instant::now() + Duration::from_mins(10)), ..job(&references, 2) };
    let mut queue = JobQueue::new([canceled, late, in_time, job(&references, 3)]);
    load(2).serve(&mut queue);
    assert_eq!(queue.outcome(0), &Err(ReadError::Canceled));
    assert_eq!(queue.outcome(1), &Err(ReadError::DeadlinePassed));
    assert_eq!(queue.reading(2).tokens, references[2].tokens);
    assert_eq!(queue.reading(3).tokens, references[3].tokens);
}

#[test]
fn the_penalty_of_the_manifest_is_used() {
    let (_folder, files) =
        modified_folder(|folder| edit(folder, |manifest| manifest["generation"]["repetition_penalty"] = 1.0.into()));
    let references = references();
    let mut queue = JobQueue::new([job(&references, 2)]);
    HunyuanOcr::load(&files, &options(1)).expect("the folder is complete").serve(&mut queue);
    assert_ne!(queue.reading(2).tokens, references[2].tokens, "nothing else was changed");
}

#[test]
fn pages_that_do_not_fit_are_refused_and_the_others_read() {
    let references = references();
    let strip = PageImage::new(10_000, 10, vec![255; 300_000]);
    let narrow_slots = HunyuanOptions { slot_tokens: 80, ..options(2) };
    let mut engine = HunyuanOcr::load(&files(), &narrow_slots).expect("the tiny model is valid");
    let jobs = [PageJob::new(7, &strip, Mode::Text), job(&references, 7), job(&references, 0), job(&references, 2)];
    let mut queue = JobQueue::new(jobs);
    engine.serve(&mut queue);
    assert_eq!(queue.ended.len(), 4);
    assert_eq!(queue.ended[0].1, Err(ReadError::TooNarrow { width: 10_000, height: 10 }));
    assert_eq!(queue.ended[1].1, Err(ReadError::TooManyTokens { tokens: 87, capacity: 80 }));
    assert_eq!(queue.reading(0).tokens, references[0].tokens);
    assert_eq!(queue.reading(2).end, StopReason::TokenLimit, "the slot was full");
    assert_eq!(queue.reading(2).tokens, references[2].tokens[..5]);
}

#[test]
fn tiny_and_long_pages_are_read_or_refused() {
    let pages = [(1, 1), (1, 200), (200, 1), (201, 1), (5_000, 31), (256, 256)];
    let images: Vec<PageImage> = pages
        .iter()
        .map(|&(width, height)| PageImage::new(width, height, vec![90; (width * height * 3) as usize]))
        .collect();
    let mut queue = JobQueue::new(
        images
            .iter()
            .enumerate()
            .map(|(page, image)| PageJob { max_tokens: Some(2), ..PageJob::new(page as u64, image, Mode::Text) }),
    );
    load(2).serve(&mut queue);
    assert_eq!(queue.ended.len(), pages.len());
    assert_eq!(queue.outcome(3), &Err(ReadError::TooNarrow { width: 201, height: 1 }));
    assert!([0, 1, 2, 4, 5].iter().all(|&page| queue.outcome(page).is_ok()), "{:?}", queue.ended);
}

#[test]
fn a_lower_pixel_cap_gives_fewer_tokens() {
    let references = references();
    let capped = HunyuanOptions { max_pixels: Some(64 * 64), slot_tokens: 60, ..options(1) };
    let mut engine = HunyuanOcr::load(&files(), &capped).expect("the tiny model is valid");
    let mut queue = JobQueue::new([PageJob { max_tokens: Some(3), ..job(&references, 7) }]);
    engine.serve(&mut queue);
    assert_eq!(queue.reading(7).tokens.len(), 3, "87 tokens would not have fitted into 60");
}
