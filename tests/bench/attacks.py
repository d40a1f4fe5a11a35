#!/usr/bin/env python3
"""Memory and time of `quire serve` under attack: hostile documents, incomplete requests, and a task of many pages.

    cargo run --release -p quire-sandbox --example measure -- hostile FOLDER
    python3 tests/bench/attacks.py --documents FOLDER [--quire PROGRAM] [--limit-mb 1500] [--pages 100000]

Memory is the peak PSS of the server, its workers and their children. Each hostile document is sent alone to a server
with two workers. The benchmark fails if memory exceeds the limit, if `/healthz` or an ordinary request fails during an
attack, or if an attack is not refused. Everything stays on loopback, and takes a few minutes.
"""

import argparse
import contextlib
import os
import socket
import subprocess
import sys
import tempfile
import threading
import time
import urllib.request
from pathlib import Path

from sharing.documents import pdf, png
from sharing.memory import MB, tree_memory
from sharing.server import Server

ROOT = Path(__file__).resolve().parents[2]
# Incomplete requests, with a hard limit of as many descriptors as many systems have.
DESCRIPTORS = 1024
CONNECTIONS = 1100
ENDLESS_MB = 250
PAGES_PER_PDF = 3000
PATIENCE = 120


def main():
    arguments = parse_arguments()
    quire = str(arguments.quire or build_quire())
    faults = []
    print(f"{'attack':<34} {'peak MB':>8} {'seconds':>8}  outcome")
    for attack in attacks(arguments):
        with tempfile.TemporaryDirectory(prefix="quire-attacks-") as data:
            with attack.server(quire, data) as server, PeakMemory(server.process.pid) as peak:
                began = time.monotonic()
                outcome, fault = attack.run(server)
                took = time.monotonic() - began
        print(f"{attack.name:<34} {peak.bytes / MB:8.0f} {took:8.1f}  {outcome}", flush=True)
        if peak.bytes > arguments.limit_mb * MB:
            fault = f"uses {peak.bytes / MB:.0f} MB"
        if fault:
            faults.append(f"{attack.name}: {fault}")
    if faults:
        sys.exit("attacks: " + "; ".join(faults))


def parse_arguments():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--documents", type=Path, help="folder of hostile PDFs")
    parser.add_argument("--quire", type=Path, help="path of the command (default: build it for release)")
    parser.add_argument("--limit-mb", type=float, default=1500, help="maximum PSS in 10⁶ bytes (default: 1500)")
    parser.add_argument("--pages", type=int, default=100_000, help="pages of the large task (default: 100000)")
    return parser.parse_args()


def build_quire():
    subprocess.run(["cargo", "build", "--release", "--quiet", "-p", "quire"], cwd=ROOT, check=True)
    return Path(os.environ.get("CARGO_TARGET_DIR", ROOT / "target")) / "release" / "quire"


def attacks(arguments):
    if arguments.documents:
        yield from (HostileDocument(path) for path in sorted(arguments.documents.glob("*.pdf")))
    yield IncompleteHeaders()
    yield EndlessPart("multipart header", b'--b\r\nContent-Disposition: form-data; name="image"; x="')
    yield EndlessPart("multipart preamble", b"")
    yield LargeTask(arguments.pages)


class PeakMemory:
    """Samples the memory of a process tree, ten times a second."""

    def __init__(self, pid):
        self.pid, self.bytes, self.stop = pid, 0, threading.Event()
        self.thread = threading.Thread(target=self._sample, daemon=True)

    def __enter__(self):
        self.thread.start()
        return self

    def __exit__(self, *_):
        self.stop.set()
        self.thread.join()

    def _sample(self):
        while not self.stop.wait(0.1):
            self.bytes = max(self.bytes, tree_memory(self.pid)[0])


