//! A seeded generator of pages: values in forms, tables and markup, and texts without any value.

use quire_redact::Redactor;
use quire_tasks::{Line, PageText, Polygon, RedactKind, RedactPolicy};
use serde_json::{Map, Value, json};

/// How a value is written on a page.
pub(crate) const LAYOUTS: [&str; 19] = [
    "one line",
    "form boxes",
    "one character per box",
    "characters apart",
    "stacked boxes",
    "stacked lines",
    "HTML cells",
    "one character per cell",
    "Markdown cells",
    "<br>",
    "entities",
    "emphasis",
    "LaTeX",
    "fields",
    "nested fields",
    "Unicode digits",
    "invisible characters",
    "(at)",
    "repeated in a field",
];
/// Texts without a value of any kind.
pub(crate) const NEGATIVES: [&str; 10] = [
    "invoice header",
    "prices",
    "dates",
    "order ids",
    "table with positions",
    "HTML table",
    "Markdown table",
    "counts",
    "columns of years",
    "fields",
];

/// A small generator of random numbers (`SplitMix64`), the same on every machine.
pub(crate) struct Random(pub(crate) u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        mixed ^ (mixed >> 31)
    }

    fn below(&mut self, limit: usize) -> usize {
        (self.next() % limit as u64) as usize
    }

    fn within(&mut self, low: usize, high: usize) -> usize {
        low + self.below(high - low + 1)
    }

    fn pick<'a>(&mut self, from: &[&'a str]) -> &'a str {
        from[self.below(from.len())]
    }

    fn digits(&mut self, count: usize) -> String {
        (0..count).map(|_| char::from(b'0' + self.below(10) as u8)).collect()
    }
}

/// A value in the groups in which it is usually written, with the word before it.
pub(crate) struct Secret {
    kind: RedactKind,
    groups: Vec<String>,
    label: &'static str,
}

/// Returns a random valid value.
pub(crate) fn secret(kind: RedactKind, random: &mut Random) -> Secret {
    let (groups, label) = match kind {
        RedactKind::BankCard => (card(random), random.pick(&["Card", "Card number", "Kartennummer", "卡号"])),
        RedactKind::Iban => (iban(random), random.pick(&["IBAN", "Account", "Konto"])),
        RedactKind::CnId => (cn_id(random), random.pick(&["身份证", "ID card", "Identity"])),
        RedactKind::Phone => (phone(random), random.pick(&["Tel", "Phone", "Mobile", "电话"])),
        RedactKind::Email => (email(random), random.pick(&["E-mail", "Mail", "邮箱"])),
    };
    Secret { kind, groups, label }
}

fn split(text: &str, lengths: &[usize]) -> Vec<String> {
    let mut rest = text;
    let mut groups = Vec::new();
    for length in lengths {
        let (group, after) = rest.split_at((*length).min(rest.len()));
        groups.push(group.to_owned());
        rest = after;
    }
    groups.retain(|group| !group.is_empty());
    groups
}

fn card(random: &mut Random) -> Vec<String> {
    let (prefix, length, groups): (&str, usize, &[usize]) = match random.below(5) {
        0 => ("4", 16, &[4, 4, 4, 4]),
        1 => ("52", 16, &[4, 4, 4, 4]),
        2 => ("37", 15, &[4, 6, 5]),
        3 => ("62", 16, &[4, 4, 4, 4]),
        _ => ("6222", 19, &[4, 4, 4, 4, 3]),
    };
    let body = format!("{prefix}{}", random.digits(length - prefix.len() - 1));
    let luhn = |number: &str| {
        let doubled = |(index, digit): (usize, u8)| {
            let value = u32::from(digit - b'0') * if index % 2 == 1 { 2 } else { 1 };
            value / 10 + value % 10
        };
        number.bytes().rev().enumerate().map(doubled).sum::<u32>() % 10 == 0
    };
    let number = (0..10).map(|check| format!("{body}{check}")).find(|number| luhn(number)).expect("a check digit");
    split(&number, groups)
}

fn iban(random: &mut Random) -> Vec<String> {
    let (country, account) = match random.below(4) {
        0 => ("DE", random.digits(18)),
        1 => ("NL", format!("{}{}", random.pick(&["ABNA", "INGB", "RABO"]), random.digits(10))),
        2 => ("GB", format!("{}{}", random.pick(&["NWBK", "BARC"]), random.digits(14))),
        _ => ("ES", random.digits(20)),
    };
    let remainder = format!("{account}{country}00").chars().fold(0, |rest, character| {
        let value = character.to_digit(36).expect("a letter or a digit");
        (rest * if value < 10 { 10 } else { 100 } + value) % 97
    });
    split(&format!("{country}{:02}{account}", 98 - remainder), &[4; 9])
}

