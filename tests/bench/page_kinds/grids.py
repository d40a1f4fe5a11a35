"""Pages with tables: ruled, unruled and with spanning cells, with the cells of each table as ground truth."""

from .page import Page
from .sheet import broken, length
from .words import ENGLISH, GERMAN

CHINESE = {
    "headers": ["序号", "名称", "规格型号", "单位", "数量", "单价", "金额", "备注"],
    "items": ["办公桌", "网络交换机", "打印纸", "激光打印机", "会议椅", "显示器支架", "移动硬盘", "文件柜", "白板笔"],
    "units": ["台", "个", "箱", "张", "套"],
    "total": "合计",
    "groups": ["第一季度", "第二季度"],
    "parts": ["计划", "实际"],
}
WORDS = {
    "en": {
        "headers": ["No.", "Item", "Code", "Unit", "Qty", "Price", "Amount", "Remarks"],
        "items": ["Meeting table", "Network switch", "Copy paper A4", "Laser printer", "Desk lamp", "Monitor arm",
                  "Portable disk", "Filing cabinet", "Whiteboard marker"],
        "units": ["pcs", "box", "set", "kg"],
        "total": "Total",
        "groups": ["First quarter", "Second quarter"],
        "parts": ["Plan", "Actual"],
    },
    "de": {
        "headers": ["Pos.", "Artikel", "Nummer", "Einheit", "Menge", "Preis", "Betrag", "Bemerkung"],
        "items": ["Schreibtisch", "Druckerpapier", "Bürostuhl", "Netzwerkkabel", "Aktenschrank", "Tischleuchte",
                  "Festplatte", "Stehpult", "Mülleimer"],
        "units": ["Stk", "Karton", "Satz", "kg"],
        "total": "Summe",
        "groups": ["Erstes Quartal", "Zweites Quartal"],
        "parts": ["Plan", "Ist"],
    },
    "zh": CHINESE,
}
FACES = {"en": ["sans", "serif", "times"], "de": ["sans", "serif", "times"], "zh": ["chinese", "chinese light"]}
STYLES = ["ruled", "light", "frameless", "booktabs", "rows", "unruled"]


def tables(number, random):
    """A page with one or two tables between paragraphs. The kinds of tables take turns."""
    language = ["en", "de", "zh"][number % 3]
    page = Page(random.choice([150, 200]))
    pixels = round(page.width * random.uniform(0.0125, 0.0165))
    face = random.choice(FACES[language])
    y = page.margin
    y = paragraph(page, y, language, face, pixels, random)
    found = []
    for index in range(1 + (number % 4 == 3)):
        style = STYLES[(number + index) % len(STYLES)]
        table, y = draw(page, y + 2 * pixels, language, face, pixels, style, number % 5 == 2, random)
        found.append(table)
        y = paragraph(page, y + 2 * pixels, language, face, pixels, random)
    return page.finished("tables", language=language, tables=found)


def paragraph(page, y, language, face, pixels, random):
    words = {"en": ENGLISH, "de": GERMAN}.get(language)
    if words:
        part = lambda name: random.choice(words[name])
        text = " ".join(f"{part('opening')} {part('adjective')} {part('noun')}." for _ in range(8))
    else:
        text = "".join(f"本合同所列{random.choice(CHINESE['items'])}由乙方按照约定的期限交付甲方，" for _ in range(4))
    return page.paragraph(page.margin, y, page.width - 2 * page.margin, page.height, text, face, pixels)


def content(language, spanning, random):
    """Returns the rows of a table as lists of (text, row span, column span), and the alignment of its columns."""
    words = WORDS[language]
    amount = (lambda value: f"{value:,.2f}") if language != "de" else (
        lambda value: f"{value:,.2f}".translate(str.maketrans(",.", ".,")))
    if spanning:
        groups, parts = words["groups"], words["parts"]
        head = [(words["headers"][1], 2, 1), *[(group, 1, 2) for group in groups]]
        second = [None, *[(part, 1, 1) for _ in groups for part in parts]]
        rows = [[head[0], head[1], None, head[2], None], second]
        for _ in range(random.randint(3, 8)):
            values = [(amount(random.uniform(10, 9000)), 1, 1) for _ in range(4)]
            rows.append([(random.choice(words["items"]), 1, 1), *values])
        return rows, ["l", "r", "r", "r", "r"], 2
    columns = random.randint(2, 8)
    kinds = {2: [1, 6], 3: [1, 4, 6], 4: [1, 4, 5, 6], 5: [0, 1, 4, 5, 6], 6: [0, 1, 3, 4, 5, 6]}.get(
        columns, [0, 1, 2, 3, 4, 5, 6, 7][:columns])
    rows = [[(words["headers"][kind], 1, 1) for kind in kinds]]
    for line in range(random.randint(3, 12)):
        quantity, price = random.randint(1, 90), round(random.uniform(1, 900), 2)
        item = random.choice(words["items"])
        if random.random() < 0.2:
            item += (" " if language != "zh" else "") + random.choice(words["items"])
        values = [str(line + 1), item, f"{random.choice('ABCKX')}{random.randint(100, 9999)}",
                  random.choice(words["units"]), str(quantity), amount(price), amount(quantity * price),
                  random.choice(["", "", words["items"][0]])]
        rows.append([(values[kind], 1, 1) for kind in kinds])
    if columns >= 3 and random.random() < 0.5:
        last = kinds.index(6) if 6 in kinds else len(kinds) - 1
        texts = [words["total"], *[""] * (len(kinds) - 1)]
        texts[last] = amount(random.uniform(1000, 90000))
        rows.append([(text, 1, 1) for text in texts])
    return rows, ["r" if kind in (4, 5, 6) else "l" for kind in kinds], 1


