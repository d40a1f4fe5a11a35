//! Compares amounts in tables: totals with the sums of their columns, and amounts with the products in their rows.

use quire_tasks::AmountCheck;

use crate::{
    amounts::{Amount, decimal_separator, parse_amount},
    draft::{Draft, DraftCell},
};

/// Words of totals, as the beginning of a label.
const TOTAL_WORDS: [&str; 20] = [
    "total",
    "sum",
    "subtotal",
    "sub-total",
    "sub total",
    "grand total",
    "net total",
    "amount due",
    "balance due",
    "summe",
    "gesamt",
    "zwischensumme",
    "endbetrag",
    "rechnungsbetrag",
    "nettobetrag",
    "合计",
    "总计",
    "小计",
    "總計",
    "totale",
];
/// Amounts of a column are products if this many rows
const MIN_PRODUCTS: usize = 3;
/// and this share of them confirm it.
const CONFIRMED: f64 = 0.6;

/// Returns the cells, by their index, whose amount contradicts others.
pub(crate) fn contradicting_cells(table: &Draft) -> Vec<(usize, AmountCheck)> {
    let amounts = Amounts::of(table);
    let mut found: Vec<(usize, AmountCheck)> = Vec::new();
    for column in 0..table.columns() {
        found.extend(amounts.wrong_totals(column).into_iter().map(|cell| (cell, AmountCheck::Sum)));
    }
    for cell in amounts.wrong_products() {
        if found.iter().all(|(known, _)| *known != cell) {
            found.push((cell, AmountCheck::Product));
        }
    }
    found.sort_by_key(|(cell, _)| *cell);
    found
}

/// The amounts of a table.
struct Amounts {
    columns: usize,
    /// Of each row, the amount of each column, with the index of its cell.
    rows: Vec<Vec<Option<(usize, Amount)>>>,
    /// Of each row, the columns with text that is no amount.
    texts: Vec<Vec<usize>>,
    is_total: Vec<bool>,
}

impl Amounts {
    fn of(table: &Draft) -> Self {
        let text = |cell: &DraftCell| cell.pieces.iter().map(|piece| piece.text.as_str()).collect::<Vec<_>>().join(" ");
        let texts: Vec<String> = table.cells.iter().map(text).collect();
        let decimal = decimal_separator(texts.iter().map(String::as_str));
        let mut amounts = Self {
            columns: table.columns(),
            rows: vec![vec![None; table.columns()]; table.rows()],
            texts: vec![Vec::new(); table.rows()],
            is_total: vec![false; table.rows()],
        };
        for (index, (cell, text)) in table.cells.iter().zip(&texts).enumerate() {
            let amount = parse_amount(text, decimal).filter(|_| cell.row_span == 1);
            match amount {
                Some(amount) => amounts.rows[cell.row][cell.column] = Some((index, amount)),
                None if !text.is_empty() => {
                    amounts.texts[cell.row].push(cell.column);
                    amounts.is_total[cell.row] |= is_total_label(text);
                }
                None => {}
            }
        }
        amounts
    }

    /// Returns the totals of a column that are not what is above them: the sum of all amounts, of those since the last
    /// total, or of that total and what follows it.
    fn wrong_totals(&self, column: usize) -> Vec<usize> {
        let Some(first_total) = self.is_total.iter().position(|is_total| *is_total) else { return Vec::new() };
        let above = &self.rows[..first_total];
        let items: Vec<Amount> = above.iter().filter_map(|row| row[column]).map(|(_, amount)| amount).collect();
        // A column in which something could not be read as an amount, below its name, cannot be added.
        let unread = (1..first_total).any(|row| self.texts[row].contains(&column));
        if items.len() < 2 || unread {
            return Vec::new();
        }
        let sum = |amounts: &[Amount]| amounts.iter().map(|amount| amount.value).sum::<f64>();
        let mut wrong = Vec::new();
        let mut known = items.clone();
        let mut last_total: Option<(f64, usize)> = None;
        for row in first_total..self.rows.len() {
            let Some((cell, amount)) = self.rows[row][column] else { continue };
            if self.is_total[row] {
                let since = last_total.map(|(total, at)| total + sum(&known[at..]));
                let candidates = [Some(sum(&items)), Some(sum(&known)), since];
                let tolerance = amount.rounding() + known.iter().map(|item| item.rounding() * 0.02).sum::<f64>();
                let fits = |candidate: &f64| (candidate - amount.value).abs() <= tolerance;
                if !candidates.iter().flatten().any(fits) {
                    wrong.push(cell);
                }
                last_total = Some((amount.value, known.len()));
            } else {
                known.push(amount);
            }
        }
        // Several totals that do not fit are totals of something else.
        if wrong.len() > 1 { Vec::new() } else { wrong }
    }

