"""Chunks a second from upload to searchable, beside what the embedding model alone does with the same texts."""
import random
import time
from concurrent.futures import ThreadPoolExecutor

from rig import CHAT_MODEL, NO_LIMITS, Stack, median, quiet_machine, row, section

ROUNDS, DOCUMENTS, WORDS = 3, 8, 6000  # documents of a round
WORD_LIST = ("river engine winter doctor market letter bridge signal garden copper island teacher harbour mirror candle "
             "forest railway kitchen planet violin captain ledger orchard museum thunder village compass lantern").split()
AT_ONCE = 2    # requests for embeddings side by side, and
PIECES = 16    # texts in each: enough to keep the model busy


def document(number):
    chooser = random.Random(number)
    sentences = [" ".join(chooser.choices(WORD_LIST, k=12)).capitalize() + "." for _ in range(WORDS // 12)]
    return "\n\n".join(" ".join(sentences[i:i + 5]) for i in range(0, len(sentences), 5))


def ingest(gateway, key, files):
    """Seconds from the first upload until every document is searchable, and how many chunks there are."""
    began = time.monotonic()
    ids = []
    for path in files:
        answer = gateway.upload(key, path)
        assert answer.status == 200, answer.body
        ids.append(answer.json()["id"])
    store = gateway.call("POST", "/v1/vector_stores", key, {"name": files[0].stem, "file_ids": ids}).json()["id"]
    gateway.wait_indexed(key, store)
    seconds = time.monotonic() - began
    listed = gateway.call("GET", f"/v1/vector_stores/{store}/files?limit=100", key).json()["data"]
    return seconds, sum(file["bulkhead"]["chunks"] for file in listed)


def embed(gateway, key, files, chunks):
    """Seconds to embed the same words in as many pieces, each below its document's name, as ingest does it."""
    size = -(-len(files) * WORDS // chunks)
    pieces = []
    for path in files:
        words = path.read_text().split()
        pieces += [f"{path.name}\n{' '.join(words[i:i + size])}" for i in range(0, len(words), size)]

    def one(first):
        answer = gateway.call("POST", "/v1/embeddings", key,
                              {"model": "all-minilm-l6-v2", "input": pieces[first:first + PIECES]})
        assert answer.status == 200, answer.body
    began = time.monotonic()
    with ThreadPoolExecutor(AT_ONCE) as pool:
        list(pool.map(one, range(0, len(pieces), PIECES)))
    return time.monotonic() - began


def run():
    ours, peer = [], []
    with section() as (folder, _):
        gateway = Stack(folder / "gateway", CHAT_MODEL)
        boss = gateway.add_client("bench", "boss", ["tenant-admin"])
        try:
            gateway.start()
            gateway.create_tenant("bench", policy={"limits": NO_LIMITS})
            key = gateway.token(boss)
            for first in range(0, ROUNDS * DOCUMENTS, DOCUMENTS):
                files = [folder / f"{number}.txt" for number in range(first, first + DOCUMENTS)]
                for path in files:
                    path.write_text(document(int(path.stem)))
                with quiet_machine():
                    seconds, chunks = ingest(gateway, key, files)
                    alone = embed(gateway, key, files, chunks)
                ours.append(chunks / seconds)
                peer.append(chunks / alone)
        finally:
            gateway.stop()
    ratio = median([a / b for a, b in zip(ours, peer)])
    return [row("ingest: chunks a second, from upload to searchable (peer: embedding the same texts alone)", median(ours),
                median(peer), "1/s", ">= 1 x", ratio >= 1, ratio)]
