//! The code fence that models like to put around an answer.

use std::ops::Range;

use crate::stop_reason::StopReason;

const FENCE: &str = "```";

/// What may stand behind the fence of an answer. Any other word names a language, and the fence belongs to the page.
const FORMS: [&str; 9] = ["", "markdown", "md", "html", "latex", "tex", "json", "text", "plaintext"];

/// The answer within the fence that encloses it, or all of it. An answer that was cut off may lack the closing one.
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

/// Whether the last fence closes the first: no fence between them does.
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

/// The lines that are fences, and what stands behind each.
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
    fn a_fence_around_the_answer_is_taken_away() {
        assert_eq!(unfenced("```markdown\n# Title\n\nText\n```"), "# Title\n\nText");
        assert_eq!(unfenced("\n```JSON\n{}\n```"), "{}");
        assert_eq!(unfenced("```\ntext\n```"), "text");
        assert_eq!(unfenced("```md\nrun\n```sh\nls\n```\nor not\n```"), "run\n```sh\nls\n```\nor not");
        assert_eq!(unfenced("```\n```"), "");
    }

    #[test]
    fn a_fence_on_the_page_stays() {
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
    fn an_answer_that_was_cut_off_lacks_the_closing_fence() {
        let text = "```markdown\n# Title";
        assert_eq!(&text[within(text, StopReason::TokenLimit)], "# Title");
        assert_eq!(within("```", StopReason::TokenLimit), 3..3);
    }
}
