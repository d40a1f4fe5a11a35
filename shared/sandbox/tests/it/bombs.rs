//! Small documents that ask for much: memory, processor time, or both.

use std::{
    fmt::Write as _,
    io::{self, Read, Write as _},
};

use flate2::{Compression, write::ZlibEncoder};

/// A PDF under construction: its objects, counted from 1.
#[derive(Default)]
pub(crate) struct Pdf {
    objects: Vec<Vec<u8>>,
}

impl Pdf {
    pub(crate) fn object(&mut self, content: impl Into<Vec<u8>>) -> usize {
        self.objects.push(content.into());
        self.objects.len()
    }

    pub(crate) fn stream(&mut self, entries: &str, bytes: &[u8]) -> usize {
        let mut object = format!("<<{entries}/Length {}>>stream\n", bytes.len()).into_bytes();
        object.extend(bytes);
        object.extend(b"\nendstream");
        self.object(object)
    }

    /// Adds a stream whose content is compressed, twice if it is to be tiny.
    pub(crate) fn flate(&mut self, entries: &str, content: impl Read) -> usize {
        let twice = deflate(&deflate(content)[..]);
        self.stream(&format!("{entries}/Filter[/FlateDecode/FlateDecode]"), &twice)
    }

    /// Returns the file, with one page of these resources and content.
    pub(crate) fn page(mut self, resources: &str, content: &[u8]) -> Vec<u8> {
        let content = self.stream("", content);
        self.page_of(resources, content)
    }

    pub(crate) fn page_of(mut self, resources: &str, content: usize) -> Vec<u8> {
        let pages = self.objects.len() + 2;
        let page = format!(
            "<</Type/Page/Parent {pages} 0 R/MediaBox[0 0 595 842]/Contents {content} 0 R/Resources<<{resources}>>>>"
        );
        let page = self.object(page);
        self.object(format!("<</Type/Pages/Count 1/Kids[{page} 0 R]>>"));
        let root = self.object(format!("<</Type/Catalog/Pages {pages} 0 R>>"));
        self.file(root)
    }

    pub(crate) fn file(self, root: usize) -> Vec<u8> {
        let mut file = b"%PDF-1.7\n".to_vec();
        let mut offsets = Vec::new();
        for (number, object) in (1..).zip(&self.objects) {
            offsets.push(file.len());
            let _ = writeln!(file, "{number} 0 obj");
            file.extend(object);
            file.extend(b"\nendobj\n");
        }
        let (start, count) = (file.len(), offsets.len() + 1);
        let entries = offsets.iter().fold(String::new(), |mut entries, offset| {
            let _ = writeln!(entries, "{offset:010} 00000 n ");
            entries
        });
        let _ = write!(file, "xref\n0 {count}\n0000000000 65535 f \n{entries}");
        let _ = write!(file, "trailer\n<</Size {count}/Root {root} 0 R>>\nstartxref\n{start}\n%%EOF\n");
        file
    }
}

fn deflate(mut content: impl Read) -> Vec<u8> {
    let mut encoder = ZlibEncoder::new(Vec::new(), Compression::best());
    io::copy(&mut content, &mut encoder).expect("memory");
    encoder.finish().expect("memory")
}

/// Documents that must fail: their pages need more than any limit.
pub(crate) fn too_complex() -> Vec<(&'static str, Vec<u8>)> {
    vec![
        ("form that draws itself", form_that_draws_itself()),
        ("nested forms", nested_forms()),
        ("rectangles", many_rectangles(1_000_000)),
        ("shadings", many_shadings()),
        ("soft masks", nested_soft_masks()),
    ]
}

/// Documents that the parser may refuse, ignore or give up: but within the limits.
pub(crate) fn contained() -> Vec<(&'static str, Vec<u8>)> {
    vec![
        ("tiles", tiny_tiles()),
        ("font", recursive_font()),
        ("image", huge_image("flate")),
        ("JPX", huge_image("JPXDecode")),
        ("fax", huge_image("CCITTFaxDecode")),
        ("JBIG2", huge_jbig2()),
        ("references", many_references(4_000_000)),
        ("page tree", deep_page_tree(100_000)),
        ("arrays", deep_arrays()),
    ]
}

/// A form that draws itself twice: 2ⁿ forms at depth n.
pub(crate) fn form_that_draws_itself() -> Vec<u8> {
    let mut pdf = Pdf::default();
    pdf.stream("/Type/XObject/Subtype/Form/BBox[0 0 595 842]/Resources<</XObject<</F 1 0 R>>>>", b"/F Do /F Do");
    pdf.page("/XObject<</F 1 0 R>>", b"/F Do")
}

