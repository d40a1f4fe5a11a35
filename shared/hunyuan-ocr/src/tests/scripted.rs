//! A fake model that generates tokens from a script.

use std::time::Duration;

use quire_inference::ModelError;

use crate::{
    network::{HunyuanNetwork, TokenChoice},
    prompt::Prompt,
    resize::ImageSize,
    slots::DecodeRow,
};

/// Generates the tokens of a script per page and logs its runs.
#[derive(Debug, Default)]
pub(super) struct ScriptedNetwork {
    /// Tokens of each page, in the order of encoding.
    pub(super) scripts: Vec<Vec<u32>>,
    /// Page, next token and cached tokens of each slot.
    pub(super) inside: Vec<Option<(usize, usize, usize)>>,
    pub(super) log: Vec<LoggedRun>,
    /// Runs of this kind that include this page fail.
    pub(super) poison: Option<(usize, RunFilter)>,
    pub(super) not_a_number: Option<usize>,
    pub(super) step: Duration,
}

pub(super) type RunFilter = fn(&LoggedRun) -> bool;

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum LoggedRun {
    Encode(Vec<usize>),
    Prefill { slot: usize, page: usize },
    Decode(Vec<Option<usize>>),
}

impl ScriptedNetwork {
    pub(super) fn new(scripts: &[&[u32]], slots: usize) -> Self {
        let scripts = scripts.iter().map(|script| script.to_vec()).collect();
        Self { scripts, inside: vec![None; slots], ..Self::default() }
    }

    fn runs(&mut self, ran: LoggedRun) -> Result<(), ModelError> {
        let has = |poison: usize| match &ran {
            LoggedRun::Encode(pages) => pages.contains(&poison),
            LoggedRun::Prefill { page, .. } => *page == poison,
            LoggedRun::Decode(pages) => pages.contains(&Some(poison)),
        };
        let fails = self.poison.is_some_and(|(poison, kind)| has(poison) && kind(&ran));
        self.log.push(ran);
        if fails { Err(ModelError::Run("poison".to_owned())) } else { Ok(()) }
    }

    fn choice(&self, page: usize, index: usize) -> TokenChoice {
        let probability = if self.not_a_number == Some(page) && index == 1 { f32::NAN } else { 0.5 };
        TokenChoice { token: self.scripts[page][index.min(self.scripts[page].len() - 1)], probability }
    }
}

impl HunyuanNetwork for ScriptedNetwork {
    type ImageFeatures = usize;

    fn encode(&mut self, pixels: &[f32], size: ImageSize) -> Result<Vec<usize>, ModelError> {
        // The brightness of a page is 10 times its number.
        let each = 3 * size.width * size.height;
        let dark = |picture: &[f32]| ((picture[0] * 0.268_629_54 + 0.481_454_66) * 25.5).round() as usize;
        let pages: Vec<usize> = pixels.chunks_exact(each).map(dark).collect();
        self.runs(LoggedRun::Encode(pages.clone()))?;
        Ok(pages)
    }

    fn prefill(&mut self, slot: usize, prompt: &Prompt, picture: &usize) -> Result<TokenChoice, ModelError> {
        self.runs(LoggedRun::Prefill { slot, page: *picture })?;
        self.inside[slot] = Some((*picture, 1, prompt.len()));
        Ok(self.choice(*picture, 0))
    }

    fn decode(&mut self, first: usize, rows: &[DecodeRow]) -> Result<Vec<TokenChoice>, ModelError> {
        std::thread::sleep(self.step);
        let slots = first..first + rows.len();
        let pages: Vec<Option<usize>> = slots
            .clone()
            .zip(rows)
            .map(|(slot, row)| self.inside[slot].filter(|_| row.occupied).map(|(page, ..)| page))
            .collect();
        self.runs(LoggedRun::Decode(pages))?;
        let mut choices = Vec::new();
        for (slot, row) in slots.zip(rows) {
            let Some((page, next, cached)) = self.inside[slot].filter(|_| row.occupied) else {
                choices.push(TokenChoice { token: 77, probability: f32::NAN });
                continue;
            };
            assert_eq!(row.cached, cached, "each token goes behind the last");
            assert_eq!(row.token, self.choice(page, next - 1).token, "and goes on from it");
            self.inside[slot] = Some((page, next + 1, cached + 1));
            choices.push(self.choice(page, next));
        }
        Ok(choices)
    }
}
