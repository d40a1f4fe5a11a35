//! hOCR 1.2: <https://kba.github.io/hocr-spec/1.2/>.

use std::fmt::Write;

use quire_tasks::PageText;

use crate::{place::Frame, words::words, xml::Escaped};

/// What stands before the pages.
pub(crate) fn begin(out: &mut String, title: &str) -> std::fmt::Result {
    writeln!(out, "<!DOCTYPE html>")?;
    writeln!(out, "<html xmlns=\"http://www.w3.org/1999/xhtml\">\n<head>\n<meta charset=\"utf-8\"/>")?;
    writeln!(out, "<title>{}</title>", Escaped(title))?;
    writeln!(out, "<meta name=\"ocr-system\" content=\"quire\"/>")?;
    writeln!(out, "<meta name=\"ocr-capabilities\" content=\"ocr_page ocr_line ocrx_word\"/>\n</head>\n<body>")
}

/// A page, counted from 0: every line and word, and where each stands.
pub(crate) fn page(out: &mut String, index: usize, text: Option<&PageText>) -> std::fmt::Result {
    match text {
        Some(text) => write_page(out, index, text),
        None => writeln!(out, "<div class=\"ocr_page\" id=\"page_{}\" title=\"ppageno {index}\"></div>", index + 1),
    }
}

/// What stands behind the pages.
pub(crate) fn end(out: &mut String) -> std::fmt::Result {
    writeln!(out, "</body>\n</html>")
}

fn write_page(out: &mut String, index: usize, page: &PageText) -> std::fmt::Result {
    let number = index + 1;
    let whole = bbox(Frame::page(page));
    writeln!(out, "<div class=\"ocr_page\" id=\"page_{number}\" title=\"{whole}; ppageno {index}\">")?;
    for (line, read) in (1..).zip(&page.lines) {
        let frame = bbox(Frame::of(read, page));
        write!(out, "<span class=\"ocr_line\" id=\"line_{number}_{line}\" title=\"{frame}\">")?;
        for (word, placed) in (1..).zip(words(read, page)) {
            let gap = if word == 1 { "" } else { " " };
            let sure = read.confidence.map_or_else(String::new, |sure| format!("; x_wconf {:.0}", 100.0 * sure));
            let (frame, text) = (bbox(placed.frame), Escaped(placed.text));
            let id = format!("word_{number}_{line}_{word}");
            write!(out, "{gap}<span class=\"ocrx_word\" id=\"{id}\" title=\"{frame}{sure}\">{text}</span>")?;
        }
        writeln!(out, "</span>")?;
    }
    writeln!(out, "</div>")
}

fn bbox(frame: Frame) -> String {
    let Frame { left, top, right, bottom } = frame;
    format!("bbox {left} {top} {right} {bottom}")
}

#[cfg(test)]
mod tests {
    use crate::{
        Form,
        plain::tests::{line, page},
        scribe::tests::written,
    };

    #[test]
    fn lines_and_words_stand_where_they_were_read() {
        let read = page(vec![line("a <b>", 0.876, [[10.0, 20.0], [110.0, 20.0], [110.0, 60.0], [10.0, 60.0]])]);
        let html = written(Form::Hocr, "x & y", &[Some(&read), None]);
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
