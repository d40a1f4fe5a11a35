#!/usr/bin/env python3
"""Benchmarks Quire against other OCR engines on the same pages: prints time, memory and error rates of each.

    python3 tests/bench/compare.py [--pages DIR] [--kinds a,b] [--rounds 3] [--cores 2] [--peers quire,rapidocr,…]

Without --pages it generates pages of twenty kinds under target/, with make_pages.py. Another folder must contain
images, each with its ground truth in NAME.json (see make_pages.py); "file", "kind" and "segs" suffice.

Peers. Each runs in its own process, pinned to the same cores, one after the other, `--rounds` times:

    quire               the `quire` command end to end, release build
    engine              its engine alone: the example `read_pages`, with each of --providers
    rapidocr            RapidOCR 3.10.0 with its defaults, on ONNX Runtime
    rapidocr-openvino   the same on OpenVINO
    oar-ocr             oar-ocr 0.10.2 with its preset for PP-OCRv6, one pipeline per core
    tesseract           Tesseract with chi_sim and eng, if installed, one process per core

Pages whose ground truth has "amounts" and "digits" (the kind dotmatrix) are also scored by the share of amounts and of
single digits that were read exactly, see comparing/amounts.py.

All but Tesseract run the same models. pip and cargo install dependencies under target/ or CARGO_TARGET_DIR. See
comparing/score.py for the error rates.

Requires Linux, cargo, Python 3.10 or later, and an idle machine: other load distorts wall time; CPU time is less
sensitive.
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
    # These imports need packages of the environment.
    from comparing.amounts import number_rates
    from comparing.measure import measure_peers
    from comparing.pages import find_pages, texts_of
    from comparing.peers import prepare_peers
    from comparing.reliability import reliability, reliability_table
    from comparing.score import error_rates
    from comparing.table import report

    pages = find_pages(arguments.pages or generate_pages(arguments), arguments.kinds)
    kinds = list(dict.fromkeys(page["kind"] for page in pages))
    peers = prepare_peers(arguments)
    runs = measure_peers(peers, [str(page["path"]) for page in pages], arguments.rounds, arguments.cores)
    rates = {name: error_rates(pages, texts_of(run["lines"])) for name, run in runs.items()}
    numbers = {name: number_rates(pages, texts_of(run["lines"])) for name, run in runs.items()}
    machine = f"{len(pages)} pages, {arguments.rounds} rounds, medians; {arguments.cores} cores of {processor()}"
    machine += f"\n{', '.join(PACKAGES[:3]).replace('==', ' ')}, oar-ocr 0.10.2"
    print("\n" + "\n".join(report(machine, runs, rates, numbers, kinds, len(pages))))
    bins = {peer.name: reliability(pages, runs[peer.name]["lines"]) for peer in peers if peer.quire}
    for name, rows in bins.items():
        print(f"\n{name}: correct lines by confidence\n" + "\n".join(reliability_table(rows)))
    if arguments.json:
        raw = {
            "machine": machine,
            "load": os.getloadavg(),
            "pages": [{"file": page["file"], "kind": page["kind"]} for page in pages],
            "commands": {peer.name: peer.command for peer in peers},
            "runs": runs,
            "rates": rates,
            "numbers": numbers,
            "reliability": bins,
        }
        arguments.json.write_text(json.dumps(raw, ensure_ascii=False, indent=1), encoding="utf-8")


def generate_pages(arguments):
    """Generates pages and returns their folder. Takes seconds, so they are not cached."""
    from make_pages import make

    folder = TARGET / "bench-pages"
    shutil.rmtree(folder, ignore_errors=True)
    make(folder, arguments.kinds, arguments.pages_per_kind)
    return folder


def processor():
    """Returns the name of the processor and its vector extensions that matter for these models."""
    try:
        fields = dict(line.split(":", 1) for line in Path("/proc/cpuinfo").read_text().splitlines() if ":" in line)
    except OSError:
        return platform.machine()
    named = {key.strip(): value.strip() for key, value in fields.items()}
    flags = set(named.get("flags", "").split())
    has = [flag for flag in ("avx2", "avx512f", "avx512_vnni", "avx512_bf16", "amx_bf16") if flag in flags]
    return f"{named.get('model name', platform.machine())} ({', '.join(has)})"


def parse_arguments():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)

    def names(text):
        return text.split(",")

    parser.add_argument("--pages", type=Path, help="folder of images with ground truth (default: generated)")
    parser.add_argument("--kinds", type=names, help="comma-separated kinds of pages (default: all)")
    parser.add_argument("--pages-per-kind", type=int, default=3, help="generated pages per kind (default: 3)")
    parser.add_argument("--rounds", type=int, default=3, help="number of runs over all pages (default: 3)")
    parser.add_argument("--cores", type=int, default=2, help="cores for each peer (default: 2)")
    known = ["quire", "engine", "rapidocr", "rapidocr-openvino", "oar-ocr", "tesseract"]
    parser.add_argument("--peers", type=names, default=known, help="comma-separated peers (default: all)")
    both = ["onnxruntime", "openvino"]
    help_providers = f"comma-separated execution providers of the engine (default: {','.join(both)})"
    parser.add_argument("--providers", type=names, default=both, help=help_providers)
    parser.add_argument("--no-build", action="store_true", help="use the last builds of Quire and oar-ocr")
    parser.add_argument("--json", type=Path, help="file for all measurements and results, as JSON")
    arguments = parser.parse_args()
    unknown = set(arguments.peers) - set(known)
    if unknown:
        parser.error(f"unknown peer: {', '.join(sorted(unknown))}; expected: {', '.join(known)}")
    return arguments


if __name__ == "__main__":
    main()
