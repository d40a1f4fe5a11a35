//! Words before a number that say what it is.

/// What the word before a number says of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Label {
    /// That it is a telephone's.
    Phone,
    /// That it is something else's.
    Other,
    /// There is none.
    None,
}

/// The farthest that the word's beginning may be.
const REACH: usize = 24;

#[rustfmt::skip]
const PHONE: [&str; 44] = [
    "tel", "telephone", "phone", "mobile", "mob", "cell", "cellphone", "fax", "telefax", "whatsapp", "hotline", "call",
    "téléphone", "tél", "telefon", "telefoon", "handy", "mobil", "telefono", "teléfono", "móvil", "telefone", "celular",
    "тел", "телефон", "факс", "моб", "电话", "手机", "座机", "传真", "热线", "联系方式", "固话", "電話", "手機", "傳真",
    "熱線", "聯絡", "携帯", "联系人", "전화", "휴대폰", "팩스",
];
/// Single letters are labels only with a colon or a dot.
const LETTERS: [&str; 4] = ["t", "m", "f", "p"];
/// Words between a label and its number.
const FILLERS: [&str; 9] = ["number", "num", "no", "nr", "号码", "號碼", "番号", "번호", "号"];
#[rustfmt::skip]
const OTHER: [&str; 48] = [
    "no", "nr", "num", "number", "№", "invoice", "order", "ref", "reference", "account", "acct", "id", "code", "po", "sku",
    "item", "sn", "serial", "isbn", "ean", "vat", "tax", "batch", "lot", "contract", "policy", "case", "ticket", "inv",
    "date", "total", "amount", "编号", "单号", "代码", "税号", "账号", "帐号", "号码", "批号", "流水号", "序号", "日期",
    "金额", "发票", "订单", "合同", "rechnung",
];

/// What the word says that ends where a number begins, perhaps in the line before.
pub(crate) fn label_before(chars: &[char], start: usize) -> Label {
    let before: String = chars[start.saturating_sub(REACH)..start].iter().collect::<String>().to_lowercase();
    let marks = |character: char| " :.(+#/-、\"'=|*\n<>".contains(character);
    let bare = before.trim_end_matches(marks);
    let marked = before[bare.len()..].contains([':', '.']);
    let is_phone = |text: &str| PHONE.iter().any(|word| ends_with_word(text, word));
    let without_filler = FILLERS
        .iter()
        .find(|word| ends_with_word(bare, word))
        .map_or(bare, |word| bare[..bare.len() - word.len()].trim_end_matches(marks));
    let is_letter = || marked && LETTERS.iter().any(|word| ends_with_word(bare, word));
    if is_phone(bare) || is_phone(without_filler) || is_letter() {
        Label::Phone
    } else if OTHER.iter().any(|word| ends_with_word(bare, word)) {
        Label::Other
    } else {
        Label::None
    }
}

/// Whether it is that word and not the end of another; words without spaces between them have no such ends.
fn ends_with_word(text: &str, word: &str) -> bool {
    let Some(rest) = text.strip_suffix(word) else { return false };
    let spaced = word.chars().next().is_some_and(|first| !crate::searched::is_cjk(first));
    !(spaced && rest.chars().next_back().is_some_and(|last| last.is_alphabetic() && !crate::searched::is_cjk(last)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_word_before_a_number_says_what_it_is() {
        for (text, label) in [
            ("Tel. ", Label::Phone),
            ("phone no.: ", Label::Phone),
            ("联系电话:", Label::Phone),
            ("电话号码 ", Label::Phone),
            ("Mobile\n", Label::Phone),
            ("\"phone\": \"", Label::Phone),
            ("T: +", Label::Phone),
            ("part ", Label::None),
            ("hotel ", Label::None),
            ("Invoice No. ", Label::Other),
            ("发票号码:", Label::Other),
            ("订单编号 ", Label::Other),
            ("", Label::None),
        ] {
            let chars: Vec<char> = text.chars().collect();
            assert_eq!(label_before(&chars, chars.len()), label, "{text:?}");
        }
    }
}
