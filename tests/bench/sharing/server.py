"""`quire serve` with API keys of two tenants, its client, and slow servers on loopback."""

import http.server
import json
import os
import re
import socket
import subprocess
import threading
import time
import urllib.error
import urllib.request
import uuid

from sharing.documents import png


class Server:
    """A `quire serve` process on a free port, with its own data folder."""

    def __init__(self, quire, data, workers, patience, prefix=(), environment=None):
        """`prefix` is a command that executes the server; `environment` has further variables."""
        self.quire, self.data, self.workers, self.patience = quire, data, workers, patience
        self.prefix, self.environment = prefix, environment or {}
        self.url = f"http://127.0.0.1:{free_port()}"
        self.log = []

    def __enter__(self):
        self.keys = {tenant: self._create_key(tenant) for tenant in ("a", "b")}
        command = [*self.prefix, self.quire, "serve", "--dev", "--listen", self.url.removeprefix("http://"),
                   "--data", self.data, "--workers", str(self.workers)]
        self.process = subprocess.Popen(command, stderr=subprocess.PIPE, stdout=subprocess.DEVNULL, text=True,
                                        env={**os.environ, **self.environment})
        threading.Thread(target=self._read_log, daemon=True).start()
        self._await_ready()
        return self

    def __exit__(self, *_):
        # What A has begun does not have to be finished.
        self.process.kill()
        self.process.wait()

    def client(self, tenant):
        return Client(self.url, self.keys[tenant], self.patience)

    def address(self):
        """Returns host and port."""
        host, port = self.url.removeprefix("http://").split(":")
        return host, int(port)

    def _create_key(self, tenant):
        command = [self.quire, "keys", "create", "--tenant", tenant, "--data", self.data]
        output = subprocess.run(command, check=True, capture_output=True, text=True).stdout
        return re.search(r"quire_\S+", output).group()

    def _read_log(self):
        # Drains the log, so that a full pipe does not block the server.
        for line in self.process.stderr:
            self.log = [*self.log[-20:], line]

    def _await_ready(self):
        deadline = time.monotonic() + 120
        while time.monotonic() < deadline and self.process.poll() is None:
            try:
                with urllib.request.urlopen(self.url + "/healthz", timeout=30) as response:
                    if json.load(response)["workers"]["ready"] == self.workers:
                        return
            except OSError:
                pass
            time.sleep(0.1)
        self.process.kill()
        raise SystemExit("quire serve does not become ready:\n" + "".join(self.log))


class Client:
    """Requests of one tenant."""

    def __init__(self, url, key, patience):
        self.url, self.key, self.patience = url, key, patience

    def get(self, path):
        return self._send(urllib.request.Request(self.url + path))

    def post_json(self, path, body):
        headers = {"Content-Type": "application/json"}
        return self._send(urllib.request.Request(self.url + path, data=json.dumps(body).encode(), headers=headers))

    def post_files(self, path, files):
        boundary = uuid.uuid4().hex
        field = "image" if path == "/ocr" else "images"
        body = b"".join(
            f'--{boundary}\r\nContent-Disposition: form-data; name="{field}"; filename="{number}"\r\n\r\n'.encode()
            + file + b"\r\n" for number, file in enumerate(files))
        body += f"--{boundary}--\r\n".encode()
        headers = {"Content-Type": f"multipart/form-data; boundary={boundary}"}
        return self._send(urllib.request.Request(self.url + path, data=body, headers=headers))

    def _send(self, request):
        request.add_header("Authorization", f"Bearer {self.key}")
        try:
            with urllib.request.urlopen(request, timeout=self.patience) as response:
                return json.loads(response.read() or b"null")
        except urllib.error.HTTPError as error:
            raise OSError(f"{error.code}: {error.read(300)!r}") from error
        except urllib.error.URLError as error:
            if isinstance(error.reason, TimeoutError):
                raise TimeoutError from error
            raise


class SlowServers:
    """An HTTP server: `/fast` answers with an image, `/drip` sends one byte a second, `/hang` never answers, and
    `/hook/ID` accepts a webhook and notes its time."""

    def __enter__(self):
        self.received = {}
        self.stop = threading.Event()
        owner = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self):
                if self.path.startswith("/fast"):
                    body = png(40, 40)
                    self.send_response(200)
                    self.send_header("Content-Length", str(len(body)))
                    self.end_headers()
                    self.wfile.write(body)
                elif self.path.startswith("/drip"):
                    self.send_response(200)
                    self.send_header("Content-Length", "1000000")
                    self.end_headers()
                    while not owner.stop.wait(1):
                        self.wfile.write(b"\0")
                        self.wfile.flush()
                else:
                    owner.stop.wait()

            def do_POST(self):
                self.rfile.read(int(self.headers["Content-Length"]))
                if not self.path.startswith("/hook"):
                    owner.stop.wait()
                    return
                owner.received[self.path] = time.monotonic()
                self.send_response(204)
                self.end_headers()

            def log_message(self, *_):
                pass

        class QuietServer(http.server.ThreadingHTTPServer):
            daemon_threads = True
            request_queue_size = 1000

            def handle_error(self, *_):
                """Clients give up: that is what is measured."""

        self.server = QuietServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()
        return self

    def __exit__(self, *_):
        self.stop.set()
        self.server.shutdown()
        self.server.server_close()

    def await_hook(self, path, patience):
        deadline = time.monotonic() + patience
        while path not in self.received:
            if time.monotonic() > deadline:
                raise TimeoutError
            time.sleep(0.005)


def free_port():
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]
