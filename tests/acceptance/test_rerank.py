"""Reranking: /v1/rerank, and the order of what retrieval finds.

The cross-encoder is made by scripts/setup/make_rerank_test.py and ranks no better than chance: what is judged is
the wire, the walls, the erasure, and that its scores are those of the stock llama.cpp server.
"""
import hashlib
import json
import os
import shutil
import signal
import threading

import pytest
from conftest import ROOT, SMALL_USERS, add_document, add_tenant, eventually, start_small
from llama_server import LlamaServer
from memory import is_instrumented
from test_audit import records
from test_burn import scan, words
from test_modes import Stopped
from test_models import engines, model_cli
from test_parameters import refusal

MODEL = ROOT / "build/models/rerank-test.gguf"
QUERY = "What is the highest dose of ibuprofen for an adult?"
DOCUMENTS = ["Adults take at most 2400 mg of ibuprofen a day.", "A ship's bulkhead keeps water in one compartment.",
             "Bread: flour, water, salt, yeast.", "Dosage: see the leaflet. Children under twelve take half.", "x"]


def section(path=MODEL):
    return f'[engine.rerank]\nid = "ranker"\npath = "{path}"\nlicence = "Apache-2.0"\n'


def rerank(person, documents=DOCUMENTS, **more):
    return person.call("POST", "/v1/rerank", {"model": "default", "query": QUERY, "documents": documents, **more})


def scores(person, documents=DOCUMENTS, **more):
    answer = rerank(person, documents, **more)
    assert answer.status == 200, answer.body
    found = {item["index"]: item["relevance_score"] for item in answer.json()["results"]}
    return [found[i] for i in range(len(found))]


def sha256(path):
    return hashlib.sha256(path.read_bytes()).hexdigest()


@pytest.fixture(scope="module")
def ranked(new_stack):
    stack = new_stack(extra=section())
    for user, roles, groups in SMALL_USERS:
        stack.add_client("walled", user, roles, groups)
    tenants = start_small(stack)
    tenants["walled"] = add_tenant(stack, "walled", SMALL_USERS, {"engine": {"engine": "dedicated"}})
    return stack, tenants


@pytest.fixture(scope="module")
def member(ranked):
    return ranked[1]["alpha"].member


# --- the route ------------------------------------------------------------------------------------------------------

def test_scores_equal_the_stock_servers(member, tmp_path):
    server = LlamaServer(tmp_path, "--rerank", "--model", MODEL, slots=1, context=512)
    try:
        for query, documents in ((QUERY, DOCUMENTS), ("bread", ["a [SEP] b", "[CLS] [MASK]", "naïve café 漢字"])):
            answer = server.call("POST", "/v1/rerank", {"query": query, "documents": documents}).json()
            stock = {item["index"]: item["relevance_score"] for item in answer["results"]}
            ours = scores(member, documents, query=query)
            assert ours == pytest.approx([stock[i] for i in range(len(documents))], abs=0.01)
            assert len({round(score, 2) for score in ours}) == len(ours), "control: the pairs differ"
    finally:
        server.stop()


def test_the_usual_form(member):
    whole = rerank(member).json()
    order = [item["relevance_score"] for item in whole["results"]]
    assert order == sorted(order, reverse=True) and whole["model"] == "ranker" and whole["object"] == "list"
    assert {item["index"] for item in whole["results"]} == set(range(len(DOCUMENTS)))
    assert whole["usage"]["total_tokens"] == whole["usage"]["prompt_tokens"] > 50
    assert all("document" not in item for item in whole["results"])
    objects = [{"text": text} for text in DOCUMENTS]
    best = rerank(member, objects, top_n=2, return_documents=True, model="ranker").json()["results"]
    assert [item["index"] for item in best] == [item["index"] for item in whole["results"][:2]]
    assert all(item["document"] == {"text": DOCUMENTS[item["index"]]} for item in best)


def test_control_tokens_in_texts_are_characters(member):
    """[SEP] as the vocabulary's token would be one token; as characters it is what the same characters apart are."""
    written, apart, without = scores(member, ["a [SEP] b", "a [ SEP ] b", "a b"])
    assert written == pytest.approx(apart, abs=0.01) and abs(written - without) > 0.01


def test_a_score_does_not_depend_on_company(ranked):
    _, tenants = ranked
    alone = [scores(tenants["alpha"].member, [text])[0] for text in DOCUMENTS]
    assert scores(tenants["alpha"].member) == pytest.approx(alone, abs=0.01)
    results = {}

    def many(name):
        results[name] = [scores(tenants[name].member) for _ in range(8)]
    threads = [threading.Thread(target=many, args=(name,)) for name in ("alpha", "beta")]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for found in results["alpha"] + results["beta"]:
        assert found == pytest.approx(alone, abs=0.01)


