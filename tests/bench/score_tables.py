#!/usr/bin/env python3
"""Generates pages with tables, reads them, and scores the tables:

    python3 tests/bench/score_tables.py QUIRE FOLDER [--pages 60] [--seed 1]

For each style it prints the share of tables with the exact number of rows and columns, and the F1 of their cells: a
cell counts if its row, column, spans and text (without white space) are right. The pages are kept in the folder.
"""

import argparse
import collections
import json
import random
import subprocess
from pathlib import Path


def main():
    arguments = parse_arguments()
    from page_kinds.grids import tables

    arguments.folder.mkdir(parents=True, exist_ok=True)
    truths = {}
    for number in range(arguments.pages):
        image, truth, (suffix, options) = tables(number, random.Random(f"{arguments.seed} tables {number}"))
        path = arguments.folder / f"tables_{number + 1}{suffix}"
        image.save(path, **options)
        path.with_suffix(".json").write_text(json.dumps(truth, ensure_ascii=False, indent=1), encoding="utf-8")
        truths[path.name] = truth
    scores = collections.defaultdict(list)
    documents = json.loads(arguments.read.read_text()) if arguments.read else read(
        arguments.quire, sorted(arguments.folder.glob("tables_*.png")))
    for document in documents:
        truth = truths.get(document["file"])
        if truth:
            score_page(document["file"], truth["tables"], document["pages"][0], scores, arguments.verbose)
    for style, found in sorted(scores.items()):
        exact = sum(is_exact for is_exact, *_ in found)
        f1 = 2 * sum(right for _, right, _, _ in found) / max(sum(a + b for _, _, a, b in found), 1)
        print(f"{style:10} {len(found):3} tables  {exact:3} exact rows × columns  cell F1 {f1:.3f}")


def read(quire, paths):
    """Returns the documents of all pages."""
    command = [quire, "read", "--format", "json", *map(str, paths)]
    return json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)


def score_page(name, tables, page, scores, verbose):
    blocks = [block["table"] for block in page.get("blocks", []) if block["kind"] == "table"]
    found = [cells_of(table, page["lines"]) for table in blocks]
    shapes = [(table["rows"], table["columns"]) for table in blocks]
    for index, truth in enumerate(tables):
        wanted = {key(cell) + (plain(cell["text"]),) for cell in truth["cells"]}
        best = max(range(len(found)), key=lambda other: len(wanted & found[other]), default=None)
        cells = found[best] if best is not None else set()
        is_exact = best is not None and shapes[best] == (truth["rows"], truth["columns"])
        right = len(wanted & cells)
        for group in (truth["style"], "all"):
            scores[group].append((is_exact, right, len(wanted), len(cells)))
        if verbose and (not is_exact or right < len(wanted)):
            shape = shapes[best] if best is not None else None
            print(name, index, truth["style"], (truth["rows"], truth["columns"]), shape, f"{right} of {len(wanted)}")
            if verbose > 1:
                print("  missing", sorted(wanted - cells)[:6], "\n  added", sorted(cells - wanted)[:6])
    for _ in range(len(found) - len(tables)):
        scores["surplus"].append((False, 0, 0, 0))
        if verbose:
            print(name, "has a table too many", shapes)


def cells_of(table, lines):
    """Returns (row, column, row span, column span, text) of each cell."""
    def text(part):
        whole = lines[part["line"]]["text"]
        start, end = part.get("characters", (0, len(whole)))
        return whole[start:end]

    return {key(cell) + (plain("".join(map(text, cell.get("lines", [])))),) for cell in table["cells"]}


def key(cell):
    return cell["row"], cell["column"], cell.get("row_span", 1), cell.get("column_span", 1)


def plain(text):
    return "".join(text.split()).translate(str.maketrans("，：（）", ",:()"))


def parse_arguments():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("quire", help="the command")
    parser.add_argument("folder", type=Path, help="output folder")
    parser.add_argument("--pages", type=int, default=60, help="number of pages (default: 60)")
    parser.add_argument("--seed", type=int, default=1, help="seed of the random generator (default: 1)")
    parser.add_argument("--read", type=Path, help="score this output of `quire read --format json` instead")
    parser.add_argument("--verbose", "-v", action="count", default=0, help="print each table that is not exact")
    return parser.parse_args()


if __name__ == "__main__":
    main()
