"""How right a reading is, measured against pages whose text is known.

Three rates of wrong characters, each over the number of characters in the truth:

- `cer`: of every piece of text that was set, the smallest edit distance to any part of what was read. Order, white space,
  and the width and kind of punctuation do not count: this is recognition alone.
- `spaces`: the same, but white space counts, every run of it as one space, and so does the end of a line.
- `order`: the edit distance of all that was read to all lines of the truth in reading order, without white space: this
  counts what was lost, what was invented, and what stands in the wrong place. Only for pages whose truth has `lines`.
"""

import re
import unicodedata

import numpy

# What typesetters and recognizers exchange freely, and what Unicode's NFKC leaves as it is.
PUNCTUATION = str.maketrans({"“": '"', "”": '"', "‘": "'", "’": "'", "—": "-", "–": "-"})
MEASURES = ("cer", "spaces", "order")


def error_rates(pages, texts):
    """By measure, by kind of page and over "all": the rate, or None where no page has a truth for it."""
    totals = {}
    for page, lines in zip(pages, texts, strict=True):
        for measure, (edits, length) in errors(page, lines).items():
            for kind in (page["kind"], "all"):
                so_far = totals.setdefault(measure, {}).get(kind, (0, 0))
                totals[measure][kind] = (so_far[0] + edits, so_far[1] + length)
    return {
        measure: {kind: edits / length for kind, (edits, length) in totals.get(measure, {}).items() if length}
        for measure in MEASURES
    }


def errors(page, lines):
    """By measure: wrong characters, and characters in all."""
    read, spaced = plain("".join(lines)), plain(" ".join(lines), space=" ")
    counted = {
        "cer": summed(map(plain, page["segs"]), read),
        "spaces": summed((plain(segment, space=" ").strip() for segment in page["segs"]), spaced),
    }
    if page.get("lines"):
        truth = plain("".join(page["lines"]))
        counted["order"] = (edit_distance(truth, read), len(truth))
    return counted


def summed(segments, text):
    edits = length = 0
    for segment in segments:
        length += len(segment)
        # Most are read without an error, which is told faster than a distance.
        edits += 0 if segment in text else edit_distance(segment, text, anywhere=True)
    return edits, length


def edit_distance(query, text, anywhere=False):
    """Levenshtein's distance of `query` to `text`, or to that part of `text` which is nearest to it."""
    symbols, target = (numpy.array([ord(character) for character in word], dtype=numpy.int64) for word in (query, text))
    places = numpy.arange(len(target) + 1)
    row = numpy.zeros_like(places) if anywhere else places.copy()
    for count, symbol in enumerate(symbols, start=1):
        following = numpy.empty_like(row)
        following[0] = count
        following[1:] = numpy.minimum(row[1:] + 1, row[:-1] + (target != symbol))
        # An insertion takes one more than the place to the left: the least of what is left, plus the way from there.
        row = numpy.minimum.accumulate(following - places) + places
    return int(row.min() if anywhere else row[-1])


def plain(text, space=""):
    """In Unicode's NFKC, with every run of white space as `space`."""
    return re.sub(r"\s+", space, unicodedata.normalize("NFKC", text.translate(PUNCTUATION)))
