//! Byte-level BPE vocabulary: text to tokens, and tokens to bytes.

use std::{collections::HashMap, fs};

use quire_inference::LoadError;
use serde_json::{Value, json};
use tokenizers::Tokenizer;

use crate::manifest::Manifest;

/// A byte-level vocabulary. Special tokens have no bytes, and no text is encoded as one.
#[derive(Debug)]
pub(crate) struct Vocabulary {
    plain: Tokenizer,
    bytes: Vec<Option<Box<[u8]>>>,
}

impl Vocabulary {
    /// Loads the tokenizer of a manifest.
    pub(crate) fn load(manifest: &Manifest) -> Result<Self, LoadError> {
        let path = manifest.tokenizer();
        let file = fs::read(&path).map_err(|error| LoadError::model(&path, &error))?;
        let whole: Value = serde_json::from_slice(&file).map_err(|error| LoadError::model(&path, &error))?;
        if whole["decoder"]["type"] != "ByteLevel" {
            let other = (whole["decoder"]["type"].to_string(), "\"ByteLevel\"".to_owned());
            return Err(LoadError::OtherModel { path, part: "decoder", expected: other.1, found: other.0 });
        }
        let special = special_tokens(&whole);
        let tokenizer = Tokenizer::from_bytes(&file).map_err(|error| LoadError::model(&path, &error))?;
        let plain = Tokenizer::from_bytes(without_added_tokens(whole).to_string())
            .map_err(|error| LoadError::model(&path, &error))?;
        let mut bytes = vec![None; manifest.decoder.vocabulary];
        let byte_of = byte_of_character();
        for (text, id) in tokenizer.get_vocab(true) {
            let Some(entry) = bytes.get_mut(id as usize) else {
                let reason = format!("token {id} is outside of a vocabulary of {}", manifest.decoder.vocabulary);
                return Err(LoadError::model(&path, &reason));
            };
            *entry = (!special.contains(&id)).then(|| to_bytes(&text, &byte_of));
        }
        Ok(Self { plain, bytes })
    }

    /// Encodes untrusted text. Special tokens in it are plain text: the tokenizer does not know them, and they are
    /// filtered out in case the vocabulary has them as ordinary entries, too.
    pub(crate) fn encode(&self, text: &str) -> Result<Vec<u32>, tokenizers::Error> {
        let encoding = self.plain.encode_fast(text, false)?;
        Ok(encoding.get_ids().iter().copied().filter(|&id| self.bytes(id).is_some()).collect())
    }

    /// Returns the bytes of a token; `None` for special tokens.
    pub(crate) fn bytes(&self, token: u32) -> Option<&[u8]> {
        self.bytes.get(token as usize)?.as_deref()
    }
}

fn special_tokens(tokenizer: &Value) -> Vec<u32> {
    let added = tokenizer["added_tokens"].as_array().into_iter().flatten();
    added.filter(|token| token["special"] == true).filter_map(|token| Some(token["id"].as_u64()? as u32)).collect()
}

/// Returns the tokenizer without special tokens.
fn without_added_tokens(mut tokenizer: Value) -> Value {
    for (entry, nothing) in [("added_tokens", json!([])), ("post_processor", Value::Null)] {
        tokenizer[entry] = nothing;
    }
    tokenizer
}

/// Byte-level vocabularies map every byte to a character: printable bytes to themselves, the others to U+0100 and
/// following (as in GPT-2).
fn byte_of_character() -> HashMap<char, u8> {
    let printable = |byte: &u8| matches!(byte, b'!'..=b'~' | 0xA1..=0xAC | 0xAE..=0xFF);
    let others =
        (0..=u8::MAX).filter(|byte| !printable(byte)).zip('\u{100}'..).map(|(byte, character)| (character, byte));
    (0..=u8::MAX).filter(printable).map(|byte| (char::from(byte), byte)).chain(others).collect()
}

/// Added tokens that are not special are stored as they are.
fn to_bytes(token: &str, byte_of: &HashMap<char, u8>) -> Box<[u8]> {
    let bytes: Option<Box<[u8]>> = token.chars().map(|character| byte_of.get(&character).copied()).collect();
    bytes.unwrap_or_else(|| token.as_bytes().into())
}
