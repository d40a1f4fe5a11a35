"""The peers: Quire and other OCR engines. Each is a command that takes files and prints the lines of each as JSON."""

import json
import shutil
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path

from .environment import ROOT, TARGET, installed, say
from .pages import lines_of

HERE = Path(__file__).resolve().parents[1]

RAPIDOCR = """
import json, sys
from rapidocr import EngineType, RapidOCR
on_openvino = {f"{part}.engine_type": EngineType.OPENVINO for part in ("Det", "Cls", "Rec")}
chosen = on_openvino if sys.argv[1] == "openvino" else {}
engine = RapidOCR(params={"Global.log_level": "critical", **chosen})
print(json.dumps([list(engine(file).txts or ()) for file in sys.argv[2:]]))
"""

# Tesseract reads one image per process and its threads help little, so it runs one process per core.
TESSERACT = """
import json, subprocess, sys
from concurrent.futures import ThreadPoolExecutor
def read(file):
    command = ["tesseract", file, "stdout", "-l", sys.argv[2], "--psm", "3"]
    text = subprocess.run(command, check=True, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL).stdout.decode()
    return [line for line in text.splitlines() if line.strip()]
with ThreadPoolExecutor(int(sys.argv[1])) as pool:
    print(json.dumps(list(pool.map(read, sys.argv[3:]))))
"""


@dataclass
class Peer:
    """A command that reads pages."""

    name: str
    """The name in the report."""
    command: list
    """The files are appended to it."""
    environment: dict = field(default_factory=dict)
    """Additional environment variables."""
    folder: Path | None = None
    """The working directory; None for the current one."""
    quire: bool = False
    """Whether the output has Quire's format, with confidences, instead of lists of lines."""

    def lines(self, output):
        """Parses the output: the lines of each file, each with `text` and perhaps `confidence`."""
        if self.quire:
            return lines_of(output)
        return [[{"text": line} for line in page] for page in json.loads(output)]


def prepare_peers(arguments):
    """Builds and returns the requested peers. One that is not installed is omitted with a warning."""
    return [peer for name in arguments.peers for peer in MAKERS[name](arguments)]


def quire(arguments):
    """The whole command: submission, queue, table, workers, store."""
    build(arguments, "Quire", "-p", "quire", "--bin", "quire")
    command = [str(TARGET / "release/quire"), "read", "--format", "json", "--workers", str(arguments.cores)]
    return [Peer("Quire", command, quire=True)]


def engine(arguments):
    """Quire's engine without the rest of the pipeline, once per execution provider."""
    build(arguments, "Quire's engine", "-p", "quire-pp-ocr", "--example", "read_pages")
    command = [str(TARGET / "release/examples/read_pages"), "--workers", str(arguments.cores)]
    return [
        Peer(f"Quire engine {provider}", [*command, "--provider", provider], quire=True)
        for provider in arguments.providers
    ]


def rapidocr(arguments):
    return [Peer("RapidOCR", [sys.executable, "-c", RAPIDOCR, "default"])]


def rapidocr_openvino(arguments):
    return [Peer("RapidOCR OpenVINO", [sys.executable, "-c", RAPIDOCR, "openvino"])]


def oar_ocr(arguments):
    """`oar-ocr` with its preset for PP-OCRv6, and RapidOCR's models and ONNX Runtime."""
    import onnxruntime

    target = TARGET / "bench-oar-ocr"
    manifest = HERE / "oar_ocr" / "Cargo.toml"
    build(arguments, "oar-ocr", "--locked", "--manifest-path", str(manifest), "--target-dir", str(target))
    folder = target / "models"
    folder.mkdir(exist_ok=True)
    for part in ("det", "rec"):
        link = folder / f"pp-ocrv6_small_{part}.onnx"
        link.unlink(missing_ok=True)
        link.symlink_to(installed(f"rapidocr/models/PP-OCRv6_{part}_small.onnx"))
    model = onnxruntime.InferenceSession(folder / "pp-ocrv6_small_rec.onnx", providers=["CPUExecutionProvider"])
    characters = model.get_modelmeta().custom_metadata_map["character"]
    (folder / "ppocrv6_dict.txt").write_text(characters, encoding="utf-8")
    library = installed("onnxruntime/capi/libonnxruntime.so.1.32.0")
    command = [str(target / "release/read_with_oar_ocr"), str(arguments.cores)]
    return [Peer("oar-ocr", command, {"ORT_DYLIB_PATH": str(library)}, folder)]


def tesseract(arguments):
    if not shutil.which("tesseract"):
        say("NOT COMPARED: Tesseract is not installed (Debian: apt-get install tesseract-ocr tesseract-ocr-chi-sim)")
        return []
    listed = subprocess.run(["tesseract", "--list-langs"], check=True, stdout=subprocess.PIPE).stdout.decode().split()
    languages = [language for language in ("chi_sim", "eng") if language in listed]
    if len(languages) < 2:
        say(f"warning: Tesseract only has {'+'.join(languages)}; install chi_sim and eng")
    version = subprocess.run(["tesseract", "--version"], check=True, stdout=subprocess.PIPE).stdout.decode().split()[1]
    command = [sys.executable, "-c", TESSERACT, str(arguments.cores), "+".join(languages)]
    return [Peer(f"Tesseract {version}", command, {"OMP_THREAD_LIMIT": "1"})]


def build(arguments, name, *target):
    if not arguments.no_build:
        say(f"building {name}")
        subprocess.run(["cargo", "build", "--release", "--quiet", *target], cwd=ROOT, check=True)


MAKERS = {
    "quire": quire,
    "engine": engine,
    "rapidocr": rapidocr,
    "rapidocr-openvino": rapidocr_openvino,
    "oar-ocr": oar_ocr,
    "tesseract": tesseract,
}
