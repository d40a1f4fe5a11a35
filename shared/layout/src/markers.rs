//! What the beginning of a line tells: bullets, numbers of items, headings and pages, captions.

use quire_tasks::list_marker;

/// Returns whether a line begins an item of a list.
pub(crate) fn is_list_marker(text: &str) -> bool {
    list_marker(text).is_some()
}

/// Returns the depth of the number of a heading: `2.1 Scope` has 2. A number alone is none.
pub(crate) fn numbered_heading_level(text: &str) -> Option<u8> {
    let text = text.trim_start();
    let number: String = text.chars().take_while(|c| c.is_ascii_digit() || *c == '.').collect();
    let rest = text[number.len()..].trim_start();
    let parts: Vec<&str> = number.trim_end_matches('.').split('.').collect();
    let is_number = parts.iter().all(|part| (1..=2).contains(&part.len()) && part.parts_are_digits());
    let starts_word = rest.chars().next().is_some_and(|c| c.is_uppercase() || (c.is_alphabetic() && !c.is_lowercase()));
    let is_apart = text.len() > number.len() && text[number.len()..].starts_with(char::is_whitespace)
        || rest.chars().next().is_some_and(|c| c > '\u{2e7f}');
    (is_number && starts_word && is_apart).then_some(parts.len().min(6) as u8)
}

/// Digits only.
trait Digits {
    fn parts_are_digits(&self) -> bool;
}

impl Digits for &str {
    fn parts_are_digits(&self) -> bool {
        !self.is_empty() && self.bytes().all(|byte| byte.is_ascii_digit())
    }
}

/// Returns whether a line at the edge of a page is its number: `3`, `- 3 -`, `Page 3 of 7`, `第 3 页`.
pub(crate) fn is_page_number(text: &str) -> bool {
    const WORDS: [&str; 12] = ["page", "seite", "pagina", "página", "of", "von", "de", "sur", "第", "页", "共", "頁"];
    let mut rest = text.to_lowercase();
    for word in WORDS {
        rest = rest.replace(word, " ");
    }
    let digits = rest.chars().filter(char::is_ascii_digit).count();
    let others = rest.chars().filter(|c| !c.is_ascii_digit() && !c.is_whitespace() && !"-–—/|.·[]()".contains(*c));
    let is_roman =
        !rest.trim().is_empty() && rest.trim().len() <= 6 && rest.trim().chars().all(|c| "ivxlc".contains(c));
    (1..=8).contains(&digits) && others.count() == 0 || is_roman
}

/// Returns whether a line is the caption of a figure or a table.
pub(crate) fn is_caption(text: &str) -> bool {
    const WORDS: [&str; 14] = [
        "figure",
        "fig.",
        "fig",
        "table",
        "tab.",
        "chart",
        "abbildung",
        "abb.",
        "tabelle",
        "photo",
        "tableau",
        "图",
        "表",
        "圖",
    ];
    let lower = text.trim_start().to_lowercase();
    WORDS.iter().any(|word| {
        lower.strip_prefix(word).is_some_and(|rest| {
            let rest = rest.trim_start();
            let number = rest.bytes().take_while(u8::is_ascii_digit).count();
            number > 0 && rest[number..].chars().next().is_none_or(|next| !next.is_alphanumeric() || next > '\u{2e7f}')
        })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_of_headings_have_a_depth() {
        assert_eq!(numbered_heading_level("1 Introduction"), Some(1));
        assert_eq!(numbered_heading_level("2.3. Scope of work"), Some(2));
        assert_eq!(numbered_heading_level("3.1适用范围"), Some(2));
        for text in ["12.50", "1", "2 pieces", "2026 Report", "3.5mm", "12,000 Kilometers"] {
            assert_eq!(numbered_heading_level(text), None, "{text}");
        }
    }

    #[test]
    fn page_numbers_are_told_from_text() {
        for text in ["3", "- 12 -", "Page 3 of 7", "Seite 3 von 7", "第3页 共7页", "3 / 7", "iv"] {
            assert!(is_page_number(text), "{text}");
        }
        for text in ["Chapter 3", "Tel. 030 12345", "", "2026-11-30 Report", "mix"] {
            assert!(!is_page_number(text), "{text}");
        }
    }

    #[test]
    fn captions_have_a_word_and_a_number() {
        for text in ["Figure 3: Sales", "Table 2. Costs", "Abb. 1 Aufbau", "图 1 结构", "表2：价格"] {
            assert!(is_caption(text), "{text}");
        }
        for text in ["Figure skating", "Tables 3", "表示", "Fig tree"] {
            assert!(!is_caption(text), "{text}");
        }
    }
}
