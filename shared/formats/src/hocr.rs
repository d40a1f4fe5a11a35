//! hOCR 1.2: <https://kba.github.io/hocr-spec/1.2/>.

use std::fmt::{Result, Write};

use quire_tasks::{BlockKind, PageText};

use crate::{
    layout::{LineLayout, layout_blocks},
    line_box::LineBox,
    xml::Escaped,
};

/// Writes the header before the pages.
pub(crate) fn write_header(out: &mut String, title: &str) -> Result {
    writeln!(out, "<!DOCTYPE html>")?;
    writeln!(out, "<html xmlns=\"http://www.w3.org/1999/xhtml\">\n<head>\n<meta charset=\"utf-8\"/>")?;
    writeln!(out, "<title>{}</title>", Escaped(title))?;
    writeln!(out, "<meta name=\"ocr-system\" content=\"quire\"/>")?;
    let classes = "ocr_page ocr_carea ocr_par ocr_table ocr_line ocrx_word";
    writeln!(out, "<meta name=\"ocr-capabilities\" content=\"{classes}\"/>\n</head>\n<body>")
}

/// Writes a page with the position of every block, line and word. `index` is counted from 0; `page` is `None` if the page has
/// no text.
pub(crate) fn write_page(out: &mut String, index: usize, page: Option<&PageText>) -> Result {
    let number = index + 1;
    let Some(page) = page else {
        return writeln!(out, "<div class=\"ocr_page\" id=\"page_{number}\" title=\"ppageno {index}\"></div>");
    };
    let page_box = bbox(LineBox::of_page(page));
    writeln!(out, "<div class=\"ocr_page\" id=\"page_{number}\" title=\"{page_box}; ppageno {index}\">")?;
    for block in layout_blocks(page) {
        let (id, block_box) = (format!("{number}_{}", block.number), bbox(block.block_box));
        let (tag, class) = if block.kind == BlockKind::Table { ("div", "ocr_table") } else { ("p", "ocr_par") };
        writeln!(out, "<div class=\"ocr_carea\" id=\"block_{id}\" title=\"{block_box}\">")?;
        writeln!(out, "<{tag} class=\"{class}\" id=\"par_{id}\" title=\"{block_box}\">")?;
        for line in &block.lines {
            write_line(out, number, line)?;
        }
        writeln!(out, "</{tag}>\n</div>")?;
    }
    writeln!(out, "</div>")
}

fn write_line(out: &mut String, page_number: usize, line: &LineLayout<'_>) -> Result {
    let line_id = format!("{page_number}_{}", line.number);
    let line_box = bbox(line.line_box);
    write!(out, "<span class=\"ocr_line\" id=\"line_{line_id}\" title=\"{line_box}\">")?;
    line.write_words(out, " ", |out, word_number, word| {
        let (word_box, text) = (bbox(word.bounds), Escaped(word.text));
        let confidence = word.confidence.map_or_else(String::new, |value| format!("; x_wconf {:.0}", 100.0 * value));
        let id = format!("word_{line_id}_{word_number}");
        write!(out, "<span class=\"ocrx_word\" id=\"{id}\" title=\"{word_box}{confidence}\">{text}</span>")
    })?;
    writeln!(out, "</span>")
}

/// Writes the footer after the pages.
pub(crate) fn write_footer(out: &mut String) -> Result {
    writeln!(out, "</body>\n</html>")
}

fn bbox(line_box: LineBox) -> String {
    let LineBox { left, top, right, bottom } = line_box;
    format!("bbox {left} {top} {right} {bottom}")
}

#[cfg(test)]
mod tests {
    use crate::{
        TextFormat,
        plain::tests::{line, page},
        text_writer::tests::write_all,
    };

    #[test]
    fn lines_and_words_have_positions_and_confidence() {
        let read = page(vec![line("a <b>", 0.876, [[10.0, 20.0], [110.0, 20.0], [110.0, 60.0], [10.0, 60.0]])]);
        let html = write_all(TextFormat::Hocr, "x & y", &[Some(&read), None]);
        for part in [
            "<title>x &amp; y</title>",
            "<div class=\"ocr_page\" id=\"page_1\" title=\"bbox 0 0 1000 1400; ppageno 0\">",
            "<span class=\"ocr_line\" id=\"line_1_1\" title=\"bbox 10 20 110 60\">",
            "<span class=\"ocrx_word\" id=\"word_1_1_1\" title=\"bbox 10 20 30 60; x_wconf 88\">a</span>",
            "<span class=\"ocrx_word\" id=\"word_1_1_2\" title=\"bbox 50 20 110 60; x_wconf 88\">&lt;b&gt;</span>",
            "<div class=\"ocr_page\" id=\"page_2\" title=\"ppageno 1\"></div>",
        ] {
            assert!(html.contains(part), "{part}\n{html}");
        }
    }
}
