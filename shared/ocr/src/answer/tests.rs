//! Parsing answers in every mode.

use proptest::prelude::*;
use quire_tasks::{ModeName, Polygon, WarningCode};
use serde_json::{Value, json};

use super::*;

const WIDTH: u32 = 2_000;
const HEIGHT: u32 = 500;

fn fields(keys: &[&str]) -> Mode {
    Mode::Fields { keys: keys.iter().map(|key| (*key).to_owned()).collect() }
}

fn english() -> Mode {
    Mode::Translate { language: "English".to_owned() }
}

fn page_to(mode: &Mode, answer: &str, end: StopReason) -> PageText {
    let engine = EngineName { name: "test".to_owned(), version: "1".to_owned() };
    let lines = answer.split('\n').map(|line| (line.to_owned(), Some(0.5))).collect();
    parse_answer(engine, WIDTH, HEIGHT, mode, lines, end)
}

fn page(mode: &Mode, answer: &str) -> PageText {
    page_to(mode, answer, StopReason::EndOfText)
}

fn text(mode: &Mode, answer: &str) -> String {
    let page = page(mode, answer);
    assert_eq!(page.warnings, [], "{answer}");
    page.text()
}

/// The text of each line, with left, top, right and bottom if it has a position.
fn spots(page: &PageText) -> Vec<(&str, Option<[f32; 4]>)> {
    let corners = |[start, _, opposite, _]: Polygon| [start[0], start[1], opposite[0], opposite[1]];
    page.lines.iter().map(|line| (line.text.as_str(), line.polygon.map(corners))).collect()
}

#[test]
fn text_markdown_and_formulas_are_kept_as_generated() {
    let answer = "# Report\n\n  indented (1,2),(3,4)\n\n$$ e = mc^2 $$";
    for mode in [Mode::Text, Mode::Markdown, Mode::Formula] {
        let read = page(&mode, &format!("{answer}\n \n"));
        assert_eq!((read.text().as_str(), read.mode), (answer, mode.name()));
        assert!(read.lines.iter().all(|line| line.confidence == Some(0.5) && line.polygon.is_none()));
        assert_eq!(text(&mode, &format!("```markdown\n{answer}\n\n```")), answer);
    }
    assert!(page(&Mode::Text, "\n \n").lines.is_empty());
}

#[test]
fn the_stop_reason_becomes_a_warning() {
    assert_eq!(page_to(&Mode::Text, "a", StopReason::TokenLimit).warning_codes(), [WarningCode::CutOff]);
    assert_eq!(page_to(&Mode::Text, "a", StopReason::Repetition).warning_codes(), [WarningCode::Repetition]);
    assert_eq!(
        page_to(&Mode::Table, "a", StopReason::TokenLimit).warning_codes(),
        [WarningCode::CutOff, WarningCode::OtherForm]
    );
    assert_eq!(page_to(&Mode::Markdown, "```markdown\n# A", StopReason::TokenLimit).text(), "# A");
}

#[test]
fn subtitles_are_split_at_escaped_line_breaks() {
    let answer = "对不起 我是诺曼·斯佩尔曼\\nSorry, I'm Norm. Spellman.";
    assert_eq!(text(&Mode::Subtitles, answer), "对不起 我是诺曼·斯佩尔曼\nSorry, I'm Norm. Spellman.");
}

#[test]
fn only_the_tables_of_an_answer_are_kept() {
    let first = "<table><tr><td>1</td></tr></table>";
    let second = "<TABLE border=\"1\">\n<tr></tr>\n</TABLE>";
    let answer = format!("Here is the table:\n{first} and {second}\nThat is all.");
    assert_eq!(text(&Mode::Table, &answer), format!("{first}\n{second}"));
    let nested = "<table><tr><td><table></table></td></tr></table>";
    assert_eq!(text(&Mode::Table, &format!("```html\n{nested}\n```")), nested);
    let cut = "<table><tr><td>1";
    assert_eq!(page_to(&Mode::Table, &format!("a {cut}"), StopReason::TokenLimit).text(), cut);
    assert_eq!(
        page_to(&Mode::Table, &format!("a {cut}"), StopReason::TokenLimit).warning_codes(),
        [WarningCode::CutOff]
    );
    let none = page(&Mode::Table, "| a | b |\n<tables>");
    assert_eq!((none.text().as_str(), none.warning_codes()), ("| a | b |\n<tables>", vec![WarningCode::OtherForm]));
}

