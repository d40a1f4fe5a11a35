//! Properties that hold for every text.

use proptest::prelude::*;
use quire_redact::Redactor;
use quire_tasks::{Line, PageText, RedactKind, RedactPattern, RedactPolicy, Redaction};

/// Valid matches of each kind, also with typical OCR errors.
const SECRETS: [&str; 18] = [
    "john.smith@example.com",
    "zhang @ example . cn",
    "j-d@mail.example.org",
    "+1 415 555 2671",
    "+86 138 0013 8000",
    "13912345678",
    "139-1234-5678",
    "0755-82345678",
    "(415) 555-2671",
    "4111 1111 1111 1111",
    "378282246310005",
    "6212345678901232",
    "DE89 3704 0044 0532 0130 00",
    "GB29NWBK60161331926819",
    "11010519491231002X",
    "440524 18800101 0014",
    "ORDER-4711",
    "ORDER-0815",
];
/// Text without matches that does not connect to a number or an address.
const AROUND: [&str; 8] = ["; ", "，请看：", " paid; ", "（合计） ", ": ", "。\u{3000}总额；", " | ", "、"];

fn redactor() -> Redactor {
    let pattern = RedactPattern { name: "order".to_owned(), regex: r"ORDER-\d{4}".to_owned() };
    Redactor::new(&RedactPolicy { kinds: RedactKind::ALL.to_vec(), patterns: vec![pattern] }).expect("a valid policy")
}

fn page(lines: &[String]) -> PageText {
    let polygon = Some([[10.0, 10.0], [500.0, 12.0], [500.0, 42.0], [10.0, 40.0]]);
    let line = |text: &String| Line { text: text.clone(), confidence: None, polygon, ..Line::default() };
    PageText::from_lines("test@1".parse().expect("a valid engine name"), 600, 600, 0, lines.iter().map(line).collect())
}

fn redacted(lines: &[String]) -> PageText {
    let mut page = page(lines);
    redactor().redact(&mut page).expect("a short page");
    page
}

fn slice(text: &str, start: u32, end: u32) -> String {
    text.chars().skip(start as usize).take((end - start) as usize).collect()
}

/// Returns whether the text outside the placeholders is unchanged.
fn is_unchanged_outside(before: &str, after: &str, parts: &[&Redaction]) -> bool {
    let mut rest = before;
    let mut at = 0;
    for part in parts {
        let kept = slice(after, at, part.start);
        let Some(found) = (if at == 0 { rest.strip_prefix(&kept).map(|_| 0) } else { rest.find(&kept) }) else {
            return false;
        };
        rest = &rest[found + kept.len()..];
        at = part.end;
    }
    rest.ends_with(&slice(after, at, after.chars().count() as u32))
}

fn check_redactions(lines: &[String], page: &PageText) -> Result<(), TestCaseError> {
    let redactions = page.redactions.as_ref().expect("a list of redactions");
    for (number, (before, after)) in (0..).zip(lines.iter().zip(&page.lines)) {
        let parts: Vec<&Redaction> = redactions.iter().filter(|part| part.line == Some(number)).collect();
        for part in &parts {
            prop_assert_eq!(slice(&after.text, part.start, part.end), format!("[{}]", part.kind));
            let corners = part.polygon.expect("the line has a polygon");
            for [x, y] in corners {
                prop_assert!((10.0..=500.0).contains(&x) && (10.0..=42.0).contains(&y), "{:?}", corners);
            }
        }
        prop_assert!(parts.windows(2).all(|pair| pair[0].end <= pair[1].start));
        prop_assert!(is_unchanged_outside(before, &after.text, &parts), "{:?} {:?}", before, after.text);
        prop_assert_eq!(parts.is_empty(), *before == after.text);
    }
    Ok(())
}

fn check_idempotent(page: &PageText) -> Result<(), TestCaseError> {
    let mut again = page.clone();
    redactor().redact(&mut again).expect("a short page");
    prop_assert_eq!(again.text(), page.text());
    Ok(())
}

fn lines_with_secrets() -> impl Strategy<Value = Vec<String>> {
    let secret = prop::sample::select(SECRETS.as_slice());
    let around = prop::sample::select(AROUND.as_slice());
    let line = prop::collection::vec((around, secret), 0..5);
    prop::collection::vec(
        line.prop_map(|parts| parts.iter().flat_map(|(around, secret)| [*around, *secret]).collect::<String>()),
        1..6,
    )
}

#[test]
fn a_match_is_found_across_a_line_break_at_any_position() {
    for secret in SECRETS.iter().filter(|secret| !secret.starts_with("ORDER")) {
        let digits = |text: &str| text.chars().filter(char::is_ascii_digit).count();
        for at in 1..secret.len() {
            let (head, tail) = secret.split_at(at);
            // Known limits: the local part of an address is found on one line only, and a landline number that is
            // complete without its last digits ends at the line break.
            let is_local_part = secret.contains('@') && !head.contains('@');
            if is_local_part || (secret.starts_with(['0', '(']) && (1..=2).contains(&digits(tail))) {
                continue;
            }
            let page = redacted(&[format!("see {head}"), format!("{tail}; and so on")]);
            assert_clean(&page.text(), head);
        }
    }
}

fn assert_clean(redacted: &str, head: &str) {
    let clean = !redacted.chars().any(|character| character.is_ascii_digit() || character == '@');
    assert!(clean, "{redacted:?} with a line break after {head:?}");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    #[test]
    fn no_secret_is_left(lines in lines_with_secrets(), tail in prop::sample::select(AROUND.as_slice())) {
        let lines: Vec<String> = lines.iter().map(|line| format!("{line}{tail}")).collect();
        let page = redacted(&lines);
        let text = page.text();
        for secret in SECRETS {
            prop_assert!(!text.contains(secret), "{} in {}", secret, text);
        }
        let digits = text.chars().filter(char::is_ascii_digit).count();
        prop_assert_eq!(digits, 0, "{}", text);
        check_redactions(&lines, &page)?;
        check_idempotent(&page)?;
    }

    #[test]
    fn any_text_can_be_redacted_and_changes_only_in_placeholders(
        lines in prop::collection::vec("(?s).{0,40}|[0-9 @.a-zX()+/-]{0,60}|[0-9０-９—:，电话 \u{200B}]{0,60}", 0..8),
    ) {
        let page = redacted(&lines);
        check_redactions(&lines, &page)?;
        check_idempotent(&page)?;
    }
}
