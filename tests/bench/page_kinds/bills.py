"""Pages of names and numbers: an invoice with a table, and a receipt."""

from .page import Page
from .words import GOODS, TOWNS, WARES, Writer

# The fixed texts of invoices and receipts, by language.
BILL = {
    "en": {"title": "Invoice", "columns": ["No.", "Article", "Code", "Pieces", "Price", "Total"]},
    "zh": {"title": "采购清单", "columns": ["序号", "品名", "编号", "数量", "单价", "金额"]},
}
SLIP = {
    "en": {
        "shop": "Market",
        "till": "Till",
        "total": "TOTAL EUR",
        "tax": "incl. VAT 19%",
        "end": "Thank you, come again!",
    },
    "zh": {"shop": "超市", "till": "收银台", "total": "合计", "tax": "其中税 19%", "end": "谢谢惠顾，欢迎再来"},
}
ARTICLES = {"en": GOODS, "zh": WARES}
BOLD = {"en": "bold", "zh": "chinese bold"}


def table(number, random):
    """An invoice with a ruled table: each row is one line."""
    language = ["en", "zh"][number % 2]
    page, writer = Page(150), Writer(random)
    face, pixels = ("chinese", 22) if language == "zh" else (random.choice(["sans", "serif"]), 20)
    left, width = page.margin, page.width - 2 * page.margin
    page.write(left, left, f"{BILL[language]['title']} {writer.code()}", BOLD[language], 34)
    page.write(left, left + 60, place_and_date(writer, language), face, pixels)
    edges = [left + round(share * width) for share in (0, 0.08, 0.36, 0.55, 0.67, 0.82, 1)]
    top, pitch = left + 120, 46
    count = random.randint(18, 26)
    rows = [BILL[language]["columns"], *(article(writer, line, language) for line in range(1, count + 1))]
    for line, cells in enumerate(rows):
        row = [cell(edges, column, text) for column, text in enumerate(cells)]
        page.row(top + line * pitch + pitch // 2, row, face, pixels)
    bottom = top + len(rows) * pitch
    for line in range(len(rows) + 1):
        y = top + line * pitch
        page.rule(edges[0], y, edges[-1], y, thickness=2 if line < 2 else 1)
    for x in edges:
        page.rule(x, top, x, bottom)
    page.paragraph(left, bottom + 40, width, page.height, writer.sentence(language), face, pixels)
    return page.finished("table", language=language)


def place_and_date(writer, language):
    if language == "zh":
        return f"日期：{writer.chinese_date(2015)}"
    return f"{writer.pick(TOWNS)}, {writer.date()}"


def article(writer, number, language):
    """Returns a row of the table, whose total is pieces times price."""
    pieces, price = writer.number(1, 60), writer.number(100, 99999) / 100
    name = writer.pick(ARTICLES[language])
    return [str(number), name, writer.code(), str(pieces), f"{price:,.2f}", f"{pieces * price:,.2f}"]


def cell(edges, column, text):
    """Returns a cell: names and codes are aligned left, numbers right."""
    return (edges[column] + 10, text, "lm") if column in (1, 2) else (edges[column + 1] - 10, text, "rm")


def receipt(number, random):
    """A receipt, 72 mm wide at 203 dpi: names on the left, prices on the right."""
    language = ["en", "zh", "en"][number % 3]
    writer = Writer(random)
    count = random.randint(14, 24)
    page = Page(203, size=(576, (count + 14) * 40), margin=28)
    face, pixels = ("chinese", 24) if language == "zh" else (["mono", "sans"][number % 2], 22)
    texts = SLIP[language]
    left, middle, right, y = page.margin, page.width // 2, page.width - page.margin, 40
    page.write(middle, y, f"{writer.pick(TOWNS)} {texts['shop']}", BOLD[language], 34, "ma")
    page.write(middle, y + 56, time_of_sale(writer), face, pixels, "ma")
    page.write(left, y + 100, f"{texts['till']} {writer.number(1, 20)} / {writer.code()}", face, pixels)
    y += 160
    total = 0
    for _ in range(count):
        price = writer.number(49, 9999)
        total += price
        page.row(y, [(left, writer.pick(ARTICLES[language]), "la"), (right, f"{price / 100:.2f}", "ra")], face, pixels)
        y += 40
    page.rule(left, y + 6, right, y + 6, thickness=2)
    page.row(y + 24, [(left, texts["total"], "la"), (right, f"{total / 100:.2f}", "ra")], BOLD[language], 28)
    page.row(y + 80, [(left, texts["tax"], "la"), (right, f"{total / 11900 * 19:.2f}", "ra")], face, pixels)
    page.write(middle, y + 150, texts["end"], face, pixels, "ma")
    return page.finished("receipt", language=language)


def time_of_sale(writer):
    date = f"{writer.number(1, 28):02}.{writer.number(1, 12):02}.{writer.number(2019, 2030)}"
    return f"{date} {writer.number(8, 20):02}:{writer.number(0, 59):02}"
