//! Removes the code fence that models often put around an answer.

use std::ops::Range;

use crate::stop_reason::StopReason;

const FENCE: &str = "```";

/// Languages of a fence around an answer. With any other language, the fence is part of the page.
const FORMS: [&str; 9] = ["", "markdown", "md", "html", "latex", "tex", "json", "text", "plaintext"];

/// Returns the range inside the enclosing fence, or the whole text. If the answer was cut off, the closing fence may be
/// missing.
pub(super) fn within(text: &str, end: StopReason) -> Range<usize> {
    let all = 0..text.len();
    let fences: Vec<(Range<usize>, &str)> = fences(text).collect();
    let Some((opening, form)) = fences.first() else { return all };
    if !text[..opening.start].trim().is_empty() || !FORMS.contains(&form.to_lowercase().as_str()) {
        return all;
    }
    let start = (opening.end + 1).min(text.len());
    let Some((closing, _)) = fences.get(1..).and_then(<[_]>::last) else {
        return if end == StopReason::EndOfText { all } else { start..text.len() };
    };
    if closes(&fences) && text[closing.end..].trim().is_empty() { start..closing.start.max(start) } else { all }
}

/// Returns whether the last fence closes the first one.
fn closes(fences: &[(Range<usize>, &str)]) -> bool {
    let mut open = 1;
    for (index, (_, form)) in fences.iter().enumerate().skip(1) {
        if form.is_empty() {
            open -= 1;
        } else {
            open += 1;
        }
        if open == 0 {
            return index + 1 == fences.len();
        }
    }
    false
}

/// Iterates over the lines that are fences, each with its language.
fn fences(text: &str) -> impl Iterator<Item = (Range<usize>, &str)> {
    let mut start = 0;
    text.split('\n').filter_map(move |line| {
        let range = start..start + line.len();
        start = range.end + 1;
        Some((range, line.trim().strip_prefix(FENCE)?.trim()))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn unfenced(text: &str) -> &str {
        text[within(text, StopReason::EndOfText)].trim_end()
    }

    #[test]
    fn a_fence_around_the_answer_is_removed() {
        assert_eq!(unfenced("```markdown\n# Title\n\nText\n```"), "# Title\n\nText");
        assert_eq!(unfenced("\n```JSON\n{}\n```"), "{}");
        assert_eq!(unfenced("```\ntext\n```"), "text");
        assert_eq!(unfenced("```md\nrun\n```sh\nls\n```\nor not\n```"), "run\n```sh\nls\n```\nor not");
        assert_eq!(unfenced("```\n```"), "");
    }

    #[test]
    fn a_fence_on_the_page_is_kept() {
        for text in [
            "```python\nprint(1)\n```",
            "```\na\n```\nbetween\n```\nb\n```",
            "before\n```\na\n```",
            "```\na\n```\nafter",
            "```markdown\nno end",
            "no fence",
            "",
            "```",
        ] {
            assert_eq!(unfenced(text), text);
        }
    }

    #[test]
    fn the_closing_fence_may_be_cut_off() {
        let text = "```markdown\n# Title";
        assert_eq!(&text[within(text, StopReason::TokenLimit)], "# Title");
        assert_eq!(within("```", StopReason::TokenLimit), 3..3);
    }
}
