"""One tenant indexes large documents, and its neighbour's small file, searches and embeddings are served all the
while. Judged by the order of events: what the neighbour asked for is done, and the large documents are not. The
control with one permit for whole documents is tests/unit/rag/ingest_test.cc."""
import re

import pytest
from conftest import add_document, eventually, start_small

LARGE_BYTES = 6 << 20
PARAGRAPH = "Ward {n} keeps a list of every dose that was given on this day, and who gave it to whom at what hour.\n\n"


@pytest.fixture(scope="module")
def pair(new_stack):
    stack = new_stack()
    return stack, start_small(stack)


def large_text():
    lines = []
    size = 0
    while size < LARGE_BYTES:
        lines.append(PARAGRAPH.format(n=len(lines)))
        size += len(lines[-1])
    return "".join(lines)


def begin(person, name, text):
    """Uploads and attaches without waiting. Returns (file id, vector store id)."""
    source = person.stack.folder / name
    source.write_text(text)
    uploaded = person.stack.upload(person.key, source, None, name=name)
    source.unlink()
    assert uploaded.status == 200, uploaded.body
    file = uploaded.json()["id"]
    made = person.call("POST", "/v1/vector_stores", {"name": name, "file_ids": [file]})
    assert made.status == 200, made.body
    return file, made.json()["id"]


def in_progress(person, store):
    return person.call("GET", f"/v1/vector_stores/{store}").json()["file_counts"]["in_progress"]


def embedding_turns(stack):
    """(at the model, waiting for it)"""
    text = stack.call("GET", "/metrics", stack.operator_key).body.decode()
    return tuple(int(float(re.search(rf"^bulkhead_embedding_queue_{name} (\S+)$", text, re.M)[1]))
                 for name in ("inside", "waiting"))


def test_a_small_file_and_embeddings_are_served_while_large_files_are_indexed(pair):
    stack, tenants = pair
    loud, quiet = tenants["alpha"].member, tenants["beta"].member
    text = large_text()
    large = [begin(loud, f"large{i}.txt", text) for i in range(2)]
    eventually(lambda: embedding_turns(stack)[0] > 0, "the large text is at the model", 120)
    for i in range(3):
        _, store = add_document(quiet, f"small{i}.txt", f"Visitors {i} may come from two to six.\n" * 40)
        found = quiet.call("POST", f"/v1/vector_stores/{store}/search", {"query": "when may visitors come"})
        assert found.status == 200 and found.json()["data"], found.body
        made = quiet.call("POST", "/v1/embeddings", {"model": "default", "input": ["when may visitors come"]})
        assert made.status == 200, made.body
    # A colleague's small file goes past the large ones too.
    add_document(tenants["alpha"].person("tenant-admin"), "small.txt", "The kitchen is shut on Mondays.\n")
    assert [in_progress(loud, store) for _, store in large] == [1, 1], "none of them was waited for"
    for (file, store), how in zip(large, ("deleted", "detached")):
        path = f"/v1/files/{file}" if how == "deleted" else f"/v1/vector_stores/{store}/files/{file}"
        assert embedding_turns(stack)[0] > 0, f"control: before it is {how} there is work"
        assert loud.call("DELETE", path).status == 200
        # The other large file of the tenant takes its turn.
        if how == "deleted":
            eventually(lambda: embedding_turns(stack)[0] > 0, "the other large file is at the model", 120)
    eventually(lambda: embedding_turns(stack) == (0, 0), "the work has ended, though the text was not through", 120)
