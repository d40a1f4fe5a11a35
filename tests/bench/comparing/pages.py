"""Finds pages with their ground truth, and parses results."""

import json
import sys

IMAGES = {".png", ".jpg", ".jpeg", ".tif", ".tiff", ".webp", ".bmp"}


def find_pages(folder, kinds=None):
    """Returns the images that have a ground truth, sorted by name; only of `kinds`, if given."""
    pages = []
    for truth in sorted(folder.glob("*.json")):
        page = json.loads(truth.read_text(encoding="utf-8"))
        path = folder / page["file"]
        if path.suffix.lower() in IMAGES and path.is_file() and (not kinds or page["kind"] in kinds):
            pages.append({**page, "path": path.resolve()})
    if len(pages) < 2:
        of_kinds = f", of {', '.join(kinds)}" if kinds else ""
        sys.exit(f"{folder}: fewer than two images with ground truth{of_kinds}")
    return pages


def lines_of(output):
    """Parses Quire's JSON output: the lines of each file, each with `text` and `confidence`."""
    return [[line for page in entry["pages"] for line in page["lines"]] for entry in json.loads(output)]


def texts_of(pages):
    """Returns the texts of the lines of each page."""
    return [[line["text"] for line in lines] for lines in pages]