@pytest.mark.parametrize("body,parameter", [
    ({"documents": []}, "documents"), ({"documents": ["x"] * 257}, "documents"), ({"documents": "x"}, "documents"),
    ({"documents": ["x", ""]}, "documents[1]"), ({"documents": [7]}, "documents[0]"),
    ({"documents": [{"text": "x", "title": "y"}]}, "documents[0].title"), ({"query": ""}, "query"),
    ({"query": 7}, "query"), ({"top_n": 0}, "top_n"), ({"top_n": "2"}, "top_n"), ({"return_documents": 1}, "return_documents"),
    ({"rank_fields": ["a"]}, "rank_fields"), ({"max_tokens_per_doc": 9}, "max_tokens_per_doc"), ({"tenant": "beta"}, "tenant"),
    ({"documents": ["x", "word " * 600]}, "documents[1]"), ({"query": "word " * 600}, "query"),
    ({"query": "word " * 700_000, "documents": ["x"] * 256}, "query")])
def test_mistakes_are_refused_by_name(member, body, parameter):
    assert rerank(member).status == 200, "control"
    error = refusal(member.call("POST", "/v1/rerank", {"model": "default", "query": QUERY, "documents": ["x"], **body}))
    assert error["param"] == parameter, error


def test_wrong_model_role_and_credential(ranked):
    stack, tenants = ranked
    for model in ("nowhere", "all-minilm-l6-v2", "chat-test"):
        assert refusal(rerank(tenants["alpha"].member, model=model), 404)["code"] == "model_unknown"
    assert refusal(rerank(tenants["alpha"].auditor), 403)["code"] == "forbidden"
    assert stack.call("POST", "/v1/rerank", None, {}).status == 401
    shown = {m["id"]: m["bulkhead"]["kind"] for m in tenants["alpha"].member.call("GET", "/v1/models").json()["data"]}
    assert shown["ranker"] == "rerank"
    chat = stack.chat(tenants["alpha"].member.key, "hi", model="ranker")
    assert refusal(chat, 404)["code"] == "model_unknown"


def test_the_audit_record_holds_figures_and_no_text(ranked, member):
    stack, _ = ranked
    answer = rerank(member, ["An unmistakable sentence."])
    mine = lambda: [r for r in records(stack.audit_dir) if r.get("request_id") == answer.headers["x-request-id"]]
    eventually(lambda: len(mine()) == 2, "start and end of the request", 5)
    ended = mine()[1]
    assert ended["route"] == "/v1/rerank" and ended["model"] == "ranker" and ended["status"] == 200
    assert ended["prompt_tokens"] == answer.json()["usage"]["total_tokens"] and ended["prompt_hash"]
    assert "unmistakable" not in json.dumps(mine()) and "ibuprofen" not in json.dumps(mine())


def test_a_tenant_with_its_own_engine_is_served_by_no_other(ranked):
    stack, tenants = ranked
    wanted = scores(tenants["alpha"].member)
    assert scores(tenants["walled"].member) == pytest.approx(wanted, abs=0.01)  # its worker has started
    late = []
    with Stopped([engines(stack)["ranker"]]):
        thread = threading.Thread(target=lambda: late.append(rerank(tenants["alpha"].member).status))
        thread.start()
        assert scores(tenants["walled"].member) == pytest.approx(wanted, abs=0.01)
        assert late == [], "control: the shared process is what serves the others"
    thread.join()
    assert late == [200]


# --- retrieval ------------------------------------------------------------------------------------------------------

TEXTS = {f"note-{i}.txt": f"Note {i} about the harbour. {line}" for i, line in enumerate((
    "The harbour master keeps the key of the north gate.", "Ships wait outside the harbour until noon.",
    "The harbour lamp is red; the key is in the tower.", "Bread is sold at the harbour on Mondays.",
    "No one swims in the harbour, whatever the season."))}
QUESTION = "Who keeps the key of the harbour gate?"
SECRET = "The key of the harbour gate is kept by nobody but the smuggler Tobin."


def fill(tenant):
    store = None
    for name, text in TEXTS.items():
        _, store = add_document(tenant.member, name, text, {"shared": True}, store)
    add_document(tenant.member, "secret.txt", SECRET, {"groups": ["red"]}, store)
    return store


def search(person, store, **more):
    answer = person.call("POST", f"/v1/vector_stores/{store}/search", {"query": QUESTION, **more})
    assert answer.status == 200, answer.body
    return answer.json()


@pytest.fixture(scope="module")
def shelves(ranked):
    return fill(ranked[1]["alpha"])