fn cn_id(random: &mut Random) -> Vec<String> {
    let date = format!("{}{:02}{:02}", random.within(1950, 2009), random.within(1, 12), random.within(1, 28));
    let body = format!("{}{}{date}{}", random.pick(&["11", "31", "44", "51"]), random.digits(4), random.digits(3));
    let weights = [7, 9, 10, 5, 8, 4, 2, 1, 6, 3, 7, 9, 10, 5, 8, 4, 2];
    let sum: usize = body.bytes().zip(weights).map(|(digit, weight)| usize::from(digit - b'0') * weight).sum();
    let check = ['1', '0', 'X', '9', '8', '7', '6', '5', '4', '3', '2'][sum % 11];
    split(&format!("{body}{check}"), &[6, 8, 4])
}

fn phone(random: &mut Random) -> Vec<String> {
    let number = match random.below(4) {
        0 => format!("1{}{} {} {}", random.within(3, 9), random.digits(1), random.digits(4), random.digits(4)),
        1 => format!(
            "{}{} {}{} {}",
            random.within(2, 9),
            random.digits(2),
            random.within(2, 9),
            random.digits(2),
            random.digits(4)
        ),
        2 => format!("0{}{} {} {}", random.within(2, 9), random.digits(1), random.digits(4), random.digits(4)),
        _ => format!("+49 {}{} {}", random.within(2, 9), random.digits(1), random.digits(7)),
    };
    number.split(' ').map(str::to_owned).collect()
}

fn email(random: &mut Random) -> Vec<String> {
    let name = random.pick(&["john.smith", "anna_b", "m-lee", "zhang.wei", "o.brien"]);
    let domain = random.pick(&["example", "mail.example", "my-firm", "uni-x"]);
    let end = random.pick(&["com", "org", "cn", "de"]);
    vec![format!("{name}{}", random.within(1, 99)), "@".to_owned(), format!("{domain}.{end}")]
}

/// A line of about 10 pixels per character at this position.
fn line(text: &str, at: Option<(f32, f32)>) -> Line {
    let width = 10.0 * text.chars().count() as f32;
    let polygon: Option<Polygon> = at.map(|(x, y)| [[x, y], [x + width, y], [x + width, y + 20.0], [x, y + 20.0]]);
    Line { text: text.to_owned(), confidence: Some(0.9), polygon, ..Line::default() }
}

fn page(lines: Vec<Line>, fields: Option<Value>) -> PageText {
    let mut page = PageText::from_lines("test@1".parse().expect("an engine name"), 1200, 1600, 0, lines);
    page.fields = fields.and_then(|fields| fields.as_object().cloned());
    page
}

fn filler(random: &mut Random) -> &'static str {
    random.pick(&["Please complete in block letters", "Name of the applicant", "Signature", "姓名", "Thank you"])
}

