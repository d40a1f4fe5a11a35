#!/usr/bin/env python3
"""Fairness between tenants: the latency of a well-behaved tenant B, alone and next to a misbehaving tenant A, per pool.

    python3 tests/bench/fairness.py [--quire PROGRAM] [--pool NAME…] [--limit 2] [--json FILE]

For each pool it starts `quire serve --dev` on loopback with an API key of each tenant, and slow servers on 127.0.0.1.
B sends requests one after the other, first alone, then while A misuses the pool. The table has the median of B's
latencies, and their ratio. A probe that takes longer than `--patience` seconds ends there and counts as that long.

Latencies of a few milliseconds vary with the machine: a difference below `--noise` seconds counts as equal. The
benchmark fails if a ratio exceeds `--limit`, or if B gets an error. It takes about three minutes for all pools.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

from sharing.pools import POOLS
from sharing.server import Server, SlowServers

ROOT = Path(__file__).resolve().parents[2]


def main():
    arguments = parse_arguments()
    quire = str(arguments.quire or build_quire())
    results = []
    print(f"{'pool':<12} {'B alone':>9} {'next to A':>10} {'ratio':>7}  {'probes':>6}  what A does")
    for pool in POOLS:
        if not arguments.pool or pool.name in arguments.pool:
            results.append(measure(pool, quire, arguments))
            print(row(results[-1]), flush=True)
    if arguments.json:
        arguments.json.write_text(json.dumps(results, indent=1))
    unfair = [result["pool"] for result in results if result["ratio"] > arguments.limit or result["errors"]]
    if unfair:
        sys.exit(f"fairness: a ratio above {arguments.limit:g}, or errors: {', '.join(unfair)}")


def parse_arguments():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quire", type=Path, help="path of the command (default: build it for release)")
    parser.add_argument("--pool", nargs="*", choices=[pool.name for pool in POOLS], help="only these pools")
    parser.add_argument("--limit", type=float, default=2, help="maximum ratio (default: 2)")
    parser.add_argument("--noise", type=float, default=0.1, help="seconds that do not count (default: 0.1)")
    parser.add_argument("--probes", type=int, default=7, help="requests of B per measurement (default: 7)")
    parser.add_argument("--patience", type=float, default=20, help="maximum seconds of a probe (default: 20)")
    parser.add_argument("--json", type=Path, help="file for all figures")
    return parser.parse_args()


def build_quire():
    subprocess.run(["cargo", "build", "--release", "--quiet", "-p", "quire"], cwd=ROOT, check=True)
    return Path(os.environ.get("CARGO_TARGET_DIR", ROOT / "target")) / "release" / "quire"


def measure(pool, quire, arguments):
    with tempfile.TemporaryDirectory(prefix="quire-fairness-") as data, SlowServers() as slow:
        with Server(quire, data, pool.workers, arguments.patience) as server:
            tenants = {name: server.client(name) for name in ("a", "b")}
            probe = pool.probe(tenants["b"], slow)
            probe()
            alone, errors_alone = run_probes(probe, arguments)
            stop = threading.Event()
            pool.misuse(tenants["a"], slow, stop)
            # What A has begun must have reached the pool.
            time.sleep(pool.settle_secs)
            beside, errors_beside = run_probes(probe, arguments)
            stop.set()
    quiet, loud = statistics.median(alone), statistics.median(beside)
    ratio = 1.0 if loud - quiet < arguments.noise else loud / quiet
    return {"pool": pool.name, "alone": alone, "beside": beside, "alone_secs": quiet, "beside_secs": loud,
            "ratio": ratio, "errors": errors_alone + errors_beside, "misuse": pool.misuse.__doc__}


def run_probes(probe, arguments):
    """Returns the latencies of B's requests, and its errors. Stops early when they take long."""
    latencies, errors = [], []
    started = time.monotonic()
    while len(latencies) < arguments.probes and time.monotonic() - started < arguments.patience:
        begun = time.monotonic()
        try:
            probe()
        except TimeoutError:
            latencies.append(arguments.patience)
            continue
        except OSError as error:
            errors.append(repr(error))
        latencies.append(min(time.monotonic() - begun, arguments.patience))
    return latencies, errors


def row(result):
    counts = f"{len(result['alone'])}+{len(result['beside'])}"
    note = f"  ERRORS: {result['errors'][0]}" if result["errors"] else ""
    return (f"{result['pool']:<12} {result['alone_secs']:8.3f}s {result['beside_secs']:9.3f}s {result['ratio']:7.1f}"
            f"  {counts:>6}  {result['misuse']}{note}")


if __name__ == "__main__":
    main()
