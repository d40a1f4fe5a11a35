//! Images as other programs write them: see `tests/fixtures/images/make.py`.

use std::path::PathBuf;

use quire_document::PageImage;
use quire_tasks::{DocumentFormat, Failure, FailureCode, SplitDocument};

use crate::files::{BLACK, RED, WHITE, documents, fixture, near, pixel, size, strict};

fn image(name: &str) -> PathBuf {
    fixture("images").join(name)
}

fn decode(name: &str, format: DocumentFormat) -> Result<PageImage, Failure> {
    strict().page(&image(name), format, 1)
}

#[test]
fn every_variant_of_tiff_has_its_pixels() {
    let black = ["g3-fill", "g3-2d", "g3-2d-fill", "rle", "g4-fill-order-2", "none-fill-order-2", "g4-strips"];
    let colored = [
        "planar",
        "planar-tiles",
        "tiles",
        "lzma",
        "zstd",
        "jpeg-subsampled",
        "jpeg-rgb",
        "old-jpeg-stream",
        "old-jpeg-tables",
        "ycbcr-units",
        "lab",
        "sloppy",
    ];
    let all =
        black.iter().chain(&["gray-alpha"]).map(|name| (name, BLACK)).chain(colored.iter().map(|name| (name, RED)));
    for (name, ink) in all {
        let page = decode(&format!("{name}.tif"), DocumentFormat::Tiff).expect(name);
        assert_eq!((size(&page), page.warnings()), ((32, 16), &[][..]), "{name}");
        for (x, y, color) in [(2, 0, ink), (2, 15, ink), (29, 0, WHITE), (29, 15, WHITE)] {
            assert!(near(pixel(&page, x, y), color), "{name}: {:?} at {x}, {y}", pixel(&page, x, y));
        }
    }
}

#[test]
fn gif_jpeg_2000_and_jpeg_xl_are_decoded() {
    for (name, format) in [
        ("red.gif", DocumentFormat::Gif),
        ("red.jp2", DocumentFormat::Jpeg2000),
        ("red.j2k", DocumentFormat::Jpeg2000),
        ("red.jxl", DocumentFormat::JpegXl),
    ] {
        assert_eq!(documents().inspect(&image(name)), Ok(SplitDocument { format, pages: 1 }), "{name}");
        let page = decode(name, format).expect(name);
        assert_eq!(size(&page), (32, 16), "{name}");
        assert!(near(pixel(&page, 2, 8), RED) && near(pixel(&page, 29, 8), WHITE), "{name}");
    }
}

#[test]
fn the_orientation_of_webp_may_have_the_prefix_of_jpeg() {
    let page = decode("exif-prefixed.webp", DocumentFormat::Webp).expect("decodes");
    assert!(near(pixel(&page, 2, 8), WHITE) && near(pixel(&page, 29, 8), RED), "it is turned by half");
}

#[test]
fn an_unsupported_coding_of_jpeg_is_refused_by_name() {
    let failure = strict().inspect(&image("arithmetic.jpg")).expect_err("arithmetic coding");
    assert_eq!(failure.code, FailureCode::UnsupportedFormat);
    assert_eq!(failure.message, "Arithmetic-coded JPEG images are not supported.");
}