/// Returns a page with the value in this layout, or `None` if the kind is not written so.
pub(crate) fn positive(layout: &str, secret: &Secret, random: &mut Random) -> Option<PageText> {
    let Secret { kind, groups, label } = secret;
    let is_email = *kind == RedactKind::Email;
    let whole = groups.join(if is_email { "" } else { " " });
    let dense: String = groups.concat();
    let characters: Vec<String> = dense.chars().map(String::from).collect();
    let one = |text: String| Some(page(vec![line(&text, None)], None));
    match layout {
        "one line" => one(format!("{label}: {whole}")),
        "form boxes" | "one character per box" => {
            let boxes = if layout == "form boxes" { groups } else { &characters };
            Some(form(label, boxes, random))
        }
        "characters apart" => one(format!("{label}: {}", characters.join(" "))),
        "stacked boxes" | "stacked lines" => {
            let x = random.within(50, 400) as f32;
            let y = random.within(100, 900) as f32;
            let place = |row: usize| (layout == "stacked boxes").then_some((x, y + 26.0 * row as f32));
            let mut lines = vec![line(filler(random), place(0).map(|(x, y)| (x, y - 200.0))), line(label, place(0))];
            lines.extend(groups.iter().enumerate().map(|(row, group)| line(group, place(row + 1))));
            Some(page(lines, None))
        }
        "HTML cells" => one(format!("<table><tr><td>{label}</td><td>{}</td></tr></table>", groups.join("</td><td>"))),
        "one character per cell" => one(format!("<tr><th>{label}</th><td>{}</td></tr>", characters.join("</td> <td>"))),
        "Markdown cells" => one(format!("| {label} | {} |", groups.join(" | "))),
        "<br>" => one(format!("<p>{label}<br>{}</p>", groups.join(random.pick(&["<br>", "<br/>", "<BR />"])))),
        "entities" if is_email => {
            one(format!("{label}: {}", whole.replace('@', random.pick(&["&#64;", "&commat;", "&#x40;"]))))
        }
        "entities" => {
            one(format!("{label}:&nbsp;{}", groups.join(random.pick(&["&nbsp;", "&#160;", "&ensp;", "&thinsp;"]))))
        }
        "emphasis" => Some(emphasized(label, groups, random)),
        "LaTeX" if is_email => None,
        "LaTeX" => one(format!("\\text{{{label}}}~${}$", groups.join(random.pick(&["\\,", "\\;", "~", "\\quad "])))),
        "fields" => {
            let mut fields = Map::new();
            for (number, group) in groups.iter().enumerate() {
                fields.insert(format!("{label}_{}", number + 1), json!(group));
            }
            Some(page(Vec::new(), Some(Value::Object(fields)))).filter(|_| !is_email)
        }
        "nested fields" => Some(page(Vec::new(), Some(json!({*label: [groups]})))).filter(|_| !is_email),
        "Unicode digits" => one(format!("{label}: {}", in_script(&whole, random))),
        "invisible characters" => {
            let hidden = ["\u{200B}", "\u{2060}", "\u{AD}", "\u{FE0F}", "\u{180E}", "\u{E0020}", "\u{61C}"];
            let mut text = String::new();
            for character in whole.chars() {
                text.push(character);
                text.push_str(random.pick(&hidden));
            }
            one(format!("{label}: {text}"))
        }
        "(at)" if is_email => {
            let (at, dot) =
                [(" (at) ", "."), ("[at]", "[dot]"), (" at ", " dot "), ("(AT)", "."), (" {at} ", " (dot) ")]
                    [random.below(5)];
            one(format!("{label}: {}{at}{}", groups[0], groups[2].replace('.', dot)))
        }
        "repeated in a field" if !is_email => {
            let lines = vec![line(&format!("{label}: {whole}"), None)];
            Some(page(lines, Some(json!({"note": format!("see {dense}.")}))))
        }
        _ => None,
    }
}

/// Returns a form with the boxes in a row, whose lines are in any order, among others.
fn form(label: &str, boxes: &[String], random: &mut Random) -> PageText {
    let (x, y) = (random.within(20, 100) as f32, random.within(100, 1200) as f32);
    let gap = random.within(14, 60) as f32;
    let jitter = |random: &mut Random| random.below(5) as f32 - 2.0;
    let mut lines = vec![line(label, Some((x, y + jitter(random))))];
    let mut left = x + 220.0;
    for text in boxes {
        lines.push(line(text, Some((left, y + jitter(random)))));
        left += 10.0 * text.chars().count() as f32 + gap;
    }
    lines.push(line(filler(random), Some((x, y - 60.0))));
    lines.push(line(filler(random), Some((x, y + 70.0))));
    for last in (1..lines.len()).rev() {
        lines.swap(last, random.below(last + 1));
    }
    page(lines, None)
}

fn emphasized(label: &str, groups: &[String], random: &mut Random) -> PageText {
    let mark = random.pick(&["**", "*", "__", "`", "<b>", "~~"]);
    let end = if mark == "<b>" { "</b>" } else { mark };
    let chosen = random.below(groups.len());
    let marked = |(index, group): (usize, &String)| {
        if index == chosen { format!("{mark}{group}{end}") } else { group.clone() }
    };
    let groups: Vec<String> = groups.iter().enumerate().map(marked).collect();
    let is_email = groups.iter().any(|group| group.contains('@'));
    page(vec![line(&format!("{label}: {}", groups.join(if is_email { "" } else { " " })), None)], None)
}

fn in_script(text: &str, random: &mut Random) -> String {
    let zero = ['٠', '०', '๐', '০', '０', '𝟎', '𝟘', '۰', '០', '𝟶'][random.below(10)];
    let convert = |character: char| match character.to_digit(10) {
        Some(value) => char::from_u32(u32::from(zero) + value).expect("a digit"),
        None => character,
    };
    text.chars().map(convert).collect()
}

