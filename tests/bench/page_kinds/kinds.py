"""The kinds of pages. Each is a function of its number, from 0, and of the randomness that it is given.

It returns the picture, its truth, and how the file is to be written: the suffix, and what Pillow is told.
"""

from . import camera
from .sheet import Sheet
from .words import CHINESE, GOODS, TOWNS, WARES, Writer

INCH = 25.4
PNG = (".png", {"optimize": False, "compress_level": 6})
LATIN_FACES = ["sans", "serif", "times"]
CHINESE_FACES = ["chinese", "chinese light"]


def dense(number, random):
    """A4 at 150 dpi, full of text; English, Chinese, German or French by turns."""
    language = ["en", "zh", "de", "fr"][number % 4]
    return full_page(random, language, dots=150, points=10.5).finished("dense", language=language)


def small(number, random):
    """The small print: 6 points at 200 dpi."""
    language = ["en", "zh", "de"][number % 3]
    return full_page(random, language, dots=200, points=6, leading=1.35, share=0.5).finished("small", language=language)


def low_resolution(number, random):
    """A4 at 75, 100 or 85 dpi, in type of 9 to 11 points: letters of about 10 to 15 pixels."""
    language, dots, points = [("en", 75, 10), ("zh", 100, 11), ("de", 85, 10), ("en", 75, 11), ("zh", 90, 10), ("fr", 75, 11)][number % 6]
    return full_page(random, language, dots, points).finished("lowres", language=language, dots=dots)


def turned(number, random):
    """A dense page that lies on its side or on its head."""
    language, degrees = [("en", 90), ("zh", 180), ("en", 270), ("en", 180), ("zh", 90), ("zh", 270)][number % 6]
    page = full_page(random, language, dots=150, points=11, share=0.7)
    return page.finished("turned", camera.turned(page.image, degrees), language=language, rotation=degrees)


def slanted(number, random):
    """A dense page that lay askew in the scanner."""
    language, degrees = [("en", 2.1), ("zh", -3.4), ("de", 4.8), ("en", -1.2), ("zh", 5.0), ("fr", -4.2)][number % 6]
    page = full_page(random, language, dots=150, points=11, share=0.7)
    return page.finished("slanted", camera.slanted(page.image, degrees), language=language, slant=degrees)


def photo(number, random):
    """A page photographed by hand, as JPEG; every second one by an unsteadier hand, in worse light."""
    language = ["en", "zh", "de", "zh"][number % 4]
    page = full_page(random, language, dots=150, points=11, share=0.6)
    picture = camera.photographed(page.image, random, worse=number % 2)
    return page.finished("photo", picture, (".jpg", {"quality": 82}), language=language)


def mixed(number, random):
    """Chinese with Latin words and digits in it, umlauts and accents."""
    page = Page(150)
    writer = Writer(random)
    y = page.margin
    while y < page.height - page.margin - 60:
        y = page.paragraph(page.margin, y, page.width - 2 * page.margin, page.height - page.margin, writer.mixed(), "chinese", 25) + 8
    return page.finished("mixed")


def vertical(number, random):
    """Chinese in columns from the right to the left. A column is a line."""
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
            # The full stop of vertical text stands in the upper right of its square, where horizontal text has it in the lower left.
            aside = (pixels * 0.6, -pixels * 0.55) if character == "。" else (0, 0)
            page.put(x + aside[0], page.margin + place * (pixels + 4) + aside[1], character, "chinese", pixels)
        page.segments.append(column)
        page.lines.append(column)
    return page.finished("vertical", language="zh")


