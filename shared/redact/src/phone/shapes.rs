//! How telephone numbers are written.

use super::{Label, Lead};
use crate::digits::{Group, digits, gap};

/// Groups that may be a telephone number, and what there is to know of them.
#[derive(Debug, Clone)]
#[expect(clippy::struct_excessive_bools, reason = "each is a fact of its own, and none rules out another")]
pub(crate) struct Shape {
    plus: bool,
    label: Label,
    /// Whether the first group stands in brackets of its own.
    bracketed: bool,
    /// Whether something is glued to it by a dash, a dot or a slash: then it is a part of a longer name.
    glued: bool,
    digits: String,
    /// Whether it goes on a row of groups that are as long as its first.
    in_row: bool,
    lengths: Vec<usize>,
    gaps: Vec<String>,
}

impl Shape {
    pub(crate) fn of(chars: &[char], lead: &Lead, label: Label, groups: &[Group]) -> Self {
        let gaps = groups.windows(2).map(|pair| gap(chars, pair[0], pair[1]).iter().collect::<String>());
        let gaps: Vec<String> = gaps.collect();
        let bracketed = lead.bracket && gaps.first().is_some_and(|gap| gap.starts_with(')'));
        let end = groups[groups.len() - 1].end;
        let mark = |character: Option<&char>| character.is_some_and(|character| "-./_".contains(*character));
        let name = |character: Option<&char>| character.is_some_and(|c| c.is_alphanumeric() || *c == '\0');
        let glued_before = lead.start >= 2 && mark(chars.get(lead.start - 1)) && name(chars.get(lead.start - 2));
        let glued_behind = mark(chars.get(end)) && name(chars.get(end + 1));
        let letter_before = lead.start >= 1 && chars[lead.start - 1].is_ascii_alphanumeric();
        let glued = glued_before || glued_behind || letter_before;
        let lengths = groups.iter().map(|group| group.len()).collect();
        let in_row = is_in_row(&chars[..lead.start], groups[0].len());
        Self { plus: lead.plus, label, bracketed, glued, digits: digits(chars, groups), in_row, lengths, gaps }
    }

    /// The same with the groups in one that a line's end has made two, if one has.
    pub(crate) fn joined(&self) -> Option<Self> {
        let at = self.gaps.iter().position(|gap| gap == "\n")?;
        let mut joined = self.clone();
        joined.gaps.remove(at);
        joined.lengths[at] += joined.lengths.remove(at + 1);
        Some(joined)
    }

    fn is_broken(&self) -> bool {
        self.gaps.iter().any(|gap| gap.contains('\n'))
    }

    /// Whether it is torn apart no further than people and scans do it.
    fn is_tidy(&self) -> bool {
        let wide = |gap: &String| gap.matches(' ').count() > 2 || gap.matches('\n').count() > 1;
        !self.gaps.iter().any(wide) && self.lengths.len() <= 7
    }
}

/// Whether what is before a group is a space and one that is as long, or something that was taken out.
fn is_in_row(before: &[char], length: usize) -> bool {
    let Some((' ', before)) = before.split_last() else { return false };
    let digits = before.iter().rev().take_while(|character| character.is_ascii_digit()).count();
    digits == length || before.last() == Some(&'\0')
}

/// Whether it is one, whatever stands around it.
pub(crate) fn is_surely_phone(shape: &Shape) -> bool {
    let labeled = shape.label == Label::Phone && (7..=15).contains(&shape.digits.len()) && !is_date(shape);
    let said = (shape.plus && is_international(&shape.digits)) || labeled;
    shape.is_tidy() && (said || is_chinese_mobile(shape) || is_chinese_landline(shape))
}

/// Forms that other numbers have, too, where no word before them and nothing glued to them says that they are others.
pub(crate) fn is_likely_phone(shape: &Shape) -> bool {
    let free = !shape.glued && shape.label != Label::Other && !is_date(shape);
    let written = || is_north_american(shape) || is_with_trunk_prefix(shape) || is_bracketed(shape);
    free && shape.is_tidy() && (written() || is_with_double_zero(shape))
}