/// Returns a page without a value of any kind.
pub(crate) fn negative(kind: &str, random: &mut Random) -> PageText {
    let text = |lines: Vec<String>| page(lines.iter().map(|text| line(text, None)).collect(), None);
    match kind {
        "invoice header" => text(vec![
            format!("Invoice No. {}-{}", random.within(2019, 2026), random.digits(6)),
            format!("Customer no: {}   VAT ID DE{}", random.digits(8), random.digits(9)),
            format!("发票号码:{}", random.digits(20)),
            format!("Delivery note {} of {}", random.digits(7), date(random)),
        ]),
        "prices" => text(
            (0..6)
                .map(|_| {
                    format!(
                        "Item {} {} x {} = {} EUR",
                        random.digits(5),
                        random.within(1, 99),
                        price(random),
                        price(random)
                    )
                })
                .collect(),
        ),
        "dates" => text(
            (0..6)
                .map(|_| format!("{} {:02}:{:02} - {}", date(random), random.below(24), random.below(60), date(random)))
                .collect(),
        ),
        "order ids" => text(vec![
            format!("Order {}-{}-{}", random.digits(3), random.digits(3), random.digits(4)),
            format!("Ref. {}-{}", random.digits(7), random.digits(7)),
            format!("Tracking 1Z{}", random.digits(16)),
            format!("ISBN 978-3-{}-{}-{}", random.digits(2), random.digits(6), random.digits(1)),
            format!("Serial {}", random.digits(12)),
        ]),
        "table with positions" => table(random),
        "HTML table" => text(vec![rows(random, |cells| format!("<tr><td>{}</td></tr>", cells.join("</td><td>")))]),
        "Markdown table" => text(vec![rows(random, |cells| format!("| {} |\n", cells.join(" | ")))]),
        "counts" => text(
            (0..5)
                .map(|_| (0..random.within(5, 12)).map(|_| random.below(100).to_string()).collect::<Vec<_>>().join(" "))
                .collect(),
        ),
        "columns of years" => {
            let first = random.within(1950, 2015);
            text((first..first + random.within(3, 9)).map(|year| year.to_string()).collect())
        }
        _ => {
            let items = [random.digits(4), random.digits(4), random.digits(5)];
            let (date, total, quantity) = (date(random), price(random), random.below(5000));
            let fields = json!({
                "invoice": random.digits(8), "date": date, "total": total, "quantity": quantity, "items": items,
            });
            page(Vec::new(), Some(fields))
        }
    }
}

fn date(random: &mut Random) -> String {
    let (year, month, day) = (random.within(1990, 2026), random.within(1, 12), random.within(1, 28));
    match random.below(4) {
        0 => format!("{year}-{month:02}-{day:02}"),
        1 => format!("{day:02}.{month:02}.{year}"),
        2 => format!("{month:02}/{day:02}/{year}"),
        _ => format!("{year}年{month}月{day}日"),
    }
}

fn price(random: &mut Random) -> String {
    format!("{}.{}", random.within(1, 99_999), random.digits(2))
}

fn cells(random: &mut Random) -> Vec<String> {
    vec![
        random.digits(6),
        random.pick(&["Paper A4", "Toner", "Desk", "Cable"]).to_owned(),
        random.within(1, 5000).to_string(),
        random.within(100, 9999).to_string(),
        price(random),
        price(random),
    ]
}

fn rows(random: &mut Random, row: impl Fn(Vec<String>) -> String) -> String {
    (0..random.within(3, 9)).map(|_| row(cells(random))).collect()
}

fn table(random: &mut Random) -> PageText {
    let mut lines = Vec::new();
    for row in 0..random.within(3, 9) {
        for (column, cell) in cells(random).into_iter().enumerate() {
            lines.push(line(&cell, Some((40.0 + 180.0 * column as f32, 200.0 + 30.0 * row as f32))));
        }
    }
    page(lines, None)
}

/// Returns whether a page still shows a part of its value: it has no other digit and no other address.
pub(crate) fn reveals(page: &PageText) -> bool {
    let is_shown = |character: char| character.is_numeric() || character == '@';
    let fields = page
        .fields
        .as_ref()
        .map_or(String::new(), |fields| fields.values().map(Value::to_string).collect::<Vec<_>>().join(" "));
    // Characters outside of the visible text: LaTeX has none, entities have digits.
    page.text().chars().chain(fields.chars()).any(is_shown)
}

/// Returns the redactor of all kinds.
pub(crate) fn redactor() -> Redactor {
    Redactor::new(&RedactPolicy { kinds: RedactKind::ALL.to_vec(), ..RedactPolicy::default() }).expect("a valid policy")
}
