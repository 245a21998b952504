#!/usr/bin/env python3
"""Converts all-MiniLM-L6-v2 (safetensors) to a GGUF file for llama.cpp. Standard library only.

    convert_minilm.py MODEL_FOLDER OUTPUT.gguf

Matrices become F16, vectors and the two small embedding tables stay F32, as llama.cpp's own
converter does for BERT. The output is the same, byte for byte, on every machine.
"""
import json
import struct
import sys
from array import array
from pathlib import Path

U32, F32, BOOL, STRING, ARRAY, I32 = 4, 6, 7, 8, 9, 5
TENSOR_F32, TENSOR_F16 = 0, 1
ALIGNMENT = 32
NORMAL, CONTROL = 1, 3
SPECIAL = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]")

LAYER_NAMES = {
    "attention.self.query": "attn_q",
    "attention.self.key": "attn_k",
    "attention.self.value": "attn_v",
    "attention.output.dense": "attn_output",
    "attention.output.LayerNorm": "attn_output_norm",
    "intermediate.dense": "ffn_up",
    "output.dense": "ffn_down",
    "output.LayerNorm": "layer_output_norm",
}
TOP_NAMES = {
    "embeddings.word_embeddings.weight": "token_embd.weight",
    "embeddings.position_embeddings.weight": "position_embd.weight",
    "embeddings.token_type_embeddings.weight": "token_types.weight",
    "embeddings.LayerNorm.weight": "token_embd_norm.weight",
    "embeddings.LayerNorm.bias": "token_embd_norm.bias",
}
KEEP_F32 = ("position_embd.weight", "token_types.weight")


def gguf_name(name):
    """llama.cpp's name of a tensor, or None for one that inference does not use."""
    if name in TOP_NAMES:
        return TOP_NAMES[name]
    if not name.startswith("encoder.layer."):
        return None  # pooler.*, position_ids
    _, _, layer, rest = name.split(".", 3)
    module, kind = rest.rsplit(".", 1)
    return f"blk.{layer}.{LAYER_NAMES[module]}.{kind}"


def string(text):
    data = text.encode()
    return struct.pack("<Q", len(data)) + data


def pair(key, kind, payload):
    return string(key) + struct.pack("<I", kind) + payload


def list_of(kind, items):
    return struct.pack("<IQ", kind, len(items)) + b"".join(items)


def word_piece(token):
    """llama.cpp marks the beginning of a word instead of its continuation."""
    if token.startswith("[") and token.endswith("]"):
        return token
    return token[2:] if token.startswith("##") else "\u2581" + token


def metadata(folder):
    config = json.loads((folder / "config.json").read_text())
    tokens = (folder / "vocab.txt").read_text(encoding="utf-8").split("\n")
    if tokens[-1] == "":
        tokens.pop()
    ids = {token: i for i, token in enumerate(tokens)}
    pairs = [
        pair("general.architecture", STRING, string("bert")),
        pair("general.name", STRING, string("all-MiniLM-L6-v2")),
        pair("general.license", STRING, string("apache-2.0")),
        pair("general.file_type", U32, struct.pack("<I", 1)),
        pair("bert.block_count", U32, struct.pack("<I", config["num_hidden_layers"])),
        pair("bert.context_length", U32, struct.pack("<I", config["max_position_embeddings"])),
        pair("bert.embedding_length", U32, struct.pack("<I", config["hidden_size"])),
        pair("bert.feed_forward_length", U32, struct.pack("<I", config["intermediate_size"])),
        pair("bert.attention.head_count", U32, struct.pack("<I", config["num_attention_heads"])),
        pair("bert.attention.layer_norm_epsilon", F32, struct.pack("<f", config["layer_norm_eps"])),
        pair("bert.attention.causal", BOOL, b"\0"),
        pair("bert.pooling_type", U32, struct.pack("<I", 1)),
        pair("tokenizer.ggml.model", STRING, string("bert")),
        pair("tokenizer.ggml.pre", STRING, string("default")),
        pair("tokenizer.ggml.token_type_count", U32, struct.pack("<I", config["type_vocab_size"])),
        pair("tokenizer.ggml.tokens", ARRAY, list_of(STRING, [string(word_piece(t)) for t in tokens])),
        pair("tokenizer.ggml.token_type", ARRAY,
             list_of(I32, [struct.pack("<i", CONTROL if t in SPECIAL else NORMAL) for t in tokens])),
    ]
    for name, token in (("bos", "[CLS]"), ("eos", "[SEP]"), ("unknown", "[UNK]"), ("seperator", "[SEP]"),
                        ("padding", "[PAD]"), ("cls", "[CLS]"), ("mask", "[MASK]")):
        pairs.append(pair(f"tokenizer.ggml.{name}_token_id", U32, struct.pack("<I", ids[token])))
    return pairs


def read_tensors(path):
    """(name, shape, F32 values) of each tensor, sorted by name."""
    data = path.read_bytes()
    header_bytes = struct.unpack("<Q", data[:8])[0]
    header = json.loads(data[8:8 + header_bytes])
    start = 8 + header_bytes
    for name in sorted(header):
        if name == "__metadata__":
            continue
        entry = header[name]
        begin, end = entry["data_offsets"]
        yield name, entry["dtype"], entry["shape"], data[start + begin:start + end]


def to_f16(raw):
    values = array("f")
    values.frombytes(raw)
    return struct.pack(f"<{len(values)}e", *values)


def convert(folder, output):
    tensors = []
    for name, dtype, shape, raw in read_tensors(folder / "model.safetensors"):
        target = gguf_name(name)
        if target is None:
            continue
        if dtype != "F32":
            raise SystemExit(f"{name} is {dtype}, expected F32")
        half = len(shape) == 2 and target not in KEEP_F32
        tensors.append((target, shape, TENSOR_F16 if half else TENSOR_F32, to_f16(raw) if half else raw))

    pairs = metadata(folder)
    head = b"GGUF" + struct.pack("<IQQ", 3, len(tensors), len(pairs)) + b"".join(pairs)
    offset = 0
    for name, shape, kind, raw in tensors:
        head += string(name) + struct.pack("<I", len(shape))
        head += b"".join(struct.pack("<Q", n) for n in reversed(shape))
        head += struct.pack("<IQ", kind, offset)
        offset += -(-len(raw) // ALIGNMENT) * ALIGNMENT
    with open(output, "wb") as out:
        out.write(head)
        out.write(b"\0" * (-len(head) % ALIGNMENT))
        for _, _, _, raw in tensors:
            out.write(raw)
            out.write(b"\0" * (-len(raw) % ALIGNMENT))


if __name__ == "__main__":
    if len(sys.argv) != 3:
        raise SystemExit(__doc__)
    convert(Path(sys.argv[1]), Path(sys.argv[2]))
