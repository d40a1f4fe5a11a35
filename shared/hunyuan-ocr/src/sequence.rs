//! The growing answer of one page.

use quire_inference::ModelError;
use quire_ocr::{
    PageJob, PageReading, RepetitionGuard, RepetitionRule, StopReason, length_without_repetition, parse_answer,
};
use quire_tasks::{EngineName, WarningKind};

use crate::{manifest::Manifest, network::TokenChoice, text_stream::TextStream, vocabulary::Vocabulary};

/// A page in a slot.
#[derive(Debug)]
pub(crate) struct PageSequence<'p> {
    job: PageJob<'p>,
    tokens: Vec<u32>,
    cap: usize,
    text: TextStream,
    guard: RepetitionGuard,
}

impl<'p> PageSequence<'p> {
    /// Creates the sequence of a page with a token limit.
    pub(crate) fn new(job: PageJob<'p>, cap: usize, rule: &RepetitionRule) -> Self {
        Self { job, tokens: Vec::new(), cap, text: TextStream::default(), guard: RepetitionGuard::new(rule) }
    }

    pub(crate) const fn job(&self) -> &PageJob<'p> {
        &self.job
    }

    /// Appends a token. Returns the reason if it is the last one.
    pub(crate) fn push(
        &mut self,
        choice: TokenChoice,
        manifest: &Manifest,
        vocabulary: &Vocabulary,
    ) -> Result<Option<StopReason>, ModelError> {
        if !choice.probability.is_finite() {
            return Err(ModelError::NotANumber);
        }
        self.tokens.push(choice.token);
        if manifest.end_tokens.contains(&choice.token) {
            return Ok(Some(StopReason::EndOfText));
        }
        if let Some(bytes) = vocabulary.bytes(choice.token) {
            self.text.push(bytes, choice.probability);
        }
        if self.guard.detects_repetition(&manifest.repetition, self.text.text(), self.text.characters()) {
            return Ok(Some(StopReason::Repetition));
        }
        Ok((self.tokens.len() >= self.cap).then_some(StopReason::TokenLimit))
    }

    /// Returns the result of the page.
    pub(crate) fn into_reading(mut self, end: StopReason, rule: &RepetitionRule, name: EngineName) -> PageReading {
        self.text.finish();
        let kept = length_without_repetition(rule, self.text.text());
        let repeated = kept < self.text.text().len();
        self.text.truncate(kept);
        let lines = self.text.lines().into_iter().map(|(line, sure)| (line.to_owned(), Some(sure))).collect();
        let width = self.job.image.page_width();
        let height = self.job.image.page_height();
        let mut page = parse_answer(name, width, height, &self.job.mode, lines, end);
        // The model may have stopped on its own after a repetition.
        if repeated && !page.warnings.iter().any(|warning| warning.kind == WarningKind::Repetition) {
            page.warnings.push(WarningKind::Repetition.into());
        }
        PageReading { page, tokens: self.tokens, end }
    }
}