#[test]
fn only_requested_fields_are_returned() {
    let answer = r#"{"Total": "￥77.10元", "no": 42609332, "date": "", "seller": {"name": "a"}, "other": 1}"#;
    let expected = json!({"total": "￥77.10元", "no": 42_609_332, "date": null, "seller": {"name": "a"}, "tax": null});
    let mode = fields(&["total", "no", "date", "seller", "tax"]);
    for answer in [
        answer.to_owned(),
        format!("```json\n{answer}\n```"),
        format!("The fields are:\n{answer}\nThat is all."),
        format!("[{answer}]"),
    ] {
        let read = page(&mode, &answer);
        assert_eq!(read.fields.clone().map(Value::Object), Some(expected.clone()), "{answer}");
        assert_eq!((read.mode, &read.warnings[..]), (ModeName::Fields, &[][..]));
        assert!(!read.lines.is_empty(), "the answer stands beside them");
    }
    assert_eq!(page(&mode, "{}").warnings, []);
}

#[test]
fn an_answer_that_is_not_a_matching_object_leaves_all_fields_null() {
    let mode = fields(&["total", "date"]);
    for answer in
        ["total: 5", "{\"total\": \"5\", \"da", "{'total': 5}", "[{\"total\": 5}, {}]", "[1]", "7", "{\"sum\": 5}", ""]
    {
        let read = page(&mode, answer);
        assert_eq!(read.fields.clone().map(Value::Object), Some(json!({"total": null, "date": null})), "{answer}");
        assert_eq!(read.warning_codes(), [WarningCode::OtherForm], "{answer}");
        let said: Vec<&str> = read.lines.iter().map(|line| line.text.as_str()).collect();
        assert_eq!(said.join("\n"), answer);
    }
    assert!(page(&Mode::Text, "{\"total\": 1}").fields.is_none());
}

#[test]
fn a_translation_is_returned_without_its_source() {
    let answer = "图中的文字是\n营业时间\n翻译成英文为\nOpening hours\n翻译成英文为";
    assert_eq!(text(&english(), answer), "Opening hours\n翻译成英文为");
    assert_eq!(text(&english(), "图中的文字是：\n营业\n翻译成中文为：\nOpen"), "Open");
    assert_eq!(text(&english(), "Opening hours\n翻译成英文为"), "Opening hours\n翻译成英文为");
    let cut = page_to(&english(), "图中的文字是\n营业时间", StopReason::TokenLimit);
    assert_eq!(cut.warning_codes(), [WarningCode::CutOff, WarningCode::OtherForm]);
    assert_eq!(cut.text(), "图中的文字是\n营业时间");
}

#[test]
fn all_formats_parse_to_the_same_lines_and_positions() {
    let expected =
        [("ATLANTA (AP)", Some([600.0, 10.0, 1_000.0, 25.0])), ("金额(小写) 5", Some([0.0, 0.0, 2_000.0, 500.0]))];
    for answer in [
        "ATLANTA (AP)(300,20),(500,50)金额(小写) 5(0,0),(1000,1000)",
        "ATLANTA (AP)(300,20),(500,50)\n金额(小写)\n5( 0, 0 ), (1000,1000)\n",
        "<ref>ATLANTA (AP)</ref><quad>(300,20),(500,50)</quad><ref>金额(小写) 5</ref><quad>(0,0),(1000,1000)</quad>",
        "<quad><pos_300><pos_20><pos_500><pos_50></quad><ref>ATLANTA (AP)</ref>\
         <quad><pos_0><pos_0><pos_1000><pos_1000></quad><ref>金额(小写) 5</ref>",
        r#"[{"box": [300, 20, 500, 50], "text": "ATLANTA (AP)"}, {"bbox": [0, 0, 1000, 1000], "text": "金额(小写)\n5"}]"#,
        "```json\n[\n {\"box\": [300, 20, 500, 50], \"text\": \"ATLANTA (AP)\"},\n \
         {\"box\": [0, 0, 1000.0, 1000], \"text\": \"金额(小写) 5\"}\n]\n```",
    ] {
        let read = page(&Mode::Spotting, answer);
        assert_eq!(spots(&read), expected, "{answer}");
        assert_eq!(read.warnings, [], "{answer}");
        assert!(read.lines.iter().all(|line| line.confidence == Some(0.5)));
    }
}

#[test]
fn a_polygon_is_clockwise_from_the_top_left_and_inside_the_page() {
    let read = page(&Mode::Spotting, "a(500,9999),(100,200)");
    let polygon = read.lines[0].polygon.expect("the line has a polygon");
    assert_eq!(polygon, [[200.0, 100.0], [1_000.0, 100.0], [1_000.0, 500.0], [200.0, 500.0]]);
}

