#!/usr/bin/env python3
"""Soak test: `quire serve` reads thousands of pages of different sizes; fails when its memory grows.

    python3 tests/bench/soak.py [--pages DIR] [--pages-to-read 10000] [--workers 2] [-- ARGUMENT OF quire serve…]

Each page is a random crop of an image in DIR (default: samples/), determined by a seed: a line or two, from 100 pixels
to the full width, since new shapes fill caches. One in `--whole-every` is a whole image. Clients, twice as many as
workers, send them over HTTP in small batches. As a warm-up, each worker reads a few whole images: afterwards memory
must stay at the level that the largest pages need.

Memory is that of the server and its descendants: PSS, which counts shared memory once, and RSS. Each row of the table
is one sixteenth of the pages, with the median and the peak. The test fails if the median of the last quarter is more
than `--growth` above that of the second (the first fills caches), if PSS ever exceeds `--limit-mb`, if a worker is
restarted, or if a page is not read.
"""

import argparse
import io
import json
import os
import random
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import threading
import time
import urllib.error
import urllib.request
import uuid
from pathlib import Path

from sharing.memory import MB, tree_memory

try:
    from PIL import Image
except ImportError:
    Image = None

ROOT = Path(__file__).resolve().parents[2]
VENV = ROOT / "target" / "soak-venv"
PACKAGES = ["pillow==13.0.0"]
IMAGES = {".png", ".jpg", ".jpeg", ".tif", ".tiff", ".webp", ".bmp"}
BATCH = 10
# Whole images per worker in the warm-up.
WARM_UP = 3
ROWS = 16


def main():
    arguments = parse_arguments()
    # Shells start background jobs with SIGINT ignored, so SIGTERM also interrupts.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    use_environment()
    images = find_images(arguments.pages)
    quire = str(arguments.quire or build_quire())
    with tempfile.TemporaryDirectory(prefix="quire-soak-") as data:
        server = Server(quire, data, arguments)
        try:
            warm_up(server, images, arguments)
            samples, done = soak(server, images, arguments)
            restarts = server.health()["workers"]["restarts"]
        finally:
            server.stop()
    if arguments.out:
        arguments.out.write_text(json.dumps(samples))
    sys.exit(report(samples, done, restarts, arguments))


def parse_arguments():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pages", type=Path, default=ROOT / "samples", help="folder of images (default: samples/)")
    parser.add_argument("--pages-to-read", type=int, default=10_000, help="number of pages (default: 10000)")
    parser.add_argument("--workers", type=int, default=2, help="worker processes (default: 2)")
    help_whole = "one page in this many is a whole image (default: 200)"
    parser.add_argument("--whole-every", type=int, default=200, help=help_whole)
    parser.add_argument("--height", type=int, default=90, help="maximum height of crops in pixels (default: 90)")
    parser.add_argument("--limit-mb", type=float, default=700, help="maximum PSS in 10⁶ bytes (default: 700)")
    parser.add_argument("--growth", type=float, default=0.05, help="maximum growth of memory (default: 0.05)")
    parser.add_argument("--every", type=float, default=2, help="sampling interval in seconds (default: 2)")
    parser.add_argument("--seed", type=int, default=1, help="seed of the random generator (default: 1)")
    parser.add_argument("--quire", type=Path, help="path of the command (default: build it for release)")
    parser.add_argument("--out", type=Path, help="file for all samples, as JSON")
    parser.add_argument("serve", nargs="*", help="further arguments of `quire serve`, after --")
    return parser.parse_args()


def use_environment():
    """Restarts this script in a virtual environment with Pillow, which is created once under target/."""
    if Image is not None:
        return
    python = VENV / "bin" / "python"
    if not python.is_file():
        say("installing Pillow under target/")
        subprocess.run([sys.executable, "-m", "venv", str(VENV)], check=True)
    subprocess.run([str(python), "-m", "pip", "install", "--quiet", *PACKAGES], check=True)
    os.execv(python, [str(python), __file__, *sys.argv[1:]])


def build_quire():
    say("building Quire for release")
    subprocess.run(["cargo", "build", "--release", "--quiet", "-p", "quire"], cwd=ROOT, check=True)
    return Path(os.environ.get("CARGO_TARGET_DIR", ROOT / "target")) / "release" / "quire"


