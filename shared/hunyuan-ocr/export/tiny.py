"""The tiny model of the tests: HunyuanOCR's architecture with random weights, a tokenizer and generated pages."""

import json

import numpy as np
import torch
from PIL import Image, ImageDraw
from tokenizers import Regex, Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import HunYuanVLConfig, HunYuanVLForConditionalGeneration, HunYuanVLProcessor, PreTrainedTokenizerFast
from transformers.models.hunyuan_vl.image_processing_pil_hunyuan_vl import HunYuanVLImageProcessorPil

SPECIAL = ["<|pad|>", "<|begin|>", "<|end|>", "<|system_end|>", "<|user|>", "<|image|>", "<|image_start|>",
           "<|image_end|>", "<|image_newline|>", "<|end_of_turn|>"]
PAD, BEGIN, END, _, _, IMAGE, IMAGE_START, IMAGE_END, IMAGE_NEWLINE, END_OF_TURN = range(len(SPECIAL))
VOCABULARY = 512
SEED = 1
MAX_TOKENS = 96
GENERATION = {"repetition_penalty": 1.08, "max_tokens": MAX_TOKENS, "base_tokens": MAX_TOKENS, "tokens_per_image_token": 0}

# Training text of the byte pairs. Byte-level, so that any other text can be encoded, too.
SENTENCES = [
    "Invoice total 1,234.50 due 2026-01-31", "<table><tr><td>Item</td><td>Price</td></tr></table>",
    r"$$ \frac{a}{b} = \sum_{i=0}^{n} x_i $$", "# Heading\n\nBody text of a page, in reading order.",
    "检测并识别图片中的文字，将文本坐标格式化输出。", "提取文档图片中正文的所有信息用markdown格式表示",
]
WORDS = (r"\p{N}{1,3}|[\u4e00-\u9fa5\u3040-\u309f\u30a0-\u30ff]+|[^\r\n\p{L}\p{N}]?\p{L}+"
         r"| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+")
TEMPLATE = (
    "{{ '<|begin|>' }}{% for m in messages %}{% if m.role == 'system' %}{{ m.content }}{{ '<|system_end|>' }}"
    "{% else %}{% for part in m.content %}{% if part.type == 'image' %}{{ '<|image_start|><|image|><|image_end|>' }}"
    "{% else %}{{ part.text }}{% endif %}{% endfor %}{% endif %}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|user|>' }}{% endif %}")

# Sides of the pages: enlarged, reduced, sides that round to even, narrow ones, and two of one size to share a vision run.
PAGES = {"card": (100, 60), "note": (150, 90), "poster": (400, 300), "column": (70, 240), "banner": (336, 80),
         "note-again": (150, 90), "stamp": (48, 48), "sheet": (210, 297)}
INSTRUCTION = "提取图中的文字。"


def tokenizer():
    bpe = Tokenizer(models.BPE())
    bpe.pre_tokenizer = pre_tokenizers.Sequence([
        pre_tokenizers.Split(Regex(WORDS), "isolated"), pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)])
    bpe.decoder = decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    bpe.train_from_iterator(SENTENCES * 4, trainers.BpeTrainer(
        vocab_size=VOCABULARY, special_tokens=SPECIAL, initial_alphabet=alphabet, show_progress=False))
    return PreTrainedTokenizerFast(
        tokenizer_object=bpe, pad_token=SPECIAL[PAD], bos_token=SPECIAL[BEGIN], eos_token=SPECIAL[END],
        extra_special_tokens={"image_token": SPECIAL[IMAGE], "image_start_token": SPECIAL[IMAGE_START],
                              "image_end_token": SPECIAL[IMAGE_END]})


def processor():
    images = HunYuanVLImageProcessorPil(size={"shortest_edge": 64 * 64, "longest_edge": 256 * 256})
    return HunYuanVLProcessor(image_processor=images, tokenizer=tokenizer(), chat_template=TEMPLATE)


