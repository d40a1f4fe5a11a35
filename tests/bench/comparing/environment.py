"""The Python virtual environment of the benchmark, created once under target/."""

import json
import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[3]
TARGET = Path(os.environ.get("CARGO_TARGET_DIR", ROOT / "target")).resolve()
VENV = TARGET / "bench-venv"
# All peers use the models of rapidocr and the ONNX Runtime library of onnxruntime.
PACKAGES = ["rapidocr==3.10.0", "onnxruntime==1.32.0", "openvino==2026.4.0", "pillow==13.0.0", "numpy==2.4.6"]
# Only the fonts of these packages are used.
FONTS = ["matplotlib==3.10.7", "justmytype-intl-cjk==0.1.0"]


def enter_environment():
    """Restarts this script in the virtual environment, which is created first if it is missing or outdated."""
    python = VENV / "bin" / "python"
    marker = VENV / "installed.json"
    expected = [PACKAGES, FONTS]
    if not marker.is_file() or json.loads(marker.read_text()) != expected:
        say(f"installing RapidOCR, OpenVINO and fonts in {VENV}")
        subprocess.run([sys.executable, "-m", "venv", "--clear", str(VENV)], check=True)
        pip = [str(python), "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
        subprocess.run([*pip, *PACKAGES], check=True)
        subprocess.run([*pip, "--no-deps", *FONTS], check=True)
        marker.write_text(json.dumps(expected))
    if Path(sys.prefix).resolve() != VENV.resolve():
        os.execv(python, [str(python), *sys.argv])


def installed(relative):
    """Returns the path of a file of an installed package."""
    for folder in map(Path, sys.path):
        if (folder / relative).is_file():
            return folder / relative
    sys.exit(f"{relative} is missing in {VENV}; delete that folder to reinstall it")


def say(text):
    print(text, file=sys.stderr, flush=True)
