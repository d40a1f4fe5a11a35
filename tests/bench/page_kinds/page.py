"""A page: a sheet of a size, with margins, and what it becomes in a file."""

from .sheet import Sheet

INCH = 25.4
A4 = (210, 297)
PNG = (".png", {"optimize": False, "compress_level": 6})
JPEG = (".jpg", {"quality": 82})


class Page(Sheet):
    """A sheet of A4 at so many dots an inch, or of a `size` in pixels."""

    def __init__(self, dots, size=None, margin=None):
        super().__init__(*(size or (round(side / INCH * dots) for side in A4)))
        self.margin = margin or round(18 / INCH * dots)

    def put(self, x, y, character, face, pixels):
        """A single character that the caller counts as part of a segment."""
        self.place(x, y, character, face, pixels)
        self.segments.pop()

    def finished(self, kind, picture=None, file=PNG, **more):
        """The picture, what is on it, and how its file is written: the suffix, and what Pillow is told."""
        return picture or self.image, self.truth(kind, **more), file
