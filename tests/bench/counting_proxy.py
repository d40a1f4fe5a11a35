"""A reverse proxy for an AWS emulator that counts requests by client, service and operation."""

import collections
import http.client
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, urlsplit

# By prefix of X-Amz-Target; S3 does not use that header.
SERVICES = {"AmazonSQS": "SQS", "DynamoDB_20120810": "DynamoDB", "secretsmanager": "Secrets Manager"}
HOP_BY_HOP = {"connection", "keep-alive", "transfer-encoding"}


class Server(ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, *_):
        """Ignores errors: clients that exit close the connection of their long poll."""


class CountingProxy:
    """Listens as soon as it is created. `counts` is keyed by (client, service, operation)."""

    def __init__(self, upstream_port):
        self.counts, self.last_seen = collections.Counter(), {}
        self.lock = threading.Lock()
        proxy = self

        class ProxyHandler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def log_message(self, *_):
                pass

            def forward(self):
                body = self.read_body()
                proxy.count(self)
                upstream = http.client.HTTPConnection("127.0.0.1", upstream_port, timeout=120)
                upstream.putrequest(self.command, self.path, skip_host=True, skip_accept_encoding=True)
                for name, value in self.headers.items():
                    if name.lower() not in HOP_BY_HOP | {"content-length", "expect"}:
                        upstream.putheader(name, value)
                upstream.putheader("Content-Length", str(len(body)))
                upstream.endheaders(body)
                self.relay(upstream.getresponse())
                upstream.close()

            do_GET = do_PUT = do_POST = do_HEAD = do_DELETE = do_PATCH = forward

            def read_body(self):
                if "chunked" not in self.headers.get("Transfer-Encoding", ""):
                    return self.rfile.read(int(self.headers.get("Content-Length") or 0))
                body = b""
                while size := int(self.rfile.readline().split(b";")[0], 16):
                    body += self.rfile.read(size)
                    self.rfile.readline()
                while self.rfile.readline().strip():
                    pass
                return body

            def relay(self, response):
                body = response.read()
                self.send_response_only(response.status, response.reason)
                for name, value in response.getheaders():
                    if name.lower() not in HOP_BY_HOP | {"content-length"}:
                        self.send_header(name, value)
                length = response.getheader("Content-Length") if self.command == "HEAD" else str(len(body))
                self.send_header("Content-Length", length or "0")
                self.end_headers()
                self.wfile.write(body)

        self.server = Server(("127.0.0.1", 0), ProxyHandler)
        self.endpoint = f"http://127.0.0.1:{self.server.server_port}"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def count(self, request):
        target = request.headers.get("X-Amz-Target")
        if target:
            prefix, operation = target.split(".", 1)
            service = SERVICES.get(prefix, prefix)
        elif request.headers.get("Authorization", "").startswith("AWS4-HMAC"):
            service, operation = "S3", s3_operation(request.command, request.path)
        else:
            return
        # The emulator's functions sign with its account id, all other clients with the access key `test`.
        who = "clients" if "Credential=test/" in request.headers["Authorization"] else "functions"
        with self.lock:
            self.counts[who, service, operation] += 1
            self.last_seen[who, service, operation] = time.monotonic()

    def table(self):
        width = max(len(operation) for _, _, operation in self.counts)
        for (who, service, operation), count in sorted(self.counts.items()):
            yield f"{who:<10}{service:<17}{operation:<{width}}{count:>7}"


def s3_operation(method, path):
    """Returns the name of the S3 operation, for those that Quire uses; otherwise the HTTP method."""
    query = parse_qs(urlsplit(path).query, keep_blank_values=True)
    if "uploads" in query:
        return "CreateMultipartUpload"
    if "uploadId" in query:
        return {"PUT": "UploadPart", "POST": "CompleteMultipartUpload"}.get(method, "AbortMultipartUpload")
    if "list-type" in query:
        return "ListObjectsV2"
    return {"GET": "GetObject", "PUT": "PutObject", "HEAD": "HeadObject", "DELETE": "DeleteObject"}.get(method, method)