def draw(page, y, language, face, pixels, style, spanning, random):
    """Draws a table. Returns its ground truth, and its lower end."""
    rows, aligned, header = content(language, spanning, random)
    padding = round(pixels * random.uniform(0.35, 0.9))
    is_open = style in ("booktabs", "rows", "unruled")
    gap = max(padding, round(pixels * 0.75)) if is_open else padding
    limit = (page.width - 2 * page.margin) * 0.36
    widths = []
    for column in range(len(aligned)):
        cells = [row[column] for row in rows if row[column] and row[column][2] == 1]
        widths.append(min(limit, max(length(cell[0], face, pixels) for cell in cells)) + 2 * gap)
    room = page.width - 2 * page.margin - sum(widths)
    if room < 0:
        widths = [width + room / len(widths) for width in widths]
    else:
        spare = random.choice([0, room / len(widths) * random.uniform(0.2, 0.9)])
        widths = [width + spare for width in widths]
    lefts = [page.margin]
    for width in widths:
        lefts.append(lefts[-1] + width)
    leading = round(pixels * 1.25)
    tops, truth = [round(y)], []
    for number, row in enumerate(rows):
        lines = 1
        for column, cell in enumerate(row):
            if not cell:
                continue
            text, row_span, span = cell
            left, right = lefts[column], lefts[column + span]
            parts = broken(text, face, pixels, right - left - 2 * gap + 1) or [""]
            lines = max(lines, len(parts) if row_span == 1 else 1)
            across = "m" if span > 1 else aligned[column] if number >= header else random.choice([aligned[column], "l"])
            x = {"l": left + gap, "r": right - gap, "m": (left + right) / 2}[across]
            down = tops[-1] + padding
            if row_span > 1:
                down += (leading + 2 * padding) / 2
            for index, part in enumerate(parts):
                if part:
                    page.place(round(x), round(down + index * leading), part, face, pixels, across + "a")
            truth.append({"row": number, "column": column, "row_span": row_span, "column_span": span, "text": text})
        page.lines.append(" ".join(cell[0] for cell in row if cell and cell[0]))
        tops.append(tops[-1] + lines * leading + 2 * padding)
    rule(page, rows, [round(left) for left in lefts], tops, style, header)
    return {"style": style, "rows": len(rows), "columns": len(aligned), "cells": truth}, tops[-1]


def rule(page, rows, lefts, tops, style, header):
    """Draws the rulings of a style."""
    fill = {"light": 200}.get(style, 60)
    thickness = 1 if style in ("light", "frameless") else 2
    line = lambda *ends: page.draw.line(ends, fill=fill, width=thickness)
    if style == "unruled":
        return
    for number, top in enumerate(tops):
        is_edge = number in (0, len(tops) - 1)
        if style == "booktabs" and not is_edge and number != header or style == "frameless" and is_edge:
            continue
        for column in range(len(lefts) - 1):
            above = rows[number - 1][column] if 0 < number < len(tops) - 1 else None
            if not (above and above[1] > 1):
                line(lefts[column], top, lefts[column + 1], top)
    if style in ("booktabs", "rows"):
        return
    for number in range(len(tops) - 1):
        for column, left in enumerate(lefts):
            is_edge = column in (0, len(lefts) - 1)
            is_covered = not is_edge and rows[number][column] is None and number < header and \
                not (column == 0) and not (number > 0 and rows[number - 1][column] and rows[number - 1][column][1] > 1)
            if not is_covered and not (style == "frameless" and is_edge):
                line(left, tops[number], left, tops[number + 1])
