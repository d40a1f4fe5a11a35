//! An answer as it grows.

use quire_ocr::{StopReason, StreamRepetitionGuard, without_repetition};
use serde::Deserialize;
use serde_json::Value;

/// What ends an event stream.
const DONE: &str = "[DONE]";

/// A chunk of a streamed completion, or a whole one: they differ in one name.
#[derive(Debug, Deserialize)]
struct Chunk {
    choices: Option<Vec<Choice>>,
    error: Option<Value>,
}

#[derive(Debug, Deserialize)]
struct Choice {
    #[serde(alias = "message")]
    delta: Option<Message>,
    finish_reason: Option<String>,
    logprobs: Option<Logprobs>,
}

#[derive(Debug, Deserialize)]
struct Message {
    content: Option<String>,
}

#[derive(Debug, Deserialize)]
struct Logprobs {
    content: Option<Vec<Token>>,
}

#[derive(Debug, Deserialize)]
struct Token {
    logprob: f32,
}

/// Why an answer cannot go on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Broken {
    /// It is no chat completion.
    Form,
    /// The server gave up on it.
    Error {
        /// As it would have been, had the server known earlier.
        status: u16,
    },
    /// The server was made to give up on it.
    CutShort,
}

/// The text so far.
#[derive(Debug, Default)]
pub(crate) struct Answer {
    text: String,
    /// Where in the text some tokens ended, and how probable they were on average.
    sure: Vec<(usize, f32)>,
    /// Of tokens that have not become text yet: parts of a character.
    pending: Vec<f32>,
    guard: StreamRepetitionGuard,
    begun: bool,
    end: Option<StopReason>,
}

impl Answer {
    /// Takes the data of the next event, or a whole completion.
    pub(crate) fn push(&mut self, data: &str) -> Result<(), Broken> {
        if data.trim() == DONE {
            self.done();
            return Ok(());
        }
        let chunk: Chunk = serde_json::from_str(data).map_err(|_| Broken::Form)?;
        if let Some(error) = chunk.error.filter(|error| !error.is_null()) {
            let status = error["code"].as_u64().filter(|code| (400..600).contains(code));
            return Err(Broken::Error { status: status.map_or(500, |code| code as u16) });
        }
        // The counts of tokens may come with no choice at all.
        let choices = chunk.choices.ok_or(Broken::Form)?;
        choices.into_iter().next().map_or(Ok(()), |choice| self.take(choice))
    }

    /// There is no more. Some servers leave it at that, and do not say why.
    pub(crate) fn done(&mut self) {
        self.end = self.end.or(self.begun.then_some(StopReason::EndOfText));
    }

