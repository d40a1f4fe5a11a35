//! Reads pages: encodes them, runs their prompts, decodes all slots together.

use std::{collections::VecDeque, time::Instant};

use quire_inference::{ModelError, run_with_bisection};
use quire_ocr::{Instruction, PageFeed, PageJob, PageReading, ReadError};
use quire_tasks::EngineName;

use crate::{
    manifest::Manifest,
    network::{HunyuanNetwork, TokenChoice},
    options::HunyuanOptions,
    page_pixels::Normalization,
    positions::TokenGrid,
    prompt::Prompt,
    resize::{ImageSize, SizeLimits},
    sequence::PageSequence,
    slots::{DecodeRow, NextRun, SlotScheduler},
    vocabulary::Vocabulary,
};

/// Converts an error of a run.
fn model_failure(error: &ModelError) -> ReadError {
    ReadError::Model(error.to_string())
}

/// Everything that stays the same between pages.
#[derive(Debug)]
pub(crate) struct HunyuanReader<N> {
    pub(crate) network: N,
    pub(crate) manifest: Manifest,
    vocabulary: Vocabulary,
    normalization: Normalization,
    sides: SizeLimits,
    slots: usize,
    capacity: usize,
    vision_max_pixels: usize,
}

/// A page that is not yet encoded.
struct PreparedPage<'p> {
    job: PageJob<'p>,
    prompt: Prompt,
    size: ImageSize,
}

/// An encoded page that waits for a slot.
struct EncodedPage<'p, F> {
    job: PageJob<'p>,
    prompt: Prompt,
    features: F,
}

/// Pages of one feed that are being read.
struct PagesInFlight<'r, 'p, N: HunyuanNetwork> {
    reader: &'r mut HunyuanReader<N>,
    feed: &'r mut dyn PageFeed<'p>,
    waiting: VecDeque<PreparedPage<'p>>,
    encoded: VecDeque<EncodedPage<'p, N::ImageFeatures>>,
    sequences: Vec<Option<PageSequence<'p>>>,
    slots: SlotScheduler,
}

impl<N: HunyuanNetwork> HunyuanReader<N> {
    pub(crate) fn new(
        network: N,
        manifest: Manifest,
        vocabulary: Vocabulary,
        options: &HunyuanOptions,
        capacity: usize,
    ) -> Self {
        Self {
            network,
            vocabulary,
            normalization: Normalization::new(&manifest.picture),
            sides: manifest.picture.sides(options.max_pixels),
            slots: options.slots,
            capacity,
            vision_max_pixels: options.vision_max_pixels,
            manifest,
        }
    }

    pub(crate) fn name(&self) -> EngineName {
        EngineName { name: self.manifest.name.clone(), version: self.manifest.version.clone() }
    }

    pub(crate) const fn slots(&self) -> usize {
        self.slots
    }

    /// Reads pages until the feed ends.
    pub(crate) fn read_pages(&mut self, feed: &mut dyn PageFeed<'_>) {
        let slots = self.slots;
        let sequences = (0..slots).map(|_| None).collect();
        let waiting = VecDeque::new();
        let encoded = VecDeque::new();
        PagesInFlight { reader: self, feed, waiting, encoded, sequences, slots: SlotScheduler::new(slots) }.run();
    }

    /// Returns the prompt of a page and the size that it is resized to.
    fn prepare(&self, job: &PageJob<'_>) -> Result<(Prompt, ImageSize), ReadError> {
        let width = job.image.width();
        let height = job.image.height();
        let size = self.sides.fit(width, height).ok_or(ReadError::TooNarrow { width, height })?;
        let grid = TokenGrid::new(size, self.manifest.picture.cell());
        let prompt = Prompt::new(&self.manifest.prompt, &self.vocabulary, &self.instruction(job)?, grid)
            .map_err(|error| ReadError::Instruction(error.to_string()))?;
        if prompt.len() >= self.capacity {
            return Err(ReadError::TooManyTokens { tokens: prompt.len(), capacity: self.capacity });
        }
        Ok((prompt, size))
    }

    /// Returns the job's own instruction, or else the prompt of its mode.
    fn instruction(&self, job: &PageJob<'_>) -> Result<Instruction, ReadError> {
        job.instruction.clone().map_or_else(
            || {
                Instruction::for_mode(&self.manifest.modes, &job.mode)
                    .map_err(|error| ReadError::Instruction(error.to_string()))
            },
            Ok,
        )
    }

    /// Returns the token limit of a page: the minimum of the model's limit, the job's limit and the rest of the slot.
    fn token_cap(&self, job: &PageJob<'_>, prompt: &Prompt) -> usize {
        let own = self.manifest.generation.token_cap(prompt.image.len());
        own.min(self.capacity - prompt.len()).min(job.max_tokens.unwrap_or(usize::MAX)).max(1)
    }
}

