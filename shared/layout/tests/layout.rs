//! The layout of drawn pages: rulings and strokes in the place of letters, with the lines that an engine reads there.

use quire_layout::{GrayImage, analyze};
use quire_tasks::{BlockKind, Line, PageText, Table, WarningCode};

const WIDTH: usize = 1000;
const HEIGHT: usize = 1400;
const ADVANCE: usize = 12;

/// A page with the ink and the lines that are drawn on it.
struct Page {
    pixels: Vec<u8>,
    lines: Vec<Line>,
}

impl Page {
    fn new() -> Self {
        Self { pixels: vec![255; WIDTH * HEIGHT], lines: Vec::new() }
    }

    fn fill(&mut self, [left, top, right, bottom]: [usize; 4]) {
        for y in top..bottom {
            self.pixels[y * WIDTH + left..y * WIDTH + right].fill(40);
        }
    }

    /// Draws a line of text of this size, with a stroke for each letter.
    fn write_in(&mut self, left: usize, top: usize, text: &str, size: usize) {
        let advance = ADVANCE * size / 20;
        for (index, letter) in text.chars().enumerate() {
            if !letter.is_whitespace() {
                let x = left + index * advance;
                self.fill([x, top, x + advance / 3, top + size]);
            }
        }
        let right = (left + advance * text.chars().count()) as f32 + 4.0;
        let (left, top, bottom) = (left as f32 - 6.0, top as f32 - 7.0, (top + size) as f32 + 7.0);
        let polygon = Some([[left, top], [right, top], [right, bottom], [left, bottom]]);
        self.lines.push(Line { text: text.to_owned(), confidence: Some(0.9), polygon, ..Line::default() });
    }

    fn write(&mut self, left: usize, top: usize, text: &str) {
        self.write_in(left, top, text, 20);
    }

    fn row(&mut self, top: usize, columns: &[usize], texts: &[&str]) {
        for (left, text) in columns.iter().zip(texts).filter(|(_, text)| !text.is_empty()) {
            self.write(*left, top, text);
        }
    }

    fn read(self) -> PageText {
        let page = PageText::from_lines("a@1".parse().expect("a name"), WIDTH as u32, HEIGHT as u32, 0, self.lines);
        let layout = analyze(&GrayImage::new(WIDTH, HEIGHT, self.pixels), &page);
        PageText { blocks: layout.blocks, warnings: layout.warnings, ..page }
    }
}

fn kinds(page: &PageText) -> Vec<BlockKind> {
    page.blocks.iter().map(|block| block.kind).collect()
}

fn table(page: &PageText) -> &Table {
    page.blocks.iter().find_map(|block| block.table.as_ref()).expect("a table")
}

/// Returns the texts of the cells, row by row, with the columns that they span.
fn cells(page: &PageText) -> Vec<(String, u32)> {
    let text = |cell| page.cell_texts(cell).collect::<Vec<_>>().join(" ");
    table(page).cells.iter().map(|cell| (text(cell), cell.column_span)).collect()
}

const PROSE: &str = "A paragraph that fills the whole width of the page with words";

#[test]
fn a_ruled_table_has_its_cells_with_spans_and_several_lines() {
    let mut page = Page::new();
    page.write(100, 100, PROSE);
    for y in [200, 250, 300, 380] {
        page.fill([100, y, 700, y + 2]);
    }
    for (x, top) in [(100, 200), (300, 250), (500, 200), (700, 200)] {
        page.fill([x, top, x + 2, 382]);
    }
    page.row(215, &[250, 520], &["Both", "Price"]);
    page.row(265, &[120, 320, 520], &["Item", "Code", "EUR"]);
    page.row(310, &[120, 320, 520], &["Desk lamp", "A-7", "12.50"]);
    page.write(120, 345, "black");
    let read = page.read();
    assert_eq!(kinds(&read), [BlockKind::Paragraph, BlockKind::Table]);
    let expected = [
        ("Both", 2),
        ("Price", 1),
        ("Item", 1),
        ("Code", 1),
        ("EUR", 1),
        ("Desk lamp black", 1),
        ("A-7", 1),
        ("12.50", 1),
    ];
    assert_eq!(cells(&read), expected.map(|(text, span)| (text.to_owned(), span)));
    assert_eq!((table(&read).rows, table(&read).columns, table(&read).header_rows), (3, 3, 2));
}

#[test]
fn a_line_over_two_cells_is_divided_at_the_ruling() {
    let mut page = Page::new();
    for y in [200, 250, 300] {
        page.fill([100, y, 502, y + 2]);
    }
    for x in [100, 300, 500] {
        page.fill([x, 200, x + 2, 302]);
    }
    page.row(215, &[120, 320], &["Item", "Price"]);
    // From the first cell into the second, with the ruling between the words.
    page.write(220, 265, "Table 12.50");
    let read = page.read();
    let expected = ["Item", "Price", "Table", "12.50"];
    assert_eq!(cells(&read), expected.map(|text| (text.to_owned(), 1)));
}

#[test]
fn aligned_columns_are_a_table_without_rulings() {
    let mut page = Page::new();
    page.write(100, 100, PROSE);
    let columns = [100, 400, 550, 700];
    page.row(200, &columns, &["Item", "Qty", "Price", "Amount"]);
    page.row(250, &columns, &["Lamp", "2", "3.50", "7.00"]);
    page.row(300, &columns, &["Desk", "3", "4.00", "12.00"]);
    page.row(350, &columns, &["Chair", "4", "2.50", "10.00"]);
    page.row(400, &columns, &["Total", "", "", "29.10"]);
    let read = page.read();
    assert_eq!(kinds(&read), [BlockKind::Paragraph, BlockKind::Table]);
    assert_eq!((table(&read).rows, table(&read).columns, table(&read).header_rows), (5, 4, 1));
    assert_eq!(read.warning_codes(), [WarningCode::ContradictingAmount], "the total is 29.00");
    let polygon = read.warnings[0].polygon.expect("the place of the cell");
    assert!(polygon[0][0] > 600.0 && polygon[0][1] > 370.0, "{polygon:?}");
}

#[test]
fn columns_of_running_text_are_no_table() {
    let mut page = Page::new();
    for left in [60, 380, 700] {
        for row in 0..12 {
            page.write(left, 100 + 32 * row, if row % 5 == 4 { "a short line" } else { "words of a narrow column" });
        }
    }
    let read = page.read();
    assert!(!kinds(&read).contains(&BlockKind::Table), "{:?}", kinds(&read));
}

#[test]
fn a_title_paragraphs_and_a_list_are_told_apart() {
    let mut page = Page::new();
    page.write_in(200, 100, "Annual Report", 40);
    for row in 0..4 {
        page.write(100, 220 + 34 * row, PROSE);
    }
    for (row, item) in ["• one thing", "• another thing", "• the last thing"].iter().enumerate() {
        page.write(130, 440 + 34 * row, item);
    }
    let read = page.read();
    assert_eq!(kinds(&read), [BlockKind::Title, BlockKind::Paragraph, BlockKind::List]);
    assert_eq!(read.blocks[2].lines, [5, 6, 7]);
}

#[test]
fn a_page_without_positions_has_no_layout() {
    let mut page = Page::new();
    page.write(100, 100, PROSE);
    page.lines[0].polygon = None;
    assert_eq!(page.read().blocks, []);
    assert_eq!(Page::new().read().blocks, []);
}
