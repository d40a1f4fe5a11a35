#!/usr/bin/env python3
"""Reads the same pages with Quire and with RapidOCR, the same models, side by side, and prints what each costs and gets wrong.

    python3 tests/bench/against_rapidocr.py --pages DIR [--rounds 3] [--cores 2] [--engine-only]

DIR holds images, each with its truth beside it: NAME.json with {"file": "NAME.png", "kind": "…", "segs": ["…", …]}.

The two take turns, `--rounds` times, each in a process of its own that may use the same `--cores`. Quire is built for
release first: the `quire` command with the whole journey, or, with `--engine-only`, the engine's example without it.
RapidOCR runs with its defaults, in an environment of its own under target/. Start-up counts for both or for neither:
"all" is the whole process, with the loading of the models; "page" is what a further page costs, which is the difference
to a process that reads one page only.

CER: of every segment of the truth, the smallest edit distance to any part of the page's text, over the segment's length;
white space does not count, and width and kind of punctuation neither (NFKC). Reading order does not enter into it.
"""

import argparse
import json
import os
import platform
import re
import statistics
import subprocess
import sys
import time
import unicodedata
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
VENV = ROOT / "target" / "bench-venv"
PACKAGES = ["rapidocr==3.10.0", "onnxruntime==1.32.0", "edlib==1.3.9.post1"]
IMAGES = {".png", ".jpg", ".jpeg", ".tif", ".tiff", ".webp", ".bmp"}

RAPIDOCR = """
import json, sys
from rapidocr import RapidOCR
engine = RapidOCR(params={"Global.log_level": "critical"})
print(json.dumps([list(engine(file).txts or ()) for file in sys.argv[1:]]))
"""

# Punctuation that typesetters and recognizers exchange freely.
PUNCTUATION = str.maketrans({"“": '"', "”": '"', "‘": "'", "’": "'", "—": "-", "–": "-"})


def main():
    arguments = parse_arguments()
    python = prepare_environment()
    if Path(sys.prefix).resolve() != VENV.resolve():
        # edlib is installed there, and only there.
        os.execv(python, [str(python), __file__, *sys.argv[1:]])
    pages = find_pages(arguments.pages)
    files = [str(page["path"]) for page in pages]
    commands = {
        "Quire": (quire_command(arguments), quire_lines),
        "RapidOCR 3.10.0": ([str(python), "-c", RAPIDOCR], json.loads),
    }
    measured = measure(commands, files, arguments)
    report(measured, pages, arguments)


def parse_arguments():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pages", type=Path, required=True, help="the folder of images and truths")
    parser.add_argument("--rounds", type=int, default=3, help="how often each engine reads all pages (3)")
    parser.add_argument("--cores", type=int, default=2, help="how many cores either may use (2)")
    parser.add_argument("--engine-only", action="store_true", help="Quire's engine without queue, table and store")
    return parser.parse_args()


def prepare_environment():
    """An environment with the peer and the edit distance, made once."""
    python = VENV / "bin" / "python"
    marker = VENV / "installed.json"
    if not marker.is_file() or json.loads(marker.read_text()) != PACKAGES:
        say("installing RapidOCR under target/, once")
        subprocess.run([sys.executable, "-m", "venv", "--clear", str(VENV)], check=True)
        subprocess.run([str(python), "-m", "pip", "install", "--quiet", *PACKAGES], check=True)
        marker.write_text(json.dumps(PACKAGES))
    return python


def find_pages(folder):
    """The images that have a truth beside them, in the order of their names."""
    pages = []
    for truth in sorted(folder.glob("*.json")):
        page = json.loads(truth.read_text(encoding="utf-8"))
        path = folder / page["file"]
        if path.suffix.lower() in IMAGES and path.is_file():
            pages.append({**page, "path": path.resolve()})
    if len(pages) < 2:
        sys.exit(f"{folder}: fewer than two images with a truth beside them")
    return pages


def quire_command(arguments):
    """Builds Quire, and lets it fetch what it needs, before any clock runs."""
    if arguments.engine_only:
        target = ["-p", "quire-ocr", "--example", "read_pages"]
        command = [str(ROOT / "target/release/examples/read_pages"), "--workers", str(arguments.cores)]
    else:
        target = ["-p", "quire"]
        command = [str(ROOT / "target/release/quire"), "read", "--format", "json", "--workers", str(arguments.cores)]
    say("building Quire")
    subprocess.run(["cargo", "build", "--release", "--quiet", *target], cwd=ROOT, check=True)
    return command


def quire_lines(output):
    return [[line["text"] for page in entry["pages"] for line in page["lines"]] for entry in json.loads(output)]


def measure(commands, files, arguments):
    """Runs of each engine: on one page, and on all pages, in turns."""
    measured = {name: {"one": [], "all": [], "texts": None} for name in commands}
    for name, (command, _) in commands.items():
        say(f"{name}: one page, before any clock runs")
        run(command + files[:1], arguments.cores)
    for number in range(1, arguments.rounds + 1):
        for name, (command, lines) in commands.items():
            say(f"round {number} of {arguments.rounds}: {name}")
            cost, _ = run(command + files[:1], arguments.cores)
            measured[name]["one"].append(cost)
            cost, output = run(command + files, arguments.cores)
            measured[name]["all"].append(cost)
            texts = lines(output)
            if measured[name]["texts"] not in (None, texts):
                say(f"{name} read something else than in the round before")
            measured[name]["texts"] = texts
    return measured


