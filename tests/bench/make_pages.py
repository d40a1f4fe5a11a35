#!/usr/bin/env python3
"""Makes pages for the benchmark, each with its exact text beside it:

    python3 tests/bench/make_pages.py FOLDER [--pages-per-kind 3] [--kinds dense,small,…] [--seed 1]

NAME.json beside each image says: "file"; "kind"; "segs", the pieces of text as they were set, cell by cell; "lines", the
lines in reading order, where a table's row is one line; and, where they matter, "language", "rotation" (degrees clockwise
by which the page was turned), "slant" (degrees counterclockwise) and "dots" (an inch).

The same seed gives the same pages, for the same release of Pillow, whatever other kinds are made. It needs Pillow, numpy
and two packages of fonts: page_kinds/fonts.py says which, and so does the error where they are missing. compare.py makes
an environment that has them.
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
    """Writes the pages, and returns the paths of their images."""
    from page_kinds.kinds import KINDS

    unknown = set(kinds or ()) - set(KINDS)
    if unknown:
        raise SystemExit(f"no such kind of page: {', '.join(sorted(unknown))}; there are {', '.join(KINDS)}")
    folder.mkdir(parents=True, exist_ok=True)
    paths = []
    for kind in kinds or KINDS:
        for number in range(pages_per_kind):
            picture, truth, (suffix, options) = KINDS[kind](number, random.Random(f"{seed} {kind} {number}"))
            path = folder / f"{kind}_{number + 1}{suffix}"
            picture.save(path, **options)
            written = json.dumps({"file": path.name, **truth}, ensure_ascii=False, indent=1)
            path.with_suffix(".json").write_text(written, encoding="utf-8")
            paths.append(path)
    return paths


def parse_arguments():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path, help="where the pages are written")
    parser.add_argument("--pages-per-kind", type=int, default=3, help="how many of each kind (3)")
    parser.add_argument("--kinds", type=lambda text: text.split(","), help="kinds, with commas between (all)")
    parser.add_argument("--seed", type=int, default=1, help="another number gives other pages (1)")
    return parser.parse_args()


if __name__ == "__main__":
    main()
