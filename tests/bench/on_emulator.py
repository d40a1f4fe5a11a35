#!/usr/bin/env python3
"""Measures the AWS stack on an emulator: requests per document, and latencies.

    python3 tests/bench/on_emulator.py [--pages 100] [--bins DIR] [--without-terraform]

Starts a stack (`localstack/up`) behind a proxy that counts requests, and prints:

- the duration of a cold and a warm invocation of each Lambda function with a minimal event; most of a warm one is the
  emulator, which polls every 50 ms;
- the requests to S3, SQS and DynamoDB from the submission of one document to its callback, by operation, separately for
  the functions and the worker. Lambda's own polling of the queues is not included;
- the time from the completion of the last page to the callback.

`--bins` is a folder with built programs; without it they are built for release.
"""

import argparse
import contextlib
import json
import os
import shlex
import socket
import statistics
import subprocess
import sys
import tempfile
import threading
import time
import urllib.request
import uuid
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

sys.dont_write_bytecode = True

from counting_proxy import CountingProxy

ROOT = Path(__file__).resolve().parents[2]
NO_RECORDS = {"Records": []}
HEALTH = {
    "version": "2.0",
    "routeKey": "GET /healthz",
    "rawPath": "/healthz",
    "rawQueryString": "",
    "headers": {"host": "localhost"},
    "requestContext": {
        "http": {"method": "GET", "path": "/healthz", "protocol": "HTTP/1.1", "sourceIp": "127.0.0.1", "userAgent": ""},
        "accountId": "000000000000", "apiId": "api", "domainName": "localhost", "domainPrefix": "api",
        "requestId": "id", "routeKey": "GET /healthz", "stage": "$default", "time": "", "timeEpoch": 0,
    },
    "isBase64Encoded": False,
}
# A malformed message, which is filed as a dead letter.
MALFORMED = {
    "messageId": "bench", "receiptHandle": "bench", "body": "malformed",
    "attributes": {"ApproximateReceiveCount": "1"},
    "messageAttributes": {}, "md5OfBody": "", "eventSource": "aws:sqs", "awsRegion": "us-east-1",
    "eventSourceARN": "arn:aws:sqs:us-east-1:000000000000:quire-pages-dead",
}
EVENTS = {
    "submit-api": HEALTH,
    "submit-upload": NO_RECORDS,
    "submit-ingest": NO_RECORDS,
    "submit-sweep": {},
    "notifier": NO_RECORDS,
    "dead-letter": {"Records": [MALFORMED]},
}
WARM_RUNS = 9
CALLBACK_TIMEOUT_SECS = 600


def free_port():
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


@contextlib.contextmanager
def stack(args, folder, port, via):
    """Starts a stack and yields its environment variables."""
    command = [sys.executable, ROOT / "localstack" / "up", "--tied", f"--port={port}", f"--via={via}"]
    command += [f"--folder={folder}"]
    command += ["--bins", args.bins.resolve()] if args.bins else []
    command += ["--without-terraform"] if args.without_terraform else []
    up = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    try:
        environment = {}
        for line in up.stdout:
            if not line.startswith("export "):
                break
            name, value = shlex.split(line)[1].split("=", 1)
            environment[name] = value
        if "QUIRE_API" not in environment:
            sys.exit("the stack does not start")
        yield environment
    finally:
        up.stdin.close()
        up.wait()


def invoke(endpoint, name, event):
    """Invokes a function and returns the duration in milliseconds."""
    url = f"{endpoint}/2015-03-31/functions/quire-{name}/invocations"
    request = urllib.request.Request(url, json.dumps(event).encode(), {"Content-Type": "application/json"})
    begun = time.monotonic()
    with urllib.request.urlopen(request) as response:
        body = response.read()
        if response.headers.get("X-Amz-Function-Error"):
            sys.exit(f"{name}: {body.decode()}")
    return (time.monotonic() - begun) * 1000


def show_starts(endpoint):
    print(f"{'function':<16}{'cold ms':>9}{'warm ms (median of ' + str(WARM_RUNS) + ')':>30}")
    for name, event in EVENTS.items():
        cold = invoke(endpoint, name, event)
        warm = statistics.median(invoke(endpoint, name, event) for _ in range(WARM_RUNS))
        print(f"{name:<16}{cold:>9.0f}{warm:>30.1f}")


class CallbackReceiver:
    """Receives one callback and records its time."""

    def __init__(self):
        self.received, self.at = threading.Event(), None
        receiver = self

        class Handler(BaseHTTPRequestHandler):
            def log_message(self, *_):
                pass

            def do_POST(self):
                receiver.at = receiver.at or time.monotonic()
                self.rfile.read(int(self.headers["Content-Length"]))
                self.send_response(204)
                self.end_headers()
                receiver.received.set()

        self.server = HTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    @property
    def url(self):
        return f"http://127.0.0.1:{self.server.server_port}/"


