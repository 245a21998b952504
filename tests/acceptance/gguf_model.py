"""A second embedding model made of the first one: the same network, but half of its output's components have the
other sign. It ranks as well as the first one, and its vectors can't be compared with the first one's."""
import struct

SIZES = {0: 1, 1: 1, 2: 2, 3: 2, 4: 4, 5: 4, 6: 4, 7: 1, 10: 8, 11: 8, 12: 8}
STRING, ARRAY = 8, 9


class Reader:
    def __init__(self, data):
        self.data, self.at = data, 0

    def number(self, form):
        value = struct.unpack_from("<" + form, self.data, self.at)[0]
        self.at += struct.calcsize("<" + form)
        return value

    def text(self):
        size = self.number("Q")
        self.at += size
        return self.data[self.at - size:self.at].decode()

    def skip(self, kind):
        if kind == STRING:
            self.text()
        elif kind == ARRAY:
            inner, count = self.number("I"), self.number("Q")
            for _ in range(count):
                self.skip(inner)
        else:
            self.at += SIZES[kind]


def tensors(data):
    """Offset in the file and number of values of each tensor, by name."""
    reader = Reader(data)
    assert reader.number("I") == 0x46554747 and reader.number("I") == 3
    count, pairs = reader.number("Q"), reader.number("Q")
    for _ in range(pairs):
        name = reader.text()
        assert name != "general.alignment"
        reader.skip(reader.number("I"))
    found = {}
    for _ in range(count):
        name, size = reader.text(), 1
        for _ in range(reader.number("I")):
            size *= reader.number("Q")
        kind, offset = reader.number("I"), reader.number("Q")
        found[name] = (kind, offset, size)
    start = (reader.at + 31) // 32 * 32
    return {name: (kind, start + offset, size) for name, (kind, offset, size) in found.items()}


def with_other_signs(source, target, every=2):
    """Writes the model whose output has the other sign in every `every`-th component."""
    data = bytearray(source.read_bytes())
    table = tensors(data)
    last = max(int(name.split(".")[1]) for name in table if name.startswith("blk."))
    for part in ("weight", "bias"):
        kind, offset, size = table[f"blk.{last}.layer_output_norm.{part}"]
        assert kind == 0, "F32"
        values = list(struct.unpack_from(f"<{size}f", data, offset))
        values[::every] = [-value for value in values[::every]]
        struct.pack_into(f"<{size}f", data, offset, *values)
    target.write_bytes(data)
