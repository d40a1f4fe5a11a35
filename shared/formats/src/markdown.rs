//! Markdown from the layout of pages, with what only a document shows: running headers, continued tables and footnotes.

use quire_tasks::{Block, BlockKind, Line, ListMarker, ModeName, PageText, list_marker};

use crate::{
    escape::{escape_inline, escape_line},
    join::append,
    line_box::LineBox,
    table_text::TableText,
    words::{is_wide, width},
};

/// Writes the pages of a document. A page is returned when the next one is known, which tells its running headers; of
/// earlier pages, only a table that may be continued and the footnotes are kept.
#[derive(Debug, Default)]
pub(crate) struct MarkdownWriter {
    /// The page that is written next, and whether a page precedes it.
    waiting: Option<(MarkdownPage, bool)>,
    /// The headers and footers of the page before it.
    edges_before: Vec<String>,
    table: Option<TableText>,
    footnotes: Vec<String>,
    pages: usize,
}

/// A page, as its blocks.
#[derive(Debug, Default)]
struct MarkdownPage {
    parts: Vec<Part>,
}

#[derive(Debug)]
enum Part {
    Text(String),
    Table(TableText),
    Footnote(String),
    /// A header or footer: its text with all numbers alike, and its Markdown.
    Edge(String, String),
}

impl MarkdownWriter {
    /// Adds a page; `None` if it has no text. Returns what is complete.
    pub(crate) fn page(&mut self, page: Option<&PageText>) -> String {
        let next = page.map(markdown_page).unwrap_or_default();
        let out = self.write_waiting(Some(&next));
        self.waiting = Some((next, self.pages > 0));
        self.pages += 1;
        out
    }

    /// Ends a document. Returns the rest of it.
    pub(crate) fn end(&mut self) -> String {
        let mut out = self.write_waiting(None);
        self.flush_table(&mut out);
        let notes = std::mem::take(&mut self.footnotes);
        for note in &notes {
            push_part(&mut out, note);
        }
        self.edges_before.clear();
        out
    }

    /// Writes the page that waits. Its headers and footers are left out if one beside it has the same.
    fn write_waiting(&mut self, next: Option<&MarkdownPage>) -> String {
        let Some((page, has_page_before)) = self.waiting.take() else { return String::new() };
        let next_edges: Vec<&String> = next.map(MarkdownPage::edges).unwrap_or_default();
        let edges: Vec<String> = page.edges().into_iter().cloned().collect();
        let mut out = String::new();
        let mut is_first = true;
        let mut begins = has_page_before;
        let mut begin = |out: &mut String| {
            if std::mem::take(&mut begins) {
                out.push_str("\n---\n");
            }
        };
        for part in page.parts {
            match part {
                Part::Edge(text, _) if self.edges_before.contains(&text) || next_edges.contains(&&text) => {}
                Part::Footnote(note) => self.footnotes.push(note),
                Part::Table(table) => {
                    let is_continued = is_first && self.table.as_mut().is_some_and(|above| above.append(&table));
                    if !is_continued {
                        self.flush_table(&mut out);
                        begin(&mut out);
                        self.table = Some(table);
                    }
                    is_first = false;
                }
                Part::Text(text) | Part::Edge(_, text) => {
                    self.flush_table(&mut out);
                    begin(&mut out);
                    push_part(&mut out, &text);
                    is_first = false;
                }
            }
        }
        if is_first {
            self.flush_table(&mut out);
            begin(&mut out);
        }
        self.edges_before = edges;
        if has_page_before || out.is_empty() { out } else { out.trim_start_matches('\n').to_owned() }
    }

    fn flush_table(&mut self, out: &mut String) {
        if let Some(table) = self.table.take() {
            let mut text = String::new();
            table.write_markdown(&mut text);
            push_part(out, text.trim_end());
        }
    }
}

fn push_part(out: &mut String, text: &str) {
    out.push('\n');
    out.push_str(text);
    out.push('\n');
}

impl MarkdownPage {
    fn edges(&self) -> Vec<&String> {
        self.parts.iter().filter_map(|part| if let Part::Edge(text, _) = part { Some(text) } else { None }).collect()
    }
}

/// Returns a page as Markdown by itself, e.g. for the text of a page in the mode `markdown`.
pub(crate) fn page_markdown(page: &PageText) -> String {
    let mut writer = MarkdownWriter::default();
    let out = writer.page(Some(page)) + &writer.end();
    out.trim_matches('\n').to_owned()
}

fn markdown_page(page: &PageText) -> MarkdownPage {
    if page.blocks.is_empty() {
        let text = unplaced(page);
        return MarkdownPage { parts: (!text.is_empty()).then_some(Part::Text(text)).into_iter().collect() };
    }
    MarkdownPage { parts: page.blocks.iter().filter_map(|block| part(page, block)).collect() }
}

