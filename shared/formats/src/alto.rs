//! ALTO 4.4: <https://www.loc.gov/standards/alto/>.

use std::{
    collections::BTreeSet,
    fmt::{Result, Write},
};

use quire_tasks::{EngineName, PageText};

use crate::{
    layout::{LineLayout, layout_blocks},
    line_box::LineBox,
    xml::Escaped,
};

/// Writes the header before the pages, with the engines that read them.
pub(crate) fn write_header(out: &mut String, file: Option<&str>, engines: &BTreeSet<EngineName>) -> Result {
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

/// Writes a page with the position of every line and word in pixels. `index` is counted from 0; `page` is `None` if the
/// page has no text.
pub(crate) fn write_page(out: &mut String, index: usize, page: Option<&PageText>) -> Result {
    let number = index + 1;
    let id = format!("ID=\"page_{number}\" PHYSICAL_IMG_NR=\"{number}\"");
    let Some(page) = page else { return writeln!(out, "<Page {id}/>") };
    let (width, height) = (page.width, page.height);
    let confidence = page.confidence().map_or_else(String::new, |value| format!(" PC=\"{value:.3}\""));
    writeln!(out, "<Page {id} WIDTH=\"{width}\" HEIGHT=\"{height}\"{confidence}>")?;
    writeln!(out, "<PrintSpace {}>", position(LineBox::of_page(page)))?;
    for block in layout_blocks(page) {
        let lines: Vec<&LineLayout<'_>> = block.lines.iter().filter(|line| !line.words.is_empty()).collect();
        if lines.is_empty() {
            continue;
        }
        writeln!(out, "<TextBlock ID=\"block_{number}_{}\" {}>", block.number, position(block.block_box))?;
        lines.into_iter().try_for_each(|line| write_line(out, number, line))?;
        writeln!(out, "</TextBlock>")?;
    }
    writeln!(out, "</PrintSpace>\n</Page>")
}

/// Writes the footer after the pages.
pub(crate) fn write_footer(out: &mut String) -> Result {
    writeln!(out, "</Layout>\n</alto>")
}

fn write_line(out: &mut String, page_number: usize, line: &LineLayout<'_>) -> Result {
    let id = format!("{page_number}_{}", line.number);
    let line_position = position(line.line_box);
    write!(out, "<TextLine ID=\"line_{id}\" {line_position}>")?;
    line.write_words(out, "<SP/>", |out, number, word| {
        let (word_position, text) = (position(word.bounds), Escaped(word.text));
        let confidence = word.confidence.map_or_else(String::new, |value| format!(" WC=\"{value:.3}\""));
        write!(out, "<String ID=\"word_{id}_{number}\" {word_position} CONTENT=\"{text}\"{confidence}/>")
    })?;
    writeln!(out, "</TextLine>")
}

fn position(line_box: LineBox) -> String {
    let (width, height) = (line_box.width(), line_box.height());
    format!("HPOS=\"{}\" VPOS=\"{}\" WIDTH=\"{width}\" HEIGHT=\"{height}\"", line_box.left, line_box.top)
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
        let read = page(vec![line("a \"b\"", 0.5, [[10.0, 20.0], [110.0, 20.0], [110.0, 60.0], [10.0, 60.0]])]);
        let xml = write_all(TextFormat::Alto, "x&y.pdf", &[Some(&read), None]);
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
