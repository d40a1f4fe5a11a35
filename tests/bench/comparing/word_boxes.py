"""Compares the boxes of words with those that were drawn, next to an estimate from the number of characters."""

from statistics import median


def word_overlaps(page, lines):
    """Returns for each word of the truth that was read: its overlap (IoU) with the word's box, horizontally, and with the
    estimate from its line; both from 0 to 1. A word that was read elsewhere counts as 0."""
    read = [(word["text"], bounds(word["polygon"]), estimate) for line in lines for word, estimate in estimated(line)]
    overlaps = []
    for text, *box in page.get("words", []):
        same = [(overlap(box, found), found, guess) for other, found, guess in read if other == text]
        if not same:
            continue
        both, found, guess = max(same)
        overlaps.append((both, overlap(flat(box), flat(found)), overlap(flat(box), flat(guess))))
    return overlaps


def estimated(line):
    """Yields the words of a line, each with the box that it has if every character is equally wide."""
    if not line.get("words"):
        return
    left, top, right, bottom = bounds(line["polygon"])
    scale, start = (right - left) / max(width(line["text"]), 1), 0
    for word in line["words"]:
        start = line["text"].index(word["text"], start)
        end = start + len(word["text"])
        sides = (left + scale * width(line["text"][:place]) for place in (start, end))
        first, last = sides
        yield word, (first, top, last, bottom)
        start = end


def width(text):
    return sum(2 if ord(character) > 0x2E80 else 1 for character in text)


def bounds(polygon):
    across, down = zip(*polygon, strict=True)
    return min(across), min(down), max(across), max(down)


def flat(box):
    """Returns the box without its height."""
    return box[0], 0, box[2], 1


def overlap(a, b):
    """Returns the intersection of two boxes over their union."""
    across = min(a[2], b[2]) - max(a[0], b[0])
    down = min(a[3], b[3]) - max(a[1], b[1])
    both = max(across, 0) * max(down, 0)
    area = sum((box[2] - box[0]) * (box[3] - box[1]) for box in (a, b))
    return both / (area - both) if area > both else 0


def word_table(pages, read):
    """Returns the rows of a table by kind: the medians, and the share of words above 0.9."""
    kinds = {}
    for page, lines in zip(pages, read, strict=True):
        for kind in (page["kind"], "all"):
            kinds.setdefault(kind, []).extend(word_overlaps(page, lines))
    rows = [f"{'words':12}{'read':>8}{'overlap':>9}{'> 0.9':>8}{'across':>9}{'> 0.9':>8}{'estimate':>10}"]
    for kind, found in sorted(kinds.items(), key=lambda item: (item[0] == "all", item[0])):
        if found:
            both, across, guess = zip(*found, strict=True)
            row = f"{kind:12}{len(found):>8}{median(both):>9.3f}{share(both):>8.3f}{median(across):>9.3f}"
            rows.append(f"{row}{share(across):>8.3f}{median(guess):>10.3f}")
    return rows if len(rows) > 1 else []


def share(overlaps):
    return sum(overlap > 0.9 for overlap in overlaps) / len(overlaps)
