"""Checks that the graphs generate the same tokens as transformers' generate(). The host's part is implemented with numpy."""

from dataclasses import dataclass

import numpy as np
import onnxruntime
import torch

import graphs
import manifest

# Where transformers' own two best scores are closer than this share of the scores' deviation, float16 may choose the other.
NEAR_TIE = {"float32": 0.0, "float16": 0.05}


@dataclass
class Case:
    """A page with its prompt and the output of transformers."""

    name: str
    pixels: np.ndarray       # f32 [1,3,H,W]
    prompt: np.ndarray       # i64 [s]
    positions: np.ndarray    # i64 [4,s]
    tokens: list             # output of generate(), including its end token
    margins: list            # by token: the best score's lead over the second, in deviations of all scores


def unpatchify(patches, grid, size):
    """Rows of patches [h*w, 3*size*size] in raster order, back to a picture [1,3,h*size,w*size]."""
    _, h, w = grid
    return patches.reshape(h, w, 3, size, size).transpose(2, 0, 3, 1, 4).reshape(1, 3, h * size, w * size)


def reference(model, processor, name, page, instruction, penalty, max_tokens):
    """Runs one page with transformers, in a batch of its own."""
    inputs = processor(text=[manifest.render(processor, page, instruction)], images=[page], return_tensors="pt")
    positions, _ = model.model.get_rope_index(
        inputs["input_ids"], mm_token_type_ids=inputs["mm_token_type_ids"], image_grid_thw=inputs["image_grid_thw"])
    with torch.no_grad():
        answer = model.generate(**inputs, do_sample=False, num_beams=1, max_new_tokens=max_tokens, repetition_penalty=penalty,
                                temperature=None, top_p=None, top_k=None, output_scores=True, return_dict_in_generate=True)
    prompt = inputs["input_ids"][0].numpy()
    grid = inputs["image_grid_thw"][0].tolist()
    pixels = unpatchify(inputs["pixel_values"].float().numpy(), grid, processor.image_processor.patch_size)
    return Case(name, pixels, prompt, positions[:, 0].numpy(), answer.sequences[0, len(prompt):].tolist(),
                [lead(scores[0]) for scores in answer.scores])


def lead(scores):
    best, second = scores.topk(2).values.tolist()
    return (best - second) / scores.std().item()


class Graphs:
    """The exported graphs with one fixed slot a page; past and present are bound to the same memory."""

    def __init__(self, folder, described, slots, capacity):
        self.sessions = [onnxruntime.InferenceSession(str(folder / file), providers=["CPUExecutionProvider"])
                         for file in (graphs.VISION, graphs.DECODER)]
        decoder = described["decoder"]
        self.image, self.penalty = described["prompt"]["image"], described["generation"]["repetition_penalty"]
        self.ends, self.hidden = described["end_tokens"], decoder["hidden"]
        self.dtype = np.dtype(described["dtype"])
        shape = (slots, decoder["kv_heads"], capacity, decoder["head_dim"])
        self.cache = {name: np.zeros(shape, self.dtype) for name in graphs.cache_names(decoder["layers"])}
        self.seen = np.zeros((slots, decoder["vocabulary"]), bool)

    def decode(self, slots, ids, features, image_index, positions, cached):
        """One run over a slice of the slots: ids [b,s], cached [b] tokens before it. Returns the next tokens [b]."""
        binding = self.sessions[1].io_binding()
        lengths = (cached + ids.shape[1]).astype(np.int32)
        inputs = {"input_ids": ids, "image_features": features, "image_index": image_index, "position_ids": positions,
                  "seqlens_k": lengths - 1, "total_sequence_length": np.array(lengths.max(), np.int32),
                  "penalty": np.array(self.penalty, np.float32)}
        inputs = {name: np.ascontiguousarray(value) for name, value in inputs.items()}
        for name, value in inputs.items():
            binding.bind_cpu_input(name, value)
        pairs = {f"past_key_values.{n}": (f"present.{n}", memory) for n, memory in self.cache.items()}
        for name, (output, memory) in {**pairs, "seen": ("seen_out", self.seen)}.items():
            view = memory[slots]
            where = dict(device_type="cpu", device_id=0, element_type=view.dtype, shape=view.shape, buffer_ptr=view.ctypes.data)
            binding.bind_input(name=name, **where)
            binding.bind_output(name=output, **where)
        binding.bind_output("next_token")
        binding.bind_output("probability")
        self.sessions[1].run_with_iobinding(binding)
        return binding.get_outputs()[-2].numpy()[:, 0]    # in the order of binding

    def prefill(self, slot, case):
        """Runs a page's prompt in its slot. Returns the first token."""
        features = self.sessions[0].run(None, {"pixel_values": case.pixels})[0][0]
        of_image = case.prompt == self.image
        index = np.where(of_image, np.cumsum(of_image) - 1, -1)
        one = slice(slot, slot + 1)
        return self.decode(one, case.prompt[None], features, index[None], case.positions[:, None], np.zeros(1, int))

    def read(self, cases, max_tokens):
        """Decodes all pages together, each until its end token."""
        answers = [[int(self.prefill(slot, case)[0])] for slot, case in enumerate(cases)]
        cached = np.array([len(case.prompt) for case in cases])
        nothing = np.zeros((1, self.hidden), self.dtype)
        for _ in range(max_tokens - 1):
            if all(self.ended(answer) for answer in answers):
                break
            ids = np.array([[answer[-1]] for answer in answers])
            positions = np.tile(cached[None, :, None], (4, 1, 1))
            tokens = self.decode(slice(None), ids, nothing, np.full_like(ids, -1), positions, cached)
            cached = cached + 1
            for answer, token in zip(answers, tokens):
                answer.append(int(token))
        return [answer[:self.end(answer)] for answer in answers]

    def end(self, answer):
        """Returns the number of tokens of an answer, including its first end token."""
        return next((index + 1 for index, token in enumerate(answer) if token in self.ends), len(answer))

    def ended(self, answer):
        return any(token in self.ends for token in answer)


def compare(case, answer, near_tie):
    """Returns the number of equal tokens before the first difference, a message about the page, and whether it passes."""
    same = next((i for i, (a, b) in enumerate(zip(answer, case.tokens)) if a != b), min(len(answer), len(case.tokens)))
    if answer == case.tokens:
        return same, "", True
    margin = case.margins[min(same, len(case.margins) - 1)]
    if margin <= near_tie:
        return same, f", then a near tie goes the other way (lead {margin:.3f})", True
    return same, f", then DIFFERENT (lead {margin:.3f})", False


def report(folder, described, cases, max_tokens):
    """Prints one line per page. Returns whether all pages pass."""
    longest = max(len(case.prompt) for case in cases)
    answers = Graphs(folder, described, len(cases), longest + max_tokens).read(cases, max_tokens)
    equal, good = 0, True
    for case, answer in zip(cases, answers):
        same, remark, fine = compare(case, answer, NEAR_TIE[described["dtype"]])
        equal, good = equal + same, good and fine
        end = "ends" if case.tokens[-1] in described["end_tokens"] else "is cut off"
        print(f"{case.name}: {case.pixels.shape[3]}x{case.pixels.shape[2]}, prompt {len(case.prompt)}, {end}: "
              f"{same}/{len(case.tokens)} tokens equal{remark}")
    total = sum(len(case.tokens) for case in cases)
    print(f"parity with transformers: {equal}/{total} tokens equal: {'passed' if good else 'FAILED'}")
    return good
