//! Numbers as they are printed in tables.

/// A number.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Amount {
    pub(crate) value: f64,
    /// The number of its decimals.
    pub(crate) decimals: u32,
}

impl Amount {
    /// Returns half of the unit of its last digit: by this much a rounded number may differ.
    pub(crate) fn rounding(&self) -> f64 {
        0.5 * 10_f64.powi(-(self.decimals as i32)) + 1e-9
    }
}

/// Returns the decimal separator of these texts: the one that is followed by one or two digits, or that follows another
/// one.
pub(crate) fn decimal_separator<'a>(texts: impl Iterator<Item = &'a str>) -> Option<char> {
    let mut points = 0;
    let mut commas = 0;
    for text in texts {
        let digits_behind = text.chars().rev().skip_while(|c| !c.is_ascii_digit());
        let behind: String = digits_behind.take_while(char::is_ascii_digit).collect();
        let separator = text.chars().rev().skip_while(|c| !c.is_ascii_digit()).nth(behind.len());
        if matches!(behind.len(), 1 | 2) {
            points += u32::from(separator == Some('.'));
            commas += u32::from(separator == Some(','));
        }
    }
    match points.cmp(&commas) {
        std::cmp::Ordering::Greater => Some('.'),
        std::cmp::Ordering::Less => Some(','),
        std::cmp::Ordering::Equal => None,
    }
}

/// Returns the number in a cell, with a currency or a unit of at most three letters around it; `None` if there is no
/// number, or several as in a date.
pub(crate) fn parse_amount(text: &str, decimal: Option<char>) -> Option<Amount> {
    let letters = text.chars().filter(|c| c.is_alphabetic()).count();
    let is_negative = text.starts_with(['-', '−', '(']) || text.trim_end().ends_with('-');
    let number: String =
        text.chars().filter(|c| !c.is_alphabetic() && !c.is_whitespace() && !"$€£¥￥₹()-−+*'’".contains(*c)).collect();
    let is_number = number.chars().all(|c| c.is_ascii_digit() || matches!(c, '.' | ','));
    let has_digit = number.chars().any(|c| c.is_ascii_digit());
    let inner_sign =
        text.trim_start_matches(['-', '−', '+', '(']).trim_end_matches(['-', ')']).contains(['-', '/', ':']);
    if letters > 3 || !is_number || !has_digit || inner_sign || number.len() > 15 {
        return None;
    }
    let number = number.trim_end_matches(['.', ',']);
    let (whole, fraction) = match decimal.and_then(|decimal| number.rsplit_once(decimal)) {
        // Groups of three digits follow a separator of thousands.
        Some((whole, fraction)) if !fraction.contains(['.', ',']) => (whole, fraction),
        _ => (number, ""),
    };
    let groups: Vec<&str> = whole.split(['.', ',']).collect();
    let is_grouped = groups.len() == 1 || groups[1..].iter().all(|group| group.len() == 3);
    if !is_grouped {
        return None;
    }
    let digits = groups.concat();
    let value: f64 = format!("{}.{fraction}0", if digits.is_empty() { "0" } else { &digits }).parse().ok()?;
    let value = if is_negative { -value } else { value };
    Some(Amount { value, decimals: fraction.len() as u32 })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn amounts_are_read_in_both_notations() {
        for (text, decimal, value, decimals) in [
            ("1,234.50", '.', 1234.5, 2),
            ("1.234,50 €", ',', 1234.5, 2),
            ("EUR 12", ',', 12.0, 0),
            ("¥5,299.46", '.', 5299.46, 2),
            ("(12.50)", '.', -12.5, 2),
            ("-3", '.', -3.0, 0),
            ("12,000", '.', 12000.0, 0),
            ("1 234,5", ',', 1234.5, 1),
        ] {
            assert_eq!(parse_amount(text, Some(decimal)), Some(Amount { value, decimals }), "{text}");
        }
        for text in ["2026-11-30", "12/5", "abc", "", "12 Stück 5", "1.2.3", "SKU-4000", "10:30"] {
            assert_eq!(parse_amount(text, Some('.')), None, "{text}");
        }
    }

    #[test]
    fn the_decimal_separator_has_few_digits_behind_it() {
        assert_eq!(decimal_separator(["1,000", "2,500.00", "7"].into_iter()), Some('.'));
        assert_eq!(decimal_separator(["1.000", "2.500,00 €"].into_iter()), Some(','));
        assert_eq!(decimal_separator(["1,000", "12"].into_iter()), None);
    }
}
