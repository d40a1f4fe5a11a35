//! Markdown and CSV of documents with a layout.

use quire_formats::{TextFormat, TextWriter, page_output};
use quire_tasks::{Block, BlockKind, Cell, EngineName, Line, LinePart, ModeName, PageText, Polygon, Table};

/// A line of 20 pixels height from the left margin.
fn line(text: &str, top: f32, right: f32) -> Line {
    let polygon = [[100.0, top], [right, top], [right, top + 20.0], [100.0, top + 20.0]];
    Line { text: text.to_owned(), confidence: Some(0.9), polygon: Some(polygon), ..Line::default() }
}

fn polygon(top: f32, bottom: f32) -> Polygon {
    [[100.0, top], [900.0, top], [900.0, bottom], [100.0, bottom]]
}

fn block(kind: BlockKind, lines: std::ops::Range<u32>) -> Block {
    let polygon = polygon(30.0 * lines.start as f32, 30.0 * lines.end as f32);
    Block { kind, polygon, level: None, lines: lines.collect(), table: None }
}

/// Returns a page whose lines fill its width.
fn page(texts: &[&str], blocks: Vec<Block>) -> PageText {
    let engine: EngineName = "test@1".parse().expect("a valid engine name");
    let lines = (0..).zip(texts).map(|(row, text)| line(text, 30.0 * row as f32, 890.0)).collect();
    PageText { blocks, ..PageText::from_lines(engine, 1000, 1400, 0, lines) }
}

/// Returns a block with a table of these columns, whose cells are lines of the page.
fn table(lines: std::ops::Range<u32>, columns: u32, header_rows: u32) -> Block {
    let rows = lines.len() as u32 / columns;
    let place = |index: u32| (index / columns, index % columns);
    let cells = (0..).zip(lines.clone()).map(|(index, line)| Cell {
        row: place(index).0,
        column: place(index).1,
        row_span: 1,
        column_span: 1,
        polygon: polygon(0.0, 20.0),
        lines: vec![LinePart::whole(line)],
    });
    let table = Table { rows, columns, header_rows, cells: cells.collect() };
    Block { table: Some(table), ..block(BlockKind::Table, lines) }
}

fn write(format: TextFormat, pages: &[PageText]) -> String {
    let mut writer = TextWriter::new(format);
    let mut out = writer.begin("title", None, &[].into());
    for page in pages {
        out += &writer.page(Some(page));
    }
    out + &writer.end()
}

#[test]
fn blocks_are_headings_paragraphs_and_lists() {
    let texts =
        ["Annual Report", "1 Scope", "This is an inter-", "national rule.", "• one", "that goes on", "2. two", "7"];
    let kinds = [
        block(BlockKind::Title, 0..1),
        Block { level: Some(1), ..block(BlockKind::Heading, 1..2) },
        block(BlockKind::Paragraph, 2..4),
        block(BlockKind::List, 4..7),
        block(BlockKind::PageNumber, 7..8),
    ];
    let expected = "# Annual Report\n\n## 1 Scope\n\nThis is an international rule.\n\n- one that goes on\n2. two\n";
    assert_eq!(write(TextFormat::Markdown, &[page(&texts, kinds.to_vec())]), expected);
}

#[test]
fn lines_that_end_early_stay_apart() {
    let mut address = page(&["Max Muster", "Weg 5", "10115 Berlin"], vec![block(BlockKind::Paragraph, 0..3)]);
    for (line, right) in address.lines.iter_mut().zip([300.0, 200.0, 320.0]) {
        *line = Line { text: line.text.clone(), ..self::line("", 0.0, right) };
    }
    assert_eq!(write(TextFormat::Markdown, &[address]), "Max Muster\\\nWeg 5\\\n10115 Berlin\n");
}

#[test]
fn running_headers_are_left_out_and_footnotes_are_at_the_end() {
    let numbered = |number: u32| {
        let header = format!("Report 2026, page {number}");
        let texts = [&*header, "A paragraph.", &*format!("{number} A note.")];
        let blocks = [BlockKind::Header, BlockKind::Paragraph, BlockKind::Footnote];
        page(&texts, (0..).zip(blocks).map(|(index, kind)| block(kind, index..index + 1)).collect())
    };
    let pages: Vec<PageText> = (1..=3).map(numbered).collect();
    let expected =
        "A paragraph.\n\n---\n\nA paragraph.\n\n---\n\nA paragraph.\n\n1 A note.\n\n2 A note.\n\n3 A note.\n";
    assert_eq!(write(TextFormat::Markdown, &pages), expected);
    let alone = "Report 2026, page 1\n\nA paragraph.\n\n1 A note.\n";
    assert_eq!(write(TextFormat::Markdown, &pages[..1]), alone, "a header that does not repeat is kept");
}

#[test]
fn a_table_over_two_pages_is_one() {
    let first =
        page(&["Before.", "Item", "Price", "a", "1"], vec![block(BlockKind::Paragraph, 0..1), table(1..5, 2, 1)]);
    let second =
        page(&["Item", "Price", "b", "2", "After."], vec![table(0..4, 2, 1), block(BlockKind::Paragraph, 4..5)]);
    let pages = [first, second];
    let expected = "Before.\n\n| Item | Price |\n| --- | --- |\n| a | 1 |\n| b | 2 |\n\n---\n\nAfter.\n";
    assert_eq!(write(TextFormat::Markdown, &pages), expected);
    assert_eq!(write(TextFormat::Csv, &pages), "Item,Price\r\na,1\r\nb,2\r\n");
}

#[test]
fn the_mode_decides_the_text_of_a_page() {
    let read =
        page(&["Item", "Price", "a|b", "<1>", "After."], vec![table(0..4, 2, 1), block(BlockKind::Paragraph, 4..5)]);
    assert_eq!(page_output(&read), "Item\nPrice\na|b\n<1>\nAfter.");
    let markdown = "| Item | Price |\n| --- | --- |\n| a\\|b | <1> |\n\nAfter.";
    assert_eq!(page_output(&PageText { mode: ModeName::Markdown, ..read.clone() }), markdown);
    let html = "<table>\n<tr><th>Item</th><th>Price</th></tr>\n<tr><td>a|b</td><td>&lt;1&gt;</td></tr>\n</table>";
    assert_eq!(page_output(&PageText { mode: ModeName::Table, ..read }), html);
    let answered = PageText { mode: ModeName::Markdown, ..page(&["# *x*"], Vec::new()) };
    assert_eq!(page_output(&answered), "# *x*");
}

#[test]
fn blocks_are_in_hocr_and_alto() {
    let read = page(&["Item", "Price", "a", "1", "After."], vec![table(0..4, 2, 1), block(BlockKind::Paragraph, 4..5)]);
    let hocr = write(TextFormat::Hocr, std::slice::from_ref(&read));
    assert!(hocr.contains("<div class=\"ocr_table\" id=\"par_1_1\" title=\"bbox 100 0 900 120\">"), "{hocr}");
    assert!(hocr.contains("<p class=\"ocr_par\" id=\"par_1_2\"") && hocr.matches("class=\"ocr_line\"").count() == 5);
    let alto = write(TextFormat::Alto, &[read]);
    assert_eq!((alto.matches("<TextBlock ").count(), alto.matches("<TextLine ").count()), (2, 5), "{alto}");
}
