#!/usr/bin/env python3
"""Reads the same pages with Quire and with its peers, side by side, and prints what each costs and gets wrong.

    python3 tests/bench/compare.py [--pages DIR] [--kinds a,b] [--rounds 3] [--cores 2] [--peers quire,rapidocr,…]

Without --pages it makes pages of twelve kinds, with make_pages.py, under target/. Another folder holds images, each with
its truth beside it: NAME.json as make_pages.py describes it; "file", "kind" and "segs" will do.

Peers, all on the same cores, each in a process of its own, in turns, `--rounds` times:

    quire               the `quire` command with the whole journey, built for release
    engine              its engine alone: the example `read_pages`, on each of --providers
    rapidocr            RapidOCR 3.10.0 as it comes, on ONNX Runtime
    rapidocr-openvino   the same on OpenVINO
    oar-ocr             oar-ocr 0.10.2 as its preset for PP-OCRv6 comes, a pipeline a core
    tesseract           Tesseract with chi_sim and eng, where it is installed, a process a core

All but Tesseract run the same models. What they need is installed under target/, or under CARGO_TARGET_DIR, by pip and
cargo. How wrongness is measured says comparing/score.py.

It needs Linux, cargo and Python 3.10 or later, and a machine that does nothing else: wall time is only as good as the
machine is quiet. CPU time is less sensitive.
"""

import argparse
import json
import os
import platform
import shutil
from pathlib import Path

from comparing.environment import PACKAGES, TARGET, enter_environment


def main():
    arguments = parse_arguments()
    enter_environment()
    # These are installed in the environment, and only there.
    from comparing.measure import measured
    from comparing.pages import find_pages, texts_of
    from comparing.peers import prepared
    from comparing.reliability import reliability, reliability_table
    from comparing.score import error_rates
    from comparing.table import report

    pages = find_pages(arguments.pages or made(arguments), arguments.kinds)
    kinds = list(dict.fromkeys(page["kind"] for page in pages))
    peers = prepared(arguments)
    runs = measured(peers, [str(page["path"]) for page in pages], arguments.rounds, arguments.cores)
    rates = {name: error_rates(pages, texts_of(run["lines"])) for name, run in runs.items()}
    machine = f"{len(pages)} pages, {arguments.rounds} rounds, medians; {arguments.cores} cores of {processor()}"
    machine += f"\n{', '.join(PACKAGES[:3]).replace('==', ' ')}, oar-ocr 0.10.2"
    print("\n" + "\n".join(report(machine, runs, rates, kinds, len(pages))))
    bins = {peer.name: reliability(pages, runs[peer.name]["lines"]) for peer in peers if peer.quire}
    for name, rows in bins.items():
        print(f"\n{name}: how many lines are right, by their confidence\n" + "\n".join(reliability_table(rows)))
    if arguments.json:
        raw = {
            "machine": machine,
            "load": os.getloadavg(),
            "pages": [{"file": page["file"], "kind": page["kind"]} for page in pages],
            "commands": {peer.name: peer.command for peer in peers},
            "runs": runs,
            "rates": rates,
            "reliability": bins,
        }
        arguments.json.write_text(json.dumps(raw, ensure_ascii=False, indent=1), encoding="utf-8")


def made(arguments):
    """The folder of pages that are made here: anew each time, which takes seconds."""
    from make_pages import make

    folder = TARGET / "bench-pages"
    shutil.rmtree(folder, ignore_errors=True)
    make(folder, arguments.kinds, arguments.pages_per_kind)
    return folder


def processor():
    """The processor's name and what it has for these models, where the system says it."""
    try:
        told = dict(line.split(":", 1) for line in Path("/proc/cpuinfo").read_text().splitlines() if ":" in line)
    except OSError:
        return platform.machine()
    named = {key.strip(): value.strip() for key, value in told.items()}
    flags = set(named.get("flags", "").split())
    has = [flag for flag in ("avx2", "avx512f", "avx512_vnni", "avx512_bf16", "amx_bf16") if flag in flags]
    return f"{named.get('model name', platform.machine())} ({', '.join(has)})"


def parse_arguments():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)

    def names(text):
        return text.split(",")

    parser.add_argument("--pages", type=Path, help="the folder of images and truths (made)")
    parser.add_argument("--kinds", type=names, help="only these kinds of pages, with commas between (all)")
    parser.add_argument("--pages-per-kind", type=int, default=3, help="how many pages are made of each kind (3)")
    parser.add_argument("--rounds", type=int, default=3, help="how often each reads all pages (3)")
    parser.add_argument("--cores", type=int, default=2, help="how many cores each may use (2)")
    known = ["quire", "engine", "rapidocr", "rapidocr-openvino", "oar-ocr", "tesseract"]
    parser.add_argument("--peers", type=names, default=known, help="who reads, with commas between (all)")
    both = ["onnxruntime", "openvino"]
    parser.add_argument("--providers", type=names, default=both, help=f"what runs the engine's models ({','.join(both)})")
    parser.add_argument("--no-build", action="store_true", help="take Quire and oar-ocr as they were built last")
    parser.add_argument("--json", type=Path, help="a file for everything that was measured and read")
    arguments = parser.parse_args()
    unknown = set(arguments.peers) - set(known)
    if unknown:
        parser.error(f"no such peer: {', '.join(sorted(unknown))}; there are {', '.join(known)}")
    return arguments


if __name__ == "__main__":
    main()
