"""Error rates of a reading against pages with known text.

Four rates. The first three are edit distances, each divided by the number of characters in the ground truth:

- `cer`, character error rate: of each segment, the smallest edit distance to any substring of the result. Ignores
  order, white space, and the width and kind of punctuation: recognition alone.
- `spaces`: the same, but white space counts; a run of white space and a line break each count as one space.
- `order`: the edit distance between the whole result and all lines of the ground truth in reading order, without white
  space. Counts missing, invented and misplaced text. Only for pages whose ground truth has `lines`.
- `swaps`, the normalized Kendall tau distance: of all pairs of lines of the ground truth that are found in the result,
  the share that is in the wrong order, i.e. inversions / (n (n - 1) / 2). 0 is the right order, 1 the reverse one.
  Unlike `order` it counts nothing but order. (M. Kendall, A New Measure of Rank Correlation, Biometrika 30, 1938; used
  for reading order by L. Quirós and E. Vidal, Reading order detection on handwritten documents, Neural Computing and
  Applications 34, 2022.) A line is found if it is a substring of the result, and compared if it is in it only once and
  has at least 4 characters.
"""

import re
import unicodedata

import numpy

# Equivalent punctuation that Unicode NFKC does not normalize.
PUNCTUATION = str.maketrans({"“": '"', "”": '"', "‘": "'", "’": "'", "—": "-", "–": "-"})
MEASURES = ("cer", "spaces", "order", "swaps")
MIN_COMPARED_LENGTH = 4


def error_rates(pages, texts):
    """Returns the rate by measure and by kind of page, with "all" for all kinds; omits kinds without ground truth."""
    totals = {}
    for page, lines in zip(pages, texts, strict=True):
        for measure, (edits, length) in errors(page, lines).items():
            for kind in (page["kind"], "all"):
                sums = totals.setdefault(measure, {}).get(kind, (0, 0))
                totals[measure][kind] = (sums[0] + edits, sums[1] + length)
    return {
        measure: {kind: edits / length for kind, (edits, length) in totals.get(measure, {}).items() if length}
        for measure in MEASURES
    }


def errors(page, lines):
    """Returns (edits, characters in the ground truth) by measure."""
    read, spaced = plain("".join(lines)), plain(" ".join(lines), space=" ")
    counted = {
        "cer": summed(map(plain, page["segs"]), read),
        "spaces": summed((plain(segment, space=" ").strip() for segment in page["segs"]), spaced),
    }
    if page.get("lines"):
        truth = plain("".join(page["lines"]))
        counted["order"] = (edit_distance(truth, read), len(truth))
        counted["swaps"] = inversions(map(plain, page["lines"]), read)
    return counted


def inversions(lines, text):
    """Returns the pairs of `lines` in the wrong order in `text`, and all pairs, of lines that are in it once."""
    compared = (line for line in lines if len(line) >= MIN_COMPARED_LENGTH and text.count(line) == 1)
    places = [text.index(line) for line in compared]
    wrong = sum(after < place for index, place in enumerate(places) for after in places[index:])
    return wrong, len(places) * (len(places) - 1) // 2


def summed(segments, text):
    edits = length = 0
    for segment in segments:
        length += len(segment)
        # Most segments are correct; a substring search is faster than an edit distance.
        edits += 0 if segment in text else edit_distance(segment, text, anywhere=True)
    return edits, length


def edit_distance(query, text, anywhere=False):
    """Returns the Levenshtein distance of `query` to `text`, or with `anywhere` to the nearest substring of `text`."""
    symbols, target = (numpy.array([ord(character) for character in word], dtype=numpy.int64) for word in (query, text))
    columns = numpy.arange(len(target) + 1)
    row = numpy.zeros_like(columns) if anywhere else columns.copy()
    for count, symbol in enumerate(symbols, start=1):
        following = numpy.empty_like(row)
        following[0] = count
        following[1:] = numpy.minimum(row[1:] + 1, row[:-1] + (target != symbol))
        # Insertions cost 1 per column: a running minimum over the columns to the left, plus the distance.
        row = numpy.minimum.accumulate(following - columns) + columns
    return int(row.min() if anywhere else row[-1])


def plain(text, space=""):
    """Normalizes to Unicode NFKC and replaces each run of white space by `space`."""
    return re.sub(r"\s+", space, unicodedata.normalize("NFKC", text.translate(PUNCTUATION)))