#[test]
fn text_without_a_position_is_kept_with_a_warning() {
    for (answer, expected) in [
        ("a(1,2),(3,4)b(5,6),(7", vec![("a", true), ("b(5,6),(7", false)]),
        ("a\nb", vec![("a", false), ("b", false)]),
        ("a(1,2),(3,45678)", vec![("a(1,2),(3,45678)", false)]),
        (r#"[{"box": [1,2,3,4], "text": "a"}, {"box": [5,6"#, vec![("a", true), (r#"{"box": [5,6"#, false)]),
        (r#"[{"text": "a"}, {"box": [1,2,3], "text": "b"}]"#, vec![("a", false), ("b", false)]),
        (r#"[{"box": [1,2,3,4]}] so"#, vec![(r#"{"box":[1,2,3,4]}"#, true), ("so", false)]),
        ("<quad>a<pos_1><pos_2><pos_3><pos_4></quad><ref>b</ref>", vec![("a", false), ("b", true)]),
    ] {
        let read = page_to(&Mode::Spotting, answer, StopReason::EndOfText);
        let found: Vec<(&str, bool)> = spots(&read).into_iter().map(|(text, place)| (text, place.is_some())).collect();
        assert_eq!(found, expected, "{answer}");
        assert_eq!(read.warning_codes(), [WarningCode::OtherForm], "{answer}");
    }
}

#[test]
fn a_second_position_and_a_page_without_text_are_well_formed() {
    let read = page(&Mode::Spotting, "a(1,2),(3,4),(5,6),(7,8)\nb(1,2),(3,4)");
    assert_eq!(spots(&read).iter().map(|(text, _)| *text).collect::<Vec<_>>(), ["a", "b"]);
    for nothing in ["", "图片中没有文字。", "There is no text in the image.", "[]"] {
        let read = page(&Mode::Spotting, nothing);
        assert_eq!((read.lines, read.warnings), (Vec::new(), Vec::new()), "{nothing}");
    }
}

#[test]
fn the_confidence_of_a_range_is_that_of_its_lines() {
    let engine = EngineName { name: "test".to_owned(), version: "1".to_owned() };
    let lines = vec![("aa(1,2),(3,4)bb".to_owned(), Some(0.4)), ("cc(1,2),(3,4)d(1,2),(3,4)".to_owned(), None)];
    let read = parse_answer(engine, 1, 1, &Mode::Spotting, lines, StopReason::EndOfText);
    let sure: Vec<Option<f32>> = read.lines.iter().map(|line| line.confidence).collect();
    assert_eq!(sure, [Some(0.4), Some(0.4), None]);
}

fn any_answer() -> impl Strategy<Value = String> {
    let piece = prop_oneof![
        Just("(1,2),(3,4)".to_owned()),
        Just("<quad><pos_1><pos_2><pos_3><pos_4></quad>".to_owned()),
        Just("```json\n".to_owned()),
        Just("\n```\n".to_owned()),
        Just("[{\"box\": [1,2,3,4], \"text\": \"".to_owned()),
        Just("\"}, ".to_owned()),
        Just("</table><table".to_owned()),
        Just("图中的文字是\n".to_owned()),
        Just("\n翻译成英文为\n".to_owned()),
        "[a-z文(),<>{}\\[\\]\"'`\\\\ \n]{0,8}",
        any::<String>(),
    ];
    prop::collection::vec(piece, 0..12).prop_map(|pieces| pieces.concat())
}

proptest! {
    #[test]
    fn any_answer_can_be_parsed_in_any_mode(
        answer in any_answer(),
        end in prop_oneof![Just(StopReason::EndOfText), Just(StopReason::TokenLimit)],
    ) {
        let plain = [Mode::Text, Mode::Markdown, Mode::Spotting, Mode::Table, Mode::Formula, Mode::Subtitles];
        for mode in plain.into_iter().chain([english(), fields(&["a"])]) {
            let read = page_to(&mode, &answer, end);
            for [x, y] in read.lines.iter().filter_map(|line| line.polygon).flatten() {
                prop_assert!((0.0..=WIDTH as f32).contains(&x) && (0.0..=HEIGHT as f32).contains(&y));
            }
            if let Mode::Spotting = mode {
                prop_assert!(read.lines.iter().all(|line| !line.text.trim().is_empty() && !line.text.contains('\n')));
            }
        }
    }

    #[test]
    fn no_text_is_lost(
        answer in any_answer(),
        end in prop_oneof![Just(StopReason::EndOfText), Just(StopReason::TokenLimit)],
    ) {
        let kept = |text: &str| {
            let lines = text.lines().map(str::trim_end).filter(|line| !line.trim().starts_with("```"));
            lines.filter(|line| !line.is_empty()).map(str::to_owned).collect::<Vec<_>>()
        };
        for mode in [Mode::Text, Mode::Markdown] {
            prop_assert_eq!(kept(&page_to(&mode, &answer, end).text()), kept(&answer));
        }
    }
}
