"""What reading costs: processes on the same cores, in turns, with their time and their memory."""

import json
import os
import subprocess
import sys
import time
from pathlib import Path

from .environment import say

# Reading a process's memory map takes the kernel a while, and stops the process meanwhile.
LOOK_SECS = 0.25


def measured(peers, files, rounds, cores):
    """For each peer by name: what it cost to read one page, `one`, and all of them, `all`, round by round; and its lines.

    Each reads one page before any clock runs, so that files are in the system's cache, and so that what is fetched once
    has been fetched.
    """
    runs = {peer.name: {"one": [], "all": [], "lines": None} for peer in peers}
    for peer in peers:
        say(f"{peer.name}: one page, before any clock runs")
        run(peer, files[:1], cores)
    for number in range(1, rounds + 1):
        for peer in peers:
            say(f"round {number} of {rounds}: {peer.name}")
            so_far = runs[peer.name]
            so_far["one"].append(run(peer, files[:1], cores)[0])
            cost, lines = run(peer, files, cores)
            so_far["all"].append(cost)
            if so_far["lines"] not in (None, lines):
                say(f"{peer.name} read something else than in the round before")
            so_far["lines"] = lines
    return runs


def run(peer, files, cores):
    """What the peer's process and its children cost, and the lines that they read."""
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
    output, errors, memory = ended(process)
    wall, after = time.monotonic() - started, os.times()
    if process.returncode != 0:
        sys.exit(f"{peer.name} ended with {process.returncode}:\n{errors.decode(errors='replace')[-2000:]}")
    cpu = after.children_user + after.children_system - before.children_user - before.children_system
    return {"wall": wall, "cpu": cpu, "memory": memory, "work": work_of(errors)}, peer.lines(output)


def ended(process):
    """Both outputs of the process when it has ended, and the most memory that it and its descendants held."""
    most = 0
    while True:
        try:
            return *process.communicate(timeout=LOOK_SECS), most
        except subprocess.TimeoutExpired:
            most = max(most, sum(map(proportional_bytes, family(process.pid))))


def family(pid):
    """The process and its descendants."""
    yield pid
    try:
        threads = list(Path(f"/proc/{pid}/task").iterdir())
        children = {child for thread in threads for child in (thread / "children").read_text().split()}
    except OSError:
        return
    for child in children:
        yield from family(int(child))


def proportional_bytes(pid):
    """The process's proportional set size: what n processes share counts for 1/n in each, so that these sizes add up."""
    try:
        for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
            if line.startswith("Pss:"):
                return int(line.split()[1]) * 1024
    except OSError:
        pass
    return 0


def work_of(errors):
    """The last line on standard error, where it is the JSON in which Quire's example says what reading has cost."""
    last = errors.decode(errors="replace").strip().splitlines()[-1:]
    try:
        found = json.loads(last[0]) if last else None
    except ValueError:
        return None
    return found if isinstance(found, dict) and "work" in found else None
