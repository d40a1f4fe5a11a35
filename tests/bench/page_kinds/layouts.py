"""Pages whose reading order is hard: columns, pictures, sidebars, running headers, tables side by side, and forms."""

from .bills import ARTICLES, article
from .page import Page
from .words import TOWNS, Writer

LATIN = ["en", "de", "fr"]


def justified(number, random):
    """Two to five justified columns on a common grid of lines, as in a newspaper; every third page is Chinese."""
    language = "zh" if number % 3 == 2 else LATIN[number % 2]
    page, writer = Page(200), Writer(random)
    set_columns(page, writer, language, count=2 + number % 4, gutter=random.uniform(1.2, 2), top=page.margin)
    return page.finished("justified", language=language)


def narrow(number, random):
    """Two to four justified columns with a gutter that is narrower than many spaces between words."""
    language = "zh" if number % 3 == 2 else LATIN[number % 2]
    page, writer = Page(200), Writer(random)
    set_columns(page, writer, language, count=2 + number % 3, gutter=random.uniform(0.7, 1), top=page.margin)
    return page.finished("narrow", language=language)


def wrapped(number, random):
    """Text around a picture: between two columns, or at the side of a single one."""
    page, writer = Page(200), Writer(random)
    face, pixels = random.choice(["sans", "serif", "times"]), 26
    left, right, bottom = page.margin, page.width - page.margin, page.height - page.margin
    middle, half = page.width // 2, random.randint(130, 260)
    top = random.randint(500, 1100)
    picture = [middle - half, top, middle + half, top + random.randint(300, 600)]
    areas = [(left, middle - 22), (middle + 22, right)]
    if number % 2:
        start = left if number % 4 == 1 else right - 3 * half
        picture = [start, top, start + 3 * half, picture[3]]
        areas = [(left, right)]
    page.picture(picture, random)
    for start, end in areas:
        y = page.margin
        text = writer.sentences("en", 120)
        while text and y + pixels * 1.4 < bottom:
            beside = y < picture[3] + 20 and y + pixels * 1.4 > picture[1] - 20
            covers_left, covers_right = picture[0] <= start, picture[2] >= end
            x = picture[2] + 20 if beside and (covers_left or start > picture[0]) and not covers_right else start
            stop = picture[0] - 20 if beside and x == start else end
            line, text = page.first_line(text, face, pixels, stop - x)
            page.justify(x, y, stop - x, line, face, pixels)
            y += round(pixels * 1.4)
    return page.finished("wrapped", language="en")


def sidebar(number, random):
    """Text with a sidebar on its left or right: another font size and leading, on gray in every second page."""
    page, writer = Page(200), Writer(random)
    width, gutter, pixels = page.width - 2 * page.margin, random.randint(36, 60), 26
    aside = round(width * random.uniform(0.22, 0.32))
    on_left = number % 2 == 0
    main = (page.margin + (aside + gutter if on_left else 0), width - aside - gutter)
    side = (page.margin if on_left else page.margin + width - aside, aside)
    end = round(page.height * random.uniform(0.4, 0.8))

    def write_side():
        if number % 4 >= 2:
            box = [side[0] - 12, page.margin - 8, side[0] + side[1] + 12, end + 12]
            page.draw.rectangle(box, fill=225)
        y = page.margin
        while y < end - 60:
            y = page.paragraph(side[0], y, side[1], end, writer.sentences("en", 2), "sans", 21, 1.35) + 12

    def write_main():
        y = page.margin
        while y < page.height - page.margin - 60:
            y = page.paragraph(
                main[0], y, main[1], page.height - page.margin, writer.sentences("en", 5), "serif", pixels, 1.45
            )
            y += 16

    for write in (write_side, write_main) if on_left else (write_main, write_side):
        write()
    return page.finished("sidebar", language="en")


