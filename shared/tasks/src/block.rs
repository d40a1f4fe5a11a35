//! The layout of a page: regions of its lines, and the cells of its tables.
//!
//! The lines of a page are the only place of its text. Blocks and cells refer to lines by their index, so that what is
//! redacted or corrected in a line is so everywhere.

use serde::{Deserialize, Serialize};

use crate::Polygon;

/// A region of a page.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Block {
    /// What it is.
    pub kind: BlockKind,
    /// Where it is, in pixels of the page.
    pub polygon: Polygon,
    /// Of a heading: its level, from 1.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub level: Option<u8>,
    /// The indices of its lines in [`crate::PageText::lines`], in reading order.
    pub lines: Vec<u32>,
    /// Of a table: its cells.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub table: Option<Table>,
}

/// The kind of a block.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum BlockKind {
    /// The title of the document.
    Title,
    /// The heading of a section.
    Heading,
    /// Running text.
    Paragraph,
    /// Items with bullets or numbers.
    List,
    /// Cells in rows and columns.
    Table,
    /// A picture or a drawing.
    Figure,
    /// The caption of a figure or a table.
    Caption,
    /// Text above the content of a page, such as a running title.
    Header,
    /// Text below the content of a page.
    Footer,
    /// The number of a page.
    PageNumber,
    /// A note in small print below the content.
    Footnote,
    /// A mathematical formula.
    Formula,
    /// The imprint of a seal or stamp.
    Seal,
}

/// A table.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Table {
    /// The number of rows.
    pub rows: u32,
    /// The number of columns.
    pub columns: u32,
    /// The number of rows at its top that name the columns.
    pub header_rows: u32,
    /// Its cells, row by row from the left, also empty ones. They cover each place exactly once.
    pub cells: Vec<Cell>,
}

/// A cell of a table.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Cell {
    /// Its first row, from 0.
    pub row: u32,
    /// Its first column, from 0.
    pub column: u32,
    /// The number of rows that it spans.
    #[serde(default = "one", skip_serializing_if = "is_one")]
    pub row_span: u32,
    /// The number of columns that it spans.
    #[serde(default = "one", skip_serializing_if = "is_one")]
    pub column_span: u32,
    /// Where it is, in pixels of the page.
    pub polygon: Polygon,
    /// Its text, in reading order: lines, or parts of lines.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub lines: Vec<LinePart>,
}

/// A line, or a part of one that extends over several cells.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct LinePart {
    /// The index in [`crate::PageText::lines`].
    pub line: u32,
    /// The first character and the one after the last, counted in Unicode code points; absent for the whole line.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub characters: Option<[u32; 2]>,
}

