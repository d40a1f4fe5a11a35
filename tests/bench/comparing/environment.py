"""What the benchmark installs: an environment for Python under target/, made once."""

import json
import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[3]
TARGET = Path(os.environ.get("CARGO_TARGET_DIR", ROOT / "target")).resolve()
VENV = TARGET / "bench-venv"
# The models of the one are the models of all, and so is the library of the other.
PACKAGES = ["rapidocr==3.10.0", "onnxruntime==1.32.0", "openvino==2026.4.0", "pillow==13.0.0", "numpy==2.4.6"]
# Nothing but their fonts is used.
FONTS = ["matplotlib==3.10.7", "justmytype-intl-cjk==0.1.0"]


def enter_environment():
    """Goes on in the environment, which is made first where it is not there as it should be."""
    python = VENV / "bin" / "python"
    marker = VENV / "installed.json"
    wanted = [PACKAGES, FONTS]
    if not marker.is_file() or json.loads(marker.read_text()) != wanted:
        say(f"installing RapidOCR, OpenVINO and fonts in {VENV}, once")
        subprocess.run([sys.executable, "-m", "venv", "--clear", str(VENV)], check=True)
        pip = [str(python), "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
        subprocess.run([*pip, *PACKAGES], check=True)
        subprocess.run([*pip, "--no-deps", *FONTS], check=True)
        marker.write_text(json.dumps(wanted))
    if Path(sys.prefix).resolve() != VENV.resolve():
        os.execv(python, [str(python), *sys.argv])


def installed(relative):
    """The path of a file that a package brought."""
    for folder in map(Path, sys.path):
        if (folder / relative).is_file():
            return folder / relative
    sys.exit(f"{relative} is missing in {VENV}; remove that folder, and it is made again")


def say(text):
    print(text, file=sys.stderr, flush=True)
