"""Documents, ordinary and hostile."""

import struct
import zlib


def png(width, height):
    """Returns a white image."""
    def chunk(kind, data):
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
    rows = (b"\0" + b"\xff" * width) * height
    header = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")


def pdf(pages=1, operators=b""):
    """Returns a PDF whose pages all have this content."""
    content = zlib.compress(operators, 9)
    objects = [
        b"<</Type/Catalog/Pages 2 0 R>>",
        b"<</Type/Pages/Count %d/Kids[%s]>>" % (pages, b"3 0 R " * pages),
        b"<</Type/Page/Parent 2 0 R/MediaBox[0 0 595 842]/Contents 4 0 R>>",
        b"<</Filter/FlateDecode/Length %d>>\nstream\n" % len(content) + content + b"\nendstream",
    ]
    out = bytearray(b"%PDF-1.7\n")
    offsets = []
    for number, body in enumerate(objects, 1):
        offsets.append(len(out))
        out += b"%d 0 obj\n" % number + body + b"\nendobj\n"
    start = len(out)
    out += b"xref\n0 %d\n0000000000 65535 f \n" % (len(objects) + 1)
    out += b"".join(b"%010d 00000 n \n" % offset for offset in offsets)
    out += b"trailer\n<</Size %d/Root 1 0 R>>\nstartxref\n%d\n%%%%EOF\n" % (len(objects) + 1, start)
    return bytes(out)


def slow_page():
    """Returns a PDF whose page is filled two hundred thousand times: minutes of rendering, and little memory."""
    return pdf(operators=b"0 0 595 842 re f\n" * 200_000)


def slow_validation(entries=3_000_000):
    """Returns a PDF of 50 kB whose cross-reference stream has millions of entries: seconds of parsing."""
    out = bytearray(b"%PDF-1.7\n")
    offsets = []
    for body in (b"<</Type/Catalog/Pages 2 0 R>>", b"<</Type/Pages/Kids[3 0 R]/Count 1>>",
                 b"<</Type/Page/Parent 2 0 R/MediaBox[0 0 99 99]>>"):
        offsets.append(len(out))
        out += b"%d 0 obj\n" % len(offsets) + body + b"\nendobj\n"
    used = b"".join(b"\1" + struct.pack(">QQ", offset, 0) for offset in offsets)
    table = zlib.compress(bytes(17) + used + bytes(17 * (entries - 4)), 9)
    start = len(out)
    out += (b"4 0 obj\n<</Type/XRef/Size %d/W[1 8 8]/Root 1 0 R/Filter/FlateDecode/Length %d>>\nstream\n"
            % (entries, len(table)) + table + b"\nendstream\nendobj\nstartxref\n%d\n%%%%EOF\n" % start)
    return bytes(out)