def run(command, cores):
    """What a process and its children cost, and what it printed."""
    allowed = sorted(os.sched_getaffinity(0))[:cores] if hasattr(os, "sched_getaffinity") else None
    limit = (lambda: os.sched_setaffinity(0, allowed)) if allowed else None
    started = time.monotonic()
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, preexec_fn=limit)
    peak = PeakMemory(process.pid)
    output, errors = read_all(process, peak)
    wall = time.monotonic() - started
    if process.returncode != 0:
        sys.exit(f"{command[0]} ended with {process.returncode}:\n{errors.decode(errors='replace')[-2000:]}")
    return {"wall": wall, "cpu": peak.cpu_seconds(), "memory": peak.bytes}, output


def read_all(process, peak):
    """The process's output; its memory is looked at ten times a second meanwhile."""
    peak.start()
    while True:
        try:
            return process.communicate(timeout=0.1)
        except subprocess.TimeoutExpired:
            peak.look()


class PeakMemory:
    """The most memory that a process and its descendants hold at one time, and the processor time that they take."""

    def __init__(self, pid):
        self.pid = pid
        self.bytes = 0
        self.before = None

    def start(self):
        self.before = os.times()

    def look(self):
        self.bytes = max(self.bytes, sum(resident_bytes(pid) for pid in family(self.pid)))

    def cpu_seconds(self):
        """Of the children that have ended since the start: the process itself, which waits for its own."""
        now = os.times()
        return now.children_user + now.children_system - self.before.children_user - self.before.children_system


def family(pid):
    yield pid
    try:
        threads = list(Path(f"/proc/{pid}/task").iterdir())
        children = {child for thread in threads for child in (thread / "children").read_text().split()}
    except OSError:
        return
    for child in children:
        yield from family(int(child))


def resident_bytes(pid):
    try:
        return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    except (OSError, IndexError):
        return 0


def plain(text):
    return re.sub(r"\s+", "", unicodedata.normalize("NFKC", text.translate(PUNCTUATION)))


def errors_of(page, lines):
    """(edits, length) over the segments of a page."""
    import edlib

    text = plain("".join(lines))
    edits = length = 0
    for segment in map(plain, page["segs"]):
        length += len(segment)
        if segment and text:
            # edlib takes any number of symbols as long as they are few at a time: a segment has its own small alphabet.
            symbols = {character: chr(index + 1) for index, character in enumerate(sorted(set(segment)))}
            other = chr(len(symbols) + 1)
            target = "".join(symbols.get(character, other) for character in text)
            query = "".join(symbols[character] for character in segment)
            edits += min(len(segment), edlib.align(query, target, mode="HW", task="distance")["editDistance"])
        else:
            edits += len(segment)
    return edits, length


def character_error_rates(pages, texts):
    """By kind of page, and over all."""
    totals = {}
    for page, lines in zip(pages, texts, strict=True):
        edits, length = errors_of(page, lines)
        for kind in (page["kind"], "all"):
            so_far = totals.get(kind, (0, 0))
            totals[kind] = (so_far[0] + edits, so_far[1] + length)
    return {kind: edits / max(length, 1) for kind, (edits, length) in totals.items()}


def report(measured, pages, arguments):
    count = len(pages)
    kinds = sorted({page["kind"] for page in pages})
    print(f"\n{count} pages, {arguments.rounds} rounds, medians; {arguments.cores} cores; {platform.machine()}")
    print("all: whole process with start-up and loading of models, by page; page: a further page, without them\n")
    header = ["", "wall s all", "wall s page", "CPU s all", "CPU s page", "peak MB", "CER all", *(f"CER {kind}" for kind in kinds)]
    rows = [header]
    walls = {}
    for name, runs in measured.items():
        def median(key, which, runs=runs):
            return statistics.median(cost[key] for cost in runs[which])

        def further(key, runs=runs):
            pairs = zip(runs["all"], runs["one"], strict=True)
            return statistics.median((whole[key] - one[key]) / (count - 1) for whole, one in pairs)

        rates = character_error_rates(pages, runs["texts"])
        walls[name] = (median("wall", "all") / count, further("wall"))
        rows.append([
            name,
            *(f"{value:.3f}" for key in ("wall", "cpu") for value in (median(key, "all") / count, further(key))),
            f"{max(cost['memory'] for cost in runs['all']) / 1e6:.0f}",
            *(f"{100 * rates[kind]:.3f} %" for kind in ("all", *kinds)),
        ])
    widths = [max(len(row[column]) for row in rows) for column in range(len(header))]
    for row in rows:
        print("  ".join(cell.rjust(width) if column else cell.ljust(width) for column, (cell, width) in enumerate(zip(row, widths, strict=True))))
    ours, theirs = walls.values()
    print(f"\nQuire is {theirs[0] / ours[0]:.2f} times as fast in all, {theirs[1] / ours[1]:.2f} times by further page")


def say(text):
    print(text, file=sys.stderr, flush=True)


if __name__ == "__main__":
    main()
