"""The AWS emulators: ministack, a Python program, and LocalStack, in Docker."""

import contextlib
import fcntl
import hashlib
import os
import shlex
import shutil
import socket
import subprocess
import sys
import tempfile
import threading
import time
import urllib.request
from pathlib import Path

HERE = Path(__file__).resolve().parent
REQUIREMENTS = HERE / "requirements.txt"
COMPOSE = ["docker", "compose", "--file", str(HERE / "compose.yaml")]
REGION = "us-east-1"
# Kills the started process when standard input closes, e.g. because this program was killed.
WATCHDOG = '"$@" & started=$!; cat > /dev/null; kill "$started"; wait "$started"'
START_TIMEOUT_SECS = 120


class Failure(Exception):
    """An error that the command prints without a traceback."""


def say(text):
    print(f"localstack/up: {text}", file=sys.stderr, flush=True)


def run(command, log, capture=False, **options):
    """Runs a program; fails unless it succeeds. Writes its output to the log, or returns its stdout with `capture`."""
    if not shutil.which(command[0]):
        raise Failure(f"`{command[0]}` is not installed")
    with open(log, "ab") as file:
        output = subprocess.PIPE if capture else file
        done = subprocess.run(command, stdin=subprocess.DEVNULL, stdout=output, stderr=file, **options)
    if done.returncode != 0:
        tail = log.read_text(errors="replace").splitlines()[-30:]
        raise Failure(f"{shlex.join(map(str, command))} exited with {done.returncode}:\n" + "\n".join(tail))
    return done.stdout


def ministack_packages():
    """Returns the folder with ministack. Installs it on first use: atomically, and under a lock."""
    if sys.version_info < (3, 11):
        raise Failure("ministack requires Python 3.11 or later")
    cache = Path(os.environ.get("QUIRE_CACHE_DIR") or Path.home() / ".cache" / "quire")
    tag = hashlib.sha256(REQUIREMENTS.read_bytes() + sys.version.encode()).hexdigest()[:12]
    packages = cache / f"ministack-{tag}"
    cache.mkdir(parents=True, exist_ok=True)
    with open(cache / "ministack.lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not packages.exists():
            say("installing ministack")
            with tempfile.TemporaryDirectory(dir=cache) as staging:
                pip = [sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-deps"]
                pip += ["--require-hashes", "--only-binary", ":all:", "--requirement", REQUIREMENTS]
                environment = dict(os.environ, PIP_USER="0", PIP_REQUIRE_VIRTUALENV="0")
                pip += ["--target", f"{staging}/packages"]
                done = subprocess.run(pip, env=environment, stderr=subprocess.PIPE)
                if done.returncode != 0:
                    raise Failure(f"cannot install ministack:\n{done.stderr.decode(errors='replace')}")
                os.rename(f"{staging}/packages", packages)
    return packages


@contextlib.contextmanager
def ministack(port, folder, via=None):
    packages = ministack_packages()
    endpoint = f"http://127.0.0.1:{port}"
    with socket.socket() as probe:
        if probe.connect_ex(("127.0.0.1", port)) == 0:
            raise Failure(f"port {port} is in use; choose another one with --port")
    (folder / "tmp").mkdir(exist_ok=True)
    # It runs arbitrary code for its clients, so it must only listen on loopback. The functions inherit its environment:
    # they find it by AWS_ENDPOINT_URL, and must not inherit QUIRE_ variables of this process.
    environment = dict(client_environment(via or endpoint), BIND_HOST="127.0.0.1", GATEWAY_PORT=str(port))
    environment.update(PYTHONPATH=str(packages), PYTHONDONTWRITEBYTECODE="1", TMPDIR=str(folder / "tmp"))
    # These listen on all interfaces and ignore BIND_HOST.
    environment.update(IOT_MTLS_ENABLED="0", SFTP_ENABLED="0")
    command = ["sh", "-c", WATCHDOG, "sh", sys.executable, "-m", "ministack"]
    with open(folder / "emulator.log", "wb") as log:
        emulator = subprocess.Popen(
            command, env=environment, stdin=subprocess.PIPE, stdout=log, stderr=log, start_new_session=True
        )
    try:
        wait_until_healthy(f"{endpoint}/_ministack/health", emulator, folder / "emulator.log")
        yield via or endpoint, emulator.wait
    finally:
        emulator.stdin.close()
        emulator.wait()
        # The unpacked functions have hundreds of megabytes.
        shutil.rmtree(folder / "tmp", ignore_errors=True)


@contextlib.contextmanager
def localstack(port, folder):
    environment = dict(os.environ, LOCALSTACK_PORT=str(port))
    log = folder / "emulator.log"
    try:
        run([*COMPOSE, "up", "--wait", "--detach"], log, env=environment)
        yield f"http://127.0.0.1:{port}", threading.Event().wait
    finally:
        subprocess.run([*COMPOSE, "down", "--volumes"], env=environment, stderr=subprocess.DEVNULL)


def wait_until_healthy(url, emulator, log):
    deadline = time.monotonic() + START_TIMEOUT_SECS
    while True:
        with contextlib.suppress(OSError):
            urllib.request.urlopen(url, timeout=5).close()
            return
        if emulator.poll() is not None or time.monotonic() > deadline:
            raise Failure(f"the emulator does not start:\n{log.read_text(errors='replace')}")
        time.sleep(0.1)


def to_emulator(endpoint):
    """Returns the environment variables for clients. The SDKs require credentials; the emulator ignores them."""
    keys = {"AWS_ACCESS_KEY_ID": "test", "AWS_SECRET_ACCESS_KEY": "test", "AWS_EC2_METADATA_DISABLED": "true"}
    return keys | {"AWS_ENDPOINT_URL": endpoint, "AWS_REGION": REGION, "AWS_DEFAULT_REGION": REGION}


def client_environment(endpoint):
    """Returns the environment of this process with QUIRE_ and AWS_ variables replaced by those for the emulator."""
    inherited = {name: value for name, value in os.environ.items() if not name.startswith(("QUIRE_", "AWS_"))}
    return inherited | to_emulator(endpoint)
