"""The embedding model is replaced by another one of the same width: while serving, over a restart in the middle, and
in the configuration. A search is answered from the space of its question or not at all."""
import hashlib
import signal
import threading

import pytest
from conftest import ROOT, SMALL_USERS, add_document, add_tenant, eventually
from gguf_model import with_other_signs
from memory import memory_hits
from test_audit import records

MODEL = "all-minilm-l6-v2"
FIRST = ROOT / "build" / "models" / "embed.gguf"
OWN = {"engine": {"engine": "dedicated"}}
TOPICS = {
    "cats.txt": "Kittens sleep most of the day and purr when they are stroked.",
    "bread.txt": "Knead the dough for ten minutes and let the loaf rise in a warm place.",
    "stars.txt": "A telescope shows the rings of Saturn and the moons of Jupiter.",
    "tax.txt": "Invoices have to be kept for ten years, receipts of petty cash for six.",
    "ships.txt": "The harbour pilot boards the freighter two miles off the breakwater.",
    "fever.txt": "Give paracetamol when the temperature of the patient rises above 39 degrees.",
    "roses.txt": "Cut the shrubs back in March, above an eye that looks outwards.",
    "trains.txt": "The night sleeper to Vienna leaves from platform nine at half past eight.",
}
# Without a word of what answers.
QUESTIONS = {
    "What does a small pet feline do?": "cats.txt",
    "How do I bake in my oven?": "bread.txt",
    "Which planets can astronomers observe?": "stars.txt",
    "How long must accounting documents stay archived?": "tax.txt",
    "Who guides a vessel into port?": "ships.txt",
    "Which medicine helps a sick person who is hot?": "fever.txt",
    "When should gardeners prune?": "roses.txt",
    "How do I travel by rail to Austria?": "trains.txt",
}


def sha256(path):
    return hashlib.sha256(path.read_bytes()).hexdigest()


@pytest.fixture(scope="module")
def models(tmp_path_factory):
    folder = tmp_path_factory.mktemp("embedding-models")
    with_other_signs(FIRST, folder / "second.gguf")
    with_other_signs(FIRST, folder / "third.gguf", every=3)
    return folder


class Library:
    """One tenant's documents and what is asked about them."""

    def __init__(self, tenant):
        self.tenant, self.store, self.names = tenant, None, {}
        for name, text in TOPICS.items():
            file, self.store = add_document(tenant.admin, name, text, {"shared": True}, self.store)
            self.names[file] = name

    def search(self, question):
        return self.tenant.admin.call("POST", f"/v1/vector_stores/{self.store}/search",
                                      {"query": question, "max_num_results": 3})

    def top(self, question):
        answer = self.search(question)
        if answer.status == 503:
            assert answer.json()["error"]["code"] in ("reindexing", "unavailable"), answer.body
            return None
        assert answer.status == 200, answer.body
        return self.names[answer.json()["data"][0]["file_id"]]

    def all_right(self):
        """None while it is not answered; a wrong hit fails."""
        for question, wanted in QUESTIONS.items():
            top = self.top(question)
            if top is None:
                return None
            assert top == wanted, question
        return True


def embed(person, texts):
    answer = person.call("POST", "/v1/embeddings", {"model": MODEL, "input": texts})
    assert answer.status == 200, answer.body
    return [item["embedding"] for item in answer.json()["data"]]


def dot(left, right):
    return sum(a * b for a, b in zip(left, right))


def entry(stack):
    answer = stack.call("GET", "/admin/models", stack.operator_key)
    return next(model for model in answer.json()["data"] if model["id"] == MODEL)


def replace(stack, path, *more, check=True):
    return stack.operator_cli("model", "replace", MODEL, "--path", path, "--sha256", sha256(path), "--origin", "tests",
                              "--licence", "Apache-2.0", *more, check=check)


def in_use(stack, path):
    def switched():
        now = entry(stack)
        return "next" not in now and now["current"]["sha256"] == sha256(path) and now["indexing"]["state"] == "done"
    return eventually(switched, f"{path.name} is in use", 120)


def audited(stack, event, path):
    target = "space:" + sha256(path)[:32]
    return eventually(lambda: [r for r in records(stack.audit_dir) if r.get("event") == event
                               and r.get("target") == target], f"{event} of {target}", 5)


class Asking(threading.Thread):
    """Asks without a pause; whatever is not answered rightly is kept."""

    def __init__(self, library):
        super().__init__()
        self.library, self.asked, self.wrong, self.ending = library, 0, [], threading.Event()

    def run(self):
        while not self.ending.is_set():
            for question, wanted in QUESTIONS.items():
                answer = self.library.search(question)
                self.asked += 1
                if answer.status != 200:
                    self.wrong.append((question, answer.status, answer.body))
                elif (top := self.library.names[answer.json()["data"][0]["file_id"]]) != wanted:
                    self.wrong.append((question, top))

    def __enter__(self):
        self.start()
        return self

    def __exit__(self, *_):
        self.ending.set()
        self.join()


@pytest.fixture(scope="module")
def serving(new_stack, models):
    stack = new_stack(engine=f'model_dir = "{models}"\ndedicated_max = 2\ndedicated_idle_time = 5', slots=2, context=1024)
    names = ("alpha", "beta", "gamma")
    for name in names:
        for user, roles, groups in SMALL_USERS:
            stack.add_client(name, user, roles, groups)
    stack.start()
    tenants = {name: add_tenant(stack, name, SMALL_USERS, OWN if name == "gamma" else None) for name in names}
    libraries = {name: Library(tenant) for name, tenant in tenants.items()}
    return stack, libraries