def find_images(folder):
    images = sorted(path for path in folder.iterdir() if path.suffix.lower() in IMAGES)
    if not images:
        sys.exit(f"soak: {folder} has no images")
    return images


class Server:
    """A `quire serve` process on a free port, with its own data folder."""

    def __init__(self, quire, data, arguments):
        listen = f"127.0.0.1:{free_port()}"
        command = [quire, "serve", "--listen", listen, "--data", data, "--workers", str(arguments.workers),
                   *arguments.serve]
        # Long timeouts: this test is about memory, and the machine may be busy.
        environment = {"QUIRE_PAGE_LIMIT_SECS": "1800", "QUIRE_SYNC_LIMIT_SECS": "3600", **os.environ}
        self.process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True, env=environment)
        self.url = f"http://{listen}"
        self.expected_workers = arguments.workers
        self.tail = []
        reader = threading.Thread(target=self._read_log, daemon=True)
        reader.start()
        self._await_ready()

    def _read_log(self):
        # Drains the log, so that a full pipe does not block the server.
        for line in self.process.stderr:
            self.tail = [*self.tail[-20:], line]

    def _await_ready(self):
        for _ in range(1200):
            if self.process.poll() is not None:
                sys.exit("soak: quire serve exited:\n" + "".join(self.tail))
            if self.health()["workers"]["ready"] == self.expected_workers:
                return
            time.sleep(0.1)
        self.process.kill()
        sys.exit("soak: timeout: quire serve does not become ready:\n" + "".join(self.tail))

    def health(self):
        try:
            with urllib.request.urlopen(self.url + "/healthz", timeout=30) as response:
                return json.load(response)
        except urllib.error.HTTPError as error:
            return json.load(error)
        except OSError:
            return {"workers": {"ready": 0}}

    def read(self, pages):
        """Sends images as one batch and returns how many were read. Deletes the task afterwards to free disk space."""
        boundary = uuid.uuid4().hex
        body = b"".join(
            f'--{boundary}\r\nContent-Disposition: form-data; name="images"; filename="{index}.png"\r\n'
            "Content-Type: image/png\r\n\r\n".encode() + page + b"\r\n" for index, page in enumerate(pages))
        body += f"--{boundary}--\r\n".encode()
        headers = {"Content-Type": f"multipart/form-data; boundary={boundary}"}
        request = urllib.request.Request(self.url + "/ocr/batch", data=body, headers=headers)
        with urllib.request.urlopen(request, timeout=3600) as response:
            entries = json.load(response)
        if not isinstance(entries, list):
            return self._await_task(entries["task_id"])
        self._delete(entries[0]["task_id"])
        for entry in entries:
            if "error" in entry:
                say(f"error: a page was not read: {entry['error']}")
        return sum("error" not in entry for entry in entries)

    def _await_task(self, task):
        """Polls a task that took longer than the sync limit."""
        while True:
            with urllib.request.urlopen(f"{self.url}/task/{task}?wait=20", timeout=60) as response:
                state = json.load(response)
            if state["status"] not in ("queued", "processing"):
                self._delete(task)
                return state["progress"]["succeeded"]

    def _delete(self, task):
        urllib.request.urlopen(urllib.request.Request(f"{self.url}/task/{task}", method="DELETE"), timeout=60).close()

    def memory(self):
        """Returns PSS and RSS of the process tree in bytes."""
        return tree_memory(self.process.pid)

    def stop(self):
        self.process.terminate()
        try:
            self.process.wait(timeout=150)
        except subprocess.TimeoutExpired:
            self.process.kill()


def free_port():
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


class Progress:
    """State that the clients share: the next page, and the numbers of responses and read pages."""

    def __init__(self, total):
        self.lock = threading.Lock()
        self.total, self.taken, self.answered, self.read = total, 0, 0, 0

    def take(self, most):
        with self.lock:
            count = min(most, self.total - self.taken)
            self.taken += count
            return range(self.taken - count, self.taken)

    def put(self, answered, read):
        with self.lock:
            self.answered += answered
            self.read += read


