//! One page's answer as it grows.

use quire_inference::ModelError;
use quire_ocr::{End, PageJob, Reading, RepetitionGuard, RepetitionRule, kept, page_of_answer};
use quire_tasks::{EngineName, Warning};

use crate::{manifest::Manifest, network::Choice, text_stream::TextStream, vocabulary::Vocabulary};

/// A page in a slot.
#[derive(Debug)]
pub(crate) struct Sequence<'p> {
    job: PageJob<'p>,
    tokens: Vec<u32>,
    cap: usize,
    text: TextStream,
    guard: RepetitionGuard,
}

impl<'p> Sequence<'p> {
    /// A page that may have so many tokens.
    pub(crate) fn new(job: PageJob<'p>, cap: usize, rule: &RepetitionRule) -> Self {
        Self { job, tokens: Vec::new(), cap, text: TextStream::default(), guard: RepetitionGuard::new(rule) }
    }

    pub(crate) const fn job(&self) -> &PageJob<'p> {
        &self.job
    }

    /// Takes the next token, and tells whether and why it is the last.
    pub(crate) fn push(
        &mut self,
        choice: Choice,
        manifest: &Manifest,
        vocabulary: &Vocabulary,
    ) -> Result<Option<End>, ModelError> {
        if !choice.probability.is_finite() {
            return Err(ModelError::NotANumber);
        }
        self.tokens.push(choice.token);
        if manifest.end_tokens.contains(&choice.token) {
            return Ok(Some(End::Said));
        }
        if let Some(bytes) = vocabulary.bytes(choice.token) {
            self.text.push(bytes, choice.probability);
        }
        if self.guard.trips(&manifest.repetition, self.text.text(), self.text.characters()) {
            return Ok(Some(End::Repetition));
        }
        Ok((self.tokens.len() >= self.cap).then_some(End::TokenCap))
    }

    /// The page is at its end.
    pub(crate) fn into_reading(mut self, end: End, rule: &RepetitionRule, name: EngineName) -> Reading {
        self.text.finish();
        let kept = kept(rule, self.text.text());
        let repeated = kept < self.text.text().len();
        self.text.truncate(kept);
        let lines = self.text.lines().into_iter().map(|(line, sure)| (line.to_owned(), Some(sure))).collect();
        let (width, height) = (self.job.image.page_width(), self.job.image.page_height());
        let mut page = page_of_answer(name, width, height, &self.job.mode, lines, end);
        // It may have come to an end by itself.
        if repeated && !page.warnings.contains(&Warning::Repetition) {
            page.warnings.push(Warning::Repetition);
        }
        Reading { page, tokens: self.tokens, end }
    }
}
