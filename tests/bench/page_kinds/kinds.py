"""The kinds of pages. Each is a function of its number, from 0, and of a random generator.

Returns the image, its ground truth, and its file format: the suffix and Pillow's options.
"""

from . import camera
from .bills import receipt, table
from .dot_matrix import dot_matrix
from .layouts import LAYOUTS
from .page import JPEG, Page
from .words import CHINESE, TOWNS, Writer

LATIN_FACES = ["sans", "serif", "times"]
CHINESE_FACES = ["chinese", "chinese light"]


def dense(number, random):
    """A4 at 150 dpi, full of text; in turn English, Chinese, German and French."""
    language = ["en", "zh", "de", "fr"][number % 4]
    return full_page(random, language, dots=150, points=10.5).finished("dense", language=language)


def small(number, random):
    """Small print: 6 points at 200 dpi."""
    language = ["en", "zh", "de"][number % 3]
    return full_page(random, language, dots=200, points=6, leading=1.35, share=0.5).finished("small", language=language)


def footnotes(number, random):
    """Text of 10 points with footnotes of 5 to 8 points, at 200 dpi."""
    language = ["en", "zh", "de"][number % 3]
    points, leading = random.choice([5, 6, 7, 8]), random.choice([1.2, 1.35])
    page = full_page(random, language, dots=200, points=10, share=random.uniform(0.3, 0.8))
    writer, face, pixels = Writer(random), face_for(language, random), round(points / 72 * 200)
    left, width, bottom = page.margin, page.width - 2 * page.margin, page.height - page.margin
    y = page.margin + round(0.85 * (page.height - 2 * page.margin))
    page.rule(left, y - 20, left + width // 3, y - 20)
    for _ in range(3):
        y = page.paragraph(left, y, width, bottom, writer.sentences(language, 4), face, pixels, leading)
    return page.finished("footnotes", language=language, points=points)


def low_resolution(number, random):
    """A4 at 75 to 100 dpi in 10 to 11 points: letters of about 10 to 15 pixels."""
    language = ["en", "zh", "de", "en", "zh", "fr"][number % 6]
    dots, points = [(75, 10), (100, 11), (85, 10), (75, 11), (90, 10), (75, 11)][number % 6]
    return full_page(random, language, dots, points).finished("lowres", language=language, dots=dots)


def turned(number, random):
    """A dense page, rotated by 90, 180 or 270 degrees."""
    language, degrees = [("en", 90), ("zh", 180), ("en", 270), ("en", 180), ("zh", 90), ("zh", 270)][number % 6]
    page = full_page(random, language, dots=150, points=11, share=0.7)
    return page.finished("turned", camera.turned(page.image, degrees), language=language, rotation=degrees)


def slanted(number, random):
    """A dense page, skewed as in a scanner."""
    language, degrees = [("en", 2.1), ("zh", -3.4), ("de", 4.8), ("en", -1.2), ("zh", 5.0), ("fr", -4.2)][number % 6]
    page = full_page(random, language, dots=150, points=11, share=0.7)
    return page.finished("slanted", camera.slanted(page.image, degrees), language=language, slant=degrees)


def photo(number, random):
    """A handheld photo of a page, as JPEG; every second one with more blur and noise."""
    language = ["en", "zh", "de", "zh"][number % 4]
    page = full_page(random, language, dots=150, points=11, share=0.6)
    picture = camera.photographed(page.image, random, worse=number % 2)
    return page.finished("photo", picture, JPEG, language=language)


def mixed(number, random):
    """Chinese with Latin words, digits, umlauts and accents."""
    page = Page(150)
    writer = Writer(random)
    y, width, bottom = page.margin, page.width - 2 * page.margin, page.height - page.margin
    while y < bottom - 60:
        y = page.paragraph(page.margin, y, width, bottom, writer.mixed(), "chinese", 25) + 8
    return page.finished("mixed")


def vertical(number, random):
    """Vertical Chinese: columns from right to left. A column is a line."""
    page = Page(150)
    writer = Writer(random)
    pixels, pitch = 30, 54
    rows = (page.height - 2 * page.margin) // (pixels + 4)
    text = ""
    for x in range(page.width - page.margin - pixels, page.margin, -pitch):
        while len(text) <= rows:
            text += "".join(writer.pick(CHINESE[part]) for part in ("when", "who", "does", "what")) + "。"
        column, text = (text[:rows], text[rows:]) if text[rows] != "。" else (text[: rows - 1], text[rows - 1 :])
        for place, character in enumerate(column):
            # Vertical text has its full stop in the upper right of the square, horizontal text in the lower left.
            aside = (pixels * 0.6, -pixels * 0.55) if character == "。" else (0, 0)
            page.put(x + aside[0], page.margin + place * (pixels + 4) + aside[1], character, "chinese", pixels)
        page.segments.append(column)
        page.lines.append(column)
    return page.finished("vertical", language="zh")


def columns(number, random):
    """Two columns under one heading: the left one is read first."""
    language = ["en", "zh", "en", "de"][number % 4]
    page, writer = Page(150), Writer(random)
    face, pixels = face_for(language, random), 21
    gutter = 50
    width = (page.width - 2 * page.margin - gutter) // 2
    page.write(page.width // 2, page.margin, heading(writer, language), bold(language), 34, "ma")
    for x in (page.margin, page.margin + width + gutter):
        y = page.margin + 80
        while y < page.height - page.margin - 70:
            text = writer.sentences(language, 5 if language == "zh" else 4)
            y = page.paragraph(x, y, width, page.height - page.margin, text, face, pixels) + pixels // 2
    return page.finished("columns", language=language)


def full_page(random, language, dots, points, leading=1.45, share=1.0):
    """Returns a page with paragraphs from the upper margin down to this share of the sheet."""
    page, writer = Page(dots), Writer(random)
    face, pixels = face_for(language, random), round(points / 72 * dots)
    left, width = page.margin, page.width - 2 * page.margin
    bottom = page.margin + share * (page.height - 2 * page.margin)
    y = page.margin
    page.write(left, y, heading(writer, language), bold(language), round(pixels * 1.6))
    y += round(pixels * 3)
    while y + pixels * leading < bottom:
        text = writer.sentences(language, writer.number(3, 7))
        y = page.paragraph(left, y, width, bottom, text, face, pixels, leading)
        y += round(pixels * 0.7)
    return page


def face_for(language, random):
    return random.choice(CHINESE_FACES if language == "zh" else LATIN_FACES)


def bold(language):
    return "chinese bold" if language == "zh" else "bold"


def heading(writer, language):
    if language == "zh":
        return f"{writer.pick(CHINESE['who'])}：{writer.pick(CHINESE['what'])}"
    return f"{writer.pick(TOWNS)}, {writer.date()}"


KINDS = {
    "dense": dense,
    "small": small,
    "footnotes": footnotes,
    "receipt": receipt,
    "columns": columns,
    "table": table,
    "turned": turned,
    "slanted": slanted,
    "photo": photo,
    "lowres": low_resolution,
    "vertical": vertical,
    "mixed": mixed,
    "dotmatrix": dot_matrix,
    **LAYOUTS,
}
