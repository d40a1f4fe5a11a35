//! The word before a number, which labels it.

use crate::{
    unicode::is_cjk,
    view::{CELL, STACK},
};

/// What the word before a number labels it as.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum PhoneLabel {
    /// A phone number.
    Phone,
    /// Another number, e.g. of an invoice.
    Other,
    /// No known word precedes the number.
    None,
}

/// The most characters between the beginning of the label and the number.
const MAX_DISTANCE: usize = 24;

/// Words that label phone numbers.
#[rustfmt::skip]
const PHONE_WORDS: [&str; 44] = [
    "tel", "telephone", "phone", "mobile", "mob", "cell", "cellphone", "fax", "telefax", "whatsapp", "hotline", "call",
    "téléphone", "tél", "telefon", "telefoon", "handy", "mobil", "telefono", "teléfono", "móvil", "telefone", "celular",
    "тел", "телефон", "факс", "моб", "电话", "手机", "座机", "传真", "热线", "联系方式", "固话", "電話", "手機", "傳真",
    "熱線", "聯絡", "携帯", "联系人", "전화", "휴대폰", "팩스",
];
/// Single letters count as labels only if a colon or a dot follows.
const PHONE_LETTERS: [&str; 4] = ["t", "m", "f", "p"];
/// Words between a label and its number, e.g. in `phone no.: 123`.
const FILLERS: [&str; 9] = ["number", "num", "no", "nr", "号码", "號碼", "番号", "번호", "号"];
/// Words that label other numbers.
#[rustfmt::skip]
const OTHER_WORDS: [&str; 48] = [
    "no", "nr", "num", "number", "№", "invoice", "order", "ref", "reference", "account", "acct", "id", "code", "po",
    "sku", "item", "sn", "serial", "isbn", "ean", "vat", "tax", "batch", "lot", "contract", "policy", "case", "ticket",
    "inv",     "date", "total", "amount", "编号", "单号", "代码", "税号", "账号", "帐号", "号码", "批号", "流水号", "序号", "日期",
    "金额", "发票", "订单", "合同", "rechnung",
];

/// Returns the label that ends where a number begins, also if it is on the previous line.
pub(crate) fn label_before(chars: &[char], start: usize) -> PhoneLabel {
    let before: String = chars[start.saturating_sub(MAX_DISTANCE)..start].iter().collect::<String>().to_lowercase();
    let text = before.trim_end_matches(is_separator);
    let has_mark = before[text.len()..].contains([':', '.']);
    let filler = FILLERS.iter().find(|word| ends_with_word(text, word));
    let without_filler = filler.map_or(text, |word| text[..text.len() - word.len()].trim_end_matches(is_separator));
    let is_phone_word = ends_with_any(text, &PHONE_WORDS) || ends_with_any(without_filler, &PHONE_WORDS);
    if is_phone_word || (has_mark && ends_with_any(text, &PHONE_LETTERS)) {
        PhoneLabel::Phone
    } else if ends_with_any(text, &OTHER_WORDS) {
        PhoneLabel::Other
    } else {
        PhoneLabel::None
    }
}

fn is_separator(character: char) -> bool {
    " :.(+#/-、\"'=|*\n<>".contains(character) || [CELL, STACK].contains(&character)
}

fn ends_with_any(text: &str, words: &[&str]) -> bool {
    words.iter().any(|word| ends_with_word(text, word))
}

/// Returns whether the text ends with this whole word. Chinese, Japanese and Korean words have no spaces between them,
/// so that any ending counts.
fn ends_with_word(text: &str, word: &str) -> bool {
    let Some(rest) = text.strip_suffix(word) else { return false };
    let is_spaced_script = word.chars().next().is_some_and(|first| !is_cjk(first));
    let is_end_of_longer_word = rest.chars().next_back().is_some_and(|last| last.is_alphabetic() && !is_cjk(last));
    !(is_spaced_script && is_end_of_longer_word)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_word_before_a_number_is_its_label() {
        for (text, label) in [
            ("Tel. ", PhoneLabel::Phone),
            ("phone no.: ", PhoneLabel::Phone),
            ("联系电话:", PhoneLabel::Phone),
            ("电话号码 ", PhoneLabel::Phone),
            ("Mobile\n", PhoneLabel::Phone),
            ("\"phone\": \"", PhoneLabel::Phone),
            ("T: +", PhoneLabel::Phone),
            ("part ", PhoneLabel::None),
            ("hotel ", PhoneLabel::None),
            ("Invoice No. ", PhoneLabel::Other),
            ("发票号码:", PhoneLabel::Other),
            ("订单编号 ", PhoneLabel::Other),
            ("", PhoneLabel::None),
        ] {
            let chars: Vec<char> = text.chars().collect();
            assert_eq!(label_before(&chars, chars.len()), label, "{text:?}");
        }
    }
}
