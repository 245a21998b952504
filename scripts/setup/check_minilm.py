#!/usr/bin/env python3
"""Compares embed.gguf, as llama.cpp runs it, with a float64 reference computed from the weights.

    check_minilm.py MODEL_FOLDER URL

MODEL_FOLDER holds model.safetensors, config.json and vocab.txt; URL is an OpenAI-compatible endpoint
that serves embed.gguf, for example the stock server's http://127.0.0.1:8080/v1/embeddings. Needs
numpy, which set-up does not install: this is run by hand when the conversion or llama.cpp changes.
Exits 1 unless every text's cosine is above 0.9999.
"""
import json
import struct
import sys
import unicodedata
import urllib.request
from math import erf
from pathlib import Path

import numpy as np

LOWEST = 0.9999
TEXTS = (
    "Hello world",
    "The cat sits outside",
    "What is the notice period for terminating the lease?",
    "Dosage: 5 mg/kg every 8 h (max. 40 mg); see §4.2 - contraindications!",
    "Übergrößenträger naïve café Ærøskøbing",
    "tokenisation of uncharacteristically long internationalisations",
    "漢字とかな 東京 中文",
    "e-mail: someone@example.org, https://example.org/a?b=c#d",
    "[unused5] [SEP",
    "emoji \U0001F600 end",
    "Bulkhead keeps a leak in one compartment out of the next. " * 16,
)


class Tokenizer:
    """BERT's uncased WordPiece."""

    def __init__(self, vocabulary):
        self.ids = {token: i for i, token in enumerate(vocabulary)}

    @staticmethod
    def words(text):
        text = unicodedata.normalize("NFD", text.lower())
        word = ""
        for char in text:
            category = unicodedata.category(char)
            point = ord(char)
            if category == "Mn" or point in (0, 0xFFFD) or (category in ("Cc", "Cf") and char not in "\t\n\r"):
                continue
            ascii_punctuation = point < 128 and not char.isalnum() and not char.isspace()
            chinese = (0x4E00 <= point <= 0x9FFF or 0x3400 <= point <= 0x4DBF or 0x20000 <= point <= 0x2FA1F
                       or 0xF900 <= point <= 0xFAFF)
            alone = ascii_punctuation or category.startswith("P") or chinese
            if alone or char.isspace():
                if word:
                    yield word
                word = ""
                if alone:
                    yield char
            else:
                word += char
        if word:
            yield word

    def pieces(self, word):
        found, start = [], 0
        while start < len(word):
            for end in range(len(word), start, -1):
                piece = ("##" if start else "") + word[start:end]
                if piece in self.ids:
                    found.append(self.ids[piece])
                    start = end
                    break
            else:
                return [self.ids["[UNK]"]]
        return found

    def __call__(self, text):
        inner = [piece for word in self.words(text) for piece in self.pieces(word)]
        return [self.ids["[CLS]"], *inner, self.ids["[SEP]"]]


class Reference:
    def __init__(self, folder):
        data = (folder / "model.safetensors").read_bytes()
        size = struct.unpack("<Q", data[:8])[0]
        header = json.loads(data[8:8 + size])
        self.weights = {
            name: np.frombuffer(data[8 + size + entry["data_offsets"][0]:8 + size + entry["data_offsets"][1]], "<f4")
            .astype(np.float64).reshape(entry["shape"])
            for name, entry in header.items() if entry.get("dtype") == "F32"
        }
        self.config = json.loads((folder / "config.json").read_text())

    def linear(self, x, name):
        return x @ self.weights[name + ".weight"].T + self.weights[name + ".bias"]

    def norm(self, x, name):
        centred = x - x.mean(-1, keepdims=True)
        scale = np.sqrt((centred ** 2).mean(-1, keepdims=True) + self.config["layer_norm_eps"])
        return centred / scale * self.weights[name + ".weight"] + self.weights[name + ".bias"]

    def __call__(self, ids):
        heads = self.config["num_attention_heads"]
        width = self.config["hidden_size"] // heads
        x = (self.weights["embeddings.word_embeddings.weight"][ids]
             + self.weights["embeddings.position_embeddings.weight"][:len(ids)]
             + self.weights["embeddings.token_type_embeddings.weight"][0])
        x = self.norm(x, "embeddings.LayerNorm")
        gelu = np.vectorize(lambda value: value * 0.5 * (1 + erf(value / 2 ** 0.5)))
        for layer in range(self.config["num_hidden_layers"]):
            at = f"encoder.layer.{layer}."
            query, key, value = (
                self.linear(x, f"{at}attention.self.{part}").reshape(len(ids), heads, width).transpose(1, 0, 2)
                for part in ("query", "key", "value"))
            scores = query @ key.transpose(0, 2, 1) / width ** 0.5
            scores = np.exp(scores - scores.max(-1, keepdims=True))
            mixed = (scores / scores.sum(-1, keepdims=True) @ value).transpose(1, 0, 2).reshape(len(ids), -1)
            x = self.norm(x + self.linear(mixed, at + "attention.output.dense"), at + "attention.output.LayerNorm")
            inner = gelu(self.linear(x, at + "intermediate.dense"))
            x = self.norm(x + self.linear(inner, at + "output.dense"), at + "output.LayerNorm")
        return x.mean(0)


def served(url, text):
    """The vector, and how many tokens the server counted."""
    body = json.dumps({"model": "embed", "input": text}).encode()
    request = urllib.request.Request(url, body, {"Content-Type": "application/json"})
    with urllib.request.urlopen(request, timeout=60) as answer:
        reply = json.load(answer)
    return np.array(reply["data"][0]["embedding"], np.float64), reply["usage"]["prompt_tokens"]


def main(folder, url):
    tokenize = Tokenizer((folder / "vocab.txt").read_text(encoding="utf-8").split("\n"))
    reference = Reference(folder)
    lowest = 1.0
    for text in TEXTS:
        ids = tokenize(text)
        want = reference(ids)
        got, count = served(url, text)
        cosine = float(want @ got / np.linalg.norm(want) / np.linalg.norm(got))
        lowest = min(lowest, cosine)
        note = "" if count == len(ids) else f"  (the server counts {count})"
        print(f"{cosine:.7f}  {len(ids):3d} tokens  {text[:60]}{note}")
    print(f"lowest cosine {lowest:.7f}, wanted above {LOWEST}")
    return 0 if lowest > LOWEST else 1


if __name__ == "__main__":
    if len(sys.argv) != 3:
        raise SystemExit(__doc__)
    sys.exit(main(Path(sys.argv[1]), sys.argv[2]))
