"""Measures wall time, CPU time and memory of each peer's process, on the same cores."""

import json
import os
import subprocess
import sys
import time
from pathlib import Path

from .environment import say

# Reading smaps_rollup is slow and blocks the process, so memory is sampled rarely.
SAMPLE_INTERVAL_SECS = 0.25


def measure_peers(peers, files, rounds, cores):
    """Returns by name of the peer: the costs of reading `one` page and `all` pages per round, and the `lines`.

    Each peer first reads one page as a warm-up, which fills the page cache and downloads dependencies.
    """
    runs = {peer.name: {"one": [], "all": [], "lines": None} for peer in peers}
    for peer in peers:
        say(f"{peer.name}: warm-up with one page")
        run(peer, files[:1], cores)
    for number in range(1, rounds + 1):
        for peer in peers:
            say(f"round {number} of {rounds}: {peer.name}")
            results = runs[peer.name]
            results["one"].append(run(peer, files[:1], cores)[0])
            cost, lines = run(peer, files, cores)
            results["all"].append(cost)
            if results["lines"] not in (None, lines):
                say(f"note: {peer.name} returned other lines than in the previous round")
            results["lines"] = lines
    return runs


def run(peer, files, cores):
    """Runs the peer; returns the costs of its process and children, and the lines they read."""
    command = [*peer.command, *files]
    allowed = sorted(os.sched_getaffinity(0))[:cores]
    before, started = os.times(), time.monotonic()
    process = subprocess.Popen(
        command,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        cwd=peer.folder,
        env={**os.environ, **peer.environment},
        preexec_fn=lambda: os.sched_setaffinity(0, allowed),
    )
    output, errors, memory = wait_with_memory(process)
    wall, after = time.monotonic() - started, os.times()
    if process.returncode != 0:
        sys.exit(f"{peer.name} ended with {process.returncode}:\n{errors.decode(errors='replace')[-2000:]}")
    cpu = after.children_user + after.children_system - before.children_user - before.children_system
    return {"wall": wall, "cpu": cpu, "memory": memory, "work": work_of(errors)}, peer.lines(output)


def wait_with_memory(process):
    """Returns stdout and stderr of the finished process, and the peak memory of it and its descendants in bytes."""
    peak = 0
    while True:
        try:
            return *process.communicate(timeout=SAMPLE_INTERVAL_SECS), peak
        except subprocess.TimeoutExpired:
            peak = max(peak, sum(map(proportional_bytes, process_tree(process.pid))))


def process_tree(pid):
    """Yields the process id and those of its descendants."""
    yield pid
    try:
        threads = list(Path(f"/proc/{pid}/task").iterdir())
        children = {child for thread in threads for child in (thread / "children").read_text().split()}
    except OSError:
        return
    for child in children:
        yield from process_tree(int(child))


def proportional_bytes(pid):
    """Returns the proportional set size (PSS): each of n processes counts 1/n of a shared page, so sums are exact."""
    try:
        for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
            if line.startswith("Pss:"):
                return int(line.split()[1]) * 1024
    except OSError:
        pass
    return 0


def work_of(errors):
    """Returns the work counters that Quire's example prints as the last line on stderr; None for other peers."""
    last = errors.decode(errors="replace").strip().splitlines()[-1:]
    try:
        found = json.loads(last[0]) if last else None
    except ValueError:
        return None
    return found if isinstance(found, dict) and "work" in found else None
