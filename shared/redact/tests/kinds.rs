//! Published examples of every kind, and similar texts that must stay unchanged.

use quire_redact::{MAX_CHARS, Redactor};
use quire_tasks::{Line, PageText, RedactKind, RedactPattern, RedactPolicy, Redaction, Word};
use serde_json::json;

fn page(lines: &[&str]) -> PageText {
    let polygon = Some([[0.0, 0.0], [100.0, 0.0], [100.0, 10.0], [0.0, 10.0]]);
    let line = |text: &&str| Line { text: (*text).to_owned(), confidence: Some(0.5), polygon, ..Line::default() };
    PageText::from_lines("test@1".parse().expect("a valid engine name"), 100, 100, 0, lines.iter().map(line).collect())
}

fn only(kind: RedactKind) -> RedactPolicy {
    RedactPolicy { kinds: vec![kind], ..RedactPolicy::default() }
}

fn custom(name: &str, regex: &str) -> RedactPolicy {
    let pattern = RedactPattern { name: name.to_owned(), regex: regex.to_owned() };
    RedactPolicy { patterns: vec![pattern], ..RedactPolicy::default() }
}

fn redacted(policy: &RedactPolicy, lines: &[&str]) -> PageText {
    let mut page = page(lines);
    Redactor::new(policy).expect("a valid policy").redact(&mut page).expect("a short page");
    page
}

/// Asserts the redacted text of each example. `|` separates lines.
fn assert_redacted(kind: RedactKind, examples: &[(&str, &str)]) {
    for (text, expected) in examples {
        let lines: Vec<&str> = text.split('|').collect();
        assert_eq!(redacted(&only(kind), &lines).text().replace('\n', "|"), *expected, "{text:?}");
    }
}

/// Asserts that nothing is found in each example. `|` separates lines.
fn assert_unchanged(kind: RedactKind, examples: &[&str]) {
    for text in examples {
        let lines: Vec<&str> = text.split('|').collect();
        let page = redacted(&only(kind), &lines);
        assert_eq!(page.text().replace('\n', "|"), *text);
        assert_eq!(page.redactions, Some(Vec::new()));
    }
}

#[test]
fn email_addresses_are_found_with_typical_ocr_errors() {
    assert_redacted(
        RedactKind::Email,
        &[
            ("Write to john.smith+spam@mail.example.com.", "Write to [email]."),
            ("<JOHN@EXAMPLE.CO.UK>, x_y@z-1.io;", "<[email]>, [email];"),
            ("john @ example . com", "[email]"),
            ("john. smith@example. com", "[email]"),
            ("邮箱:zhang＠example．com。谢谢", "邮箱:[email]。谢谢"),
            ("邮箱zhang@example.com，电话", "邮箱[email]，电话"),
            ("zhang@example。com", "[email]"),
            ("张三@例子.公司", "[email]"),
            ("jörg@exämple.de", "[email]"),
            ("john@example.com. Please answer", "[email]. Please answer"),
            ("write to john@|example.com today", "write to [email]|[email] today"),
            ("write to john@exam|ple.com today", "write to [email]|[email] today"),
            ("john@example.com|www.example.com", "[email]|www.example.com"),
            ("john@example com", "[email]"),
            ("john@example,com now", "[email] now"),
            ("john@localhost", "[email]"),
            ("a@b.cn c@d.cn", "[email] [email]"),
            ("mailto:john@10.0.0.1", "mailto:[email]"),
            ("jo\u{200B}hn@exam\u{AD}ple.com", "[email]"),
        ],
    );
    assert_unchanged(
        RedactKind::Email,
        &["3 @ 5.00", "@john", "12 pcs@5.00", "a @ b", "@", "john@", "10:30@", "he is @ home. Then", "5@5"],
    );
}

