#!/usr/bin/env python3
"""Which text layers of PDFs are used, and how fast they are read.

    python3 tests/bench/text_layers.py [--quire PROGRAM] [--pages-per-kind 20] [--seed 1]

Makes one-page PDFs of each kind, reads them, and prints the pages by their `source`, those with wrong text, and the
share of wrong characters; then the time of one document of 100 pages. Kinds:

- correct, ligatures: a text layer as it should be. Goal: it is used.
- hidden: an invisible layer with another text, as of a badly read scan; white: white sentences between printed ones;
- shifted: each letter is mapped to another one; digits: only the digits are; damaged: a ligature is mapped to its first
  letter; unmapped: a ligature is mapped to a private character; covered: a sentence is covered by a box and another one.
  Goal: what is printed is returned.

Fails if a page with text that is not printed is returned as it stands. Requires only Python.
"""

import argparse
import difflib
import json
import random
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
WORDS = (
    "invoice order office profile final difficult efficient traffic offer figure delivery account number total amount "
    "payment due goods received within days terms customer reference contract service period discount fluid reflect "
    "transfer bank address street telephone signature valid copy paper large small quantity price material steel"
).split()
FONTS = ["Helvetica", "Times-Roman", "Courier", "Helvetica-Bold"]
# The codes of the ligatures fi and fl in Adobe's StandardEncoding.
LIGATURES = {"fi": "\xae", "fl": "\xaf"}


def main():
    arguments = parse_arguments()
    rng = random.Random(arguments.seed)
    wrong = []
    with tempfile.TemporaryDirectory(prefix="quire-layers-") as folder:
        pages = make_pages(Path(folder), arguments.pages_per_kind, rng)
        answers = read(arguments.quire, [path for path, _, _ in pages])
        print(f"{'kind':<12} {'text_layer':>10} {'mixed':>6} {'ocr':>5} {'wrong pages':>12} {'wrong characters':>17}")
        for kind in dict.fromkeys(kind for _, kind, _ in pages):
            of_kind = [(truth, answers[path.name]) for path, its, truth in pages if its == kind]
            sources = [page["source"] for _, page in of_kind]
            errors = [differences(truth, page["text"]) for truth, page in of_kind]
            trusted = sum(1 for (_, page), error in zip(of_kind, errors) if error and page["source"] == "text_layer")
            rate = sum(errors) / sum(len(squeezed(truth)) for truth, _ in of_kind)
            counts = [sources.count(source) for source in ("text_layer", "mixed", "ocr")]
            print(f"{kind:<12} {counts[0]:>10} {counts[1]:>6} {counts[2]:>5} "
                  f"{sum(1 for error in errors if error):>12} {100 * rate:>15.2f} %")
            if trusted:
                wrong.append(f"{kind}: {trusted} wrong layers were used")
        print(f"100 pages with a text layer: {time_of_100_pages(arguments.quire, Path(folder), rng):.2f} s, of which "
              f"{time_of_start(arguments.quire, Path(folder), rng):.2f} s are those of one page")
    if wrong:
        sys.exit("text_layers: " + "; ".join(wrong))


def parse_arguments():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quire", type=Path, default=ROOT / "target/release/quire", help="path of the command")
    parser.add_argument("--pages-per-kind", type=int, default=20)
    parser.add_argument("--seed", type=int, default=1)
    return parser.parse_args()


def make_pages(folder, per_kind, rng):
    """Writes the PDFs and returns (path, kind, what is printed)."""
    pages = []
    for kind, make in KINDS.items():
        for number in range(per_kind):
            lines = [sentence(rng) for _ in range(rng.randint(8, 30))]
            document, printed = make(lines, rng.choice(FONTS), rng)
            path = folder / f"{kind}_{number + 1}.pdf"
            path.write_bytes(document)
            pages.append((path, kind, "\n".join(printed)))
    return pages


def sentence(rng):
    words = rng.choices(WORDS, k=rng.randint(3, 7))
    words.insert(rng.randrange(len(words)), f"{rng.randint(1, 9999)}.{rng.randint(0, 99):02}")
    return " ".join(words)


def correct(lines, font, rng):
    return pdf([text(lines, rng)], font), lines


def ligatures(lines, font, rng):
    return pdf([text(with_ligatures(lines), rng)], font, to_unicode({"\xae": "fi", "\xaf": "fl"})), lines


def hidden(lines, font, rng):
    other = [sentence(rng) for _ in lines]
    size = rng.choice([9, 11, 14])
    # Outlined letters would be an image; here the printed text is one of its own without a mapping for each letter.
    printed = f"{text(lines, rng, size)} 3 Tr {text(other, rng, size)}"
    return pdf([printed], font), lines


def white(lines, font, rng):
    printed = [line for index, line in enumerate(lines) if index % 8 != 3]
    content = text(lines, rng, white_rows=[index for index in range(len(lines)) if index % 8 == 3])
    return pdf([content], font), printed


def shifted(lines, font, rng):
    shift = rng.randint(1, 20)
    letters = [chr(code) for code in range(ord("a"), ord("z") + 1)]
    mapping = {letter: letters[(index + shift) % 26] for index, letter in enumerate(letters)}
    return pdf([text(lines, rng)], font, to_unicode(mapping)), lines


