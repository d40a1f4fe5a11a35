#!/usr/bin/env python3
"""Wrong characters on pages in scripts that PP-OCR cannot read: `quire read` with Tesseract, and Tesseract alone.

    python3 tests/bench/other_scripts.py [--quire PROGRAM] [--pages 4]

Renders pages of words from Unicode's CLDR in the fonts of this machine, each with two lines of English and of numbers.
The figure is the edit distance over the characters of the truth, without white space, in percent.

Requires what train_scripts.py requires, edlib, and Debian's packages tesseract-ocr-{rus,kor,ara,hin,vie,ell}.
"""

import argparse
import json
import os
import random
import subprocess
import tempfile
import time
from pathlib import Path

import edlib
from PIL import Image, ImageDraw, ImageFont

from train_scripts import installed_fonts, make_text

ROOT = Path(__file__).resolve().parents[2]
# Language: its script, Tesseract's name.
LANGUAGES = {
    "ru": ("Cyrillic", "rus"),
    "ko": ("Hangul", "kor"),
    "ar": ("Arabic", "ara"),
    "hi": ("Devanagari", "hin"),
    "vi": ("Vietnamese", "vie"),
    "el": ("Greek", "ell"),
}
WIDTH, HEIGHT, MARGIN, SIZE, PITCH = 1654, 1200, 120, 34, 70


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quire", type=Path, default=ROOT / "target" / "release" / "quire", help="path of the command")
    parser.add_argument("--pages", type=int, default=4, help="pages of each language (default: 4)")
    parser.add_argument("--seed", type=int, default=1)
    arguments = parser.parse_args()
    fonts = installed_fonts()
    print(f"{'language':<10} {'quire':>8} {'s':>6} {'tesseract':>10} {'s':>6}  lines reported as unreadable")
    with tempfile.TemporaryDirectory(prefix="quire-scripts-") as folder:
        folder = Path(folder)
        configuration = folder / "engines.json"
        configuration.write_text(json.dumps(engines()))
        for language, (script, name) in LANGUAGES.items():
            rng = random.Random(f"{arguments.seed} {language}")
            pages = [make_page(folder / f"{language}{number}.png", language, script, fonts, rng)
                     for number in range(arguments.pages)]
            started = time.monotonic()
            texts, unread = quire_texts(arguments.quire, configuration, [path for path, _ in pages])
            quire_secs = time.monotonic() - started
            started = time.monotonic()
            plain = [tesseract_text(path, name) for path, _ in pages]
            plain_secs = time.monotonic() - started
            truths = [truth for _, truth in pages]
            print(f"{language:<10} {error_rate(texts, truths):7.2f}% {quire_secs:6.1f}"
                  f" {error_rate(plain, truths):9.2f}% {plain_secs:6.1f}  {unread}", flush=True)


def engines():
    """Returns a configuration with an engine and a route for each script."""
    kinds = {f"tesseract-{name}@5": {"kind": "tesseract", "languages": [name, "eng"]} for _, name in LANGUAGES.values()}
    routes = [{"scripts": [script], "primary": f"tesseract-{name}@5"} for script, name in LANGUAGES.values()]
    return {
        "engines": {"pp-ocr@v6-small": {"kind": "pp-ocr"}, **kinds},
        "routes": [{"modes": ["text"], "primary": "pp-ocr@v6-small"}, *routes],
    }


def make_page(path, language, script, fonts, rng):
    """Draws a page, and returns its path and its lines."""
    image = Image.new("L", (WIDTH, HEIGHT), 255)
    draw = ImageDraw.Draw(image)
    file, index = rng.choice([font for font in fonts[language] if "Bold" not in font[0] and "Black" not in font[0]])
    lines = []
    for top in range(MARGIN, HEIGHT - MARGIN, PITCH):
        is_latin = rng.random() < 0.15
        text = make_text("Latin", "en", rng) if is_latin else make_text(script, language, rng)
        name, number = rng.choice(fonts["en"]) if is_latin else (file, index)
        draw.text((MARGIN, top), text, font=ImageFont.truetype(name, SIZE, index=number), fill=20)
        lines.append(text)
    image.save(path)
    return path, lines


def quire_texts(quire, configuration, paths):
    """Returns the text of each page, and the number of lines that are reported as unreadable."""
    command = [str(quire), "read", "--engines", str(configuration), "--format", "json", *map(str, paths)]
    output = subprocess.run(command, capture_output=True, text=True, check=False,
                            env={**os.environ, "RUST_LOG": "warn"}).stdout
    pages = [document["pages"][0] for document in json.loads(output)]
    warnings = [warning for page in pages for warning in page.get("warnings", [])]
    unread = sum(warning.get("lines", 0) for warning in warnings if warning["code"] == "unreadable_script")
    return [page["text"] for page in pages], unread


def tesseract_text(path, name):
    command = ["tesseract", str(path), "stdout", "-l", f"{name}+eng"]
    environment = {**os.environ, "OMP_THREAD_LIMIT": "1"}
    return subprocess.run(command, capture_output=True, text=True, check=True, env=environment).stdout


def error_rate(texts, truths):
    """Returns wrong characters in percent."""
    pairs = [(without_spaces(text), without_spaces("".join(lines)))
             for text, lines in zip(texts, truths, strict=True)]
    wrong = sum(edlib.align(text, truth)["editDistance"] for text, truth in pairs)
    return 100 * wrong / sum(len(truth) for _, truth in pairs)


def without_spaces(text):
    return "".join(text.split())


if __name__ == "__main__":
    main()