#[test]
fn phone_numbers_are_found_in_the_forms_of_many_countries() {
    assert_redacted(
        RedactKind::Phone,
        &[
            ("Call +1 (415) 555-2671 now", "Call [phone] now"),
            ("+44 (0)20 7946 0958, +49/30/901820", "[phone], [phone]"),
            ("+86 138 0013 8000 和 (+86)13800138000", "[phone] 和 [phone]"),
            ("＋８６ １３８ ００１３ ８０００", "[phone]"),
            ("电话:13800138000。", "电话:[phone]。"),
            ("138-0013-8000 138 0013 8000", "[phone] [phone]"),
            ("1380 013 8000/13 800 138 000", "[phone]/[phone]"),
            ("手机 138|00138000 后", "手机 [phone]|[phone] 后"),
            ("010-62345678转8001，(0755)8234 5678", "[phone]，[phone]"),
            ("0755-82345678-801", "[phone]"),
            ("+86-10-6234-5678", "[phone]"),
            ("86-10-62345678", "[phone]"),
            ("400-820-8820 400 820 8820", "[phone] [phone]"),
            ("电话：62345678", "电话：[phone]"),
            ("Telephone|62345678", "Telephone|[phone]"),
            ("Phone No.: 6234 5678", "Phone No.: [phone]"),
            ("T: 020 7946 0958 F: 020 7946 0959", "T: [phone] F: [phone]"),
            ("415-555-2671, (415) 555-2671, 415.555.2671", "[phone], [phone], [phone]"),
            ("1-800-555-0199 ext. 12", "[phone]"),
            ("8 (495) 123-45-67", "[phone]"),
            ("020 7946 0958 or 01 23 45 67 89", "[phone] or [phone]"),
            ("(030) 901820; 0171/1234567; 06-12345678", "[phone]; [phone]; [phone]"),
            ("0049 30 901820", "[phone]"),
            ("03-1234-5678", "[phone]"),
            ("(11) 91234-5678", "[phone]"),
        ],
    );
}

#[test]
fn dates_amounts_and_invoice_numbers_are_not_phone_numbers() {
    assert_unchanged(
        RedactKind::Phone,
        &[
            "Invoice No. 12345678",
            "Invoice 0123-456789",
            "发票号码:25332000000012345678",
            "发票代码 033001900211",
            "2024-01-31 12:30:59",
            "31.01.2024 - 28.02.2024",
            "01.02.2024 12 30",
            "01/02/2024 10",
            "20240131",
            "Total 1,234,567.00 + 19 %",
            "¥ 12345678.90",
            "+1,234.50 -20",
            "91110108551385082Q",
            "6222 0212 3456 7890 123",
            "4006000000",
            "110105194912310021",
            "INV-415-555-2671",
            "1234-415-555-2671",
            "Order 415-555-2671",
            "(2024) 123456",
            "10 20 30 40 50 60 70",
            "192.168.100.200",
            "ISBN 978-3-16-148410-0",
            "0.123456789",
            "12:30-14:00",
            "3.141592653589",
        ],
    );
}

#[test]
fn bank_cards_are_found_by_their_check_digit() {
    // Test numbers published by card networks and payment providers.
    for card in [
        "378282246310005",
        "371449635398431",
        "5610591081018250",
        "30569309025904",
        "38520000023237",
        "6011111111111117",
        "3530111333300000",
        "5555555555554444",
        "2223003122003222",
        "5105105105105100",
        "4111111111111111",
        "4222222222222",
        "6200000000000005",
        "6212345678901232",
        "6759649826438453",
        "2200000000000004",
    ] {
        assert_redacted(RedactKind::BankCard, &[(&format!("Card {card}, thanks"), "Card [bank_card], thanks")]);
    }
    assert_redacted(
        RedactKind::BankCard,
        &[
            ("4111 1111 1111 1111 12/27", "[bank_card] 12/27"),
            ("4111-1111-1111-1111", "[bank_card]"),
            ("３７８２ ８２２４６３ １０００５", "[bank_card]"),
            ("411111 11 1111 1111", "[bank_card]"),
            ("卡号4111 1111|1111 1111号", "卡号[bank_card]|[bank_card]号"),
            ("12 4111 1111 1111 1111", "12 [bank_card]"),
            // One digit in each box of a form.
            ("4 1 1 1 1 1 1 1 1 1 1 1 1 1 1 1", "[bank_card]"),
        ],
    );
    assert_unchanged(
        RedactKind::BankCard,
        &["4111 1111 1111 1112", "41111111111111111111", "7000000000000005", "4111 11", "4111|1111|1111|1111"],
    );
}