/// Forms that each draw the next one ten times: 10⁸ rectangles.
pub(crate) fn nested_forms() -> Vec<u8> {
    let mut pdf = Pdf::default();
    let mut inner = pdf.stream("/Type/XObject/Subtype/Form/BBox[0 0 595 842]", b"10 10 100 100 re f");
    for _ in 0..8 {
        let entries = format!("/Type/XObject/Subtype/Form/BBox[0 0 595 842]/Resources<</XObject<</F {inner} 0 R>>>>");
        inner = pdf.stream(&entries, "/F Do ".repeat(10).as_bytes());
    }
    pdf.page(&format!("/XObject<</F {inner} 0 R>>"), b"/F Do")
}

/// Millions of rectangles.
pub(crate) fn many_rectangles(count: u64) -> Vec<u8> {
    let line = b"0 0 9 9 re f\n";
    let mut pdf = Pdf::default();
    let content = pdf.flate("", Repeated::new(line, count * line.len() as u64));
    pdf.page_of("", content)
}

/// A shading by a function, over the whole page, thousands of times.
pub(crate) fn many_shadings() -> Vec<u8> {
    let mut pdf = Pdf::default();
    pdf.stream("/FunctionType 4/Domain[0 1 0 1]/Range[0 1 0 1 0 1]", b"{ 2 copy mul sin 3 1 roll cos exch sin }");
    pdf.object("<</ShadingType 1/ColorSpace/DeviceRGB/Domain[0 1 0 1]/Matrix[595 0 0 842 0 0]/Function 1 0 R>>");
    pdf.page("/Shading<</S 2 0 R>>", "/S sh\n".repeat(5000).as_bytes())
}

/// Soft masks, each within the other, that each draw the next one several times.
pub(crate) fn nested_soft_masks() -> Vec<u8> {
    let mut pdf = Pdf::default();
    let group = "/Type/XObject/Subtype/Form/BBox[0 0 595 842]/Group<</S/Transparency/CS/DeviceGray>>";
    let mut inner = pdf.stream(group, b"0.5 g 0 0 595 842 re f");
    for _ in 0..12 {
        let state = pdf.object(format!("<</Type/ExtGState/SMask<</S/Luminosity/G {inner} 0 R>>>>"));
        let entries = format!("{group}/Resources<</ExtGState<</G {state} 0 R>>>>");
        inner = pdf.stream(&entries, "/G gs 0.5 g 0 0 595 842 re f\n".repeat(4).as_bytes());
    }
    let state = pdf.object(format!("<</Type/ExtGState/SMask<</S/Luminosity/G {inner} 0 R>>>>"));
    pdf.page(&format!("/ExtGState<</G {state} 0 R>>"), "/G gs 0 0 595 842 re f\n".repeat(50).as_bytes())
}

/// A tiling pattern whose steps are far smaller than a pixel.
pub(crate) fn tiny_tiles() -> Vec<u8> {
    let mut pdf = Pdf::default();
    let entries = "/Type/Pattern/PatternType 1/PaintType 1/TilingType 1/BBox[0 0 500 500]/XStep 0.01/YStep 0.01\
                   /Resources<<>>";
    let pattern = pdf.stream(entries, b"1 0 0 rg 0 0 400 400 re f 10 10 m 300 400 l S");
    let content = "/Pattern cs /P scn 0 0 595 842 re f\n";
    pdf.page(&format!("/Pattern<</P {pattern} 0 R>>"), content.as_bytes())
}

/// A Type 3 font whose glyph shows itself.
pub(crate) fn recursive_font() -> Vec<u8> {
    let mut pdf = Pdf::default();
    pdf.stream("", b"1000 0 d0 BT /F 1 Tf (aaaaaaaaaa) Tj ET 0 0 500 500 re f");
    pdf.object(
        "<</Type/Font/Subtype/Type3/FontBBox[0 0 1000 1000]/FontMatrix[0.001 0 0 0.001 0 0]/CharProcs<</a 1 0 R>>\
         /Encoding<</Type/Encoding/Differences[97/a]>>/FirstChar 97/LastChar 97/Widths[1000]\
         /Resources<</Font<</F 2 0 R>>>>>>",
    );
    let content = "BT /F 12 Tf 10 400 Td (aaaaaaaaaaaaaaaaaaaaaaaa) Tj ET\n".repeat(100_000);
    pdf.page("/Font<</F 2 0 R>>", content.as_bytes())
}

/// An image of 30,000 × 30,000 pixels, all of them there.
pub(crate) fn huge_image(filter: &str) -> Vec<u8> {
    let mut pdf = Pdf::default();
    let entries = "/Type/XObject/Subtype/Image/Width 30000/Height 30000/ColorSpace/DeviceRGB/BitsPerComponent 8";
    match filter {
        "flate" => pdf.flate(entries, Repeated::new(b"\x55", 300_000_000)),
        other => pdf.stream(&format!("{entries}/Filter/{other}"), &[0x55; 1000]),
    };
    let content = "q 595 0 0 842 0 0 cm /I Do Q\n".repeat(20);
    pdf.page("/XObject<</I 1 0 R>>", content.as_bytes())
}