def running(number, random):
    """Columns between a running header and a footer: page numbers, titles, and footers below one column only."""
    page, writer = Page(200), Writer(random)
    language, left, right = LATIN[number % 3], page.margin, page.width - page.margin
    header = [(left, f"{writer.pick(TOWNS)} Journal", "la"), (right, writer.date(), "ra")]
    for x, text, anchor in header:
        page.place(x, page.margin - 60, text, "serif", 22, anchor)
        page.lines.append(text)
    set_columns(page, writer, language, 2 + number % 2, gutter=1.6, top=page.margin, is_justified=number % 4 < 2)
    y = page.height - page.margin + 30
    footers = [
        [(page.width // 2, str(writer.number(2, 400)), "ma")],
        [(left, writer.code(), "la"), (right, str(writer.number(2, 400)), "ra")],
        [(left, f"Page {writer.number(2, 400)}", "la")],
        [(left, f"Volume {writer.number(2, 90)}", "la"), (page.width // 2, "www.example.org", "ma")],
    ]
    for x, text, anchor in footers[number % 4]:
        page.place(x, y, text, "serif", 22, anchor)
        page.lines.append(text)
    return page.finished("running", language=language)


def tables(number, random):
    """Two tables side by side, each read whole: with other heights of rows in two of three pages."""
    page, writer = Page(200), Writer(random)
    language = ["en", "zh"][number % 2]
    face = "chinese" if language == "zh" else "sans"
    width = (page.width - 2 * page.margin - 150) // 2
    top = page.margin + 90
    page.write(page.margin, page.margin, f"{writer.pick(TOWNS)} {writer.code()}", face, 34)
    pitches = (52, 52) if number % 3 == 0 else (48, 61)
    for table, pitch in enumerate(pitches):
        x = page.margin + table * (width + 150)
        for row in range(random.randint(10, 20)):
            y = top + row * pitch
            _, name, code, pieces, *_ = article(writer, row, language)
            cells = [(x, name, "la"), (x + round(width * 0.45), code, "la"), (x + width, pieces, "ra")]
            page.row(y, cells, face, 24)
    return page.finished("tables", language=language)


def form(number, random):
    """Labels on the left and values on the right, in one or two pairs per row."""
    page, writer = Page(200), Writer(random)
    language = ["en", "zh"][number % 2]
    face, pixels = ("chinese", 28) if language == "zh" else (["sans", "serif"][number // 2 % 2], 26)
    pairs = 1 + number // 2 % 2
    pitch = round(pixels * random.uniform(1.5, 2.4))
    width = page.width - 2 * page.margin
    for row in range(random.randint(12, 24)):
        cells = []
        for pair in range(pairs):
            x = page.margin + pair * width // pairs
            cells += [(x, label(writer, language), "la"), (x + round(width / pairs * 0.45), value(writer), "la")]
        page.row(page.margin + row * pitch, cells, face, pixels)
    return page.finished("form", language=language)


def label(writer, language):
    return f"{writer.pick(ARTICLES[language])}{'：' if language == 'zh' else ':'}"


def value(writer):
    return writer.pick([writer.date(), writer.code(), writer.amount(), f"{writer.pick(TOWNS)} {writer.code()}"])


def set_columns(page, writer, language, count, gutter, top, is_justified=True):
    """Fills `count` columns with paragraphs. `gutter` is their distance, in font sizes."""
    face = "chinese" if language == "zh" else writer.pick(["serif", "times", "sans"])
    pixels, leading = (24 if count < 4 else 20), 1.45
    gutter = round(gutter * pixels)
    width = (page.width - 2 * page.margin - (count - 1) * gutter) // count
    bottom = page.height - page.margin
    for column in range(count):
        x, y = page.margin + column * (width + gutter), top
        while y + pixels * leading < bottom:
            text = writer.sentences(language, writer.number(2, 5))
            while text and y + pixels * leading < bottom:
                line, text = page.first_line(text, face, pixels, width)
                if text and is_justified:
                    page.justify(x, y, width, line, face, pixels)
                else:
                    page.write(x, y, line, face, pixels)
                y += round(pixels * leading)


LAYOUTS = {
    "justified": justified,
    "narrow": narrow,
    "wrapped": wrapped,
    "sidebar": sidebar,
    "running": running,
    "tables": tables,
    "form": form,
}
