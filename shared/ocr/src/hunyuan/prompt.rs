//! What the decoder is given for a page before it answers.

use std::{collections::BTreeMap, ops::Range};

use super::{
    manifest::PromptParts,
    positions::{Grid, positions},
    vocabulary::Vocabulary,
};

/// What to do with a page, in words that the model knows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Instruction(String);

/// Why there is no such instruction. Decision: refuse the request.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InstructionError {
    /// The model has no such mode.
    #[error("there is no mode {mode:?}; there are {}", known.join(", "))]
    UnknownMode {
        /// What was asked for.
        mode: String,
        /// What there is.
        known: Vec<String>,
    },
    /// The mode asks for something more.
    #[error("the mode {mode:?} asks for {name:?}")]
    Missing {
        /// What was asked for.
        mode: String,
        /// What is missing.
        name: String,
    },
}

impl Instruction {
    /// An instruction in one's own words. The model reads worse than with those that it was trained on.
    pub fn of(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    /// The instruction of a mode, with `{name}` replaced by what the caller says for it. What the caller says is text and
    /// nothing else: neither a `{name}` nor a special token in it has a meaning.
    pub(crate) fn of_mode(
        modes: &BTreeMap<String, String>,
        mode: &str,
        values: &[(&str, &str)],
    ) -> Result<Self, InstructionError> {
        let unknown =
            || InstructionError::UnknownMode { mode: mode.to_owned(), known: modes.keys().cloned().collect() };
        let mut rest = modes.get(mode).ok_or_else(unknown)?.as_str();
        let mut text = String::new();
        while let Some((before, (name, after))) = rest.split_once('{').and_then(|(b, r)| Some((b, r.split_once('}')?)))
        {
            let missing = || InstructionError::Missing { mode: mode.to_owned(), name: name.to_owned() };
            let (_, value) = values.iter().find(|(known, _)| *known == name).ok_or_else(missing)?;
            text.push_str(before);
            text.push_str(value);
            rest = after;
        }
        Ok(Self(text + rest))
    }
}

/// A page's tokens, and where they stand.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Prompt {
    /// `[length]`
    pub(crate) ids: Vec<i64>,
    /// `[length]`: for the picture's tokens which of its rows they are, for all others -1.
    pub(crate) image_index: Vec<i64>,
    /// `[4, length]`
    pub(crate) positions: Vec<i64>,
    /// The picture's tokens.
    pub(crate) image: Range<usize>,
}

impl Prompt {
    /// The prompt for a picture of this grid.
    pub(crate) fn new(
        parts: &PromptParts,
        vocabulary: &Vocabulary,
        instruction: &Instruction,
        grid: Grid,
    ) -> Result<Self, tokenizers::Error> {
        let instruction = vocabulary.encode(&instruction.0)?;
        let start = parts.before_image.len();
        let image = start..start + grid.tokens();
        let picture = std::iter::repeat_n(&parts.image, image.len());
        let after = parts.after_image.iter().chain(&instruction).chain(&parts.after_instruction);
        let ids: Vec<i64> = parts.before_image.iter().chain(picture).chain(after).map(|&id| id.into()).collect();
        let row = |token: usize| if image.contains(&token) { (token - start) as i64 } else { -1 };
        let image_index = (0..ids.len()).map(row).collect();
        let positions = positions(ids.len(), start, grid);
        Ok(Self { ids, image_index, positions, image })
    }

    pub(crate) fn len(&self) -> usize {
        self.ids.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn modes() -> BTreeMap<String, String> {
        [("text", "Read."), ("fields", "Find {keys} in {language}!")]
            .map(|(mode, text)| (mode.into(), text.into()))
            .into()
    }

    #[test]
    fn what_the_caller_says_is_put_in_and_means_nothing() {
        let values = [("language", "French"), ("keys", "{language} {keys}")];
        let instruction = Instruction::of_mode(&modes(), "fields", &values).expect("all is said");
        assert_eq!(instruction, Instruction::of("Find {language} {keys} in French!"));
    }

    #[test]
    fn an_unknown_mode_and_a_missing_value_are_refused_by_name() {
        let refused =
            |mode, values: &[(&str, &str)]| Instruction::of_mode(&modes(), mode, values).map_err(|e| e.to_string());
        assert_eq!(refused("poem", &[]), Err("there is no mode \"poem\"; there are fields, text".to_owned()));
        assert_eq!(
            refused("fields", &[("keys", "total")]),
            Err("the mode \"fields\" asks for \"language\"".to_owned())
        );
    }
}
