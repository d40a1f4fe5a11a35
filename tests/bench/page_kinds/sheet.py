"""A sheet of paper that remembers what was set on it, and in which order it is to be read."""

import re

from PIL import Image, ImageDraw

from .fonts import font, has

INK = 25
PAPER = 255
# Never at the end of a line, and never at the start of one.
OPENING = "（“《"
CLOSING = "，。；：！？）、》”,.;:!?)%"
# A Chinese character alone, or a word, with the punctuation that belongs to it, and the white space behind it.
WIDE = r"\u3000-\u9fff\uff00-\uffef"
PIECE = re.compile(rf"[{OPENING}]*(?:[{WIDE}]|[^\s{WIDE}]+)[{re.escape(CLOSING)}]*\s*")


class Sheet:
    """White paper of `width` × `height` pixels with text on it.

    `segments` are the pieces of text as they were set, cell by cell; `lines` are the page's lines in reading order, where
    the cells of a table's row make one line.
    """

    def __init__(self, width, height):
        self.image = Image.new("L", (width, height), PAPER)
        self.draw = ImageDraw.Draw(self.image)
        self.width, self.height = width, height
        self.segments = []
        self.lines = []

    def write(self, x, y, text, face, pixels, anchor="la"):
        """One piece of text with its upper left corner, or what `anchor` says, at (x, y). A line of its own."""
        self.place(x, y, text, face, pixels, anchor)
        self.lines.append(text)

    def place(self, x, y, text, face, pixels, anchor="la"):
        """The same, as a part of a line that the caller adds."""
        missing = [character for character in text if not has(face, character)]
        if missing:
            raise ValueError(f"{face} has no {missing}")
        self.draw.text((x, y), text, font=font(face, pixels), fill=INK, anchor=anchor)
        self.segments.append(text)

    def row(self, y, cells, face, pixels):
        """Pieces of text, each (x, text, anchor), that are read as one line."""
        for x, text, anchor in cells:
            self.place(x, y, text, face, pixels, anchor)
        self.lines.append(" ".join(text for _, text, _ in cells))

    def rule(self, *corners, thickness=1):
        """A straight line."""
        self.draw.line(corners, fill=90, width=thickness)

    def paragraph(self, x, y, width, bottom, text, face, pixels, leading=1.5):
        """Sets `text` in lines no wider than `width`, as far down as `bottom`. Returns where the next line would be."""
        for line in broken(text, face, pixels, width):
            if y + pixels * leading > bottom:
                break
            self.write(x, y, line, face, pixels)
            y += round(pixels * leading)
        return y

    def truth(self, kind, **more):
        """What is on the page, as the benchmark reads it; the file's name is added by who writes the file."""
        return {"kind": kind, "segs": self.segments, "lines": self.lines, **more}


def broken(text, face, pixels, width):
    """The lines that `text` takes at that width."""
    lines, line = [], ""
    for piece in PIECE.findall(text):
        if line and length((line + piece).rstrip(), face, pixels) > width:
            lines.append(line.rstrip())
            line = ""
        line += piece
    return [*lines, line.rstrip()] if line.strip() else lines


def length(text, face, pixels):
    """In pixels."""
    return font(face, pixels).getlength(text)
