"""The unmodified OpenAI SDK against Bulkhead: only base_url and the CA file are given."""
import io
import ssl

import httpx
import openai
import pytest


def client_of(person):
    context = ssl.create_default_context(cafile=person.stack.ca_file)
    return openai.OpenAI(base_url=person.stack.base_url + "/v1", api_key=person.key, max_retries=0,
                         http_client=httpx.Client(verify=context, trust_env=False, timeout=120))


@pytest.fixture(scope="module")
def client(hospital):
    return client_of(hospital.member)


@pytest.fixture(scope="module")
def keeping(agency):
    return client_of(agency.member)


HELLO = [{"role": "user", "content": "Write one short sentence about the sea."}]


def test_models_are_listed_and_fetched(client):
    models = client.models.list().data
    assert {"chat-test", "all-minilm-l6-v2"} <= {m.id for m in models}
    assert client.models.retrieve(models[0].id).id == models[0].id


def test_chat(client):
    answer = client.chat.completions.create(model="default", messages=HELLO, max_tokens=24, temperature=0)
    assert answer.choices[0].message.role == "assistant" and answer.choices[0].message.content
    assert answer.choices[0].finish_reason in ("stop", "length")
    assert answer.usage.total_tokens == answer.usage.prompt_tokens + answer.usage.completion_tokens
    assert answer.usage.completion_tokens <= 24
    assert answer.model == "chat-test"


def test_chat_streamed_with_usage(client):
    chunks = list(client.chat.completions.create(model="chat-test", messages=HELLO, max_tokens=24, temperature=0,
                                                 stream=True, stream_options={"include_usage": True}))
    text = "".join(c.choices[0].delta.content or "" for c in chunks if c.choices)
    whole = client.chat.completions.create(model="chat-test", messages=HELLO, max_tokens=24, temperature=0)
    assert text == whole.choices[0].message.content
    assert chunks[-1].choices == [] and chunks[-1].usage.total_tokens == whole.usage.total_tokens
    assert all(c.usage is None for c in chunks[:-1])
    assert [c.choices[0].finish_reason for c in chunks[:-1]][-1] == whole.choices[0].finish_reason
    assert len({c.id for c in chunks}) == 1


def test_max_tokens_cuts_the_answer(client):
    for name in ("max_tokens", "max_completion_tokens"):
        answer = client.chat.completions.create(model="default", messages=HELLO, **{name: 3}, temperature=0)
        assert answer.choices[0].finish_reason == "length" and answer.usage.completion_tokens == 3


def test_stop_ends_before_its_words(client):
    free = client.chat.completions.create(model="default", messages=HELLO, max_tokens=24, temperature=0)
    text = free.choices[0].message.content
    stop = text.split()[2]
    cut = client.chat.completions.create(model="default", messages=HELLO, max_tokens=24, temperature=0, stop=stop)
    assert cut.choices[0].message.content == text[:text.index(stop)]
    assert cut.choices[0].finish_reason == "stop"


def test_seed_repeats_and_another_seed_differs(client):
    def ask(seed):
        return client.chat.completions.create(model="default", messages=HELLO, max_tokens=32, temperature=1.5,
                                              seed=seed).choices[0].message.content
    assert ask(7) == ask(7)
    assert len({ask(seed) for seed in (7, 8, 9)}) > 1


def test_embeddings_as_floats_and_base64(client):
    plain = client.embeddings.create(model="default", input=["a ship's wall", "bread"], encoding_format="float")
    packed = client.embeddings.create(model="default", input=["a ship's wall", "bread"])  # the SDK asks for base64
    assert [len(d.embedding) for d in plain.data] == [384, 384]
    for one, other in zip(plain.data, packed.data):
        assert one.embedding == pytest.approx(other.embedding, abs=1e-6)
        assert sum(x * x for x in one.embedding) == pytest.approx(1, abs=1e-3)
    assert plain.data[0].embedding != plain.data[1].embedding
    assert plain.usage.prompt_tokens > 0