def digits(lines, font, rng):
    shift = rng.randint(1, 9)
    mapping = {str(digit): str((digit + shift) % 10) for digit in range(10)}
    return pdf([text(lines, rng)], font, to_unicode(mapping)), lines


def damaged(lines, font, rng):
    return pdf([text(with_ligatures(lines), rng)], font, to_unicode({"\xae": "f", "\xaf": "f"})), lines


def unmapped(lines, font, rng):
    return pdf([text(with_ligatures(lines), rng)], font, to_unicode({"\xae": "\ue000", "\xaf": "\ue001"})), lines


def covered(lines, font, rng):
    size = 11
    row = rng.randrange(len(lines))
    top = 780 - row * 1.5 * size
    box = f"1 g 40 {top - 4:.0f} 520 {1.4 * size:.0f} re f 0 g"
    other = sentence(rng)
    content = f"{text(lines, rng, size)} {box} BT /F {size} Tf 50 {top:.2f} Td ({other}) Tj ET"
    return pdf([content], font), [*lines[:row], other, *lines[row + 1 :]]


KINDS = {
    "correct": correct,
    "ligatures": ligatures,
    "hidden": hidden,
    "white": white,
    "shifted": shifted,
    "digits": digits,
    "damaged": damaged,
    "unmapped": unmapped,
    "covered": covered,
}


def with_ligatures(lines):
    for letters, code in LIGATURES.items():
        lines = [line.replace(letters, code) for line in lines]
    return lines


def text(lines, rng, size=None, white_rows=()):
    """Returns a content stream of an A4 page."""
    size = size or rng.choice([8, 10, 11, 14])
    rows = []
    for index, line in enumerate(lines):
        color = "1 g" if index in white_rows else "0 g"
        rows.append(f"{color} 1 0 0 1 50 {780 - index * 1.5 * size:.2f} Tm ({line}) Tj")
    return f"BT /F {size} Tf {' '.join(rows)} ET"


def to_unicode(mapping):
    """Returns a CMap (Adobe Technical Note 5411) from one-byte codes to Unicode."""
    entries = "".join(f"<{ord(code):02X}> <{value.encode('utf-16-be').hex()}>\n" for code, value in mapping.items())
    return (
        "/CIDInit /ProcSet findresource begin begincmap 1 begincodespacerange <00> <FF> endcodespacerange\n"
        f"{len(mapping)} beginbfchar\n{entries}endbfchar endcmap end"
    )


def pdf(contents, font, cmap=None):
    """Returns a PDF with a page for each content stream."""
    objects = ["<</Type/Catalog/Pages 2 0 R>>", None]
    extra = "/ToUnicode 4 0 R" if cmap else ""
    encoding = "/Encoding/StandardEncoding"
    objects.append(f"<</Type/Font/Subtype/Type1/BaseFont/{font}{encoding}{extra}>>")
    objects.append(stream(cmap or ""))
    kids = []
    for content in contents:
        kids.append(f"{len(objects) + 1} 0 R")
        objects.append(
            f"<</Type/Page/Parent 2 0 R/MediaBox[0 0 595 842]/Contents {len(objects) + 2} 0 R"
            "/Resources<</Font<</F 3 0 R>>>>>>"
        )
        objects.append(stream(content))
    objects[1] = f"<</Type/Pages/Count {len(kids)}/Kids[{' '.join(kids)}]>>"
    document = b"%PDF-1.7\n"
    offsets = []
    for number, value in enumerate(objects, 1):
        offsets.append(len(document))
        document += f"{number} 0 obj\n{value}\nendobj\n".encode("latin-1")
    table = "".join(f"{offset:010} 00000 n \n" for offset in offsets)
    size = len(objects) + 1
    end = f"xref\n0 {size}\n0000000000 65535 f \n{table}trailer\n<</Size {size}/Root 1 0 R>>\n"
    return document + end.encode() + f"startxref\n{len(document)}\n%%EOF\n".encode()


def stream(content):
    return f"<</Length {len(content.encode('latin-1'))}>>stream\n{content}\nendstream"


def read(quire, paths):
    """Returns the page of each file, by its name."""
    run = subprocess.run(
        [quire, "read", "--format", "json", *paths], check=True, stdout=subprocess.PIPE, text=True
    )
    return {document["file"]: document["pages"][0] for document in json.loads(run.stdout)}


def time_of_100_pages(quire, folder, rng):
    contents = [text([sentence(rng) for _ in range(45)], rng, 11) for _ in range(100)]
    return timed(quire, folder / "hundred.pdf", pdf(contents, "Times-Roman"))


def time_of_start(quire, folder, rng):
    return timed(quire, folder / "one.pdf", pdf([text([sentence(rng) for _ in range(45)], rng, 11)], "Times-Roman"))


def timed(quire, path, document):
    path.write_bytes(document)
    began = time.monotonic()
    subprocess.run([quire, "read", path], check=True, stdout=subprocess.DEVNULL)
    return time.monotonic() - began


def squeezed(text):
    return "".join(text.split())


def differences(truth, found):
    """Returns the number of characters that differ, without white space."""
    a, b = squeezed(truth), squeezed(found)
    blocks = difflib.SequenceMatcher(None, a, b, autojunk=False).get_matching_blocks()
    return max(len(a), len(b)) - sum(block.size for block in blocks)


if __name__ == "__main__":
    main()
