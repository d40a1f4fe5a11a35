"""The two ONNX graphs of a HunyuanOCR model, written so that the host need not know its layers.

In tensor terms (n pictures, b slots, s new tokens, v vocabulary, h hidden size, a positions' axes, L layers):

    vision_encoder.onnx  pixel_values f32[n,3,H,W] (H, W multiples of 32)      -> image_features [n,(H/32)(W/32+1)+2,h]
    decoder.onnx         input_ids i64[b,s], image_features [rows>=1,h], image_index i64[b,s] (a row, or -1 for text),
                         position_ids i64[a,b,s], seqlens_k i32[b] (cached tokens after this run, less one),
                         total_sequence_length i32[] (the longest of them), seen bool[b,v], penalty f32[],
                         past_key_values.{i}.{key,value} [b,kv_heads,capacity,head_dim]
                                                                            -> next_token i64[b,1], probability f32[b,1],
                                                                               seen_out bool[b,v], present.{i}.{key,value}

past and present are one memory, updated in place, and so may be seen and seen_out: a run at position 0 forgets what its
slot had seen. Several new tokens are taken for one slot at a time, from position 0.
"""

import types

import torch
import torch.nn.functional as F
from torch import nn

OPSET = 20
VISION, DECODER = "vision_encoder.onnx", "decoder.onnx"


def pair_frequencies(rotary, freq):
    """XD-RoPE as the model was trained: both halves of a head, and so each rotated pair, share one axis. freq [a,b,s,d/2]."""
    parts = freq.split(list(rotary.mrope_section), dim=-1)
    half = torch.cat([part[axis] for axis, part in enumerate(parts)], dim=-1)
    return torch.cat((half, half), dim=-1)


def set_xdrope(model, layout):
    """Sets the layout for both transformers and the export, and keeps the frequencies in float32."""
    rotary = model.model.language_model.rotary_emb
    if rotary.rope_type not in ("ntk_alpha", "default"):
        raise SystemExit(f"positions of the kind {rotary.rope_type} are not known here")
    init = rotary.compute_ntk_alpha_rope_parameters if rotary.rope_type == "ntk_alpha" else rotary.compute_default_rope_parameters
    rotary.inv_freq, rotary.attention_scaling = init(rotary.config)
    if layout == "paired":
        rotary.recomposition_frequencies = types.MethodType(pair_frequencies, rotary)


class Vision(nn.Module):
    """The vision tower and its adapter. The grid is derived from the image's shape, so the graph does not depend on data."""

    def __init__(self, model):
        super().__init__()
        self.tower = model.model.vision_tower

    def positions(self, height, width):
        """The learned table [edge,edge,c], interpolated to the patches' grid: [1,c,height,width]."""
        embed = self.tower.embeddings
        table = embed.position_embedding.weight[1:].reshape(1, embed.position_edge, embed.position_edge, -1)
        table = table.permute(0, 3, 1, 2).float()
        return F.interpolate(table, size=(height, width), mode=embed.config.interpolate_mode, align_corners=False)

    def attention(self, layer, x):
        """Full attention over one page, as one fused operator, so that the scores of 8,000 patches are never a tensor."""
        heads = layer.self_attn
        y = layer.layer_norm1(x)
        q, k, v = heads.q_proj(y), heads.k_proj(y), heads.v_proj(y)
        y = torch.onnx.ops.symbolic(
            "com.microsoft::MultiHeadAttention", (q, k, v), attrs=dict(num_heads=heads.num_heads),
            dtype=q.dtype, shape=q.shape, version=1)
        return x + heads.o_proj(y)

    def merge(self, x, height, width):
        """[n,height*width,c] -> [n,(height/2)(width/2+1)+2,h]: 2x2 patches to one, a newline a row, begin and end."""
        adapter = self.tower.patch_merger
        x = adapter.before_rms(x).transpose(1, 2).reshape(x.shape[0], -1, height, width)
        x = adapter.proj_out(adapter.proj_act(adapter.proj_conv(x)))
        newline = adapter.image_newline.reshape(1, -1, 1, 1).expand(x.shape[0], -1, x.shape[2], 1)
        x = adapter.mlp(torch.cat([x, newline], dim=-1).flatten(2).transpose(1, 2))
        begin, end = (edge.reshape(1, 1, -1).expand(x.shape[0], 1, -1) for edge in (adapter.image_begin, adapter.image_end))
        return adapter.after_rms(torch.cat([begin, x, end], dim=1))

    def forward(self, pixel_values):
        embed = self.tower.embeddings.patch_embedding
        patches = embed(pixel_values.to(embed.weight.dtype))
        height, width = patches.shape[2:]
        x = (patches + self.positions(height, width).to(patches.dtype)).flatten(2).transpose(1, 2)
        for layer in self.tower.layers:
            x = self.attention(layer, x)
            x = x + layer.mlp(layer.layer_norm2(x))
        return self.merge(x, height, width)