/// Country codes as ITU-T E.164 assigns them, by what they begin with.
fn is_international(digits: &str) -> bool {
    let code = match digits.as_bytes() {
        [b'1' | b'7', ..] => 1,
        [b'2', b'0' | b'7', ..]
        | [b'3', b'0'..=b'4' | b'6' | b'9', ..]
        | [b'4', b'0' | b'1' | b'3'..=b'9', ..]
        | [b'5', b'1'..=b'8', ..]
        | [b'6', b'0'..=b'6', ..]
        | [b'8', b'1' | b'2' | b'4' | b'6', ..]
        | [b'9', b'0'..=b'5' | b'8', ..] => 2,
        [b'2' | b'3' | b'4' | b'5' | b'6' | b'8' | b'9', ..] => 3,
        _ => return false,
    };
    let longest = if digits.starts_with('1') { 11 } else { 15 };
    digits.len() >= code + 5 && (8..=longest).contains(&digits.len())
}

/// `0049 30 901820`: set apart, for what is not may be any number.
fn is_with_double_zero(shape: &Shape) -> bool {
    let rest = shape.digits.strip_prefix("00");
    shape.lengths.len() > 1 && shape.lengths[0] >= 3 && !shape.is_broken() && rest.is_some_and(is_international)
}

/// 1[3-9] and nine more, perhaps behind the country's code, in groups of three or four, or as a scan or a line's end
/// tears it apart.
fn is_chinese_mobile(shape: &Shape) -> bool {
    let digits = &shape.digits;
    let lead = digits.len().checked_sub(11).filter(|lead| *lead <= 4);
    let Some((lead, number)) = lead.and_then(|lead| digits.split_at_checked(lead)) else { return false };
    let begins = number.starts_with('1') && number.as_bytes()[1] >= b'3';
    let marks = |gap: &String| !gap.contains(['.', '/']);
    let torn = shape.lengths.len() <= 6 && (shape.is_broken() || shape.lengths.iter().all(|length| *length >= 2));
    begins && ["", "0", "86", "086", "0086"].contains(&lead) && torn && shape.gaps.iter().all(marks)
}

/// An area code and seven or eight digits, set apart; and numbers that begin with 400 or 800.
fn is_chinese_landline(shape: &Shape) -> bool {
    let digits = shape.digits.strip_prefix("0086").or_else(|| shape.digits.strip_prefix("86")).unwrap_or(&shape.digits);
    let lead = shape.digits.len() - digits.len();
    let groups: &[usize] = match shape.lengths[..] {
        [first, ref rest @ ..] if lead > 0 && first == lead => rest,
        _ if lead > 0 => return false,
        _ => &shape.lengths,
    };
    let [area, rest @ ..] = groups else { return false };
    let local: usize = rest.iter().sum();
    let few = (1..=3).contains(&rest.len()) && rest.iter().all(|length| *length >= 3) && !is_date(shape);
    let by_area = match digits.as_bytes() {
        [b'0', b'1', b'0', ..] | [b'0', b'2', b'0'..=b'9', ..] if *area == 3 => local == 8 || (local == 7 && lead > 0),
        [b'0', b'3'..=b'9', ..] if *area == 4 => local == 7 || local == 8,
        [b'1', b'0', ..] | [b'2', _, ..] if lead > 0 => *area == 2 && local == 8,
        _ => false,
    };
    let is_service = (digits.starts_with("400") || digits.starts_with("800")) && digits.len() == 10 && lead == 0;
    let service = is_service && (3..=4).contains(area) && shape.label != Label::Other && !shape.is_broken();
    few && (by_area || service) && !(shape.glued && shape.label == Label::Other)
}