def test_the_cross_encoder_makes_the_order(ranked, member, shelves):
    stack, _ = ranked
    found = search(member, shelves)
    assert found["bulkhead"]["reranked_by"] == "ranker"
    order = [hit["bulkhead"]["rerank_score"] for hit in found["data"]]
    assert order == sorted(order, reverse=True) and len(order) == len(TEXTS) + 1
    fused = [hit["score"] for hit in found["data"]]
    assert fused != sorted(fused, reverse=True), "control: the fused order is another one"
    # The model reads a passage under its heading; a plain text's is its name.
    texts = [f"{hit['filename']}\n{hit['content'][0]['text']}" for hit in found["data"]]
    assert order == pytest.approx(scores(member, texts, query=QUESTION), abs=0.01)
    first = search(member, shelves, max_num_results=1)["data"]
    assert [hit["file_id"] for hit in first] == [found["data"][0]["file_id"]], "the best of all, not of the fused first"
    recorded = [r for r in records(stack.audit_dir) if r.get("reranked_by")]
    assert recorded and recorded[-1]["reranked_by"] == "ranker"


def test_it_brings_no_chunk_that_the_user_may_not_read(ranked, shelves):
    _, tenants = ranked
    mine, his = (search(tenants["alpha"].people[user], shelves) for user in ("mia", "ned"))
    assert SECRET in json.dumps(mine), "control: it is found by whom it was given to"
    assert SECRET not in json.dumps(his) and len(his["data"]) == len(TEXTS)


def test_the_answers_manifest_says_so(ranked, member, shelves):
    stack, _ = ranked
    answer = stack.chat(member.key, QUESTION, bulkhead={"vector_store_ids": [shelves]}, max_tokens=4)
    assert answer.status == 200, answer.body
    assert answer.json()["bulkhead"]["retrieval"]["reranked_by"] == "ranker"


def test_control_switched_off_the_order_is_the_fused_one(new_stack):
    stack = new_stack(extra=section() + "[retrieval]\nrerank = false\n", burn=False)
    tenant = start_small(stack, names=("alpha",))["alpha"]
    found = search(tenant.member, fill(tenant))
    fused = [hit["score"] for hit in found["data"]]
    assert fused == sorted(fused, reverse=True) and "reranked_by" not in found["bulkhead"]
    # The same stack is the control of the test below.
    if is_instrumented(stack.pids()["engine"]):
        return
    marks, text = words()
    assert rerank(tenant.member, [text]).status == 200
    assert scan(stack, marks), "control: without burning the scan finds the text"


def test_what_was_ranked_is_gone_from_memory(ranked):
    stack, tenants = ranked
    marks, text = words()
    assert rerank(tenants["alpha"].member, [text, text + " again"], return_documents=True).status == 200
    eventually(lambda: not scan(stack, marks), f"memory holds no text, but: {scan(stack, marks)}", 5)


# --- the registry ---------------------------------------------------------------------------------------------------

def test_loading_replacing_and_unloading_while_serving(new_stack, tmp_path):
    first, second = tmp_path / "first.gguf", tmp_path / "second.gguf"
    for path in (first, second):
        shutil.copy(MODEL, path)
    with open(second, "ab") as file:
        file.write(b"\0" * 32)
    headless = tmp_path / "headless.gguf"
    shutil.copy(ROOT / "build/models/embed.gguf", headless)
    stack = new_stack(engine=f'model_dir = "{tmp_path}"\nstart_time_max = 20')
    tenants = start_small(stack)
    member = tenants["alpha"].member
    assert refusal(rerank(member), 404)["code"] == "model_unknown"
    options = lambda path: ["--path", path, "--sha256", sha256(path), "--origin", "tests", "--licence", "Apache-2.0"]
    store = fill(tenants["alpha"])
    assert "reranked_by" not in search(member, store)["bulkhead"]

    assert model_cli(stack, "add", "odd", "--kind", "rerank", *options(headless), check=False).returncode != 0
    assert model_cli(stack, "add", "odd", *options(first), check=False).returncode != 0, "not a chat model"
    model_cli(stack, "add", "later", "--kind", "rerank", *options(first))
    before = scores(member)
    assert search(member, store)["bulkhead"]["reranked_by"] == "later"
    twice = model_cli(stack, "add", "other", "--kind", "rerank", *options(second), check=False)
    assert twice.returncode != 0 and "rerank model" in twice.stdout + twice.stderr
    assert model_cli(stack, "replace", "later", "--share", "0.5", *options(second), check=False).returncode != 0
    model_cli(stack, "replace", "later", *options(second))
    assert scores(member) == pytest.approx(before, abs=0.01)

    # A ranker that is gone is an error, never an answer in another order.
    os.rename(second, tmp_path / "away.gguf")
    os.kill(engines(stack)["later"], signal.SIGKILL)
    failed = member.call("POST", f"/v1/vector_stores/{store}/search", {"query": QUESTION})
    assert failed.status in (502, 503), failed.body  # at the moment of its end, or after it
    model_cli(stack, "remove", "later")
    assert refusal(rerank(member), 404)["code"] == "model_unknown"
    assert "reranked_by" not in search(member, store)["bulkhead"]