def right(asked, stored):
    """How many of the questions' vectors find what answers them among the documents' vectors."""
    names = list(TOPICS)
    tops = [names[max(range(len(names)), key=lambda i: dot(vector, stored[i]))] for vector in asked]
    return sum(top == wanted for top, wanted in zip(tops, QUESTIONS.values()))


def test_control_vectors_of_the_two_models_are_no_good_for_each_other(serving, models):
    """What would be answered if only the width were looked at."""
    stack, libraries = serving
    library = libraries["alpha"]
    assert library.all_right()
    texts, questions = list(TOPICS.values()), list(QUESTIONS)
    stored = embed(library.tenant.admin, texts)
    asked = embed(library.tenant.admin, questions)
    assert right(asked, stored) == len(questions)
    other = [[-x if i % 2 == 0 else x for i, x in enumerate(vector)] for vector in asked]
    assert right(other, stored) < len(questions)


def test_an_embedding_model_is_replaced_while_searches_are_answered(serving, models):
    stack, libraries = serving
    alpha, beta, gamma = (libraries[name] for name in ("alpha", "beta", "gamma"))
    second = models / "second.gguf"
    refused = replace(stack, second, "--share", 0.5, check=False)
    assert refused.returncode != 0 and "at once" in refused.stderr
    before = embed(alpha.tenant.admin, ["a test"])[0]
    stack.operator_cli("tenant", "suspend", "beta")
    with Asking(alpha) as shared, Asking(gamma) as own:
        replace(stack, second)
        now = entry(stack)
        assert now["next"]["sha256"] == sha256(second) and now["current"]["sha256"] == sha256(FIRST)
        refused = stack.operator_cli("model", "replace", MODEL, "--share", 1, check=False)
        assert refused.returncode != 0 and "by itself" in refused.stderr
        add_document(alpha.tenant.admin, "new.txt", "Beekeepers smoke the hive before they lift a comb.",
                     {"shared": True}, alpha.store)
        in_use(stack, second)
        assert "beta" in entry(stack)["indexing"]["skipped"]
        asked = shared.asked
        eventually(lambda: shared.asked > asked + 2 * len(QUESTIONS), "asked afterwards")
        eventually(lambda: own.asked > 0, "asked of the tenant with a worker of its own")
    assert not shared.wrong and shared.asked > 20, shared.wrong[:3]
    assert not own.wrong, own.wrong[:3]
    after = embed(alpha.tenant.admin, ["a test"])[0]
    assert dot(before, before) > 0.99 and dot(before, after) < 0.9, "another space"
    assert alpha.all_right() and gamma.all_right()
    audited(stack, "reindexing_started", second)
    audited(stack, "documents_reindexed", second)
    # Whoever was suspended is done when it is back.
    stack.operator_cli("tenant", "resume", "beta")
    eventually(beta.all_right, "the suspended tenant's documents are indexed", 60)


def test_cancelled_it_leaves_everything_as_it_was(serving, models):
    stack, libraries = serving
    with Asking(libraries["alpha"]) as asking:
        replace(stack, models / "third.gguf")
        stack.operator_cli("model", "replace", MODEL, "--share", 0)
        in_use(stack, models / "second.gguf")
        eventually(lambda: asking.asked > 10, "asked")
    assert not asking.wrong, asking.wrong[:3]


def test_a_replacement_goes_on_after_a_restart(serving, models):
    stack, libraries = serving
    third = models / "third.gguf"
    replace(stack, third)
    assert "next" in entry(stack), "control: it is not over yet"
    stack.stop_process("gateway", signal.SIGKILL)
    stack.start_gateway()
    assert libraries["alpha"].all_right(), "the old one serves, or the new one does"
    in_use(stack, third)
    for library in libraries.values():
        eventually(library.all_right, "every tenant is answered", 60)


def test_another_model_in_the_configuration_is_never_answered_with_wrong_hits(serving, models):
    stack, libraries = serving
    fourth = models / "fourth.gguf"
    with_other_signs(FIRST, fourth, every=2)
    stored = embed(libraries["alpha"].tenant.admin, list(TOPICS.values()))
    stack.stop_process("gateway")
    stack.options["embed"] = fourth
    stack.write_config()
    stack.start_gateway()
    for library in libraries.values():
        eventually(library.all_right, "indexed anew", 120)
    in_use(stack, fourth)
    audited(stack, "documents_reindexed", fourth)
    assert libraries["beta"].all_right()
    asked = embed(libraries["alpha"].tenant.admin, list(QUESTIONS))
    assert right(asked, stored) < len(QUESTIONS), "control: in the vectors that were stored there are wrong hits"


def test_what_a_tenant_of_its_own_is_indexed_with_is_its_own_worker(new_stack, models):
    """Wiping is off, so that whatever a process ever held stays to be found. The control is a shared tenant."""
    stack = new_stack(burn=False, engine=f'model_dir = "{models}"\ndedicated_idle_time = 1', slots=2, context=1024)
    for name in ("alpha", "gamma"):
        for user, roles, groups in SMALL_USERS:
            stack.add_client(name, user, roles, groups)
    stack.start()
    words = {"alpha": "quokkafiddlestick", "gamma": "zanzibarhornswoggle"}
    for name, policy in (("alpha", None), ("gamma", OWN)):
        tenant = add_tenant(stack, name, SMALL_USERS, policy)
        add_document(tenant.admin, "canary.txt", f"Of the {words[name]} nothing is known.", {"shared": True})
    # Other processes, which have seen nothing yet.
    stack.stop_process("gateway")
    stack.start_gateway()
    replace(stack, models / "second.gguf")
    in_use(stack, models / "second.gguf")
    shared = stack.pids()[f"engine:{MODEL}"]
    assert memory_hits(shared, [words["alpha"].encode()]), "the control: it was embedded there"
    assert not memory_hits(shared, [words["gamma"].encode()])