/// `(415) 555-2671`, `1-415-555-2671`; and as Russia writes them, `8 (495) 123-45-67`.
fn is_north_american(shape: &Shape) -> bool {
    let has_prefix = shape.lengths[0] == 1 && shape.lengths.len() > 1;
    let skipped = usize::from(has_prefix);
    let (lengths, digits) = (&shape.lengths[skipped..], &shape.digits[skipped..]);
    if digits.len() != 10 {
        return false;
    }
    let prefix = if has_prefix { shape.digits.as_bytes()[0] } else { b'1' };
    let (area, exchange) = (digits.as_bytes()[0], digits.as_bytes()[3]);
    let american = prefix == b'1' && area >= b'2' && exchange >= b'2';
    let russian = has_prefix && prefix == b'8' && [b'3', b'4', b'8', b'9'].contains(&area);
    let bracketed = shape.bracketed || shape.gaps.iter().any(|gap| gap.contains(')'));
    match lengths {
        [3, 3, 4] => american || russian,
        [3, 3, 2, 2] => russian,
        [3, 7] => bracketed && american,
        _ => false,
    }
}

/// As most of Europe and Asia write them at backend: a 0, the area, the number, set apart from each other.
fn is_with_trunk_prefix(shape: &Shape) -> bool {
    let groups = shape.lengths.len();
    let begins = shape.digits.starts_with('0') && !shape.digits.starts_with("00");
    let marked = shape.bracketed || shape.gaps.iter().any(|gap| gap.contains('/'));
    let enough = match shape.digits.len() {
        10..=12 => true,
        9 => groups >= 3 || marked,
        _ => false,
    };
    let alike = shape.gaps.windows(2).all(|pair| pair[0] == pair[1]);
    let in_row = shape.in_row && shape.gaps.iter().all(|gap| gap == " ");
    // Of two groups in two lines each is as well a number of its own.
    let broken = shape.is_broken() && groups < 3;
    let pairs = shape.lengths.iter().all(|length| *length == 2);
    begins
        && enough
        && !in_row
        && !broken
        && (2..=5).contains(&groups)
        && (2..=5).contains(&shape.lengths[0])
        && (!pairs || alike)
}

/// `(030) 901820`, `(11) 91234-5678`, and not a year in brackets.
fn is_bracketed(shape: &Shape) -> bool {
    let year = shape.lengths[0] == 4 && (shape.digits.starts_with("19") || shape.digits.starts_with("20"));
    let rest = shape.digits.len() - shape.lengths[0];
    shape.bracketed
        && !year
        && (2..=5).contains(&shape.lengths[0])
        && (6..=9).contains(&rest)
        && shape.digits.len() >= 9
}

/// Whether it begins with a date: a year of this or the last century, a month and a day in one order or another.
fn is_date(shape: &Shape) -> bool {
    let [a, b, c, ..] = shape.lengths[..] else { return shape.lengths == [8] && is_day(&shape.digits) };
    let number = |from: usize, length: usize| shape.digits[from..from + length].parse::<u32>().unwrap_or(u32::MAX);
    let century = |year: u32| (1900..2100).contains(&year);
    let (month, day) = (|value: u32| (1..=12).contains(&value), |value: u32| (1..=31).contains(&value));
    let (first, second, third) = (number(0, a.min(4)), number(a, b.min(4)), number(a + b, c.min(4)));
    let year_first = a == 4 && b <= 2 && c <= 2 && century(first) && month(second) && day(third);
    let year_last = a <= 2 && b <= 2 && c == 4 && century(third) && day(first) && day(second);
    year_first || year_last
}

/// A day without marks between: `20240131`.
fn is_day(digits: &str) -> bool {
    let number = |from: usize, to: usize| digits[from..to].parse::<u32>().unwrap_or_default();
    (1900..2100).contains(&number(0, 4)) && (1..=12).contains(&number(4, 6)) && (1..=31).contains(&number(6, 8))
}
