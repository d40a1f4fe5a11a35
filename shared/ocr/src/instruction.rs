//! Prompts: what a model is instructed to do with a page.

use std::{collections::BTreeMap, sync::LazyLock};

use quire_tasks::{Mode, ModeName};

/// The prompts that HunyuanOCR was trained on. The exporter copies this file into the manifest.
static PROMPTS: LazyLock<BTreeMap<String, String>> = LazyLock::new(|| {
    serde_json::from_str(include_str!("../prompts/hunyuan-ocr.json")).expect("the built-in prompts are valid JSON")
});

/// A prompt for a page.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Instruction(String);

/// Why a mode has no prompt.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InstructionError {
    /// There is no prompt for the mode. Decision: refuse the request.
    #[error("no prompt for mode {mode}; modes with a prompt: {}", known.join(", "))]
    UnknownMode {
        /// Requested mode.
        mode: ModeName,
        /// Modes with a prompt.
        known: Vec<String>,
    },
    /// The prompt lacks a placeholder that the mode requires, or has one that the mode does not fill. Decision: refuse
    /// the request until the configured prompts are fixed.
    #[error("the placeholders of the prompt do not match mode {mode}: {{{name}}}")]
    Misfit {
        /// The mode.
        mode: ModeName,
        /// The placeholder: `keys` or `language`.
        name: &'static str,
    },
}

/// Returns HunyuanOCR's own prompts by the name of the mode. Note: the model silently reads worse with other prompts.
///
/// The placeholders `{keys}` and `{language}` are replaced by the client's values. If the language is English,
/// `translate.english` is used instead of `translate`, because it is exactly the prompt of the training.
///
/// # Examples
/// ```
/// use quire_ocr::{Instruction, default_prompts};
/// use quire_tasks::Mode;
///
/// let mode = Mode::Translate { language: "French".to_owned() };
/// let instruction = Instruction::for_mode(default_prompts(), &mode)?;
/// assert!(instruction.as_str().contains("French"));
/// # Ok::<(), quire_ocr::InstructionError>(())
/// ```
pub fn default_prompts() -> &'static BTreeMap<String, String> {
    &PROMPTS
}

impl Instruction {
    /// Creates an instruction from any text. Note: the model reads worse than with the prompts that it was trained on.
    pub fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    /// Returns the prompt of a mode with the client's values inserted. The values are plain text: placeholders and
    /// special tokens in them have no effect.
    ///
    /// # Errors
    /// [`InstructionError`], if there is no prompt or its placeholders do not match the mode.
    pub fn for_mode(prompts: &BTreeMap<String, String>, mode: &Mode) -> Result<Self, InstructionError> {
        let name = mode.name();
        let said = match mode {
            Mode::Fields { keys } => Some(("keys", list(keys))),
            Mode::Translate { language } => {
                if let Some(prompt) = prompts.get(&format!("{name}.{}", language.to_lowercase())) {
                    return Ok(Self(prompt.clone()));
                }
                Some(("language", language.clone()))
            }
            Mode::Text | Mode::Markdown | Mode::Spotting | Mode::Table | Mode::Formula | Mode::Subtitles => None,
        };
        let unknown = || InstructionError::UnknownMode { mode: name, known: modes(prompts).collect() };
        let prompt = prompts.get(name.as_str()).ok_or_else(unknown)?;
        for place in ["keys", "language"] {
            let expected = said.as_ref().is_some_and(|(said, _)| *said == place);
            if prompt.contains(&format!("{{{place}}}")) != expected {
                return Err(InstructionError::Misfit { mode: name, name: place });
            }
        }
        Ok(Self(match said {
            Some((place, value)) => prompt.replace(&format!("{{{place}}}"), &value),
            None => prompt.clone(),
        }))
    }

    /// The prompt.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// Returns the names of the modes that have a prompt.
fn modes(prompts: &BTreeMap<String, String>) -> impl Iterator<Item = String> {
    ModeName::ALL.into_iter().map(|mode| mode.as_str().to_owned()).filter(|mode| prompts.contains_key(mode))
}

/// Formats keys as in the model's training: `['total','date']`.
fn list(keys: &[String]) -> String {
    let quoted: Vec<String> =
        keys.iter().map(|key| if key.contains('\'') { format!("\"{key}\"") } else { format!("'{key}'") }).collect();
    format!("[{}]", quoted.join(","))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fields(keys: &[&str]) -> Mode {
        Mode::Fields { keys: keys.iter().map(|key| (*key).to_owned()).collect() }
    }

    fn translate(language: &str) -> Mode {
        Mode::Translate { language: language.to_owned() }
    }

    fn default(mode: &Mode) -> String {
        Instruction::for_mode(default_prompts(), mode).expect("the mode has a prompt").as_str().to_owned()
    }

    #[test]
    fn every_mode_has_a_matching_prompt() {
        for name in ModeName::ALL {
            let keys = if name == ModeName::Fields { vec!["total".to_owned()] } else { Vec::new() };
            let language = (name == ModeName::Translate).then(|| "French".to_owned());
            let prompt = default(&Mode::new(name, keys, language).expect("the mode is valid"));
            assert!(prompt.ends_with('。') && !prompt.contains(['{', '}']), "{name}: {prompt}");
        }
        let known = ModeName::ALL.map(ModeName::as_str);
        let stray = default_prompts().keys().find(|key| !known.contains(&key.split('.').next().unwrap_or_default()));
        assert_eq!(stray, None);
    }

    #[test]
    fn client_values_are_inserted_as_plain_text() {
        assert_eq!(
            default(&fields(&["total", "{language} {keys}", "payer's name"])),
            "提取图片中的: ['total','{language} {keys}',\"payer's name\"] 的字段内容，并按照JSON格式返回。"
        );
        assert!(default(&translate("{keys}")).ends_with("翻译为{keys}。"));
    }

    #[test]
    fn a_language_with_its_own_prompt_uses_it() {
        assert!(default(&translate("English")).ends_with("再将文字内容翻译为英文。"));
        assert!(default(&translate("chinese")).ends_with("再将文字内容翻译为中文。"));
        assert!(default(&translate("French")).ends_with("再将文字内容翻译为French。"));
    }

    #[test]
    fn missing_and_mismatched_prompts_are_errors_with_the_mode() {
        let prompts: BTreeMap<String, String> =
            [("text", "Read {keys}."), ("fields", "Find all."), ("table", "As [{\"a\": {}}].")]
                .map(|(mode, text)| (mode.into(), text.into()))
                .into();
        let refused =
            |mode: &Mode| Instruction::for_mode(&prompts, mode).expect_err("the mode has no prompt").to_string();
        assert_eq!(refused(&Mode::Formula), "no prompt for mode formula; modes with a prompt: text, table, fields");
        assert_eq!(refused(&Mode::Text), "the placeholders of the prompt do not match mode text: {keys}");
        assert_eq!(refused(&fields(&["total"])), "the placeholders of the prompt do not match mode fields: {keys}");
        let table = Instruction::for_mode(&prompts, &Mode::Table).map(|table| table.as_str().to_owned());
        assert_eq!(table.as_deref(), Ok("As [{\"a\": {}}]."), "other braces are text");
    }
}