def config():
    text = dict(vocab_size=VOCABULARY, hidden_size=64, intermediate_size=128, num_hidden_layers=2, num_attention_heads=4,
                num_key_value_heads=2, head_dim=16, max_position_embeddings=1024, rms_norm_eps=1e-5,
                tie_word_embeddings=True, bos_token_id=BEGIN, eos_token_id=END, pad_token_id=PAD,
                rope_parameters=dict(rope_type="dynamic", rope_theta=10000.0, alpha=1000.0, factor=1.0,
                                     mrope_section=[2, 2, 2, 2]))
    vision = dict(hidden_size=32, intermediate_size=64, num_hidden_layers=2, num_attention_heads=2, patch_size=16,
                  spatial_merge_size=2, max_image_size=256, min_image_size=64)
    return HunYuanVLConfig(text_config=text, vision_config=vision, image_token_id=IMAGE, im_start_id=IMAGE_START,
                           im_end_id=IMAGE_END, im_newline_id=IMAGE_NEWLINE, tie_word_embeddings=True)


def model():
    """Random weights, wide, so that greedy decoding does not collapse on one token; the two end tokens have longer rows in
    the tied embedding, so that they are sometimes generated and pages end at different steps."""
    torch.manual_seed(SEED)
    tiny = HunYuanVLForConditionalGeneration(config()).eval().float()
    random = torch.Generator().manual_seed(SEED + 1)
    with torch.no_grad():
        for name, weight in tiny.named_parameters():
            noise = torch.randn(weight.shape, generator=random)
            if "embed_tokens" in name or "lm_head" in name:
                weight.copy_(0.05 * noise)
                weight[[END, END_OF_TURN]] *= 1.4
            elif weight.dim() >= 2:
                weight.copy_(noise * 2.5 / weight[0].numel() ** 0.5)
            else:
                weight.copy_(1 + 0.2 * noise if "norm" in name or "rms" in name else 0.3 * noise)
    tiny.generation_config.eos_token_id = [END, END_OF_TURN]
    tiny.generation_config.pad_token_id = PAD
    return tiny


def page(name, width, height):
    """Lines of text on a colored sheet, with different blots on each page."""
    random = np.random.default_rng([ord(letter) for letter in name])
    sheet = Image.new("RGB", (width, height), tuple(int(v) for v in random.integers(200, 256, 3)))
    draw = ImageDraw.Draw(sheet)
    for top in range(6, height - 12, 18):
        ink = tuple(int(v) for v in random.integers(0, 120, 3))
        draw.text((6, top), f"{name} {random.integers(0, 10_000)}", fill=ink)
    for _ in range(6):
        x, y, size = random.integers(0, width), random.integers(0, height), random.integers(4, 24)
        ink = tuple(int(v) for v in random.integers(0, 256, 3))
        draw.ellipse((int(x), int(y), int(x + size), int(y + size)), fill=ink)
    return sheet


def draw_pages(folder):
    """Writes the pages as PNG files. Returns the pages as decoded from those files."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, (width, height) in PAGES.items():
        page(name, width, height).save(folder / f"{name}.png", optimize=True)
    return {name: Image.open(folder / f"{name}.png").convert("RGB") for name in PAGES}


def fnv(data):
    """FNV-1a, 64 bits: enough to compare two images."""
    value = 0xCBF29CE484222325
    for byte in data:
        value = (value ^ byte) * 0x100000001B3 % 2**64
    return value


def write_references(folder, processor, pages, cases):
    """Returns the expected results: for every page the size and hash of the resized image, the prompt and the tokens."""
    entries = []
    for case in cases:
        height, width = case.pixels.shape[2:]
        resized = pages[case.name].resize((width, height), Image.Resampling.BICUBIC)
        entries.append({"page": case.name, "width": width, "height": height, "rgb_fnv": f"{fnv(resized.tobytes()):016x}",
                        "prompt": case.prompt.tolist(), "positions": case.positions.tolist(), "tokens": case.tokens,
                        "text": processor.decode(case.tokens, skip_special_tokens=True)})
    lines = ",\n".join(json.dumps(entry, ensure_ascii=False) for entry in entries)
    text = f'{{"instruction": {json.dumps(INSTRUCTION, ensure_ascii=False)}, "pages": [\n{lines}\n]}}\n'
    (folder / "references.json").write_text(text, encoding="utf-8")
