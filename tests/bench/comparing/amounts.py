"""Numbers that were read exactly: what a line of an invoice or a receipt is worth.

A page that has `amounts` and `digits` in its ground truth is scored by two measures, each the share of numbers that
were read exactly:

- `amounts`: amounts with a decimal point, such as `1.80`. A result that has `180`, `1 80` or `1.8` does not count.
- `digits`: single digits in a row of their own or in the quantity column, such as the `2` of `2  Milk  3.60`.

A number counts as often as it is printed: two rows of `1.80` need two in the result.
"""

import re
from collections import Counter

MEASURES = ("amounts", "digits")

# A number with what belongs to it. "x" is the times sign of "2 x 1.80".
NUMBER = re.compile(r"(?<![\d.,])\d+(?:[.,]\d+)*(?![\d.,]*\d)")


def number_rates(pages, texts):
    """Returns the share by measure and by kind of page, with "all" for all kinds; omits kinds without ground truth."""
    totals = {measure: {} for measure in MEASURES}
    for page, lines in zip(pages, texts, strict=True):
        for measure, (found, count) in exact_numbers(page, lines).items():
            for kind in (page["kind"], "all"):
                sums = totals[measure].get(kind, (0, 0))
                totals[measure][kind] = (sums[0] + found, sums[1] + count)
    return {
        measure: {kind: found / count for kind, (found, count) in kinds.items() if count}
        for measure, kinds in totals.items()
    }


def exact_numbers(page, lines):
    """Returns (found, printed) by measure, for the numbers that the page has in its ground truth."""
    read = Counter(number for line in lines for number in NUMBER.findall(line))
    return {measure: matches(page[measure], read) for measure in MEASURES if page.get(measure)}


def matches(printed, read):
    """Returns how many of the printed numbers are in the result, and how many there are."""
    wanted = Counter(printed)
    return sum(min(count, read[number]) for number, count in wanted.items()), len(printed)