#[test]
fn ibans_are_found_by_their_check_digits() {
    // Examples of the SWIFT IBAN Registry; `src/iban/tests.rs` has one of every country.
    for iban in [
        "AD1200012030200359100100",
        "AE070331234567890123456",
        "AT611904300234573201",
        "BE68539007547034",
        "BR1800360305000010009795493C1",
        "CH9300762011623852957",
        "DE89370400440532013000",
        "ES9121000418450200051332",
        "FR1420041010050500013M02606",
        "GB29NWBK60161331926819",
        "IT60X0542811101000000123456",
        "MT84MALT011000012345MTLCAST001S",
        "NL91ABNA0417164300",
        "NO9386011117947",
        "PL61109010140000071219812874",
        "SA0380000000608010167519",
        "TR330006100519786457841326",
        "VA59001123000012345678",
        "XK051212012345678906",
        "YE15CBYE0001018861234567891234",
    ] {
        assert_redacted(RedactKind::Iban, &[(&format!("to {iban}."), "to [iban].")]);
    }
    assert_redacted(
        RedactKind::Iban,
        &[
            ("IBAN: DE89 3704 0044 0532 0130 00 BIC COBADEFF", "IBAN: [iban] BIC COBADEFF"),
            ("iban de89 3704 0044 0532 0130 00", "iban [iban]"),
            ("IBANGB29 NWBK 6016 1331 9268 19", "IBAN[iban]"),
            ("ＤＥ８９　３７０４ 0044 0532 0130 00", "[iban]"),
            ("DE89 3704 0044|0532 0130 00", "[iban]|[iban]"),
        ],
    );
    assert_unchanged(
        RedactKind::Iban,
        &["DE89 3704 0044 0532 0130 01", "DE89 3704 0044 0532 0130 0", "de 12 personnes et 3 enfants", "XX12 3456"],
    );
}

#[test]
fn identity_numbers_are_found_by_their_date_and_check_character() {
    assert_redacted(
        RedactKind::CnId,
        &[
            ("身份证11010519491231002X。", "身份证[cn_id]。"),
            ("11010519491231002x 440524188001010014", "[cn_id] [cn_id]"),
            ("110105 19491231 002X", "[cn_id]"),
            ("１１０１０５１９４９１２３１００２Ｘ", "[cn_id]"),
            ("110105194912|31002X", "[cn_id]|[cn_id]"),
            ("11010519491231002 X", "[cn_id]"),
        ],
    );
    assert_unchanged(
        RedactKind::CnId,
        &["110105194912310021", "11010519491331002X", "1101051949123100211", "11010519491231002Xa", "110105491231002"],
    );
}

#[test]
fn a_custom_pattern_matches_the_line_as_it_is_and_normalized() {
    let page = redacted(&custom("order", r"A-\d{4}"), &["A-1234 Ａ－１２３４ A-12", "A-12", "34"]);
    assert_eq!(page.text(), "[order] [order] A-12\nA-12\n34");
    let anchored = redacted(&custom("last", r"^.+$"), &["all of it", ""]);
    assert_eq!(anchored.text(), "[last]\n");
    let wide = redacted(&custom("wide", "＠"), &["a＠b"]);
    assert_eq!(wide.text(), "a[wide]b");
}

#[test]
fn overlapping_matches_are_replaced_once_and_named_by_the_first() {
    let policy = RedactPolicy { kinds: RedactKind::ALL.to_vec(), ..custom("domain", r"example\.com tel") };
    let page = redacted(&policy, &["13800138000@example.com tel 62345678"]);
    assert_eq!(page.text(), "[email] [phone]");
}

