"""Retrieval measured on labelled questions (tests/retrieval): a table, and floors a little below what was measured.

Questions are asked as someone who may read what answers; the search is the product's own, at the threshold it ships.
"""
import json
import re

import pytest
from conftest import ROOT

QUESTIONS = json.loads((ROOT / "tests/retrieval/questions.json").read_text())
K = 6  # [retrieval] results_max as shipped
THRESHOLD = float(re.search(r"double threshold = ([0-9.]+)", (ROOT / "src/gateway/config.h").read_text())[1])
ANSWERABLE = ("lexical", "paraphrase", "table", "multi")
# Measured: 0.99, 0.88, 0.95, 0.98; off-topic 1.00 refused, near misses 0.75 answered.
FLOORS = {"hit": 0.95, "passage": 0.83, "mrr": 0.90, "answered": 0.94, "off_topic_refused": 0.95}
NEAR_MISS_ANSWERED_MAX = 0.85


def plain(text):
    for typographic, simple in (("\u2019", "'"), ("\u2018", "'"), ("\u201c", '"'), ("\u201d", '"')):
        text = text.replace(typographic, simple)
    return " ".join(text.split())


class Result:
    def __init__(self, question, answer):
        body = answer.json()
        self.question, self.kind = question, question["kind"]
        self.relevance = body["bulkhead"]["relevance"]
        self.hits = body["data"][:K]
        self.texts = [plain(hit["content"][0]["text"]) for hit in self.hits]
        self.files = [hit["filename"] for hit in self.hits]

    @property
    def answered(self):
        return self.relevance >= THRESHOLD and bool(self.hits)

    @property
    def rank(self):
        """Where the first passage of an expected document stands; 0: nowhere."""
        return next((i for i, name in enumerate(self.files, 1) if name in self.question["expect"]), 0)

    @property
    def found(self):
        expected = set(self.question["expect"])
        return expected <= set(self.files) if self.kind == "multi" else bool(self.rank)

    @property
    def passage(self):
        """The very passage, not just its document, was found."""
        return all(any(plain(words) in text for text in self.texts) for words in self.question["answer_contains"])


@pytest.fixture(scope="module")
def results(tenants):
    out = []
    for question in QUESTIONS:
        tenant = tenants[question["tenant"]]
        _, allowed, denied = tenant.restricted()
        asker = allowed if question.get("restricted") else denied
        answer = asker.call("POST", f"/v1/vector_stores/{tenant.store}/search",
                            {"query": question["question"], "max_num_results": K})
        assert answer.status == 200, answer.body
        out.append(Result(question, answer))
    return out


def share(items, test):
    items = list(items)
    return sum(1 for item in items if test(item)) / len(items)


@pytest.fixture(scope="module")
def table(results, request):
    rows = {}
    for kind in sorted({r.kind for r in results}, key=lambda k: (k not in ANSWERABLE, k)):
        some = [r for r in results if r.kind == kind]
        row = {"questions": len(some), "answered": share(some, lambda r: r.answered)}
        if kind in ANSWERABLE:
            row["hit"] = share(some, lambda r: r.found)
            row["passage"] = share(some, lambda r: r.passage)
            row["mrr"] = sum(1 / r.rank for r in some if r.rank) / len(some)
        rows[kind] = row
    good = [r for r in results if r.kind in ANSWERABLE]
    rows["all answerable"] = {"questions": len(good), "answered": share(good, lambda r: r.answered),
                              "hit": share(good, lambda r: r.found), "passage": share(good, lambda r: r.passage),
                              "mrr": sum(1 / r.rank for r in good if r.rank) / len(good)}
    lines = [f"retrieval, {K} passages a question, threshold {THRESHOLD}",
             f"{'kind':<16}{'questions':>10}{'answered':>10}{'document':>10}{'passage':>10}{'MRR':>8}"]
    for kind, row in rows.items():
        cell = lambda name, width: f"{row[name]:>{width}.2f}" if name in row else " " * (width - 1) + "-"
        lines.append(f"{kind:<16}{row['questions']:>10}{cell('answered', 10)}{cell('hit', 10)}{cell('passage', 10)}"
                     f"{cell('mrr', 8)}")
    with request.config.pluginmanager.getplugin("capturemanager").global_and_fixture_disabled():
        print("\n" + "\n".join(lines))
    return rows


def test_the_document_is_found(table):
    for name in ("hit", "passage", "mrr"):
        assert table["all answerable"][name] >= FLOORS[name], name


