#!/usr/bin/env python3
"""Exports a HunyuanOCR checkpoint for Quire: ONNX graphs, tokenizer.json and ocr_engine.json.

    python3 -m venv venv && venv/bin/pip install -r requirements.txt
    venv/bin/python export.py CHECKPOINT OUT --dtype fp16 --xdrope hf --accept-license
    venv/bin/python export.py --tiny OUT

CHECKPOINT is a folder that you have downloaded yourself, under its license. The last step compares the graphs with
transformers' generate(), token by token; the exit status is 1 where they differ. It runs on the CPU.
"""

import argparse
import logging
import shutil
import sys
import warnings
from pathlib import Path

import torch
from PIL import Image

import graphs
import manifest
import parity
import tiny

LICENSE = """\
HunyuanOCR's weights are under the Tencent Hunyuan Community License Agreement, not under Quire's license. Before you go on:
 - it does not apply in the European Union, the United Kingdom and South Korea: there, nothing permits you to use them;
 - neither the weights nor what they answer may be used to improve another AI model;
 - passing on the weights, or what is made of them, carries duties: the agreement, a notice, marked changes;
 - very large services (over 100 million monthly users) need a license of their own from Tencent.
This is a summary: the agreement beside the weights (License.txt) is what counts. The exported graphs hold the weights, and
the same terms apply to them."""

DTYPES = {"fp16": torch.float16, "fp32": torch.float32}


def arguments():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("checkpoint", nargs="?", type=Path, help="folder with config.json and the weights")
    parser.add_argument("out", nargs="?", type=Path, help="folder to write, which must not exist")
    parser.add_argument("--tiny", type=Path, metavar="OUT", help="write the tiny random model of the tests instead")
    parser.add_argument("--dtype", choices=DTYPES, default="fp16", help="fp16 for CUDA, fp32 for the processor")
    parser.add_argument("--xdrope", choices=("hf", "paired"), default="hf",
                        help="layout of the four position axes: as transformers has it, or as the model was trained")
    parser.add_argument("--version", help="what answers are signed with; by default the checkpoint folder's name")
    parser.add_argument("--pages", nargs="*", type=Path, default=[],
                        help="page images for the parity report; else drawn ones")
    parser.add_argument("--parity-tokens", type=int, default=64, help="tokens a page to compare")
    parser.add_argument("--accept-license", action="store_true",
                        help="you have read the license of the weights, and it permits your use")
    args = parser.parse_args()
    if args.tiny is None and (args.checkpoint is None or args.out is None):
        parser.error("CHECKPOINT and OUT are needed, or --tiny OUT")
    return args


def load(checkpoint, dtype):
    """Loads the operator's model and its processor; downloads nothing."""
    from transformers import AutoProcessor, HunYuanVLForConditionalGeneration
    processor = AutoProcessor.from_pretrained(checkpoint, backend="pil", local_files_only=True)
    model = HunYuanVLForConditionalGeneration.from_pretrained(checkpoint, dtype=dtype, local_files_only=True)
    return model.eval(), processor


def export(model, processor, out, external):
    """Exports both graphs and the tokenizer."""
    out.mkdir(parents=True, exist_ok=True)
    graphs.export_vision(model, out, external)
    graphs.export_decoder(model, out, external)
    processor.tokenizer.backend_tokenizer.save(str(out / "tokenizer.json"), pretty=False)


def drawn_pages():
    return {name: tiny.page(name, 4 * width, 4 * height) for name, (width, height) in tiny.PAGES.items()}


def export_checkpoint(args):
    print(LICENSE, file=sys.stderr)
    if not args.accept_license:
        print("\nRead it, and say --accept-license if it permits your use.", file=sys.stderr)
        return 2
    if args.out.exists():
        print(f"{args.out} exists already", file=sys.stderr)
        return 2
    model, processor = load(args.checkpoint, DTYPES[args.dtype])
    graphs.set_xdrope(model, args.xdrope)
    pages = {path.name: Image.open(path).convert("RGB") for path in args.pages} or drawn_pages()
    export(model, processor, args.out, external=True)
    described = manifest.describe(model, processor, next(iter(pages.values())), "hunyuan-ocr",
                                  args.version or args.checkpoint.resolve().name, args.xdrope)
    manifest.write(args.out, described)
    # The reference uses float32 with the same rounded weights, so that only the arithmetic of the graphs is compared.
    model.float()
    graphs.set_xdrope(model, args.xdrope)
    cases = references(model, processor, pages, described, manifest.MODES["text"], args.parity_tokens)
    return 0 if parity.report(args.out, described, cases, args.parity_tokens) else 1


def references(model, processor, pages, described, instruction, max_tokens):
    """Returns the output of transformers for the pages, and checks that the host builds the same prompts."""
    penalty = described["generation"]["repetition_penalty"]
    cases = [parity.reference(model, processor, name, page, instruction, penalty, max_tokens)
             for name, page in pages.items()]
    parts, words = described["prompt"], manifest.encoder(processor)(instruction)
    for case in cases:
        image_tokens = int((case.prompt == parts["image"]).sum())
        if manifest.assemble(parts, image_tokens, words) != case.prompt.tolist():
            raise SystemExit(f"{case.name}: the prompt that the manifest describes is not transformers' own")
    return cases


def export_tiny(args):
    """Writes the test fixtures: an exported folder, the pages, and the output of transformers for them."""
    shutil.rmtree(args.tiny, ignore_errors=True)
    model, processor = tiny.model(), tiny.processor()
    graphs.set_xdrope(model, args.xdrope)
    folder = args.tiny / "model"
    export(model, processor, folder, external=False)
    pages = tiny.draw_pages(args.tiny / "pages")
    described = manifest.describe(model, processor, pages["card"], "hunyuan-tiny", f"random-{tiny.SEED}", args.xdrope,
                                  tiny.GENERATION)
    manifest.write(folder, described)
    cases = references(model, processor, pages, described, tiny.INSTRUCTION, tiny.MAX_TOKENS)
    tiny.write_references(args.tiny, processor, pages, cases)
    return 0 if parity.report(folder, described, cases, tiny.MAX_TOKENS) else 1


def main():
    warnings.filterwarnings("ignore")
    logging.getLogger("torch.onnx").setLevel(logging.ERROR)
    args = arguments()
    return export_checkpoint(args) if args.tiny is None else export_tiny(args)


if __name__ == "__main__":
    sys.exit(main())
