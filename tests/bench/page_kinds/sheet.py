"""A sheet of paper that records the text drawn on it, in reading order."""

import re

from PIL import Image, ImageDraw

from .fonts import font, has

INK = 25
PAPER = 255
# Line breaking: OPENING must not end a line, CLOSING must not start one.
OPENING = "（“《"
CLOSING = "，。；：！？）、》”,.;:!?)%"
# A Chinese character or a word, with adjacent punctuation and trailing white space.
WIDE = r"\u3000-\u9fff\uff00-\uffef"
PIECE = re.compile(rf"[{OPENING}]*(?:[{WIDE}]|[^\s{WIDE}]+)[{re.escape(CLOSING)}]*\s*")


class Sheet:
    """White paper of `width` × `height` pixels with text on it.

    `segments` are the segments of text, cell by cell; `lines` are the lines in reading order, where the cells of a
    table row are one line. `words` are the words with the bounding boxes of their ink: text, left, top, right, bottom.
    """

    def __init__(self, width, height):
        self.image = Image.new("L", (width, height), PAPER)
        self.draw = ImageDraw.Draw(self.image)
        self.width, self.height = width, height
        self.segments = []
        self.lines = []
        self.words = []

    def write(self, x, y, text, face, pixels, anchor="la"):
        """Draws a line of text with its upper left corner, or its `anchor`, at (x, y)."""
        self.place(x, y, text, face, pixels, anchor)
        self.lines.append(text)

    def place(self, x, y, text, face, pixels, anchor="la"):
        """Draws a segment of a line, which the calling function adds to `lines`."""
        missing = [character for character in text if not has(face, character)]
        if missing:
            raise ValueError(f"{face} has no {missing}")
        self.draw.text((x, y), text, font=font(face, pixels), fill=INK, anchor=anchor)
        self.segments.append(text)
        start = self.draw.textbbox((x, y), text, font=font(face, pixels), anchor=anchor)[0]
        start -= font(face, pixels).getbbox(text)[0]
        for word in re.finditer(r"\S+", text):
            self.words.append([word[0], *self.word_box(start, (x, y), text, word, face, pixels, anchor)])

    def word_box(self, start, place, text, word, face, pixels, anchor):
        """Returns the bounding box of the ink of a word of a text that starts at `start`."""
        left = start + length(text[: word.start()], face, pixels)
        return self.draw.textbbox((left, place[1]), word[0], font=font(face, pixels), anchor="l" + anchor[1])

    def row(self, y, cells, face, pixels):
        """Draws segments, each (x, text, anchor), that are read as one line."""
        for x, text, anchor in cells:
            self.place(x, y, text, face, pixels, anchor)
        self.lines.append(" ".join(text for _, text, _ in cells))

    def rule(self, *corners, thickness=1):
        """Draws a straight line."""
        self.draw.line(corners, fill=90, width=thickness)

    def paragraph(self, x, y, width, bottom, text, face, pixels, leading=1.5):
        """Draws `text` in lines of at most `width`, down to `bottom`. Returns the y coordinate of the next line."""
        for line in broken(text, face, pixels, width):
            if y + pixels * leading > bottom:
                break
            self.write(x, y, line, face, pixels)
            y += round(pixels * leading)
        return y

    def first_line(self, text, face, pixels, width):
        """Splits the first line of at most this width off `text`. Returns both."""
        # Breaking the whole text for each of its lines would take minutes.
        line = broken(text[:300], face, pixels, width)[0]
        return line, text[text.index(line) + len(line):].lstrip()

    def justify(self, x, y, width, text, face, pixels):
        """Draws a line that fills `width`, as one segment: spaces are widened, or the distances of Chinese characters."""
        pieces = list(text) if re.search(f"[{WIDE}]", text) else text.split(" ")
        rest = width - sum(length(piece, face, pixels) for piece in pieces)
        at = x
        for piece in pieces:
            self.place(round(at), y, piece, face, pixels)
            self.segments.pop()
            at += length(piece, face, pixels) + rest / max(len(pieces) - 1, 1)
        if not pieces or pieces == list(text):
            self.join_words(len(pieces), text)
        self.segments.append(text)
        self.lines.append(text)

    def join_words(self, count, text):
        """Makes one word of the last ones, which were drawn character by character."""
        boxes = [word[1:] for word in self.words[-count:]]
        low, high = [min(side) for side in zip(*boxes)], [max(side) for side in zip(*boxes)]
        self.words[-count:] = [[text, *low[:2], *high[2:]]]

    def picture(self, box, random):
        """Draws a picture without text: a landscape of gray shapes."""
        left, top, right, bottom = box
        self.draw.rectangle(box, fill=190)
        for _ in range(12):
            x, y = random.randint(left, right), random.randint(top, bottom)
            across, down = random.randint(20, 160), random.randint(20, 160)
            shape = [x, y, min(x + across, right), min(y + down, bottom)]
            self.draw.ellipse(shape, fill=random.randint(90, 240))

    def truth(self, kind, **more):
        """Returns the ground truth, without the name of the file."""
        return {"kind": kind, "segs": self.segments, "lines": self.lines, **more}


def broken(text, face, pixels, width):
    """Breaks `text` into lines of at most this width."""
    lines, line = [], ""
    for piece in PIECE.findall(text):
        if line and length((line + piece).rstrip(), face, pixels) > width:
            lines.append(line.rstrip())
            line = ""
        line += piece
    return [*lines, line.rstrip()] if line.strip() else lines


def length(text, face, pixels):
    """Returns the width in pixels."""
    return font(face, pixels).getlength(text)