/// A JBIG2 image whose page has 60,000 × 60,000 pixels (450 MB), and many regions as large.
pub(crate) fn huge_jbig2() -> Vec<u8> {
    let mut data = Vec::new();
    let side = 60_000_u32.to_be_bytes();
    // Segment 0: page information.
    data.extend([0, 0, 0, 0, 48, 0, 1, 0, 0, 0, 19]);
    data.extend(side);
    data.extend(side);
    data.extend([0; 8]);
    data.extend([0, 0, 0]);
    for segment in 1..=40_u32 {
        // An immediate generic region, with arithmetic coding.
        data.extend(segment.to_be_bytes());
        data.extend([38, 0, 1]);
        data.extend(46_u32.to_be_bytes());
        data.extend(side);
        data.extend(side);
        data.extend([0; 8]);
        data.extend([0, 0]);
        data.extend([3, 0xff, 0xfd, 0xff, 2, 0xfe, 0xfe, 0xfe]);
        data.extend([0; 19]);
    }
    let mut pdf = Pdf::default();
    let entries = "/Type/XObject/Subtype/Image/Width 60000/Height 60000/ColorSpace/DeviceGray/BitsPerComponent 1\
                   /Filter/JBIG2Decode";
    pdf.stream(entries, &data);
    pdf.page("/XObject<</I 1 0 R>>", b"q 595 0 0 842 0 0 cm /I Do Q")
}

/// A cross-reference stream with millions of entries.
pub(crate) fn many_references(entries: u64) -> Vec<u8> {
    let mut file = b"%PDF-1.7\n".to_vec();
    let mut offsets = Vec::new();
    for object in [
        "1 0 obj\n<</Type/Catalog/Pages 2 0 R>>\nendobj\n",
        "2 0 obj\n<</Type/Pages/Count 1/Kids[3 0 R]>>\nendobj\n",
        "3 0 obj\n<</Type/Page/Parent 2 0 R/MediaBox[0 0 100 100]>>\nendobj\n",
    ] {
        offsets.push(file.len() as u32);
        file.extend(object.as_bytes());
    }
    let start = file.len() as u32;
    offsets.push(start);
    let mut head = vec![0, 0, 0, 0, 0, 0, 0];
    for offset in offsets {
        head.push(1);
        head.extend(offset.to_be_bytes());
        head.extend([0, 0]);
    }
    // Compressed objects of object stream 2, which is none.
    let rest = Repeated::new(&[2, 0, 0, 0, 2, 0, 0], (entries - 5) * 7);
    let data = deflate(&deflate(io::Cursor::new(head).chain(rest))[..]);
    let _ = write!(
        file,
        "4 0 obj\n<</Type/XRef/Size {entries}/W[1 4 2]/Root 1 0 R/Filter[/FlateDecode/FlateDecode]/Length {}>>stream\n",
        data.len()
    );
    file.extend(data);
    let _ = write!(file, "\nendstream\nendobj\nstartxref\n{start}\n%%EOF\n");
    file
}

/// Pages within nodes within nodes.
pub(crate) fn deep_page_tree(depth: usize) -> Vec<u8> {
    let mut pdf = Pdf::default();
    for node in 0..depth {
        pdf.object(format!("<</Type/Pages/Count 1/Parent {} 0 R/Kids[{} 0 R]>>", node.max(1), node + 2));
    }
    pdf.object(format!("<</Type/Page/Parent {depth} 0 R/MediaBox[0 0 100 100]>>"));
    let root = pdf.object("<</Type/Catalog/Pages 1 0 R>>");
    pdf.file(root)
}

/// An object of arrays within arrays.
pub(crate) fn deep_arrays() -> Vec<u8> {
    let mut pdf = Pdf::default();
    pdf.object([b"[".repeat(2_000_000), b"]".repeat(2_000_000)].concat());
    pdf.page("/ExtGState 1 0 R/Font 1 0 R/XObject 1 0 R", b"/G gs /F 1 Tf (x) Tj /X Do")
}

/// Bytes that repeat a pattern.
struct Repeated<'a> {
    pattern: &'a [u8],
    position: usize,
    left: u64,
}

impl<'a> Repeated<'a> {
    fn new(pattern: &'a [u8], bytes: u64) -> Self {
        Self { pattern, position: 0, left: bytes }
    }
}

impl Read for Repeated<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = buffer.len().min(usize::try_from(self.left).unwrap_or(usize::MAX));
        for byte in &mut buffer[..count] {
            *byte = self.pattern[self.position];
            self.position = (self.position + 1) % self.pattern.len();
        }
        self.left -= count as u64;
        Ok(count)
    }
}