def pdf(pages):
    """Returns a PDF of small pages with a line of text each."""
    kids = " ".join(f"{4 + 2 * page} 0 R" for page in range(pages))
    objects = [
        "<< /Type /Catalog /Pages 2 0 R >>",
        f"<< /Type /Pages /Count {pages} /Kids [{kids}] >>",
        "<< /Type /Font /Subtype /Type1 /BaseFont /Helvetica >>",
    ]
    for page in range(pages):
        font, content = "/Resources << /Font << /F1 3 0 R >> >>", f"BT /F1 24 Tf 16 22 Td (Page {page + 1}) Tj ET"
        objects.append(f"<< /Type /Page /Parent 2 0 R /MediaBox [0 0 340 60] {font} /Contents {5 + 2 * page} 0 R >>")
        objects.append(f"<< /Length {len(content)} >>\nstream\n{content}\nendstream")
    file, offsets = "%PDF-1.4\n", []
    for number, body in enumerate(objects, 1):
        offsets.append(len(file))
        file += f"{number} 0 obj\n{body}\nendobj\n"
    table = "0000000000 65535 f \n" + "".join(f"{offset:010} 00000 n \n" for offset in offsets)
    size = len(objects) + 1
    trailer = f"trailer\n<< /Size {size} /Root 1 0 R >>\nstartxref\n{len(file)}\n%%EOF\n"
    return f"{file}xref\n0 {size}\n{table}{trailer}".encode()


def submit(api, document, callback_url):
    boundary = uuid.uuid4().hex
    head = f'--{boundary}\r\nContent-Disposition: form-data; name="callback_url"\r\n\r\n{callback_url}\r\n'
    head += f'--{boundary}\r\nContent-Disposition: form-data; name="images"; filename="pages.pdf"\r\n\r\n'
    body = head.encode() + document + f"\r\n--{boundary}--\r\n".encode()
    headers = {"Content-Type": f"multipart/form-data; boundary={boundary}"}
    urllib.request.urlopen(urllib.request.Request(f"{api}/ocr/async", body, headers)).close()


def read_document(args, environment, proxy, folder):
    """Processes a document end to end and prints the requests and latencies."""
    quire = (args.bins or ROOT / "target" / "release") / "quire"
    endpoint, receiver = environment["AWS_ENDPOINT_URL"], CallbackReceiver()
    # By the path of the emulator: the host name of the API does not resolve.
    api = f"{endpoint}/_aws/execute-api/{environment['QUIRE_API'].split('//')[1].split('.')[0]}/$default"
    with open(folder / "worker.log", "wb") as log:
        worker = subprocess.Popen([quire, "worker"], env=os.environ | environment, stdout=log, stderr=log)
    try:
        # The worker polls once its model is loaded.
        while not proxy.counts["clients", "SQS", "ReceiveMessage"]:
            time.sleep(0.1)
        proxy.counts.clear()
        begun = time.monotonic()
        submit(api, pdf(args.pages), receiver.url)
        if not receiver.received.wait(CALLBACK_TIMEOUT_SECS):
            sys.exit(f"timeout: no callback within {CALLBACK_TIMEOUT_SECS} s")
        # Includes the requests that record the delivery.
        time.sleep(3)
    finally:
        worker.terminate()
        worker.wait()
    completed = proxy.last_seen["clients", "DynamoDB", "TransactWriteItems"]
    print(f"\none document of {args.pages} pages, {receiver.at - begun:.1f} s from submission to callback:\n")
    print(*proxy.table(), sep="\n")
    totals = {who: sum(n for key, n in proxy.counts.items() if key[0] == who) for who in ("functions", "clients")}
    print(f"\n{sum(totals.values())} requests, {sum(totals.values()) / args.pages:.2f} per page: {totals}")
    print(f"{(receiver.at - completed) * 1000:.0f} ms from the completion of the last page to the callback")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pages", type=int, default=100)
    parser.add_argument("--bins", type=Path)
    parser.add_argument("--without-terraform", action="store_true")
    args = parser.parse_args()
    port = free_port()
    proxy = CountingProxy(port)
    with tempfile.TemporaryDirectory(prefix="quire-bench-") as folder:
        begun = time.monotonic()
        with stack(args, Path(folder), port, proxy.endpoint) as environment:
            print(f"started after {time.monotonic() - begun:.0f} s\n")
            show_starts(f"http://127.0.0.1:{port}")
            read_document(args, environment, proxy, Path(folder))


if __name__ == "__main__":
    main()
