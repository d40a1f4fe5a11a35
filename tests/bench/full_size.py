#!/usr/bin/env python3
"""Exports a HunyuanOCR model with its real dimensions and random weights, to measure cost, not accuracy.

    python3 -m venv venv && venv/bin/pip install -r shared/hunyuan-ocr/export/requirements.txt
    venv/bin/python tests/bench/full_size.py OUT [--dtype fp16]
    cargo run --release -p quire-hunyuan-ocr --example hunyuan_rate -- --tokens 32 OUT PAGE…

The output is meaningless at the cost of the real model: 996 million parameters, 4 GB on disk in float32, and about
three times as much memory during the export. The tokenizer is that of the tiny model.
"""

import argparse
import sys
import warnings
from pathlib import Path

import torch
from PIL import Image
from transformers import HunYuanVLConfig, HunYuanVLForConditionalGeneration

EXPORT = Path(__file__).resolve().parents[2] / "shared" / "hunyuan-ocr" / "export"
sys.path.insert(0, str(EXPORT))

import export  # noqa: E402, needs the path above
import graphs  # noqa: E402
import manifest  # noqa: E402
import tiny  # noqa: E402

VOCABULARY = 120818
TEXT = dict(vocab_size=VOCABULARY, hidden_size=1024, intermediate_size=3584, num_hidden_layers=24,
            num_attention_heads=16, num_key_value_heads=8, head_dim=128, max_position_embeddings=32768,
            rms_norm_eps=1e-5, tie_word_embeddings=True,
            bos_token_id=tiny.BEGIN, eos_token_id=tiny.END, pad_token_id=tiny.PAD,
            rope_parameters=dict(rope_type="dynamic", rope_theta=10000.0, alpha=1000.0, factor=1.0,
                                 mrope_section=[16, 16, 16, 16]))
VISION = dict(hidden_size=1152, intermediate_size=4304, num_hidden_layers=27, num_attention_heads=16, patch_size=16,
              spatial_merge_size=2, max_image_size=2048, min_image_size=512)


def model(dtype):
    """Returns the released architecture with randomly initialized weights."""
    torch.manual_seed(tiny.SEED)
    config = HunYuanVLConfig(text_config=TEXT, vision_config=VISION, tie_word_embeddings=True,
                             image_token_id=tiny.IMAGE, im_start_id=tiny.IMAGE_START, im_end_id=tiny.IMAGE_END,
                             im_newline_id=tiny.IMAGE_NEWLINE)
    large = HunYuanVLForConditionalGeneration(config).eval().to(dtype)
    large.generation_config.eos_token_id = [tiny.END, tiny.END_OF_TURN]
    return large


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("out", type=Path, help="output folder")
    help_dtype = "fp16 for CUDA, fp32 for CPU (default: fp32)"
    parser.add_argument("--dtype", choices=export.DTYPES, default="fp32", help=help_dtype)
    args = parser.parse_args()
    warnings.filterwarnings("ignore")
    processor = tiny.processor()
    processor.image_processor.size = {"shortest_edge": 512 * 512, "longest_edge": 2048 * 2048}
    large = model(export.DTYPES[args.dtype])
    graphs.set_xdrope(large, "hf")
    print(f"{sum(weight.numel() for weight in large.parameters()) / 1e6:.0f} million parameters")
    export.export(large, processor, args.out, external=True)
    sample = Image.new("RGB", (512, 512))
    name, version = "hunyuan-full-size", f"random-{tiny.SEED}"
    manifest.write(args.out, manifest.describe(large, processor, sample, name, version, "hf"))


if __name__ == "__main__":
    main()
