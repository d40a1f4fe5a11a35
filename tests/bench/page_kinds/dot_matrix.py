"""Receipts of a dot matrix printer with a worn ribbon: faint points, and single digits far from other text."""

import numpy
from PIL import Image, ImageFilter

from .bills import SLIP, time_of_sale
from .page import Page
from .sheet import INK, PAPER
from .words import GOODS, TOWNS, Writer

COLUMNS = [28, 300, 430, 548]
"""The left edge of quantities, and the right edges of prices and totals; the article begins beside the quantity."""


def dot_matrix(number, random):
    """A receipt, 72 mm wide at 203 dpi: quantity, article, price and total of each article, in faint dots."""
    writer = Writer(random)
    count, pitch = random.randint(16, 26), random.choice([34, 40])
    page = Page(203, size=(576, (count + 9) * pitch + 40), margin=28)
    face, pixels = random.choice(["mono", "sans"]), random.choice([20, 22, 24])
    y = 30
    page.write(page.width // 2, y, f"{writer.pick(TOWNS)} {SLIP['en']['shop']}", face, 26, "ma")
    page.write(page.width // 2, y + pitch, time_of_sale(writer), face, pixels, "ma")
    y += 3 * pitch
    amounts, digits, total = [], [], 0
    for _ in range(count):
        pieces, price = writer.number(1, 9), writer.number(5, 1999)
        cells = [str(pieces), article_name(writer), f"{price / 100:.2f}", f"{pieces * price / 100:.2f}"]
        edges = [(COLUMNS[0], "la"), (COLUMNS[0] + 56, "la"), (COLUMNS[2], "ra"), (COLUMNS[3], "ra")]
        page.row(y, [(x, text, anchor) for (x, anchor), text in zip(edges, cells, strict=True)], face, pixels)
        amounts += cells[2:]
        digits.append(cells[0])
        total += pieces * price
        y += pitch
    y += pitch
    page.row(y, [(28, SLIP["en"]["total"], "la"), (COLUMNS[3], f"{total / 100:.2f}", "ra")], face, pixels)
    amounts.append(f"{total / 100:.2f}")
    picture = faint(page.image, random)
    return page.finished("dotmatrix", picture, language="en", amounts=amounts, digits=digits)


def article_name(writer):
    """Returns a name without digits, which would count as numbers of the page."""
    return writer.pick([name for name in GOODS if not any(character.isdigit() for character in name)])


def faint(image, random):
    """Prints the image with the needles of a worn printer: a grid of round dots, some of them faint or missing.

    Small marks suffer most: a decimal point is one to four dots.
    """
    noise = numpy.random.default_rng(random.getrandbits(64))
    ink = (PAPER - numpy.asarray(image, dtype=numpy.float64)) / (PAPER - INK)
    dots = 2
    height, width = (side // dots * dots for side in ink.shape)
    cells = ink[:height, :width].reshape(height // dots, dots, width // dots, dots).mean(axis=(1, 3))
    strength = (cells > 0.35) * noise.normal(random.uniform(0.5, 0.75), 0.16, cells.shape)
    # Small marks have less ink.
    near = sum(numpy.roll(cells, (x, y), axis=(1, 0)) for x in range(-3, 4) for y in range(-3, 4)) / 49
    strength *= 0.3 + 0.7 * (near / 0.25).clip(0, 1)
    # The ribbon is worn unevenly along the line, and a needle is weaker than the others.
    strength *= numpy.interp(numpy.arange(cells.shape[1]), [0, cells.shape[1] / 2, cells.shape[1]],
                             [random.uniform(0.7, 1), 1, random.uniform(0.6, 1)])
    strength *= 1 - random.uniform(0.2, 0.5) * (numpy.arange(cells.shape[0]) % 9 == random.randrange(9))[:, None]
    printed = numpy.kron(strength.clip(0, 1), numpy.ones((dots, dots)))
    sheet = numpy.zeros_like(ink)
    sheet[:height, :width] = printed
    soft = numpy.asarray(Image.fromarray((255 * sheet).astype(numpy.uint8)).filter(ImageFilter.GaussianBlur(0.8)))
    paper = random.uniform(225, 250) - soft / 255 * random.uniform(120, 190) + 5 * noise.standard_normal(ink.shape)
    return Image.fromarray(paper.clip(0, 255).astype(numpy.uint8))
