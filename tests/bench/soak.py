#!/usr/bin/env python3
"""Has `quire serve` read thousands of pages of ever new sizes, and fails when its memory grows.

    python3 tests/bench/soak.py [--pages DIR] [--pages-to-read 10000] [--workers 2] [-- ARGUMENT OF quire serve…]

Every page is a piece of an image of DIR (of samples/ where none is named), cut out at random by a seed: a line or two of
it, from 100 pixels wide to as wide as it is, because it is new shapes that fill caches. One in `--whole-every` is a whole
image. They are sent through the front door in small batches, from twice as many clients as there are workers. Before
anything counts, each worker has read a few whole images: memory is to stay where the largest pages have brought it.

Memory is that of the server and everything it has started: PSS, which counts a page that processes share once, and RSS
beside it. Every line of the table is one sixteenth of the pages: the median and the peak while they were read. It fails
when the median of the last quarter is more than `--growth` above that of the second (the first fills caches), when PSS
ever passes `--limit-mb`, when a worker was started again, or when a page was not read.
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

try:
    from PIL import Image
except ImportError:
    Image = None

ROOT = Path(__file__).resolve().parents[2]
VENV = ROOT / "target" / "soak-venv"
PACKAGES = ["pillow==13.0.0"]
IMAGES = {".png", ".jpg", ".jpeg", ".tif", ".tiff", ".webp", ".bmp"}
BATCH = 10
# Whole images a worker, before anything counts.
WARM_UP = 3
ROWS = 16
MB = 1e6


def main():
    arguments = parse_arguments()
    # A shell has what it runs in the background ignore Ctrl-C.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    use_environment()
    images = find_images(arguments.pages)
    quire = str(arguments.quire or built())
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
    parser.add_argument("--pages", type=Path, default=ROOT / "samples", help="the folder of images (samples/)")
    parser.add_argument("--pages-to-read", type=int, default=10_000, help="how many (10000)")
    parser.add_argument("--workers", type=int, default=2, help="how many processes read (2)")
    parser.add_argument("--whole-every", type=int, default=200, help="one page in so many is a whole image (200)")
    parser.add_argument("--height", type=int, default=90, help="of the pieces, at most, in pixels (90)")
    parser.add_argument("--limit-mb", type=float, default=700, help="the most memory, in 10⁶ bytes of PSS (700)")
    parser.add_argument("--growth", type=float, default=0.05, help="the most that it may have grown by (0.05)")
    parser.add_argument("--every", type=float, default=2, help="seconds between two looks at it (2)")
    parser.add_argument("--seed", type=int, default=1, help="another seed cuts out other pieces (1)")
    parser.add_argument("--quire", type=Path, help="the command; built for release where none is named")
    parser.add_argument("--out", type=Path, help="where every look is written to, as JSON")
    parser.add_argument("serve", nargs="*", help="further arguments of `quire serve`, after --")
    return parser.parse_args()


def use_environment():
    """Starts this script again where Pillow is, which is installed once, under target/."""
    if Image is not None:
        return
    python = VENV / "bin" / "python"
    if not python.is_file():
        say("installing Pillow under target/, once")
        subprocess.run([sys.executable, "-m", "venv", str(VENV)], check=True)
    subprocess.run([str(python), "-m", "pip", "install", "--quiet", *PACKAGES], check=True)
    os.execv(python, [str(python), __file__, *sys.argv[1:]])


def built():
    say("building Quire for release")
    subprocess.run(["cargo", "build", "--release", "--quiet", "-p", "quire"], cwd=ROOT, check=True)
    return Path(os.environ.get("CARGO_TARGET_DIR", ROOT / "target")) / "release" / "quire"


def find_images(folder):
    images = sorted(path for path in folder.iterdir() if path.suffix.lower() in IMAGES)
    if not images:
        sys.exit(f"soak: {folder} has no images")
    return images


class Server:
    """`quire serve` on a port of its own choice, with a folder of its own."""

    def __init__(self, quire, data, arguments):
        listen = f"127.0.0.1:{free_port()}"
        command = [quire, "serve", "--listen", listen, "--data", data, "--workers", str(arguments.workers),
                   *arguments.serve]
        # On a busy machine a page may take its time: this is about memory.
        environment = {"QUIRE_PAGE_LIMIT_SECS": "1800", "QUIRE_SYNC_LIMIT_SECS": "3600", **os.environ}
        self.process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True, env=environment)
        self.url = f"http://{listen}"
        self.wanted = arguments.workers
        self.tail = []
        reader = threading.Thread(target=self._listen, daemon=True)
        reader.start()
        self._await_ready()

    def _listen(self):
        # Its log is read to the end, or it would wait for us.
        for line in self.process.stderr:
            self.tail = [*self.tail[-20:], line]

    def _await_ready(self):
        for _ in range(1200):
            if self.process.poll() is not None:
                sys.exit("soak: quire serve ended:\n" + "".join(self.tail))
            if self.health()["workers"]["ready"] == self.wanted:
                return
            time.sleep(0.1)
        self.process.kill()
        sys.exit("soak: quire serve does not become ready:\n" + "".join(self.tail))

    def health(self):
        try:
            with urllib.request.urlopen(self.url + "/healthz", timeout=30) as answer:
                return json.load(answer)
        except urllib.error.HTTPError as error:
            return json.load(error)
        except OSError:
            return {"workers": {"ready": 0}}

    def read(self, pages):
        """Sends images as one batch; how many were read. What was kept of them is deleted, so that the disk stays free."""
        boundary = uuid.uuid4().hex
        body = b"".join(
            f'--{boundary}\r\nContent-Disposition: form-data; name="images"; filename="{index}.png"\r\n'
            "Content-Type: image/png\r\n\r\n".encode() + page + b"\r\n" for index, page in enumerate(pages))
        body += f"--{boundary}--\r\n".encode()
        headers = {"Content-Type": f"multipart/form-data; boundary={boundary}"}
        request = urllib.request.Request(self.url + "/ocr/batch", data=body, headers=headers)
        with urllib.request.urlopen(request, timeout=3600) as answer:
            entries = json.load(answer)
        if not isinstance(entries, list):
            return self._followed(entries["task_id"])
        self._delete(entries[0]["task_id"])
        for entry in entries:
            if "error" in entry:
                say(f"a page was not read: {entry['error']}")
        return sum("error" not in entry for entry in entries)

    def _followed(self, task):
        """On a slow machine a batch may take longer than the door waits."""
        while True:
            with urllib.request.urlopen(f"{self.url}/task/{task}?wait=20", timeout=60) as answer:
                state = json.load(answer)
            if state["status"] not in ("queued", "processing"):
                self._delete(task)
                return state["progress"]["succeeded"]

    def _delete(self, task):
        urllib.request.urlopen(urllib.request.Request(f"{self.url}/task/{task}", method="DELETE"), timeout=60).close()

    def memory(self):
        """PSS and RSS of the family in bytes."""
        pss = rss = 0
        for pid in family(self.process.pid):
            try:
                rollup = Path(f"/proc/{pid}/smaps_rollup").read_text()
            except OSError:  # it has ended meanwhile
                continue
            fields = dict(line.split(":", 1) for line in rollup.splitlines()[1:])
            pss += int(fields["Pss"].split()[0]) * 1024
            rss += int(fields["Rss"].split()[0]) * 1024
        return pss, rss

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


def family(pid):
    pids = [pid]
    for parent in pids:
        for children in Path(f"/proc/{parent}/task").glob("*/children"):
            try:
                pids.extend(int(child) for child in children.read_text().split())
            except OSError:
                continue
    return pids


class Progress:
    """What the clients share: which pages are next, and how many are read."""

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
    """Samples of (seconds, pages answered, PSS, RSS), and what came of the pages."""
    progress = Progress(arguments.pages_to_read)
    clients = [threading.Thread(target=client, args=(server, images, progress, arguments), daemon=True)
               for _ in range(2 * arguments.workers)]
    started, said = time.monotonic(), 0
    samples = [(0.0, 0, *server.memory())]
    for thread in clients:
        thread.start()
    while any(thread.is_alive() for thread in clients):
        try:
            time.sleep(arguments.every)
        except KeyboardInterrupt:
            say("broken off: what is below is of the pages so far")
            progress.total = progress.answered
            break
        samples.append((time.monotonic() - started, progress.answered, *server.memory()))
        if server.process.poll() is not None:
            sys.exit("soak: quire serve ended:\n" + "".join(server.tail))
        if progress.answered - said >= arguments.pages_to_read / ROWS:
            said = progress.answered
            say(f"{said} pages, {samples[-1][2] / MB:.0f} MB")
    return samples, progress


def client(server, images, progress, arguments):
    while pages := progress.take(BATCH):
        try:
            read = server.read(cut(images, pages, arguments))
        except (OSError, ValueError, KeyError) as error:
            say(f"a batch was not answered: {error!r}")
            read = 0
        progress.put(len(pages), read)


def cut(images, pages, arguments):
    """Pages of these numbers as PNG, all of one image: the same ones for the same seed."""
    image = Image.open(images[(pages[0] // BATCH) % len(images)]).convert("RGB")
    pieces = []
    for page in pages:
        chance = random.Random(f"{arguments.seed}/{page}")
        if page % arguments.whole_every == 0:
            pieces.append(png(image))
            continue
        # More short lines than long ones, as there are.
        width = min(100, image.width) + int((image.width - min(100, image.width)) * chance.random() ** 2)
        height = chance.randint(min(40, image.height), min(arguments.height, image.height))
        left, top = chance.randint(0, image.width - width), chance.randint(0, image.height - height)
        pieces.append(png(image.crop((left, top, left + width, top + height))))
    return pieces


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
        wrong.append("too few looks at its memory to tell: read more pages, or look more often (--every)")
    else:
        before, after = (statistics.median(sample[2] for sample in quarter) / MB for quarter in (second, last))
        print(f"second quarter {before:.0f} MB, last quarter {after:.0f} MB: {after / before - 1:+.1%}; peak {peak:.0f} MB")
        if after > before * (1 + arguments.growth):
            wrong.append(f"memory has grown by more than {arguments.growth:.0%}")
    if peak > arguments.limit_mb:
        wrong.append(f"memory has passed {arguments.limit_mb:.0f} MB")
    if done.read < total:
        wrong.append(f"{total - done.read} of {total} pages were not read")
    if restarts:
        wrong.append(f"workers were started again {restarts} times")
    for reason in wrong:
        print(f"FAILED: {reason}")
    return 1 if wrong else 0


def between(samples, low, high):
    return [sample for sample in samples if low <= sample[1] < high]


def say(text):
    print(f"soak: {text}", file=sys.stderr, flush=True)


if __name__ == "__main__":
    main()