    fn take(&mut self, choice: Choice) -> Result<(), Broken> {
        self.begun = true;
        let tokens = choice.logprobs.and_then(|logprobs| logprobs.content).unwrap_or_default();
        self.pending.extend(tokens.iter().map(|token| token.logprob.exp().min(1.0)));
        let more = choice.delta.and_then(|delta| delta.content).unwrap_or_default();
        if !more.is_empty() {
            self.text.push_str(&more);
            if !self.pending.is_empty() {
                let mean = self.pending.iter().sum::<f32>() / self.pending.len() as f32;
                self.sure.push((self.text.len(), mean));
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
            Some("abort" | "error") => return Err(Broken::CutShort),
            // `length`, and whatever else ends an answer before the model does.
            Some(_) => self.end = Some(StopReason::TokenLimit),
        }
        Ok(())
    }

    /// Whether there is any text yet.
    pub(crate) const fn has_text(&self) -> bool {
        !self.text.is_empty()
    }

    /// Why it is at its end, if it is.
    pub(crate) const fn end(&self) -> Option<StopReason> {
        self.end
    }

    /// Its lines without a repetition at the end, each with how sure the model was of it; and whether there was one.
    pub(crate) fn into_lines(self) -> (Vec<(String, Option<f32>)>, bool) {
        let kept = without_repetition(&self.text);
        let repeated = kept.len() < self.text.len();
        let text = kept.trim_end();
        let mut start = 0;
        let lines = text.split('\n').map(|line| {
            let range = (start, start + line.len());
            start = range.1 + 1;
            (line.to_owned(), self.mean(range.0, range.1))
        });
        (if text.is_empty() { Vec::new() } else { lines.collect() }, repeated)
    }

    /// Of the tokens that have a part between two places of the text.
    fn mean(&self, start: usize, end: usize) -> Option<f32> {
        let from = self.sure.partition_point(|&(token_end, _)| token_end <= start);
        let before_end = |index: usize| if index == 0 { 0 } else { self.sure[index - 1].0 };
        let within = (from..self.sure.len()).take_while(|&index| before_end(index) < end);
        let (sum, count) = within.fold((0.0, 0), |(sum, count), index| (sum + self.sure[index].1, count + 1));
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

    fn ended(reason: &str) -> Result<Option<StopReason>, Broken> {
        let mut answer = Answer::default();
        answer.push(&json!({"choices": [{"delta": {}, "finish_reason": reason}]}).to_string())?;
        Ok(answer.end())
    }

    #[test]
    fn a_line_is_as_sure_as_its_tokens() {
        let mut answer = Answer::default();
        for (text, probabilities) in [
            ("on", &[0.5][..]),
            ("e\n", &[0.7]),
            // The first of two tokens of one character has no text of its own.
            ("", &[0.2]),
            ("文", &[0.4]),
            ("\nthree", &[1.0]),
            ("", &[0.1]),
        ] {
            answer.push(&chunk(text, probabilities)).expect("a chunk");
        }
        let (lines, repeated) = answer.into_lines();
        let sure: Vec<(&str, f32)> =
            lines.iter().map(|(line, sure)| (line.as_str(), (sure.expect("known") * 100.0).round())).collect();
        assert_eq!((sure, repeated), (vec![("one", 60.0), ("文", 30.0), ("three", 100.0)], false));
    }

    #[test]
    fn nobody_is_sure_where_nothing_is_said_of_it() {
        let mut answer = Answer::default();
        answer.push(r#"{"choices":[{"message":{"content":"a\nb\n"},"finish_reason":"stop"}]}"#).expect("a completion");
        assert_eq!(answer.end(), Some(StopReason::EndOfText));
        assert_eq!(answer.into_lines().0, [("a".to_owned(), None), ("b".to_owned(), None)]);
    }

    #[test]
    fn every_end_has_its_reason() {
        assert_eq!(ended("stop"), Ok(Some(StopReason::EndOfText)));
        assert_eq!(ended("length"), Ok(Some(StopReason::TokenLimit)));
        assert_eq!(ended("content_filter"), Ok(Some(StopReason::TokenLimit)), "there may be more on the page");
        assert_eq!(ended("repetition"), Ok(Some(StopReason::Repetition)));
        assert_eq!(ended(""), Ok(None));
        assert_eq!(ended("abort"), Err(Broken::CutShort));
        let mut done = Answer::default();
        assert_eq!(done.push("[DONE]"), Ok(()));
        assert_eq!(done.end(), None, "nothing has been said");
        done.push(&chunk("a", &[])).expect("a chunk");
        done.push("[DONE]").expect("the end");
        assert_eq!(done.end(), Some(StopReason::EndOfText));
    }

    #[test]
    fn an_error_in_the_stream_has_the_status_that_it_would_have_had() {
        let broken = |data: &str| Answer::default().push(data);
        assert_eq!(broken(r#"{"error":{"message":"x","code":400}}"#), Err(Broken::Error { status: 400 }));
        assert_eq!(broken(r#"{"error":"out of memory"}"#), Err(Broken::Error { status: 500 }));
        assert_eq!(broken(r#"{"error":{"code":7}}"#), Err(Broken::Error { status: 500 }));
        assert_eq!(broken(r#"{"object":"list"}"#), Err(Broken::Form));
        assert_eq!(broken("<html>"), Err(Broken::Form));
        assert_eq!(broken(r#"{"choices":[],"error":null,"usage":{}}"#), Ok(()));
    }

    #[test]
    fn an_answer_that_goes_round_in_circles_is_at_its_end() {
        let mut answer = Answer::default();
        let mut chunks = 0;
        while answer.end().is_none() {
            answer.push(&chunk("round and round ", &[])).expect("a chunk");
            chunks += 1;
            assert!(chunks < 1000, "it is never noticed");
        }
        assert_eq!(answer.end(), Some(StopReason::Repetition));
        let (lines, repeated) = answer.into_lines();
        assert!(repeated && lines[0].0.len() < 100, "{} bytes are left", lines[0].0.len());
    }

    proptest! {
        #[test]
        fn no_text_is_lost(pieces in prop::collection::vec("[ab文 \n]{0,8}", 0..8), sure in any::<bool>()) {
            let mut answer = Answer::default();
            for piece in &pieces {
                answer.push(&chunk(piece, if sure { &[0.5] } else { &[] })).expect("a chunk");
            }
            let lines: Vec<String> = answer.into_lines().0.into_iter().map(|(line, _)| line).collect();
            let whole = pieces.concat();
            prop_assert_eq!(lines.join("\n"), whole.trim_end());
        }
    }
}