class HostileDocument:
    """One document, read by two workers; the fault is an unhealthy server afterwards."""

    def __init__(self, path):
        self.name, self.document = path.stem, path.read_bytes()

    def server(self, quire, data):
        return Server(quire, data, 2, PATIENCE)

    def run(self, server):
        client = server.client("a")
        task = client.post_files("/ocr/async", [self.document])["task_id"]
        deadline = time.monotonic() + PATIENCE
        state = {"status": "queued"}
        while state["status"] in ("queued", "processing"):
            if time.monotonic() > deadline:
                return state["status"], f"has not ended after {PATIENCE} s"
            state = client.get(f"/task/{task}?wait=20")
        page = client.get(f"/task/{task}/pages")["pages"][0]
        error = page.get("error") or {}
        return f"{state['status']} {error.get('code', '')}", health_fault(server)


class IncompleteHeaders:
    """More connections than descriptors, each with half a header."""

    name = f"{CONNECTIONS} incomplete headers"

    def server(self, quire, data):
        return Server(quire, data, 0, PATIENCE, prefix=["prlimit", f"--nofile={DESCRIPTORS}:{DESCRIPTORS}"])

    def run(self, server):
        address = server.address()
        with contextlib.ExitStack() as stack:
            for _ in range(CONNECTIONS):
                # A refused or reset connection is what the server is allowed to do.
                with contextlib.suppress(OSError):
                    connection = stack.enter_context(socket.create_connection(address, timeout=5))
                    connection.sendall(b"GET /healthz HTTP/1.1\r\nHost: localhost\r\nX: ")
            began = time.monotonic()
            fault = health_fault(server)
            return f"/healthz in {time.monotonic() - began:.2f} s", fault


class EndlessPart:
    """A multipart body whose header, or what precedes its first part, does not end."""

    def __init__(self, kind, start):
        self.name, self.start = f"{kind} of {ENDLESS_MB} MB", start

    def server(self, quire, data):
        return Server(quire, data, 0, PATIENCE)

    def run(self, server):
        length = len(self.start) + ENDLESS_MB * 1_000_000
        head = (f"POST /ocr HTTP/1.1\r\nHost: {server.url.removeprefix('http://')}\r\n"
                f"Authorization: Bearer {server.keys['a']}\r\nContent-Length: {length}\r\n"
                "Content-Type: multipart/form-data; boundary=b\r\n\r\n")
        with socket.create_connection(server.address(), timeout=PATIENCE) as connection:
            # The server may answer, and close, before everything is sent.
            with contextlib.suppress(OSError):
                connection.sendall(head.encode() + self.start)
                for _ in range(ENDLESS_MB):
                    connection.sendall(b"x" * 1_000_000)
            status = b""
            with contextlib.suppress(OSError):
                status = connection.recv(1000).split(b"\r\n")[0]
        fault = health_fault(server)
        return status.decode() or "closed", "is accepted" if status.split()[1:2] == [b"200"] else fault


class LargeTask:
    """A task of many pages, whose status is read."""

    def __init__(self, pages):
        self.files = -(-pages // PAGES_PER_PDF)
        self.pages = self.files * PAGES_PER_PDF
        self.name = f"status of a task of {self.pages} pages"

    def server(self, quire, data):
        return Server(quire, data, 0, PATIENCE, environment={"QUIRE_DEFAULT_PAGES_PER_TASK": "1000000000"})

    def run(self, server):
        client = server.client("a")
        task = client.post_files("/ocr/async", [pdf(PAGES_PER_PDF)] * self.files)["task_id"]
        deadline = time.monotonic() + 10 * PATIENCE
        while True:
            began = time.monotonic()
            state = client.get(f"/task/{task}")
            took = time.monotonic() - began
            if state["progress"]["pages"] == self.pages:
                return f"GET /task in {took:.2f} s", health_fault(server)
            if time.monotonic() > deadline:
                return "not split", f"has {state['progress']} after {10 * PATIENCE} s"
            time.sleep(1)


def health_fault(server):
    """Returns what is wrong with the server, or None: it must be healthy, and accept an ordinary image."""
    try:
        with urllib.request.urlopen(server.url + "/healthz", timeout=10) as response:
            response.read()
        server.client("b").post_files("/ocr/async", [png(40, 40)])
    except OSError as error:
        return f"the server does not respond normally: {error}"
    return None


if __name__ == "__main__":
    main()
