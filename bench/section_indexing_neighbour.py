"""What a tenant's small file and its embeddings take while another tenant indexes 100 MB of text, beside the same
alone, in one run."""
import time

from rig import CHAT_MODEL, NO_LIMITS, Stack, median, quiet_machine, row, section
from section_ingest import document

LOUD_FILES, LOUD_BYTES = 8, 13 << 20  # a file's text may have 16 MiB
SMALL_FILES, CALLS = 15, 60
TARGET = 2


def repeated(text, size):
    return (text * (size // len(text) + 1))[:size]


def attach(gateway, key, path):
    answer = gateway.upload(key, path)
    assert answer.status == 200, answer.body
    made = gateway.call("POST", "/v1/vector_stores", key, {"name": path.stem, "file_ids": [answer.json()["id"]]})
    assert made.status == 200, made.body
    return made.json()["id"]


def seconds_of(work):
    began = time.monotonic()
    work()
    return time.monotonic() - began


def one_round(gateway, key, folder, name):
    """Median seconds of a 2 KB file until it is searchable, and of a call for one embedding."""
    files, calls = [], []
    for number in range(SMALL_FILES):
        path = folder / f"{name}{number}.txt"
        path.write_text(document(1000 + number)[:2048])
        files.append(seconds_of(lambda path=path: gateway.wait_indexed(key, attach(gateway, key, path))))
    for number in range(CALLS):
        body = {"model": "all-minilm-l6-v2", "input": [document(2000 + number)[:700]]}
        calls.append(seconds_of(lambda body=body: gateway.call("POST", "/v1/embeddings", key, body)))
    return median(files) * 1000, median(calls) * 1000


def run():
    with section() as (folder, _):
        gateway = Stack(folder / "gateway", CHAT_MODEL)
        people = {name: gateway.add_client(name, "boss", ["tenant-admin"]) for name in ("loud", "quiet")}
        try:
            gateway.start()
            keys = {}
            for name, boss in people.items():
                gateway.create_tenant(name, policy={"limits": {**NO_LIMITS, "storage_bytes_max": 8 << 30}})
                keys[name] = gateway.token(boss)
            one_round(gateway, keys["quiet"], folder, "warm")
            with quiet_machine():
                alone = one_round(gateway, keys["quiet"], folder, "alone")
                stores = []
                for number in range(LOUD_FILES):
                    path = folder / f"loud{number}.txt"
                    path.write_text(repeated(document(number), LOUD_BYTES))
                    stores.append(attach(gateway, keys["loud"], path))
                beside = one_round(gateway, keys["quiet"], folder, "beside")
                left = [gateway.call("GET", f"/v1/vector_stores/{store}", keys["loud"]).json()["file_counts"]
                        for store in stores]
            assert any(counts["in_progress"] for counts in left), "control: the text is still being indexed"
        finally:
            gateway.stop()
    return [row(f"beside 100 MB of another tenant's text: {what} (peer: alone)", ours, peer, "ms",
                f"<= {TARGET} x", ours / peer <= TARGET)
            for what, ours, peer in zip(("a 2 KB file until it is searchable, p50", "an embedding of a chunk, p50"),
                                        beside, alone)]