def test_answerable_questions_pass_the_threshold(table):
    assert table["all answerable"]["answered"] >= FLOORS["answered"]


def test_off_topic_questions_stay_below_the_threshold(table):
    assert 1 - table["off_topic"]["answered"] >= FLOORS["off_topic_refused"]


def test_near_misses_are_not_always_answered(table):
    """The tenant's own subject, but not in its documents: a threshold can tell some of these, not all."""
    assert table["near_miss"]["answered"] <= NEAR_MISS_ANSWERED_MAX


def test_foreign_questions_never_bring_a_foreign_passage(results, tenants):
    """Weak own passages may come; another tenant's words may not."""
    leaks = [(r.question["id"], words) for r in results if r.kind == "foreign"
             for words in r.question["must_not_contain"] if any(plain(words) in text for text in r.texts)]
    assert leaks == []
    foreign = [(r.question["id"], name) for r in results for name in r.files
               if name not in tenants[r.question["tenant"]].files]
    assert foreign == []


def test_control_the_foreign_words_are_found_where_they_belong(results, tenants):
    """The leak test above could see a leak: the owner of the answer finds those words by the same question."""
    seen = 0
    questions = [r.question for r in results if r.kind == "foreign"]
    for question in questions:
        owner = tenants[question["answered_at"]]
        found = owner.admin.call("POST", f"/v1/vector_stores/{owner.store}/search",
                                 {"query": question["question"], "max_num_results": 20}).json()["data"]
        text = plain(" ".join(hit["content"][0]["text"] for hit in found))
        seen += any(plain(words) in text for words in question["must_not_contain"])
    assert seen >= len(questions) * 0.7


def test_restricted_questions_bring_nothing_to_the_unlisted(tenants):
    """Every restricted question, asked by someone off the list, finds none of the restricted documents."""
    for question in (q for q in QUESTIONS if q.get("restricted")):
        tenant = tenants[question["tenant"]]
        document, _, denied = tenant.restricted()
        found = denied.call("POST", f"/v1/vector_stores/{tenant.store}/search",
                            {"query": question["question"], "max_num_results": 50}).json()["data"]
        assert document not in {hit["filename"] for hit in found}, question["id"]


def test_text_that_no_reader_sees_is_not_indexed(tenants):
    """Comments, scripts and styles of HTML: out-of-date facts hidden there would be wrong answers."""
    hidden = json.loads((ROOT / "tests/retrieval/stripped_strings.json").read_text())
    assert hidden
    for path, strings in hidden.items():
        tenant = tenants[path.split("/")[0]]
        for words in strings:
            found = tenant.admin.call("POST", f"/v1/vector_stores/{tenant.store}/search",
                                      {"query": words[:200], "max_num_results": 20}).json()["data"]
            assert not [h for h in found if plain(words) in plain(h["content"][0]["text"])], words


@pytest.mark.parametrize("question", ["7f" * 600, "\u8b66\u544a" * 400, "When is the clinic open? " * 400],
                         ids=["hex", "chinese", "long"])
def test_a_question_beyond_the_embedding_models_context_is_answered(hospital, question):
    """Its head is searched for; only the chat model's context bounds what a client may ask."""
    answer = hospital.member.stack.chat(hospital.member.key, question, max_tokens=4)
    assert answer.status == 200, answer.body
    found = hospital.member.call("POST", f"/v1/vector_stores/{hospital.store}/search", {"query": question[:4096]})
    assert found.status == 200, found.body


@pytest.fixture(scope="module")
def strict(new_stack):
    from conftest import add_document, start_small
    stack = new_stack()
    tenant = start_small(stack, names=("alpha",), policy={"retrieval": "required"})["alpha"]
    _, store = add_document(tenant.admin, "ferry.txt", "The ferry to Inchkeith leaves at 07:40 from the east pier.",
                            {"shared": True})
    tenant.admin.call("POST", f"/v1/vector_stores/{store}", {"bulkhead": {"default": True}})
    return tenant


def test_a_tenant_may_want_answers_from_documents_only(strict):
    def ask(question):
        answer = strict.member.stack.chat(strict.member.key, question, max_tokens=40).json()
        return answer["bulkhead"]["retrieval"], answer["choices"][0]["message"]["content"]
    found, _ = ask("When does the ferry to Inchkeith leave?")
    assert found["outcome"] == "answered" and found["sources"][0]["filename"] == "ferry.txt"
    refused, text = ask("Who won the chess championship in 1972?")
    assert refused["outcome"] == "below_threshold" and refused["sources"] == []
    assert text.startswith("I could not find this in your documents")