impl<'p, N: HunyuanNetwork> PagesInFlight<'_, 'p, N> {
    fn run(&mut self) {
        while self.admit_pages() {
            self.drop_canceled();
            if self.encoded.is_empty() && self.slots.can_start_page() {
                self.encode_next();
            }
            match self.slots.next(!self.encoded.is_empty()) {
                NextRun::Prefill(slot) => self.prefill(slot),
                NextRun::Decode(rows) => self.decode(&rows),
                NextRun::Idle => {}
            }
        }
    }

    /// Takes pages from the feed, at most as many as there are slots in advance. Returns false when the feed has ended
    /// and no page is left.
    fn admit_pages(&mut self) -> bool {
        while self.waiting.len() + self.encoded.len() < self.sequences.len() {
            let idle = self.slots.is_empty() && self.waiting.is_empty() && self.encoded.is_empty();
            let Some(job) = self.feed.next(idle) else { return !idle };
            match self.reader.prepare(&job) {
                Ok((prompt, size)) => self.waiting.push_back(PreparedPage { job, prompt, size }),
                Err(error) => self.feed.ended(job.ticket, Err(error)),
            }
        }
        true
    }

    /// Drops pages that were canceled or whose deadline has passed.
    fn drop_canceled(&mut self) {
        let now = Instant::now();
        let feed = &mut *self.feed;
        let mut keep = |job: &PageJob<'p>| {
            let error = job.stop_cause(now);
            error.map(|error| feed.ended(job.ticket, Err(error))).is_none()
        };
        self.waiting.retain(|page| keep(&page.job));
        self.encoded.retain(|page| keep(&page.job));
        for (slot, inside) in self.sequences.iter_mut().enumerate() {
            if inside.as_ref().is_some_and(|sequence| !keep(sequence.job())) {
                *inside = None;
                self.slots.release(slot);
            }
        }
    }

    /// Encodes the page that has waited longest, together with pages of the same size.
    fn encode_next(&mut self) {
        let Some(first) = self.waiting.front() else { return };
        let size = first.size;
        let room = (self.reader.vision_max_pixels / (size.width * size.height)).max(1);
        let mut group = Vec::new();
        let mut others = VecDeque::new();
        for page in self.waiting.drain(..) {
            if page.size == size && group.len() < room { group.push(page) } else { others.push_back(page) }
        }
        self.waiting = others;
        let HunyuanReader { network, normalization, .. } = &mut *self.reader;
        let members: Vec<usize> = (0..group.len()).collect();
        let encoded = run_with_bisection(&members, &mut |members| {
            let mut pixels = Vec::with_capacity(3 * size.width * size.height * members.len());
            for &page in members {
                normalization.append(&mut pixels, &group[page].job.image, size);
            }
            network.encode(&pixels, size)
        });
        for (PreparedPage { job, prompt, .. }, features) in group.into_iter().zip(encoded) {
            match features {
                Ok(features) => self.encoded.push_back(EncodedPage { job, prompt, features }),
                Err(error) => self.feed.ended(job.ticket, Err(model_failure(&error))),
            }
        }
    }

    /// Runs the prompt of the next page in a slot.
    fn prefill(&mut self, slot: usize) {
        let Some(EncodedPage { job, prompt, features }) = self.encoded.pop_front() else { return };
        let reader = &mut *self.reader;
        match reader.network.prefill(slot, &prompt, &features) {
            Ok(choice) => {
                let cap = reader.token_cap(&job, &prompt);
                self.slots.start(slot, prompt.len(), choice.token);
                self.sequences[slot] = Some(PageSequence::new(job, cap, &reader.manifest.repetition));
                self.accept_token(slot, choice);
            }
            Err(error) => self.feed.ended(job.ticket, Err(model_failure(&error))),
        }
    }

    /// Generates one more token for every page in flight. If the run fails, each slot is retried alone, and only those
    /// that fail alone fail.
    fn decode(&mut self, rows: &[DecodeRow]) {
        let network = &mut self.reader.network;
        let choices = match network.decode(0, rows) {
            Ok(choices) => choices.into_iter().map(Ok).collect(),
            Err(error) if rows.len() == 1 => vec![Err(error)],
            Err(_) => {
                let alone = |(slot, row): (usize, &DecodeRow)| Ok(network.decode(slot, std::slice::from_ref(row))?[0]);
                rows.iter().enumerate().map(alone).collect::<Vec<Result<_, ModelError>>>()
            }
        };
        for (slot, (choice, row)) in choices.into_iter().zip(rows).enumerate() {
            match choice {
                _ if !row.occupied => {}
                Ok(choice) => {
                    self.slots.advance(slot, choice.token);
                    self.accept_token(slot, choice);
                }
                Err(error) => self.finish(slot, |_| Err(model_failure(&error))),
            }
        }
    }

    /// Appends a token to a page, and ends the page if it was the last one.
    fn accept_token(&mut self, slot: usize, choice: TokenChoice) {
        let Some(sequence) = &mut self.sequences[slot] else { return };
        let HunyuanReader { manifest, vocabulary, .. } = &*self.reader;
        match sequence.push(choice, manifest, vocabulary) {
            Ok(None) => {}
            Ok(Some(end)) => {
                let name = self.reader.name();
                let rule = self.reader.manifest.repetition.clone();
                self.finish(slot, |sequence| Ok(sequence.into_reading(end, &rule, name)));
            }
            Err(error) => self.finish(slot, |_| Err(model_failure(&error))),
        }
    }

    /// Frees a slot and reports the result of its page.
    fn finish(&mut self, slot: usize, outcome: impl FnOnce(PageSequence<'p>) -> Result<PageReading, ReadError>) {
        self.slots.release(slot);
        if let Some(sequence) = self.sequences[slot].take() {
            let ticket = sequence.job().ticket;
            self.feed.ended(ticket, outcome(sequence));
        }
    }
}
