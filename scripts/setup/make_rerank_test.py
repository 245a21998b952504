#!/usr/bin/env python3
"""Makes the tests' cross-encoder from the embedding model's GGUF file. Standard library only.

    make_rerank_test.py embed.gguf OUTPUT.gguf

The same encoder with a head that scores a pair: cls and cls.output, drawn from a fixed seed. It ranks no
better than chance; tests judge the wire, the walls, the erasure and that scores are equal to the stock
llama.cpp server's, never its wit. The output is the same, byte for byte, on every machine.
"""
import random
import struct
import sys
from array import array
from pathlib import Path

ALIGNMENT = 32
SEED = 20_261_128
SIZES = {0: 1, 1: 1, 2: 2, 3: 2, 4: 4, 5: 4, 6: 4, 7: 1, 10: 8, 11: 8, 12: 8}
STRING, ARRAY, F32 = 8, 9, 0
RANK_POOLING = 4
WIDTH_KEY, POOLING_KEY = b"bert.embedding_length", b"bert.pooling_type"


class Reader:
    def __init__(self, data):
        self.data, self.at = data, 0

    def take(self, form):
        values = struct.unpack_from("<" + form, self.data, self.at)
        self.at += struct.calcsize("<" + form)
        return values[0]

    def string(self):
        size = self.take("Q")
        self.at += size
        return self.data[self.at - size:self.at]

    def skip(self, kind):
        if kind == STRING:
            self.string()
        elif kind == ARRAY:
            inner, count = self.take("I"), self.take("Q")
            for _ in range(count):
                self.skip(inner)
        else:
            self.at += SIZES[kind]


def padded(raw):
    return raw + b"\0" * (-len(raw) % ALIGNMENT)


def info(name, shape, kind, offset):
    return (struct.pack("<Q", len(name)) + name + struct.pack("<I", len(shape))
            + b"".join(struct.pack("<Q", n) for n in shape) + struct.pack("<IQ", kind, offset))


def numbers(source, count, spread):
    return array("f", ((source.random() * 2 - 1) * spread for _ in range(count))).tobytes()


def make(source, output):
    data = bytearray(Path(source).read_bytes())
    reader = Reader(data)
    assert reader.take("I") == int.from_bytes(b"GGUF", "little") and reader.take("I") == 3
    count, pairs = reader.take("Q"), reader.take("Q")
    begin, width = reader.at, 0
    for _ in range(pairs):
        key, kind = bytes(reader.string()), reader.take("I")
        if key == WIDTH_KEY:
            width = struct.unpack_from("<I", data, reader.at)[0]
        if key == POOLING_KEY:
            struct.pack_into("<I", data, reader.at, RANK_POOLING)
        reader.skip(kind)
    metadata, infos_begin = bytes(data[begin:reader.at]), reader.at
    for _ in range(count):
        reader.string()
        for _ in range(reader.take("I")):
            reader.take("Q")
        reader.take("I")
        reader.take("Q")
    infos = bytes(data[infos_begin:reader.at])
    old = padded(bytes(data[reader.at + (-reader.at % ALIGNMENT):]))

    draw = random.Random(SEED)
    head = [(b"cls.weight", (width, width), numbers(draw, width * width, (6 / width) ** 0.5)),
            (b"cls.bias", (width,), numbers(draw, width, 0.1)),
            (b"cls.output.weight", (width, 1), numbers(draw, width, 1)),
            (b"cls.output.bias", (1,), numbers(draw, 1, 0.1))]
    offset = len(old)
    for name, shape, raw in head:
        infos += info(name, shape, F32, offset)
        offset += len(padded(raw))
    start = b"GGUF" + struct.pack("<IQQ", 3, count + len(head), pairs) + metadata + infos
    with open(output, "wb") as out:
        out.write(padded(start))
        out.write(old)
        for _, _, raw in head:
            out.write(padded(raw))


if __name__ == "__main__":
    if len(sys.argv) != 3:
        raise SystemExit(__doc__)
    make(sys.argv[1], sys.argv[2])
