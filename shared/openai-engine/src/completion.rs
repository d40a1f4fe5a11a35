//! A chat completion, assembled from its chunks.

use quire_ocr::{StopReason, StreamRepetitionGuard, without_repetition};
use serde::Deserialize;
use serde_json::Value;

/// The data of the last event of a stream.
const DONE: &str = "[DONE]";

/// A chunk of a streamed completion, or a whole completion: they differ only in the name of one field.
#[derive(Debug, Deserialize)]
struct CompletionChunk {
    choices: Option<Vec<CompletionChoice>>,
    error: Option<Value>,
}

#[derive(Debug, Deserialize)]
struct CompletionChoice {
    #[serde(alias = "message")]
    delta: Option<CompletionMessage>,
    finish_reason: Option<String>,
    logprobs: Option<TokenLogprobs>,
}

#[derive(Debug, Deserialize)]
struct CompletionMessage {
    content: Option<String>,
}

#[derive(Debug, Deserialize)]
struct TokenLogprobs {
    content: Option<Vec<TokenLogprob>>,
}

#[derive(Debug, Deserialize)]
struct TokenLogprob {
    logprob: f32,
}

/// Why a completion cannot be used.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum CompletionError {
    /// It is not a chat completion.
    Format,
    /// The server failed during generation.
    Status {
        /// The HTTP status that it would have returned before the stream began. Default: 500.
        status: u16,
    },
    /// The generation was aborted at the server.
    Truncated,
}

/// The text and token probabilities received so far.
#[derive(Debug, Default)]
pub(crate) struct ChatCompletion {
    text: String,
    /// Mean probabilities of tokens, with the byte offset at which these tokens end.
    confidences: Vec<(usize, f32)>,
    /// Probabilities of tokens that are not text yet: parts of a character.
    pending: Vec<f32>,
    guard: StreamRepetitionGuard,
    has_begun: bool,
    end: Option<StopReason>,
}

impl ChatCompletion {
    /// Appends the data of the next event, or a whole completion.
    pub(crate) fn push(&mut self, data: &str) -> Result<(), CompletionError> {
        if data.trim() == DONE {
            self.finish();
            return Ok(());
        }
        let chunk: CompletionChunk = serde_json::from_str(data).map_err(|_| CompletionError::Format)?;
        if let Some(error) = chunk.error.filter(|error| !error.is_null()) {
            let status = error["code"].as_u64().filter(|code| (400..600).contains(code));
            return Err(CompletionError::Status { status: status.map_or(500, |code| code as u16) });
        }
        // The chunk with the token counts has no choice.
        let choices = chunk.choices.ok_or(CompletionError::Format)?;
        match choices.into_iter().next() {
            Some(choice) => self.append(choice),
            None => Ok(()),
        }
    }

    /// Marks the end of the stream. Some servers send no reason for the end.
    pub(crate) fn finish(&mut self) {
        self.end = self.end.or(self.has_begun.then_some(StopReason::EndOfText));
    }

    fn append(&mut self, choice: CompletionChoice) -> Result<(), CompletionError> {
        self.has_begun = true;
        let tokens = choice.logprobs.and_then(|logprobs| logprobs.content).unwrap_or_default();
        self.pending.extend(tokens.iter().map(|token| token.logprob.exp().min(1.0)));
        let more = choice.delta.and_then(|delta| delta.content).unwrap_or_default();
        if !more.is_empty() {
            self.text.push_str(&more);
            if !self.pending.is_empty() {
                let mean = self.pending.iter().sum::<f32>() / self.pending.len() as f32;
                self.confidences.push((self.text.len(), mean));
                self.pending.clear();
            }
            if self.guard.detects_repetition(&self.text) {
                self.end = Some(StopReason::Repetition);
            }
        }
        match choice.finish_reason.as_deref() {
            None | Some("") => {}
            Some("stop") => self.end = Some(StopReason::EndOfText),
            Some("repetition") => self.end = Some(StopReason::Repetition),
            Some("abort" | "error") => return Err(CompletionError::Truncated),
            // `length`, `content_filter` and other reasons that end a completion before the model does.
            Some(_) => self.end = Some(StopReason::TokenLimit),
        }
        Ok(())
    }

    /// Returns whether there is any text yet.
    pub(crate) const fn has_text(&self) -> bool {
        !self.text.is_empty()
    }

    /// Returns why it has ended, or `None` if it has not.
    pub(crate) const fn end(&self) -> Option<StopReason> {
        self.end
    }

    /// Returns its lines with their confidence, without a repetition at the end; and whether there was a repetition.
    pub(crate) fn into_lines(self) -> (Vec<(String, Option<f32>)>, bool) {
        let unrepeated = without_repetition(&self.text);
        let is_repeated = unrepeated.len() < self.text.len();
        let text = unrepeated.trim_end();
        let mut lines = Vec::new();
        if !text.is_empty() {
            let mut start = 0;
            for line in text.split('\n') {
                let end = start + line.len();
                lines.push((line.to_owned(), self.mean_confidence(start, end)));
                start = end + 1;
            }
        }
        (lines, is_repeated)
    }

