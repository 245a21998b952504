"""Passages that stand in several files, and what is found by keyword in other scripts (AISVS C8.1)."""
import pytest
from conftest import add_document, start_small

CLAUSE = "The landlord shall repair the roof of the premises within thirty days of written notice."


@pytest.fixture(scope="module")
def tenant(new_stack):
    return start_small(new_stack(), names=("alpha",))["alpha"]


def search(person, store, query):
    answer = person.call("POST", f"/v1/vector_stores/{store}/search", {"query": query})
    assert answer.status == 200, answer.body
    return answer.json()["data"]


def texts(found):
    return [part["text"] for each in found for part in each["content"]]


def test_a_passage_in_several_files_comes_once_with_all_that_may_be_read(tenant):
    member, admin = tenant.member, tenant.admin
    first, store = add_document(admin, "lease-a.txt", CLAUSE, access={"shared": True})
    second, _ = add_document(admin, "lease-b.txt", CLAUSE, store=store, access={"shared": True})
    hidden, _ = add_document(admin, "secret.txt", CLAUSE, store=store, access={"users": ["nobody"]})
    add_document(admin, "other.txt", "The tenant may keep a cat in the garden.", store=store, access={"shared": True})
    found = search(member, store, "Who shall repair the roof?")
    assert texts(found).count(CLAUSE) == 1
    hit = next(each for each in found if each["content"][0]["text"] == CLAUSE)
    places = {hit["file_id"]} | {place["file_id"] for place in hit["bulkhead"]["also_in"]}
    assert places == {first, second}, "the file that may not be read is not named"
    # Control: who may read all of them is told of all of them.
    hit = next(each for each in search(admin, store, "Who shall repair the roof?")
               if each["content"][0]["text"] == CLAUSE)
    assert {hit["file_id"]} | {place["file_id"] for place in hit["bulkhead"]["also_in"]} == {first, second, hidden}


def test_a_chat_names_all_files_of_a_passage(tenant):
    member, admin = tenant.member, tenant.admin
    rule = "Visitors of the archive leave bags, coats and umbrellas in the green lockers of the hall."
    first, store = add_document(admin, "rules-a.txt", rule, access={"shared": True})
    second, _ = add_document(admin, "rules-b.txt", rule, store=store, access={"shared": True})
    answer = member.call("POST", "/v1/chat/completions", {
        "model": member.stack.options["chat"].stem, "max_tokens": 8, "bulkhead": {"vector_store_ids": [store]},
        "messages": [{"role": "user", "content": "Where do visitors of the archive leave bags and umbrellas?"}]})
    assert answer.status == 200, answer.body
    sources = answer.json()["bulkhead"]["retrieval"]["sources"]
    assert len(sources) == 1, sources
    assert {sources[0]["file_id"], sources[0]["also_in"][0]["file_id"]} == {first, second}


@pytest.mark.parametrize("question, text", [
    ("\u7cd6\u5c3f\u75c5", "\u60a3\u8005\u6709\u7cd6\u5c3f\u75c5\u53f2\u3002"),
    ("\u05D7\u05D5\u05D6\u05D4", "\u05D4\u05D7\u05D5\u05D6\u05D4 \u05E0\u05D7\u05EA\u05DD \u05D1\u05D9\u05D5\u05DD \u05E9\u05E0\u05D9."),
    ("\u0e42\u0e23\u0e04\u0e2b\u0e31\u0e27\u0e43\u0e08",
     "\u0e1c\u0e39\u0e49\u0e1b\u0e48\u0e27\u0e22\u0e42\u0e23\u0e04\u0e2b\u0e31\u0e27\u0e43\u0e08"),
    ("A-1043/22", "The court took file A-1043/22 from the shelf."),
    ("12.5mg", "Metoprolol 12.5 mg in the evening."),
])
def test_other_scripts_codes_and_doses_are_found_first(tenant, question, text):
    admin = tenant.admin
    _, store = add_document(admin, "wanted.txt", text, access={"shared": True})
    for number in range(3):
        add_document(admin, f"{number}.txt", f"Something else altogether, number {number}, of 125 mg and A-1044/22.",
                     store=store, access={"shared": True})
    assert texts(search(tenant.member, store, question))[0] == text