#[test]
fn redactions_have_the_position_of_the_placeholder_and_a_polygon() {
    let page = redacted(&only(RedactKind::Phone), &["nothing", "联系电话：13800138000，010-62345678"]);
    assert_eq!(page.lines[1].text, "联系电话：[phone]，[phone]");
    let redactions = page.redactions.expect("a list of redactions");
    let places = redactions.iter().map(|Redaction { kind, line, start, end, .. }| (kind.as_str(), *line, *start, *end));
    let places: Vec<_> = places.collect();
    assert_eq!(places, [("phone", Some(1), 5, 12), ("phone", Some(1), 13, 20)]);
    let corners: Vec<_> = redactions.iter().map(|redaction| redaction.polygon.expect("a polygon")).collect();
    assert!(corners[0][0][0] > 10.0 && corners[0][1][0] < corners[1][1][0], "{corners:?}");
    assert_eq!(corners[1][1][0].to_bits(), 100.0_f32.to_bits());
}

#[test]
fn a_redaction_in_a_line_without_a_polygon_has_none() {
    let mut page = page(&["a@b.cn"]);
    page.lines[0].polygon = None;
    Redactor::new(&only(RedactKind::Email)).expect("a valid policy").redact(&mut page).expect("a short page");
    assert_eq!(page.redactions.expect("a list of redactions")[0].polygon, None);
}

#[test]
fn nested_fields_and_numbers_are_redacted() {
    let mut page = page(&[]);
    let fields = json!({
        "phone": 62_345_678, "total": 12.5, "none": null, "电话": "62345678",
        "contact": {"a@b.cn": ["x", {"to": "a@b.cn, 13800138000"}], "paid": true},
    });
    page.fields = fields.as_object().cloned();
    let policy = RedactPolicy { kinds: vec![RedactKind::Email, RedactKind::Phone], ..RedactPolicy::default() };
    Redactor::new(&policy).expect("a valid policy").redact(&mut page).expect("a short page");
    let expected = json!({
        "phone": "[phone]", "total": 12.5, "none": null, "电话": "[phone]",
        "contact": {"[email]": ["x", {"to": "[email], [phone]"}], "paid": true},
    });
    assert_eq!(page.fields.map(serde_json::Value::Object), Some(expected));
    let redactions = page.redactions.expect("a list of redactions");
    assert_eq!(redactions.len(), 5);
    let to = redactions
        .iter()
        .find(|redaction| redaction.kind == "phone" && redaction.start == 9)
        .expect("a phone number in the nested text");
    assert_eq!((to.field.as_deref(), to.line, to.end, to.polygon), (Some("contact"), None, 16, None));
}

#[test]
fn a_page_that_is_too_long_is_refused_and_unchanged() {
    let text = "a@b.cn ".repeat(MAX_CHARS / 6);
    let mut page = page(&[&text]);
    assert!(Redactor::new(&only(RedactKind::Email)).expect("a valid policy").redact(&mut page).is_err());
    assert_eq!((page.lines[0].text.len(), page.redactions), (text.len(), None));
}

#[test]
fn the_words_of_a_redacted_line_are_removed_and_others_are_kept() {
    let mut page = page(&["Write to a@example.com", "and wait"]);
    for line in &mut page.lines {
        let polygon = line.polygon.expect("a polygon");
        let word = |text: &str| Word { text: text.to_owned(), confidence: None, polygon };
        line.words = line.text.split_whitespace().map(word).collect();
    }
    Redactor::new(&only(RedactKind::Email)).expect("a valid policy").redact(&mut page).expect("a short page");
    assert_eq!(page.lines[0].text, "Write to [email]");
    assert_eq!(page.lines.iter().map(|line| line.words.len()).collect::<Vec<_>>(), [0, 2]);
    assert!(!serde_json::to_string(&page).expect("JSON").contains("example"));
}