def soak(server, images, arguments):
    """Returns samples of (seconds, pages with a response, PSS, RSS), and the final progress."""
    progress = Progress(arguments.pages_to_read)
    clients = [threading.Thread(target=client, args=(server, images, progress, arguments), daemon=True)
               for _ in range(2 * arguments.workers)]
    started, reported = time.monotonic(), 0
    samples = [(0.0, 0, *server.memory())]
    for thread in clients:
        thread.start()
    while any(thread.is_alive() for thread in clients):
        try:
            time.sleep(arguments.every)
        except KeyboardInterrupt:
            say("interrupted: reporting the pages so far")
            progress.total = progress.answered
            break
        samples.append((time.monotonic() - started, progress.answered, *server.memory()))
        if server.process.poll() is not None:
            sys.exit("soak: quire serve exited:\n" + "".join(server.tail))
        if progress.answered - reported >= arguments.pages_to_read / ROWS:
            reported = progress.answered
            say(f"{reported} pages, {samples[-1][2] / MB:.0f} MB")
    return samples, progress


def client(server, images, progress, arguments):
    while pages := progress.take(BATCH):
        try:
            read = server.read(crop_pages(images, pages, arguments))
        except (OSError, ValueError, KeyError) as error:
            say(f"error: a batch failed: {error!r}")
            read = 0
        progress.put(len(pages), read)


def crop_pages(images, pages, arguments):
    """Returns the pages with these numbers as PNG, all crops of one image. Deterministic for a seed."""
    image = Image.open(images[(pages[0] // BATCH) % len(images)]).convert("RGB")
    crops = []
    for page in pages:
        chance = random.Random(f"{arguments.seed}/{page}")
        if page % arguments.whole_every == 0:
            crops.append(png(image))
            continue
        # More short lines than long ones, as in real documents.
        width = min(100, image.width) + int((image.width - min(100, image.width)) * chance.random() ** 2)
        height = chance.randint(min(40, image.height), min(arguments.height, image.height))
        left, top = chance.randint(0, image.width - width), chance.randint(0, image.height - height)
        crops.append(png(image.crop((left, top, left + width, top + height))))
    return crops


def png(image):
    out = io.BytesIO()
    image.save(out, "PNG", compress_level=1)
    return out.getvalue()


def warm_up(server, images, arguments):
    count = min(len(images), WARM_UP * arguments.workers)
    chosen = [images[index * len(images) // count] for index in range(count)]
    server.read([png(Image.open(path).convert("RGB")) for path in chosen])


def report(samples, done, restarts, arguments):
    print(f"{'pages read':>16}  {'seconds':>8}  {'PSS MB, median':>14}  {'peak':>6}  {'RSS MB, median':>14}")
    total = done.total
    for row in range(ROWS):
        low, high = total * row / ROWS, total * (row + 1) / ROWS
        of_row = between(samples, low, high)
        if of_row:
            pss, rss = [sample[2] / MB for sample in of_row], [sample[3] / MB for sample in of_row]
            print(f"{low:7.0f} – {high:6.0f}  {of_row[-1][0]:8.0f}  {statistics.median(pss):14.0f}  {max(pss):6.0f}"
                  f"  {statistics.median(rss):14.0f}")
    peak = max(sample[2] for sample in samples) / MB
    second, last = (between(samples, total * quarter / 4, total * (quarter + 1) / 4) for quarter in (1, 3))
    wrong = []
    if len(second) < 3 or len(last) < 3:
        wrong.append("too few samples of memory: read more pages, or sample more often (--every)")
    else:
        before, after = (statistics.median(sample[2] for sample in quarter) / MB for quarter in (second, last))
        growth = f"{after / before - 1:+.1%}"
        print(f"second quarter {before:.0f} MB, last quarter {after:.0f} MB: {growth}; peak {peak:.0f} MB")
        if after > before * (1 + arguments.growth):
            wrong.append(f"memory grew by more than {arguments.growth:.0%}")
    if peak > arguments.limit_mb:
        wrong.append(f"memory exceeded {arguments.limit_mb:.0f} MB")
    if done.read < total:
        wrong.append(f"{total - done.read} of {total} pages were not read")
    if restarts:
        wrong.append(f"workers were restarted {restarts} times")
    for reason in wrong:
        print(f"FAILED: {reason}")
    return 1 if wrong else 0


def between(samples, low, high):
    return [sample for sample in samples if low <= sample[1] < high]


def say(text):
    print(f"soak: {text}", file=sys.stderr, flush=True)


if __name__ == "__main__":
    main()