def test_files_and_vector_stores(client):
    text = "The lighthouse keeper of Skerry Vore is called Morag Tulloch and keeps eleven goats."
    file = client.files.create(file=("keeper.txt", io.BytesIO(text.encode())), purpose="assistants")
    assert file.filename == "keeper.txt" and file.bytes == len(text)
    assert client.files.retrieve(file.id).id == file.id
    assert client.files.content(file.id).read().decode() == text
    assert file.id in {f.id for f in client.files.list()}
    store = client.vector_stores.create(name="lighthouses", metadata={"coast": "north"})
    attached = client.vector_stores.files.create_and_poll(file.id, vector_store_id=store.id, poll_interval_ms=50)
    assert attached.status == "completed", attached.last_error
    assert client.vector_stores.retrieve(store.id).file_counts.completed == 1
    assert client.vector_stores.update(store.id, name="towers").name == "towers"
    found = client.vector_stores.search(store.id, query="Who keeps the lighthouse?").data
    assert found[0].file_id == file.id and "Morag Tulloch" in found[0].content[0].text
    answer = client.chat.completions.create(
        model="default", messages=[{"role": "user", "content": "Who is the lighthouse keeper of Skerry Vore?"}],
        max_tokens=30, temperature=0, extra_body={"bulkhead": {"vector_store_ids": [store.id]}})
    sources = answer.model_extra["bulkhead"]["retrieval"]["sources"]
    assert sources[0]["file_id"] == file.id
    assert answer.choices[0].message.annotations[0].model_extra["file_id"] == file.id
    assert client.vector_stores.files.delete(file.id, vector_store_id=store.id).deleted
    assert client.vector_stores.search(store.id, query="Who keeps the lighthouse?").data == []
    assert client.vector_stores.delete(store.id).deleted
    assert client.files.delete(file.id).deleted
    with pytest.raises(openai.NotFoundError):
        client.files.retrieve(file.id)


def test_pages_follow_each_other(client):
    made = [client.files.create(file=(f"page{i}.txt", b"leaf"), purpose="user_data").id for i in range(5)]
    first = client.files.list(limit=2, purpose="user_data", order="asc")
    assert first.has_more and len(first.data) == 2
    assert set(made) <= {f.id for f in first}  # the SDK fetches the further pages itself
    for file in made:
        client.files.delete(file)


def test_kept_chat_where_the_policy_keeps_them(keeping):
    answer = keeping.chat.completions.create(model="default", messages=HELLO, max_tokens=8, store=True,
                                             metadata={"case": "one"})
    kept = keeping.chat.completions.retrieve(answer.id)
    assert kept.choices[0].message.content == answer.choices[0].message.content
    assert kept.metadata == {"case": "one"}
    assert answer.id in {c.id for c in keeping.chat.completions.list()}
    messages = keeping.chat.completions.messages.list(answer.id).data
    assert [m.content for m in messages] == [HELLO[0]["content"]]
    keeping.chat.completions.delete(answer.id)
    with pytest.raises(openai.NotFoundError):
        keeping.chat.completions.retrieve(answer.id)


def test_store_is_refused_where_the_policy_keeps_nothing(client):
    with pytest.raises(openai.PermissionDeniedError) as refused:
        client.chat.completions.create(model="default", messages=HELLO, store=True)
    assert refused.value.code == "store_not_allowed" and refused.value.param == "store"


def test_errors_have_openai_shape(client):
    with pytest.raises(openai.NotFoundError) as missing:
        client.chat.completions.create(model="gpt-4o", messages=HELLO)
    assert missing.value.param == "model" and missing.value.type == "invalid_request_error"
    with pytest.raises(openai.BadRequestError) as bad:
        client.chat.completions.create(model="default", messages=HELLO, temperature=9)
    assert bad.value.param == "temperature"
    assert bad.value.response.headers["x-request-id"]
    with pytest.raises(openai.AuthenticationError):
        client.with_options(api_key="bhk_nothing").models.list()
    with pytest.raises(openai.BadRequestError):
        client.chat.completions.create(model="default", max_tokens=8,
                                       messages=[{"role": "user", "content": "word " * 20000}])
