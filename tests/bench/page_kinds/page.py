"""A page: a sheet with margins and a file format."""

from .sheet import Sheet

INCH = 25.4
A4 = (210, 297)
PNG = (".png", {"optimize": False, "compress_level": 6})
JPEG = (".jpg", {"quality": 82})


class Page(Sheet):
    """An A4 sheet with this resolution in dots per inch, or a sheet of this `size` in pixels."""

    def __init__(self, dots, size=None, margin=None):
        super().__init__(*(size or (round(side / INCH * dots) for side in A4)))
        self.margin = margin or round(18 / INCH * dots)

    def put(self, x, y, character, face, pixels):
        """Draws a single character, which the calling function adds to a segment."""
        self.place(x, y, character, face, pixels)
        self.segments.pop()
        self.words.pop()

    def finished(self, kind, picture=None, file=PNG, **more):
        """Returns the image, its ground truth, and its file format: the suffix and Pillow's options."""
        # The words of a picture that was transformed are elsewhere.
        words = {} if picture or not self.words else {"words": self.words}
        return picture or self.image, self.truth(kind, **more, **words), file
