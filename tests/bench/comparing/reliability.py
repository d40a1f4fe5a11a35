"""Calibration of confidences: the share of correct lines in bins of confidence (a reliability diagram)."""

from .score import plain

# The lower edges of the bins; the last bin includes 1.
EDGES = (0.0, 0.5, 0.6, 0.7, 0.8, 0.9, 0.95, 0.99)


def reliability(pages, readings):
    """Returns a row per bin: (lower edge, upper edge, lines, correct lines, mean confidence or None).

    `readings` has the lines of each page, with `text` and `confidence`. A line is correct if its text without white
    space occurs in the ground truth of the page; line breaks are ignored.
    """
    bins = [[0, 0, 0.0] for _ in EDGES]
    for page, lines in zip(pages, readings, strict=True):
        truth = plain("".join(page.get("lines") or page["segs"]))
        # Also the cells one by one: a line may join cells that are not adjacent in the lines of the ground truth.
        pieces = plain("".join(page["segs"]))
        for line in lines:
            text = plain(line["text"])
            found = bins[max(index for index, edge in enumerate(EDGES) if line["confidence"] >= edge)]
            found[0] += 1
            found[1] += text in truth or text in pieces
            found[2] += line["confidence"]
    return [
        (low, high, count, right, total / count if count else None)
        for low, high, (count, right, total) in zip(EDGES, (*EDGES[1:], 1.0), bins, strict=True)
    ]


def reliability_table(rows):
    """Formats the rows as a text table."""
    table = ["confidence    lines        correct   mean confidence"]
    for low, high, count, right, mean in rows:
        if count:
            share = f"{right:6} {100 * right / count:6.2f} %"
            table.append(f"{low:.2f} – {high:.2f}  {count:6}  {share}   {100 * mean:6.2f} %")
    return table