const fn one() -> u32 {
    1
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes a reference")]
const fn is_one(span: &u32) -> bool {
    *span == 1
}

impl Table {
    /// Returns whether a cell spans several rows or columns.
    pub fn has_spans(&self) -> bool {
        self.cells.iter().any(|cell| cell.row_span != 1 || cell.column_span != 1)
    }

    /// Returns the cell that covers a place.
    pub fn cell_at(&self, row: u32, column: u32) -> Option<&Cell> {
        self.cells.iter().find(|cell| {
            (cell.row..cell.row + cell.row_span).contains(&row)
                && (cell.column..cell.column + cell.column_span).contains(&column)
        })
    }
}

impl LinePart {
    /// Returns a whole line.
    pub const fn whole(line: u32) -> Self {
        Self { line, characters: None }
    }

    /// Returns this part of the text of its line, without white space around it.
    pub fn of(self, line: &str) -> &str {
        let Some([start, end]) = self.characters else { return line.trim() };
        let byte = |character: u32| line.char_indices().nth(character as usize).map_or(line.len(), |(byte, _)| byte);
        line.get(byte(start)..byte(end)).unwrap_or_default().trim()
    }
}

/// Adjusts the parts of a line after its text was changed, e.g. redacted. The characters between the unchanged ones at
/// both ends belong to the part that contains the first of them.
pub fn follow_change(blocks: &mut [Block], line: u32, before: &str, after: &str) {
    let same_start = before.chars().zip(after.chars()).take_while(|(old, new)| old == new).count();
    let (old, new) = (before.chars().count(), after.chars().count());
    let most = old.min(new) - same_start;
    let same_end = before.chars().rev().zip(after.chars().rev()).take(most).take_while(|(old, new)| old == new).count();
    let follow = |at: u32| match at as usize {
        at if at <= same_start => at,
        at if at + same_end >= old => new - (old - at.min(old)),
        _ => new - same_end,
    };
    let cells = blocks.iter_mut().filter_map(|block| block.table.as_mut()).flat_map(|table| &mut table.cells);
    for part in cells.flat_map(|cell| &mut cell.lines).filter(|part| part.line == line) {
        part.characters = part.characters.map(|range| range.map(|at| follow(at) as u32));
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{from_value, json, to_value};

    use super::*;

    const PLACE: Polygon = [[0.0, 0.0], [9.0, 0.0], [9.0, 5.0], [0.0, 5.0]];

    fn cell(column: u32, characters: [u32; 2]) -> Cell {
        let lines = vec![LinePart { line: 0, characters: Some(characters) }];
        Cell { row: 0, column, row_span: 1, column_span: 1, polygon: PLACE, lines }
    }

    fn block(cells: Vec<Cell>) -> Block {
        let table = Table { rows: 1, columns: cells.len() as u32, header_rows: 0, cells };
        Block { kind: BlockKind::Table, polygon: PLACE, level: None, lines: vec![0], table: Some(table) }
    }

    /// Returns the texts of the cells of a block.
    fn texts(block: &Block, line: &str) -> Vec<String> {
        let cells = &block.table.as_ref().expect("a table").cells;
        cells.iter().map(|cell| cell.lines.iter().map(|part| part.of(line)).collect()).collect()
    }

    #[test]
    fn a_block_is_serialized_without_what_is_usual() {
        let heading =
            Block { kind: BlockKind::Heading, polygon: PLACE, level: Some(2), lines: vec![3, 4], table: None };
        let json = json!({"kind": "heading", "polygon": PLACE, "level": 2, "lines": [3, 4]});
        assert_eq!(to_value(&heading).expect("JSON"), json);
        let table = block(vec![cell(0, [0, 3]), Cell { column_span: 2, lines: vec![], ..cell(1, [0, 0]) }]);
        let json = to_value(&table).expect("JSON");
        let cells = json!([
            {"row": 0, "column": 0, "polygon": PLACE, "lines": [{"line": 0, "characters": [0, 3]}]},
            {"row": 0, "column": 1, "column_span": 2, "polygon": PLACE},
        ]);
        assert_eq!(json["table"]["cells"], cells);
        assert_eq!(from_value::<Block>(json).expect("a block"), table);
    }

    #[test]
    fn a_part_is_counted_in_characters() {
        let part = |characters| LinePart { line: 0, characters }.of("发票 A-7 12.50");
        assert_eq!((part(Some([0, 3])), part(Some([7, 99])), part(Some([50, 99]))), ("发票", "12.50", ""));
        assert_eq!(part(None), "发票 A-7 12.50");
    }

    #[test]
    fn parts_follow_a_redaction_of_their_line() {
        let before = "Ann a@b.cn 12.50";
        for (after, expected) in [
            ("Ann [email] 12.50", ["Ann", "[email]", "12.50"]),
            ("[name] a@b.cn 12.50", ["[name]", "a@b.cn", "12.50"]),
            ("Ann a@b.cn [amount]", ["Ann", "a@b.cn", "[amount]"]),
            ("[all]", ["[all]", "", ""]),
            ("", ["", "", ""]),
        ] {
            let mut blocks = [block(vec![cell(0, [0, 4]), cell(1, [4, 11]), cell(2, [11, 16])])];
            follow_change(&mut blocks, 0, before, after);
            assert_eq!(texts(&blocks[0], after), expected, "{after}");
        }
    }

    #[test]
    fn two_redactions_of_a_line_stay_in_its_parts() {
        let mut blocks = [block(vec![cell(0, [0, 7]), cell(1, [7, 14]), cell(2, [14, 17])])];
        follow_change(&mut blocks, 0, "a@b.cn c@d.cn end", "[email] [email] end");
        let expected = ["[email] [email]", "", "end"];
        assert_eq!(texts(&blocks[0], "[email] [email] end"), expected, "nothing is lost and nothing appears twice");
    }

    #[test]
    fn a_place_belongs_to_the_cell_that_covers_it() {
        let Some(table) = block(vec![Cell { column_span: 2, ..cell(0, [0, 1]) }, cell(2, [1, 2])]).table else {
            panic!("a table")
        };
        assert!(table.has_spans());
        assert_eq!(table.cell_at(0, 1).map(|cell| cell.column), Some(0));
        assert_eq!(table.cell_at(1, 0), None);
    }
}
