#!/usr/bin/env python3
"""Reads pages through a real server with Quire's client, and compares the texts with those of the model without a server.

    python3 shared/openai-engine/tests/real_server.py [--python VENV/bin/python]

The server is `transformers serve`, from PyPI, on this machine, with the tiny random model of the tests. The client
reads two pages in sequence, then all eight concurrently. generate() of transformers reads the same pages in this
process. The test fails if a text differs.

The first run creates a virtual environment of 5 GB under target/ (torch includes the libraries of CUDA). `--python` sets
a Python that already has the packages of shared/hunyuan-ocr/export/requirements.txt and real_server.txt.
"""

import argparse
import contextlib
import json
import os
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from pathlib import Path

ROOT = Path(__file__).resolve().parents[3]
VENV = ROOT / "target" / "real-server-venv"
EXPORT = ROOT / "shared" / "ocr" / "export"
REQUIREMENTS = [EXPORT / "requirements.txt", Path(__file__).with_name("real_server.txt")]

# The token limit of a page: some completions of the tiny model do not end.
MAX_TOKENS = 96
START_LIMIT_SECS = 120
# The tiny model generates random bytes. If a text ends inside a character, the server's stream omits its end: everything
# after the last token that completed a character, up to this number of characters.
HALF_CHARACTER, MOST_LOST = "\N{REPLACEMENT CHARACTER}", 16


def main():
    arguments = parse_arguments()
    python = arguments.python or prepare_environment()
    if python.absolute() != Path(sys.executable).absolute():
        # Only that environment has torch and transformers.
        os.execv(python, [str(python), __file__, *sys.argv[1:], "--python", str(python)])
    client = build_client()
    with tempfile.TemporaryDirectory(prefix="quire-real-server-") as folder:
        folder = Path(folder)
        model, expected = make_model(folder)
        with serving(model, folder) as url:
            good = compare(client, url, model, expected)
    return 0 if good else 1


def parse_arguments():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--python", type=Path, help="a Python that has the packages")
    return parser.parse_args()


def prepare_environment():
    """Creates a virtual environment with the server, once for these requirements."""
    python, marker = VENV / "bin" / "python", VENV / "installed.txt"
    wanted = "".join(path.read_text() for path in REQUIREMENTS)
    if not marker.is_file() or marker.read_text() != wanted:
        say("installing transformers, torch and a server under target/")
        subprocess.run([sys.executable, "-m", "venv", "--clear", str(VENV)], check=True)
        files = [part for path in REQUIREMENTS for part in ("-r", str(path))]
        subprocess.run([str(python), "-m", "pip", "install", "--quiet", *files], check=True)
        marker.write_text(wanted)
    return python


def build_client():
    """Builds the example of the client, and returns its path."""
    build = ["cargo", "build", "--quiet", "-p", "quire-openai-engine", "--example", "read_page", "--message-format", "json"]
    lines = subprocess.run(build, cwd=ROOT, check=True, stdout=subprocess.PIPE, text=True).stdout.splitlines()
    built = [message["executable"] for message in map(json.loads, lines) if message.get("executable")]
    return built[-1]


def make_model(folder):
    """Saves the tiny model, and returns its folder and the text of generate() for each page."""
    sys.path.insert(0, str(EXPORT))
    import graphs
    import manifest
    import parity
    import tiny
    from transformers.utils import logging

    logging.disable_progress_bar()
    model, processor = tiny.model(), tiny.processor()
    graphs.set_xdrope(model, "hf")
    # The server passes the system message to the template as a list of parts, which may be empty.
    text = "{{ m.content if m.content is string else m.content | map(attribute='text') | join }}"
    processor.chat_template = processor.tokenizer.chat_template = tiny.TEMPLATE.replace("{{ m.content }}", text)
    penalty = tiny.GENERATION["repetition_penalty"]
    model.generation_config.repetition_penalty = penalty
    checkpoint = folder / "hunyuan-tiny"
    processor.save_pretrained(checkpoint)
    model.save_pretrained(checkpoint)
    expected = {}
    for name, page in tiny.draw_pages(folder / "pages").items():
        case = parity.reference(model, processor, name, page, manifest.MODES["text"], penalty, MAX_TOKENS)
        expected[folder / "pages" / f"{name}.png"] = processor.decode(case.tokens, skip_special_tokens=True)
    return checkpoint, expected


@contextlib.contextmanager
def serving(model, folder):
    """Runs the server on a free port, and yields its URL."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    cache = folder / "cache"
    cache.mkdir()
    environment = {**os.environ, "HF_HOME": str(cache), "HF_HUB_CACHE": str(cache), "HF_HUB_OFFLINE": "1"}
    serve = [str(Path(sys.executable).with_name("transformers")), "serve", str(model), "--device", "cpu",
             "--host", "127.0.0.1", "--port", str(port)]
    log = folder / "server.log"
    with log.open("wb") as output:
        server = subprocess.Popen(serve, env=environment, stdout=output, stderr=subprocess.STDOUT)
    try:
        wait_for(server, f"http://127.0.0.1:{port}/health", log)
        yield f"http://127.0.0.1:{port}/v1"
    finally:
        server.terminate()
        try:
            server.wait(timeout=10)
        except subprocess.TimeoutExpired:
            server.kill()
            server.wait()


def wait_for(server, address, log):
    """Waits until the server responds."""
    deadline = time.monotonic() + START_LIMIT_SECS
    while time.monotonic() < deadline and server.poll() is None:
        with contextlib.suppress(OSError), urllib.request.urlopen(address, timeout=5) as answer:
            if answer.status == 200:
                return
        time.sleep(0.3)
    raise SystemExit(f"the server did not start:\n{log.read_text(errors='replace')[-2000:]}")


def compare(client, url, model, expected):
    """Returns whether the client and generate() return the same texts, for pages in sequence and concurrently."""
    pages, good = list(expected), True
    for what, files, concurrency in [("in sequence", pages[:2], 1), ("concurrently", pages, len(pages))]:
        started = time.monotonic()
        texts = read(client, url, model, files, concurrency)
        seconds = time.monotonic() - started
        equal = sum(same(text, expected[file]) for file, text in zip(files, texts, strict=True))
        say(f"{what}: {equal} of {len(files)} pages as read by generate(), {seconds:.1f} s")
        good = good and equal == len(files)
    return good


def read(client, url, model, files, concurrency):
    """Returns the texts of the pages through the server, in the order of the files."""
    ask = [client, "--url", url, "--model", str(model), "--dialect", "plain", "--mode", "text", "--json",
           "--max-tokens", str(MAX_TOKENS), "--concurrency", str(concurrency), *map(str, files)]
    answer = subprocess.run(ask, stdout=subprocess.PIPE, text=True, timeout=300)
    if answer.returncode:
        raise SystemExit("the client failed")
    return ["\n".join(line["text"] for line in json.loads(page)["lines"]) for page in answer.stdout.splitlines()]


def same(text, expected):
    """Returns whether the texts are equal, except for whitespace at the end."""
    expected = expected.rstrip(" \t\r\n")
    if expected.endswith(HALF_CHARACTER):
        return expected.startswith(text) and len(expected) - len(text) <= MOST_LOST
    return text == expected


def say(line):
    print(line, file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main())