def packed(*projections):
    """Several projections of the same input as one matrix."""
    return nn.Parameter(torch.cat([projection.weight for projection in projections]).detach(), requires_grad=False)


class Decoder(nn.Module):
    """The language model, from token ids to the next token. Queries, keys and values are one product, q and k are rotated
    together with a signed sine, and nothing is transposed: GroupQueryAttention takes [b,s,heads*head_dim]."""

    def __init__(self, model):
        super().__init__()
        config = model.config.text_config
        self.text, self.head = model.model.language_model, model.lm_head
        self.heads, self.kv_heads, self.head_dim = config.num_attention_heads, config.num_key_value_heads, config.head_dim
        self.ffn = config.intermediate_size
        layers = self.text.layers
        self.qkv = nn.ParameterList([packed(l.self_attn.q_proj, l.self_attn.k_proj, l.self_attn.v_proj) for l in layers])
        self.gate_up = nn.ParameterList([packed(l.mlp.gate_proj, l.mlp.up_proj) for l in layers])

    def embed(self, input_ids, image_features, image_index):
        """Token embeddings [b,s,h], with the picture's rows where image_index names one."""
        rows = image_features[image_index.clamp(min=0)]
        return torch.where((image_index >= 0).unsqueeze(-1), rows, self.text.embed_tokens(input_ids))

    def rotation(self, x, position_ids):
        """Cosine and signed sine, each [b,s,1,head_dim]; the rotation itself is in float32, as in transformers."""
        cos, sin = (table.unsqueeze(2) for table in self.text.rotary_emb(x.float(), position_ids))
        half = self.head_dim // 2
        return cos, torch.cat([-sin[..., :half], sin[..., half:]], -1)

    def attention(self, layer, qkv, x, cos, sin, cache, lengths):
        """x plus its attention, and the cache's two new tensors. Queries and keys are normalized AFTER the rotation."""
        b, s, _ = x.shape
        attn, half = layer.self_attn, self.head_dim // 2
        qk_size, v_size = (self.heads + self.kv_heads) * self.head_dim, self.kv_heads * self.head_dim
        qk, v = F.linear(layer.input_layernorm(x), qkv).split([qk_size, v_size], -1)
        qk = qk.reshape(b, s, self.heads + self.kv_heads, self.head_dim).float()
        qk = (qk * cos + torch.cat([qk[..., half:], qk[..., :half]], -1) * sin).to(x.dtype)
        q, k = qk.split([self.heads, self.kv_heads], 2)
        q, k = attn.query_layernorm(q).reshape(b, s, -1), attn.key_layernorm(k).reshape(b, s, -1)
        y, key, value = torch.onnx.ops.symbolic_multi_out(
            "com.microsoft::GroupQueryAttention", (q, k, v, *cache, *lengths),
            attrs=dict(num_heads=self.heads, kv_num_heads=self.kv_heads, do_rotary=0),
            dtypes=(q.dtype, k.dtype, v.dtype), shapes=(q.shape, cache[0].shape, cache[1].shape), version=1)
        return x + attn.o_proj(y), key, value

    def choose(self, logits, input_ids, position_ids, seen, penalty):
        """Greedy, with the repetition penalty over all tokens so far, the prompt's among them. logits f32[b,v]."""
        seen = seen & (position_ids[0, :, :1] > 0)
        seen = seen.scatter(1, input_ids, torch.ones_like(input_ids, dtype=torch.bool))
        penalized = torch.where(logits > 0, logits / penalty, logits * penalty)
        token = torch.where(seen, penalized, logits).argmax(-1, keepdim=True)
        return token, torch.softmax(logits, -1).gather(1, token), seen

    def forward(self, input_ids, image_features, image_index, position_ids, seqlens_k, total_sequence_length, seen,
                penalty, past):
        x = self.embed(input_ids, image_features, image_index)
        cos, sin = self.rotation(x, position_ids)
        present = []
        for layer, qkv, gate_up, cache in zip(self.text.layers, self.qkv, self.gate_up, past):
            x, *cache = self.attention(layer, qkv, x, cos, sin, cache, (seqlens_k, total_sequence_length))
            present += cache
            gate, up = F.linear(layer.post_attention_layernorm(x), gate_up).split([self.ffn, self.ffn], -1)
            x = x + layer.mlp.down_proj(layer.mlp.act_fn(gate) * up)
        # Only the logits of the last token, because those of a whole page would need half a gigabyte.
        logits = self.head(self.text.norm(x[:, -1])).float()
        return (*self.choose(logits, input_ids, position_ids, seen, penalty), *present)