/// Returns the text of a page without blocks. What the engine returned as Markdown, HTML or LaTeX stays as it is; any
/// other text is escaped, line by line.
fn unplaced(page: &PageText) -> String {
    if page.lines.is_empty() && page.mode != ModeName::Formula {
        return String::new();
    }
    match page.mode {
        ModeName::Formula => format!("$$\n{}\n$$", page.text()),
        ModeName::Markdown | ModeName::Table | ModeName::Translate => page.text().trim_end().to_owned(),
        _ => {
            let lines: Vec<String> = page.lines.iter().map(|line| escape_line(&line.text)).collect();
            // A backslash at the end of a line is a hard line break (CommonMark 6.7).
            lines.join("\\\n")
        }
    }
}

fn part(page: &PageText, block: &Block) -> Option<Part> {
    let running = || escape_line(&running_text(page, block).replace('\n', " "));
    Some(match block.kind {
        BlockKind::Table => Part::Table(TableText::new(page, block.table.as_ref()?)),
        BlockKind::PageNumber => return None,
        BlockKind::Figure => Part::Text("<!-- figure -->".to_owned()),
        BlockKind::Title => Part::Text(format!("# {}", escape_inline(&running_text(page, block).replace('\n', " ")))),
        BlockKind::Heading => {
            let marks = "#".repeat(usize::from(block.level.unwrap_or(1)).clamp(1, 5) + 1);
            Part::Text(format!("{marks} {}", escape_inline(&running_text(page, block).replace('\n', " "))))
        }
        BlockKind::List => Part::Text(list(page, block)),
        BlockKind::Header | BlockKind::Footer => Part::Edge(numbers_alike(page, block), running()),
        BlockKind::Footnote => Part::Footnote(running()),
        BlockKind::Formula => Part::Text(format!("$$\n{}\n$$", running_text(page, block))),
        BlockKind::Paragraph | BlockKind::Caption | BlockKind::Seal => {
            let lines: Vec<String> = running_text(page, block).split('\n').map(escape_line).collect();
            Part::Text(lines.join("\\\n"))
        }
    })
}

/// Returns the text of a block with every digit as `#`: a running header may have the page's number.
fn numbers_alike(page: &PageText, block: &Block) -> String {
    let text: String = lines_of(page, block).map(|line| line.text.as_str()).collect();
    text.chars().map(|c| if c.is_ascii_digit() { '#' } else { c }).collect()
}

fn lines_of<'a>(page: &'a PageText, block: &'a Block) -> impl Iterator<Item = &'a Line> {
    block.lines.iter().filter_map(|line| page.lines.get(*line as usize))
}

/// Returns the lines of a block as running text. A line break stays where a line ends although the next word would have
/// fitted, as in an address.
fn running_text(page: &PageText, block: &Block) -> String {
    let lines: Vec<&Line> = lines_of(page, block).collect();
    let right = LineBox::of_polygon(&block.polygon, page).right as f32;
    let mut text = String::new();
    for (index, line) in lines.iter().enumerate() {
        let is_broken = index > 0 && page.rotation == 0 && has_room_after(page, lines[index - 1], line, right);
        if is_broken {
            text.push('\n');
            text.push_str(line.text.trim());
        } else {
            append(&mut text, line.text.trim());
        }
    }
    text
}

/// Returns whether the first word of a line would have fitted at the end of the line before it.
fn has_room_after(page: &PageText, before: &Line, line: &Line, right: f32) -> bool {
    let line_box = LineBox::of_line(before, page);
    let word = line.text.split_whitespace().next().unwrap_or_default();
    // A line may be broken after every wide character.
    let needed = if word.starts_with(is_wide) { 2.0 } else { 1.15 * width(word) + 1.0 };
    let advance = line_box.width() as f32 / width(&before.text).max(1.0);
    line_box.right as f32 + advance * needed < right
}

fn list(page: &PageText, block: &Block) -> String {
    let mut items: Vec<(String, String)> = Vec::new();
    for line in lines_of(page, block) {
        match (list_marker(&line.text), items.last_mut()) {
            (Some((marker, text)), _) => {
                let marker = match marker {
                    ListMarker::Bullet => "-".to_owned(),
                    ListMarker::Number(number) => format!("{number}."),
                };
                items.push((marker, text.to_owned()));
            }
            (None, Some((_, text))) => append(text, line.text.trim()),
            (None, None) => items.push(("-".to_owned(), line.text.clone())),
        }
    }
    let items: Vec<String> = items.iter().map(|(marker, text)| format!("{marker} {}", escape_inline(text))).collect();
    items.join("\n")
}
