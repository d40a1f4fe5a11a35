"""`ocr_engine.json`: the manifest that describes the graphs to the host. All values are read from the checkpoint."""

import json
from pathlib import Path

import graphs

FORMAT, FORMAT_VERSION = "quire.hunyuan-ocr", 1
FILE = "ocr_engine.json"
SENTINEL = "QUIRE-INSTRUCTION"

# The prompts that the model was trained on, by mode. Note: it silently reads worse with other prompts.
# {keys} and {language} are replaced by the client's values, as plain text.
MODES = json.loads((Path(__file__).resolve().parents[2] / "ocr/prompts/hunyuan-ocr.json").read_text(encoding="utf-8"))

# Greedy decoding with this penalty is the releases' own setting. A page may have as many tokens as four times its
# picture's, and a thousand on top for the small ones.
GENERATION = {"repetition_penalty": 1.08, "max_tokens": 16384, "base_tokens": 1024, "tokens_per_image_token": 4}

# When a page's text is checked for a repeated unit at its end, and what is removed (lengths in characters).
REPETITION = {"first_check": 4000, "check_every": 1000, "tail": 8000, "longest_unit": 256, "repeats": 8,
              "clean_from": 2000, "clean_repeats": 10}


def render(processor, picture, instruction):
    """A page's prompt as text, by the checkpoint's own template. The system message is empty, as the releases advise."""
    user = [{"type": "image", "image": picture}, {"type": "text", "text": instruction}]
    messages = [{"role": "system", "content": ""}, {"role": "user", "content": user}]
    return processor.apply_chat_template(messages, tokenize=False, add_generation_prompt=True)


def prompt(processor, picture):
    """The prompt's tokens around the picture and the instruction, found by rendering the checkpoint's own template."""
    text = render(processor, picture, SENTINEL)
    before, instruction, after = text.partition(SENTINEL)
    start, image, between = before.partition(processor.image_token)
    if not (instruction and image):
        raise SystemExit("the checkpoint's chat template does not put the picture before the instruction")
    encode = encoder(processor)
    parts = {"before_image": encode(start), "image": processor.image_token_id, "after_image": encode(between),
             "after_instruction": encode(after)}
    if assemble(parts, 1, encode(SENTINEL)) != encode(text):
        raise SystemExit("the instruction's tokens run into the template's: the prompt cannot be put together from parts")
    return parts


def encoder(processor):
    return lambda text: processor.tokenizer(text, add_special_tokens=False)["input_ids"]


def assemble(parts, image_tokens, instruction):
    """Returns the tokens of a prompt, as the host builds it."""
    return (parts["before_image"] + [parts["image"]] * image_tokens + parts["after_image"] + instruction
            + parts["after_instruction"])


def picture(processor):
    """Returns how a page is preprocessed: sides, resampling, normalization."""
    images = processor.image_processor
    return {"patch": images.patch_size, "merge": images.merge_size, "min_pixels": images.size["shortest_edge"],
            "max_pixels": images.size["longest_edge"], "max_aspect": 200, "resample": "bicubic",
            "mean": list(images.image_mean), "std": list(images.image_std)}


def end_tokens(model):
    """Returns the end tokens."""
    ends = model.generation_config.eos_token_id
    if ends is None:
        raise SystemExit("the checkpoint's generation_config names no eos_token_id")
    return [ends] if isinstance(ends, int) else sorted(ends)


def describe(model, processor, sample, name, version, xdrope, generation=None, repetition=None):
    """Returns the manifest without the sizes of the files."""
    config = model.config.text_config
    decoder = {"layers": config.num_hidden_layers, "kv_heads": config.num_key_value_heads, "head_dim": config.head_dim,
               "hidden": config.hidden_size, "vocabulary": config.vocab_size,
               "max_positions": config.max_position_embeddings, "cache": "fixed"}
    return {"format": FORMAT, "format_version": FORMAT_VERSION, "name": name, "version": version,
            "dtype": str(model.dtype).removeprefix("torch."), "xdrope": xdrope,
            "graphs": {"vision": graphs.VISION, "decoder": graphs.DECODER}, "tokenizer": "tokenizer.json",
            "picture": picture(processor), "decoder": decoder, "positions": ["sequence", "column", "row", "image"],
            "prompt": prompt(processor, sample), "end_tokens": end_tokens(model),
            "generation": generation or GENERATION, "repetition": repetition or REPETITION, "modes": MODES}


def write(folder, manifest):
    """Writes the manifest with the size of every file beside it, so that a truncated copy is detected."""
    sizes = {path.name: path.stat().st_size for path in sorted(folder.iterdir()) if path.name != FILE and path.is_file()}
    text = json.dumps({**manifest, "files": sizes}, ensure_ascii=False, indent=1)
    (folder / FILE).write_text(text + "\n", encoding="utf-8")