def cache_names(layers):
    return [f"{layer}.{part}" for layer in range(layers) for part in ("key", "value")]


def export_vision(model, folder, external):
    rows, columns = torch.export.Dim("rows", min=2, max=512), torch.export.Dim("columns", min=2, max=512)
    pictures = torch.zeros(2, 3, 96, 128)
    shapes = ({0: torch.export.Dim("pictures", max=512), 2: 32 * rows, 3: 32 * columns},)
    save(Vision(model), (pictures,), ["pixel_values"], ["image_features"], shapes, folder, VISION, external)


def export_decoder(model, folder, external):
    config, auto = model.config.text_config, torch.export.Dim.AUTO
    axes = len(config.rope_parameters["mrope_section"])
    cache = torch.zeros(2, config.num_key_value_heads, 33, config.head_dim, dtype=model.dtype)
    ids = torch.ones(2, 7, dtype=torch.long)
    inputs = (ids, torch.zeros(9, config.hidden_size, dtype=model.dtype), ids - 2, torch.ones(axes, 2, 7, dtype=torch.long),
              torch.tensor([6, 6], dtype=torch.int32), torch.tensor(7, dtype=torch.int32),
              torch.zeros(2, config.vocab_size, dtype=torch.bool), torch.tensor(1.0),
              tuple((cache.clone(), cache.clone()) for _ in range(config.num_hidden_layers)))
    both, slots = {0: auto, 1: auto}, {0: auto}
    past = tuple(({0: auto, 2: auto}, {0: auto, 2: auto}) for _ in range(config.num_hidden_layers))
    shapes = (both, {0: auto}, both, {1: auto, 2: auto}, slots, {}, slots, {}, past)
    names = cache_names(config.num_hidden_layers)
    save(Decoder(model), inputs,
         ["input_ids", "image_features", "image_index", "position_ids", "seqlens_k", "total_sequence_length", "seen", "penalty"]
         + [f"past_key_values.{name}" for name in names],
         ["next_token", "probability", "seen_out"] + [f"present.{name}" for name in names],
         shapes, folder, DECODER, external)


def save(module, inputs, input_names, output_names, shapes, folder, file, external):
    """Traces a module and writes its graph; `external` stores the weights in a separate file, because Protocol Buffers are limited to 2 GB."""
    with torch.no_grad():
        program = torch.onnx.export(
            module.eval(), inputs, dynamo=True, input_names=input_names, output_names=output_names,
            dynamic_shapes=shapes, opset_version=OPSET, external_data=external, optimize=True, verbose=False)
    strip_traces(program.model)
    program.save(str(folder / file), external_data=external)


def strip_traces(model):
    """Drops the exporter's notes (source lines, paths of this machine), which are most of a small graph's bytes."""
    model.metadata_props.clear()
    model.graph.metadata_props.clear()
    for node in model.graph.all_nodes():
        node.metadata_props.clear()
        node.doc_string = None
    for value in list(model.graph.inputs) + list(model.graph.outputs) + list(model.graph.initializers.values()):
        value.metadata_props.clear()
    for node in model.graph.all_nodes():
        for value in node.outputs:
            value.metadata_props.clear()