def columns(number, random):
    """Two columns under one heading: all of the left one is read before the right one."""
    language = ["en", "zh", "en", "de"][number % 4]
    page, writer = Page(150), Writer(random)
    face, pixels = face_for(language, random), 21
    gutter = 50
    width = (page.width - 2 * page.margin - gutter) // 2
    page.write(page.width // 2, page.margin, heading(writer, language), bold(language), 34, "ma")
    for x in (page.margin, page.margin + width + gutter):
        y = page.margin + 80
        while y < page.height - page.margin - 70:
            text = " ".join(writer.sentence(language) for _ in range(4)) if language != "zh" else "".join(writer.chinese() for _ in range(5))
            y = page.paragraph(x, y, width, page.height - page.margin, text, face, pixels) + pixels // 2
    return page.finished("columns", language=language)


def table(number, random):
    """A bill with a ruled table: each row is one line."""
    chinese = number % 2 == 1
    page, writer = Page(150), Writer(random)
    face, pixels = ("chinese", 22) if chinese else (random.choice(LATIN_FACES[:2]), 20)
    names = ["序号", "品名", "编号", "数量", "单价", "金额"] if chinese else ["No.", "Article", "Code", "Pieces", "Price", "Total"]
    title = f"采购清单 {writer.code()}" if chinese else f"Invoice {writer.code()}"
    page.write(page.margin, page.margin, title, bold("zh" if chinese else "en"), 34)
    place = f"日期：{writer.number(2015, 2030)}年{writer.number(1, 12)}月{writer.number(1, 28)}日" if chinese else f"{writer.pick(TOWNS)}, {writer.date()}"
    page.write(page.margin, page.margin + 60, place, face, pixels)
    edges = [page.margin + round(share * (page.width - 2 * page.margin)) for share in (0, 0.08, 0.36, 0.55, 0.67, 0.82, 1)]
    top, height = page.margin + 120, 46
    count = random.randint(18, 26)
    rows = [names, *(table_row(writer, line, chinese) for line in range(1, count + 1))]
    for line, cells in enumerate(rows):
        middle = top + line * height + height // 2
        placed = [(edges[i] + 10, text, "lm") if i in (1, 2) else (edges[i + 1] - 10, text, "rm") for i, text in enumerate(cells)]
        page.row(middle, placed, face, pixels)
    for line in range(len(rows) + 1):
        page.rule(edges[0], top + line * height, edges[-1], top + line * height, thickness=2 if line < 2 else 1)
    for x in edges:
        page.rule(x, top, x, top + len(rows) * height)
    below = top + len(rows) * height + 40
    page.paragraph(page.margin, below, edges[-1] - edges[0], page.height, writer.sentence("zh" if chinese else "en"), face, pixels)
    return page.finished("table", language="zh" if chinese else "en")


def table_row(writer, number, chinese):
    pieces, price = writer.number(1, 60), writer.number(100, 99999) / 100
    return [str(number), writer.pick(WARES if chinese else GOODS), writer.code(), str(pieces), f"{price:,.2f}", f"{pieces * price:,.2f}"]


def receipt(number, random):
    """A till's slip, 72 mm wide at 203 dpi: names to the left, prices to the right."""
    chinese = number % 3 == 1
    writer = Writer(random)
    count = random.randint(14, 24)
    page = Page(203, width=576, height=(count + 14) * 40, margin=28)
    face, pixels = ("chinese", 24) if chinese else (["mono", "sans"][number % 2], 22)
    middle, right, y = page.width // 2, page.width - page.margin, 40
    shop = f"{writer.pick(TOWNS)} 超市" if chinese else f"{writer.pick(TOWNS)} Market"
    page.write(middle, y, shop, "chinese bold" if chinese else "bold", 34, "ma")
    page.write(middle, y + 56, f"{writer.number(1, 28):02}.{writer.number(1, 12):02}.{writer.number(2019, 2030)} {writer.number(8, 20):02}:{writer.number(0, 59):02}", face, pixels, "ma")
    page.write(page.margin, y + 100, f"{'收银台' if chinese else 'Till'} {writer.number(1, 20)} / {writer.code()}", face, pixels)
    y += 160
    total = 0
    for _ in range(count):
        price = writer.number(49, 9999)
        total += price
        page.row(y, [(page.margin, writer.pick(WARES if chinese else GOODS), "la"), (right, f"{price / 100:.2f}", "ra")], face, pixels)
        y += 40
    page.rule(page.margin, y + 6, right, y + 6, thickness=2)
    page.row(y + 24, [(page.margin, "合计" if chinese else "TOTAL EUR", "la"), (right, f"{total / 100:.2f}", "ra")], "chinese bold" if chinese else "bold", 28)
    page.row(y + 80, [(page.margin, "其中税 19%" if chinese else "incl. VAT 19%", "la"), (right, f"{total / 11900 * 19:.2f}", "ra")], face, pixels)
    page.write(middle, y + 150, "谢谢惠顾，欢迎再来" if chinese else "Thank you, come again!", face, pixels, "ma")
    return page.finished("receipt", language="zh" if chinese else "en")


class Page(Sheet):
    """A sheet of A4, or of a size in pixels, at so many dots an inch."""

    def __init__(self, dots, width=None, height=None, margin=None):
        super().__init__(width or round(210 / INCH * dots), height or round(297 / INCH * dots))
        self.margin = margin or round(18 / INCH * dots)

    def put(self, x, y, character, face, pixels):
        """A single character that the caller counts as part of a segment."""
        self.place(x, y, character, face, pixels)
        self.segments.pop()

    def finished(self, kind, picture=None, file=PNG, **more):
        return picture or self.image, self.truth(kind, **more), file


def full_page(random, language, dots, points, leading=1.45, share=1.0):
    """Paragraphs from the upper margin down to that share of the sheet."""
    page, writer = Page(dots), Writer(random)
    face, pixels = face_for(language, random), round(points / 72 * dots)
    left, width = page.margin, page.width - 2 * page.margin
    bottom = page.margin + share * (page.height - 2 * page.margin)
    y = page.margin
    page.write(left, y, heading(writer, language), bold(language), round(pixels * 1.6))
    y += round(pixels * 3)
    while y + pixels * leading < bottom:
        sentences = [writer.sentence(language) for _ in range(writer.number(3, 7))]
        y = page.paragraph(left, y, width, bottom, ("" if language == "zh" else " ").join(sentences), face, pixels, leading)
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
    "receipt": receipt,
    "columns": columns,
    "table": table,
    "turned": turned,
    "slanted": slanted,
    "photo": photo,
    "lowres": low_resolution,
    "vertical": vertical,
    "mixed": mixed,
}
