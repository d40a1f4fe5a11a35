//! ALTO 4.4: <https://www.loc.gov/standards/alto/>.

use std::{collections::BTreeSet, fmt::Write};

use quire_tasks::{EngineName, Line, PageText};

use crate::{place::Frame, words::words, xml::Escaped};

/// What stands before the pages, with who read them.
pub(crate) fn begin(out: &mut String, file: Option<&str>, engines: &BTreeSet<EngineName>) -> std::fmt::Result {
    writeln!(out, "<?xml version=\"1.0\" encoding=\"UTF-8\"?>")?;
    writeln!(out, "<alto xmlns=\"http://www.loc.gov/standards/alto/ns-v4#\">")?;
    writeln!(out, "<Description>\n<MeasurementUnit>pixel</MeasurementUnit>")?;
    if let Some(file) = file {
        writeln!(out, "<sourceImageInformation><fileName>{}</fileName></sourceImageInformation>", Escaped(file))?;
    }
    for (number, engine) in (1..).zip(engines) {
        writeln!(out, "<Processing ID=\"engine_{number}\"><processingCategory>contentGeneration</processingCategory>")?;
        let (name, version) = (Escaped(&engine.name), Escaped(&engine.version));
        let software = format!("<softwareName>{name}</softwareName><softwareVersion>{version}</softwareVersion>");
        writeln!(out, "<processingSoftware>{software}</processingSoftware></Processing>")?;
    }
    writeln!(out, "</Description>\n<Layout>")
}

/// A page, counted from 0: every line and word, and where each stands, in pixels.
pub(crate) fn page(out: &mut String, index: usize, text: Option<&PageText>) -> std::fmt::Result {
    let number = index + 1;
    match text {
        Some(text) => write_page(out, number, text),
        None => writeln!(out, "<Page ID=\"page_{number}\" PHYSICAL_IMG_NR=\"{number}\"/>"),
    }
}

/// What stands behind the pages.
pub(crate) fn end(out: &mut String) -> std::fmt::Result {
    writeln!(out, "</Layout>\n</alto>")
}

fn write_page(out: &mut String, number: usize, page: &PageText) -> std::fmt::Result {
    let (width, height) = (page.width, page.height);
    let sure = page.confidence().map_or_else(String::new, |sure| format!(" PC=\"{sure:.3}\""));
    let id = format!("ID=\"page_{number}\" PHYSICAL_IMG_NR=\"{number}\"");
    writeln!(out, "<Page {id} WIDTH=\"{width}\" HEIGHT=\"{height}\"{sure}>")?;
    writeln!(out, "<PrintSpace {}>", place(Frame::page(page)))?;
    for (index, line) in (1..).zip(&page.lines) {
        write_line(out, &format!("{number}_{index}"), line, page)?;
    }
    writeln!(out, "</PrintSpace>\n</Page>")
}

/// Each line is a block of its own: how they belong together nobody has said.
fn write_line(out: &mut String, id: &str, line: &Line, page: &PageText) -> std::fmt::Result {
    let words = words(line, page);
    if words.is_empty() {
        return Ok(());
    }
    let frame = place(Frame::of(line, page));
    write!(out, "<TextBlock ID=\"block_{id}\" {frame}><TextLine ID=\"line_{id}\" {frame}>")?;
    let sure = line.confidence.map_or_else(String::new, |sure| format!(" WC=\"{sure:.3}\""));
    for (index, word) in (1..).zip(words) {
        let gap = if index == 1 { "" } else { "<SP/>" };
        let (frame, text) = (place(word.frame), Escaped(word.text));
        write!(out, "{gap}<String ID=\"word_{id}_{index}\" {frame} CONTENT=\"{text}\"{sure}/>")?;
    }
    writeln!(out, "</TextLine></TextBlock>")
}

fn place(frame: Frame) -> String {
    let (width, height) = (frame.width(), frame.height());
    format!("HPOS=\"{}\" VPOS=\"{}\" WIDTH=\"{width}\" HEIGHT=\"{height}\"", frame.left, frame.top)
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
        let read = page(vec![line("a \"b\"", 0.5, [[10.0, 20.0], [110.0, 20.0], [110.0, 60.0], [10.0, 60.0]])]);
        let xml = written(Form::Alto, "x&y.pdf", &[Some(&read), None]);
        for part in [
            "<fileName>x&amp;y.pdf</fileName>",
            "<softwareName>test</softwareName><softwareVersion>1</softwareVersion>",
            "<Page ID=\"page_1\" PHYSICAL_IMG_NR=\"1\" WIDTH=\"1000\" HEIGHT=\"1400\" PC=\"0.500\">",
            "<TextLine ID=\"line_1_1\" HPOS=\"10\" VPOS=\"20\" WIDTH=\"100\" HEIGHT=\"40\">",
            "HPOS=\"50\" VPOS=\"20\" WIDTH=\"60\" HEIGHT=\"40\" CONTENT=\"&quot;b&quot;\" WC=\"0.500\"/>",
            "<Page ID=\"page_2\" PHYSICAL_IMG_NR=\"2\"/>",
        ] {
            assert!(xml.contains(part), "{part}\n{xml}");
        }
    }
}