    /// Returns the amounts that are not the product of two other numbers in their row, although those of most rows are.
    fn wrong_products(&self) -> Vec<usize> {
        let mut best: Option<(usize, Vec<usize>)> = None;
        for product in 0..self.columns {
            for one in 0..self.columns {
                for other in one + 1..self.columns {
                    if one == product || other == product {
                        continue;
                    }
                    let (confirmed, wrong) = self.compare([one, other, product]);
                    let all = confirmed + wrong.len();
                    let is_product = confirmed >= MIN_PRODUCTS && confirmed as f64 >= CONFIRMED * all as f64;
                    if is_product && best.as_ref().is_none_or(|(most, _)| confirmed > *most) {
                        best = Some((confirmed, wrong));
                    }
                }
            }
        }
        best.map(|(_, wrong)| wrong).unwrap_or_default()
    }

    /// Returns the number of rows in which the third column is the product of the others, and the cells of the others.
    fn compare(&self, [one, other, product]: [usize; 3]) -> (usize, Vec<usize>) {
        let mut confirmed = 0;
        let mut wrong = Vec::new();
        for row in &self.rows {
            if let (Some((_, one)), Some((_, other)), Some((cell, product))) = (row[one], row[other], row[product]) {
                let expected = one.value * other.value;
                // Twice the rounding: some programs truncate.
                if (expected - product.value).abs() <= 2.0 * product.rounding() {
                    // One times a number proves nothing.
                    confirmed += usize::from((one.value - 1.0).abs() > 1e-9 && (other.value - 1.0).abs() > 1e-9);
                } else {
                    wrong.push(cell);
                }
            }
        }
        (confirmed, wrong)
    }
}

fn is_total_label(text: &str) -> bool {
    let lower = text.trim().to_lowercase();
    TOTAL_WORDS.iter().any(|word| lower.starts_with(word)) && lower.chars().count() <= 40
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{pieces::Piece, rect::Rect};

    fn table(rows: &[&[&str]]) -> Draft {
        let rect = Rect { left: 0.0, top: 0.0, right: 1.0, bottom: 1.0 };
        let mut cells = Vec::new();
        for (row, texts) in rows.iter().enumerate() {
            for (column, text) in texts.iter().enumerate() {
                let piece = Piece { line: 0, characters: None, rect, text: (*text).to_owned() };
                let pieces = if text.is_empty() { Vec::new() } else { vec![piece] };
                cells.push(DraftCell { row, column, row_span: 1, column_span: 1, pieces });
            }
        }
        let places = |count: usize| (0..=count).map(|place| place as f32).collect();
        Draft { x: places(rows[0].len()), y: places(rows.len()), cells, ruled_header: None }
    }

    const ITEMS: [&[&str]; 5] = [
        &["Item", "Qty", "Price", "Amount"],
        &["a", "2", "3.50", "7.00"],
        &["b", "3", "4.00", "12.00"],
        &["c", "10", "0.25", "2.50"],
        &["d", "1", "9.99", "9.99"],
    ];

    fn with(rows: &[&'static [&'static str]]) -> Vec<(usize, AmountCheck)> {
        contradicting_cells(&table(&ITEMS.iter().copied().chain(rows.iter().copied()).collect::<Vec<_>>()))
    }

    #[test]
    fn right_totals_and_products_do_not_contradict() {
        assert_eq!(with(&[&["Total", "", "", "31.49"]]), []);
        assert_eq!(with(&[&["Subtotal", "", "", "31.49"], &["VAT", "", "", "5.98"], &["Total", "", "", "37.47"]]), []);
        assert_eq!(with(&[&["合计", "16", "", "31.49"]]), []);
        assert_eq!(with(&[]), []);
    }

    #[test]
    fn a_wrong_total_is_found() {
        assert_eq!(with(&[&["Total", "", "", "31.48"]]), [(23, AmountCheck::Sum)]);
        let rows: [&[&str]; 3] = [&["Summe", "", "", "31.49"], &["MwSt", "", "", "5.98"], &["Gesamt", "", "", "37.74"]];
        assert_eq!(with(&rows), [(31, AmountCheck::Sum)]);
    }

    #[test]
    fn a_wrong_product_is_found() {
        assert_eq!(with(&[&["e", "7", "2.00", "19.00"]]), [(23, AmountCheck::Product)]);
    }

    #[test]
    fn what_cannot_be_added_is_not_compared() {
        let years = table(&[&["Year", "Rate"], &["2024", "3.1"], &["2025", "n/a"], &["Total", "9.0"]]);
        assert_eq!(contradicting_cells(&years), []);
        let others: [&[&str]; 2] = [&["Total weight", "", "", "12.00"], &["Total due", "", "", "99.00"]];
        assert_eq!(with(&others), [], "several totals of something else");
    }
}
