"""Whether confidences mean something: of the lines with a confidence of about so much, how many are exactly right."""

from .score import plain

# The lower edges of the bins; the last one ends at 1, which belongs to it.
EDGES = (0.0, 0.5, 0.6, 0.7, 0.8, 0.9, 0.95, 0.99)


def reliability(pages, readings):
    """A row for each bin: (lower edge, upper edge, lines, lines that are right, mean confidence or None).

    `readings` has for each page its lines, each with `text` and `confidence`. A line is right when its text without white
    space stands somewhere in the page's truth: where a line begins and ends is not asked.
    """
    bins = [[0, 0, 0.0] for _ in EDGES]
    for page, lines in zip(pages, readings, strict=True):
        truth = plain("".join(page.get("lines") or page["segs"]))
        # Cells one by one too, as a line may well join what is not side by side in the truth's lines.
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
    """The rows as lines of text, with their heading."""
    table = ["confidence    lines  exactly right   mean confidence"]
    for low, high, count, right, mean in rows:
        if count:
            share = f"{right:6} {100 * right / count:6.2f} %"
            table.append(f"{low:.2f} – {high:.2f}  {count:6}  {share}   {100 * mean:6.2f} %")
    return table
