"""The pages that are read, and what is written on them."""

import json
import sys

IMAGES = {".png", ".jpg", ".jpeg", ".tif", ".tiff", ".webp", ".bmp"}


def find_pages(folder, kinds=None):
    """The images that have a truth beside them, in the order of their names; only of those kinds, if any are given."""
    pages = []
    for truth in sorted(folder.glob("*.json")):
        page = json.loads(truth.read_text(encoding="utf-8"))
        path = folder / page["file"]
        if path.suffix.lower() in IMAGES and path.is_file() and (not kinds or page["kind"] in kinds):
            pages.append({**page, "path": path.resolve()})
    if len(pages) < 2:
        of_kinds = f", of {', '.join(kinds)}" if kinds else ""
        sys.exit(f"{folder}: fewer than two images with a truth beside them{of_kinds}")
    return pages


def lines_of(output):
    """What Quire printed: for each file the lines of its pages, each with `text` and `confidence`."""
    return [[line for page in entry["pages"] for line in page["lines"]] for entry in json.loads(output)]


def texts_of(pages):
    """Of each page, the texts of its lines."""
    return [[line["text"] for line in lines] for lines in pages]
