#!/usr/bin/env python3
"""Benchmarks PP-OCR on a GPU: throughput by batch size and reader threads, device utilization, memory, and latency at
low load; or, without a GPU, the pipeline around it with a stub that takes the time of a GPU.

    ORT_DYLIB_PATH=…/libonnxruntime.so LD_LIBRARY_PATH=… tests/bench/on_gpu.py [--device cuda|tensorrt] PAGE…
    tests/bench/on_gpu.py --stub PAGE…

Both build the example `gpu_pipeline` of `quire-pp-ocr` first, for a GPU with `--features cuda`. The first row is the
baseline: one page and one line at a time; other rows show their speedup over it. `busy` is the share of time in which
the device thread had a model run in flight, `gpu` the utilization by nvidia-smi, `cpu` the CPU time per page with
decoding.
"""

import argparse
import json
import statistics
import subprocess
import threading
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
EXAMPLE = ROOT / "target/release/examples/gpu_pipeline"
QUERY = ["nvidia-smi", "--query-gpu=utilization.gpu,memory.used", "--format=csv,noheader,nounits"]


class GpuMonitor:
    """Samples nvidia-smi while a command runs: median utilization and peak memory in MB."""

    def __init__(self, has_gpu):
        self.has_gpu, self.samples, self.stopped = has_gpu, [], threading.Event()

    def __enter__(self):
        self.thread = threading.Thread(target=self.sample)
        self.thread.start()
        return self

    def __exit__(self, *_):
        self.stopped.set()
        self.thread.join()

    def sample(self):
        while self.has_gpu and not self.stopped.wait(0.2):
            line = subprocess.run(QUERY, check=True, capture_output=True, text=True).stdout.splitlines()[0]
            self.samples.append([float(value) for value in line.split(",")])

    def metrics(self):
        if not self.samples:
            return {"gpu": None, "memory_mb": None}
        used, memory = zip(*self.samples)
        working = [value for value in used if value > 0]
        return {"gpu": statistics.median(working) / 100 if working else 0.0, "memory_mb": max(memory)}


def build(arguments):
    command = ["cargo", "build", "--quiet", "--release", "-p", "quire-pp-ocr", "--example", "gpu_pipeline"]
    subprocess.run(command + ([] if arguments.stub else ["--features", "cuda"]), cwd=ROOT, check=True)


def measure(arguments, *options):
    """Runs the example; returns its measurements and those of the device."""
    stub = ["--device", "stub", "--slower", str(arguments.slower)]
    device = stub if arguments.stub else ["--device", arguments.device]
    command = [str(arguments.example), *device, *map(str, options), *map(str, arguments.pages)]
    with GpuMonitor(not arguments.stub) as monitor:
        answer = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    return json.loads(answer) | monitor.metrics()


def row(name, found, base):
    gpu = "-" if found["gpu"] is None else f"{found['gpu']:.0%}"
    memory = "-" if found["memory_mb"] is None else f"{found['memory_mb']:.0f}"
    latency = found["latency_ms"]
    times = found["pages_a_second"] / base["pages_a_second"]
    return (f"{name:24} {found['pages_a_second']:8.1f} {times:6.1f}x {found['device_busy']:6.0%} {gpu:>5} {memory:>7} "
            f"{found['cpu_ms_a_page']:7.1f} {latency['p50']:8.0f} {latency['p95']:8.0f} {found['waste'][1]:6.0%}")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--stub", action="store_true", help="use a stub instead of a GPU")
    parser.add_argument("--slower", type=float, default=1.0, help="factor of the stub's time, for fewer CPU cores")
    parser.add_argument("--device", choices=["cuda", "tensorrt"], default="cuda")
    parser.add_argument("--count", type=int, default=2000, help="pages per row; a tenth for the first and last row")
    parser.add_argument("--batches", type=int, nargs="+", default=[1, 4, 16, 32])
    parser.add_argument("--readers", type=int, nargs="+", default=[1, 2, 4])
    parser.add_argument("--every-ms", type=int, default=200, help="interval between pages at low load")
    parser.add_argument("--example", type=Path, help="path of a built example (default: build it)")
    parser.add_argument("pages", nargs="+", type=Path)
    arguments = parser.parse_args()
    if arguments.example is None:
        build(arguments)
        arguments.example = EXAMPLE
    few = max(arguments.count // 10, len(arguments.pages))
    print(f"{'':24} {'pages/s':>8} {'':>7} {'busy':>6} {'gpu':>5} {'MB':>7} {'cpu ms':>7} "
          f"{'p50 ms':>8} {'p95 ms':>8} {'waste':>6}")
    base = measure(arguments, "--one-at-a-time", "--pages", few)
    print(row("one at a time", base, base), flush=True)
    for batch in arguments.batches:
        for readers in arguments.readers:
            found = measure(arguments, "--batch", batch, "--readers", readers, "--pages", arguments.count)
            print(row(f"batch {batch}, readers {readers}", found, base), flush=True)
    found = measure(arguments, "--every-ms", arguments.every_ms, "--pages", few)
    print(row(f"a page every {arguments.every_ms} ms", found, base), flush=True)


if __name__ == "__main__":
    main()
