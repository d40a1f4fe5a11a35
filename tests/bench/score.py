#!/usr/bin/env python3
"""Prints the error rates of a reading by kind of page, the overlap of its words with those drawn, and the calibration
of its confidences.

    target/release/examples/read_pages $(python3 tests/bench/score.py DIR --files) > read.json
    python3 tests/bench/score.py DIR read.json [another.json …]

DIR has the format of make_pages.py; read.json is the output of `quire read --format json` or of the engine's example
`read_pages` for all images, in the order that `--files` prints. Requires numpy.
"""

import argparse
from pathlib import Path

from comparing.amounts import MEASURES as NUMBERS
from comparing.amounts import exact_numbers, number_rates
from comparing.pages import find_pages, lines_of, texts_of
from comparing.reliability import reliability, reliability_table
from comparing.score import MEASURES, error_rates, errors
from comparing.word_boxes import word_table


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("pages", type=Path, help="folder of images with ground truth")
    parser.add_argument("readings", type=Path, nargs="*", help="JSON results for these images")
    parser.add_argument("--files", action="store_true", help="print the images in the order of the results")
    parser.add_argument("--each", action="store_true", help="also print a row per page")
    parser.add_argument("--kinds", type=lambda text: text.split(","), help="comma-separated kinds (default: all)")
    arguments = parser.parse_args()
    pages = find_pages(arguments.pages, arguments.kinds)
    if arguments.files:
        print(*(page["path"] for page in pages))
    for path in arguments.readings:
        print_score(path, pages, arguments.each)


def print_score(path, pages, each):
    lines = lines_of(path.read_text(encoding="utf-8"))
    texts = texts_of(lines)
    rates = error_rates(pages, texts)
    print(f"\n{path}\n{'kind':12}" + "".join(f"{measure:>12}" for measure in MEASURES))
    for kind in sorted(rates["cer"], key=lambda kind: (kind == "all", kind)):
        found = (rates[measure].get(kind) for measure in MEASURES)
        print(f"{kind:12}" + "".join(f"{'–' if rate is None else f'{100 * rate:.3f} %':>12}" for rate in found))
    numbers = number_rates(pages, texts)
    for measure in NUMBERS:
        for kind, share in numbers[measure].items():
            print(f"{measure} read exactly, {kind}: {100 * share:.2f} %")
    for page, read in zip(pages, texts, strict=True) if each else ():
        counted = errors(page, read)
        found = (f"  {measure} {edits}/{length}" for measure, (edits, length) in counted.items())
        exact = (f"  {measure} {found}/{count}" for measure, (found, count) in exact_numbers(page, read).items())
        print(f"{page['file']:24}" + "".join(found) + "".join(exact))
    print("\n" + "\n".join(word_table(pages, lines)))
    print("\n" + "\n".join(reliability_table(reliability(pages, lines))))


if __name__ == "__main__":
    main()
