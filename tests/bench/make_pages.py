#!/usr/bin/env python3
"""Generates benchmark pages, each with its exact text as ground truth:

    python3 tests/bench/make_pages.py FOLDER [--pages-per-kind 3] [--kinds dense,small,…] [--seed 1]

NAME.json next to each image has: "file"; "kind"; "segs", the segments of text, cell by cell; "lines", the lines in
reading order, where a table row is one line; "words", each with its text and the left, top, right and bottom of its
ink, unless the page was transformed after it was drawn; and optionally "language", "rotation" (degrees clockwise), "slant"
(degrees counterclockwise), "dots" (per inch), and the "amounts" and single "digits" of receipts.

Deterministic: the same seed gives the same pages, with the same release of Pillow, independent of other kinds. Requires
Pillow, numpy and two packages with fonts (see page_kinds/fonts.py). compare.py installs them in its environment.
"""

import argparse
import json
import random
from pathlib import Path


def main():
    arguments = parse_arguments()
    for path in make(arguments.folder, arguments.kinds, arguments.pages_per_kind, arguments.seed):
        print(path)


def make(folder, kinds=None, pages_per_kind=3, seed=1):
    """Writes the pages and returns the paths of their images."""
    from page_kinds.kinds import KINDS

    unknown = set(kinds or ()) - set(KINDS)
    if unknown:
        raise SystemExit(f"unknown kind of page: {', '.join(sorted(unknown))}; expected: {', '.join(KINDS)}")
    folder.mkdir(parents=True, exist_ok=True)
    paths = []
    for kind in kinds or KINDS:
        for number in range(pages_per_kind):
            image, truth, (suffix, options) = KINDS[kind](number, random.Random(f"{seed} {kind} {number}"))
            path = folder / f"{kind}_{number + 1}{suffix}"
            image.save(path, **options)
            written = json.dumps({"file": path.name, **truth}, ensure_ascii=False, indent=1)
            path.with_suffix(".json").write_text(written, encoding="utf-8")
            paths.append(path)
    return paths


def parse_arguments():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path, help="output folder")
    parser.add_argument("--pages-per-kind", type=int, default=3, help="pages per kind (default: 3)")
    parser.add_argument("--kinds", type=lambda text: text.split(","), help="comma-separated kinds (default: all)")
    parser.add_argument("--seed", type=int, default=1, help="seed of the random generator (default: 1)")
    return parser.parse_args()


if __name__ == "__main__":
    main()