    /// Returns the mean probability of the tokens that overlap a range of the text, or `None` if it is unknown.
    fn mean_confidence(&self, start: usize, end: usize) -> Option<f32> {
        let from = self.confidences.partition_point(|&(token_end, _)| token_end <= start);
        let mut token_start = if from == 0 { 0 } else { self.confidences[from - 1].0 };
        let mut sum = 0.0;
        let mut count = 0;
        for (token_end, confidence) in &self.confidences[from..] {
            if token_start >= end {
                break;
            }
            sum += confidence;
            count += 1;
            token_start = *token_end;
        }
        (count > 0).then(|| sum / count as f32)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    fn chunk(text: &str, probabilities: &[f32]) -> String {
        let content: Vec<_> = probabilities.iter().map(|p| json!({"token": "x", "logprob": p.ln()})).collect();
        json!({"choices": [{"index": 0, "delta": {"content": text}, "logprobs": {"content": content}}]}).to_string()
    }

    fn ended(reason: &str) -> Result<Option<StopReason>, CompletionError> {
        let mut completion = ChatCompletion::default();
        completion.push(&json!({"choices": [{"delta": {}, "finish_reason": reason}]}).to_string())?;
        Ok(completion.end())
    }

    #[test]
    fn the_confidence_of_a_line_is_the_mean_of_its_tokens() {
        let mut completion = ChatCompletion::default();
        for (text, probabilities) in [
            ("on", &[0.5][..]),
            ("e\n", &[0.7]),
            // The first of two tokens of one character has no text.
            ("", &[0.2]),
            ("文", &[0.4]),
            ("\nthree", &[1.0]),
            ("", &[0.1]),
        ] {
            completion.push(&chunk(text, probabilities)).expect("a chunk");
        }
        let (lines, repeated) = completion.into_lines();
        let sure: Vec<(&str, f32)> =
            lines.iter().map(|(line, sure)| (line.as_str(), (sure.expect("a confidence") * 100.0).round())).collect();
        assert_eq!((sure, repeated), (vec![("one", 60.0), ("文", 30.0), ("three", 100.0)], false));
    }

    #[test]
    fn without_probabilities_there_is_no_confidence() {
        let mut completion = ChatCompletion::default();
        completion
            .push(r#"{"choices":[{"message":{"content":"a\nb\n"},"finish_reason":"stop"}]}"#)
            .expect("a completion");
        assert_eq!(completion.end(), Some(StopReason::EndOfText));
        assert_eq!(completion.into_lines().0, [("a".to_owned(), None), ("b".to_owned(), None)]);
    }

    #[test]
    fn the_finish_reason_determines_the_end() {
        assert_eq!(ended("stop"), Ok(Some(StopReason::EndOfText)));
        assert_eq!(ended("length"), Ok(Some(StopReason::TokenLimit)));
        assert_eq!(ended("content_filter"), Ok(Some(StopReason::TokenLimit)), "there may be more on the page");
        assert_eq!(ended("repetition"), Ok(Some(StopReason::Repetition)));
        assert_eq!(ended(""), Ok(None));
        assert_eq!(ended("abort"), Err(CompletionError::Truncated));
        let mut done = ChatCompletion::default();
        assert_eq!(done.push("[DONE]"), Ok(()));
        assert_eq!(done.end(), None, "nothing was received");
        done.push(&chunk("a", &[])).expect("a chunk");
        done.push("[DONE]").expect("the end");
        assert_eq!(done.end(), Some(StopReason::EndOfText));
    }

    #[test]
    fn an_error_in_the_stream_has_its_status() {
        let broken = |data: &str| ChatCompletion::default().push(data);
        assert_eq!(broken(r#"{"error":{"message":"x","code":400}}"#), Err(CompletionError::Status { status: 400 }));
        assert_eq!(broken(r#"{"error":"out of memory"}"#), Err(CompletionError::Status { status: 500 }));
        assert_eq!(broken(r#"{"error":{"code":7}}"#), Err(CompletionError::Status { status: 500 }));
        assert_eq!(broken(r#"{"object":"list"}"#), Err(CompletionError::Format));
        assert_eq!(broken("<html>"), Err(CompletionError::Format));
        assert_eq!(broken(r#"{"choices":[],"error":null,"usage":{}}"#), Ok(()));
    }

    #[test]
    fn an_endless_repetition_ends_the_completion() {
        let mut completion = ChatCompletion::default();
        let mut chunks = 0;
        while completion.end().is_none() {
            completion.push(&chunk("round and round ", &[])).expect("a chunk");
            chunks += 1;
            assert!(chunks < 1000, "the repetition is not detected");
        }
        assert_eq!(completion.end(), Some(StopReason::Repetition));
        let (lines, repeated) = completion.into_lines();
        assert!(repeated && lines[0].0.len() < 100, "{} bytes are left", lines[0].0.len());
    }

    proptest! {
        #[test]
        fn no_text_is_lost(pieces in prop::collection::vec("[ab文 \n]{0,8}", 0..8), sure in any::<bool>()) {
            let mut completion = ChatCompletion::default();
            for piece in &pieces {
                completion.push(&chunk(piece, if sure { &[0.5] } else { &[] })).expect("a chunk");
            }
            let lines: Vec<String> = completion.into_lines().0.into_iter().map(|(line, _)| line).collect();
            let whole = pieces.concat();
            prop_assert_eq!(lines.join("\n"), whole.trim_end());
        }
    }
}
