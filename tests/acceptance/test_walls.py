"""Walls: every route of routes.cc against every role and another tenant's ids; access lists; the operator."""
import json
import re

import pytest
from conftest import ROOT, add_document

ROUTES = re.findall(r'Route\{(\w+), "([^"]+)", Audience::(\w+), Permission::(\w+)',
                    (ROOT / "src/gateway/routes.cc").read_text())

# What each role may do, written down a second time here on purpose: a change there must be meant.
MEMBER = {"ModelsRead", "ChatCreate", "ChatRead", "ChatDelete", "EmbeddingsCreate", "RerankCreate", "FilesWrite",
          "FilesRead", "StoresRead", "StoresWrite", "ReceiptsRead"}
ROLES = {
    "tenant-admin": MEMBER | {"KeysManage", "DataErase", "AuditRead", "TenantRead"}, "member": MEMBER,
    "auditor": {"AuditRead", "TenantRead"},
    "service": {"ModelsRead", "ChatCreate", "EmbeddingsCreate", "RerankCreate", "FilesRead", "StoresRead"},
    "operator": {"PlatformTenants", "PlatformKeys", "PlatformAudit", "PlatformMetrics", "PlatformModels"},
}
BODIES = {"/v1/chat/completions": {"model": "default", "messages": [{"role": "user", "content": "hi"}], "max_tokens": 1},
          "/v1/completions": {"model": "default", "prompt": "hi", "max_tokens": 1},
          "/v1/embeddings": {"model": "default", "input": "x"}, "/v1/vector_stores": {"name": "matrix"},
          "/v1/rerank": {"model": "default", "query": "x", "documents": ["y"]},
          "/v1/vector_stores/{id}/search": {"query": "dose"}, "/v1/vector_stores/{id}/files": {"file_id": "file-x"},
          "/v1/bulkhead/files/{id}/access": {"shared": True}, "/v1/vector_stores/{id}": {"name": "x"},
          "/v1/bulkhead/api_keys": {"user": "x", "roles": ["no-such-role"]}, "/admin/tenants": {"id": "Not A Name"},
          "/admin/models": {}, "/admin/models/{id}/replace": {}, "/admin/models/{id}/share": {},
          "/admin/tenants/{id}/policy": {}, "/admin/tenants/{id}/suspend": {},
          "/admin/tenants/{id}/backup": {"file": "x"}, "/admin/restore": {"files": ["no-such.bhk"]},
          "/admin/tenants/{id}/move": {"mode": "hybrid"},
          "/v1/bulkhead/erasures": {"file": "file-" + "a" * 26}, "/admin/tenants/{id}/erasures": {"file": "file-x"}}
MISSING = {"files": "file-" + "a" * 26, "vector_stores": "vs_" + "a" * 26, "completions": "chatcmpl-" + "a" * 26,
           "api_keys": "a" * 26, "receipts": "a" * 26, "models": "no-such-model", "tenants": "no-such-tenant"}


# What an allowed request of the matrix gets from its route's own handler: status, error code, and words of the body that
# no other kind of handler says. Written down here, so that a handler that is missing or is another route's fails.
NO_FILE, NO_STORE = (404, "not_found", "No such file."), (404, "not_found", "No such vector store.")
NO_CHAT, NO_MODEL = (404, "not_found", "No such chat completion."), (404, "not_found", "No such model.")
NO_TENANT, UNKNOWN_TENANT = (404, "not_found", "No such tenant."), (404, "unknown_tenant", "No such tenant.")
ANSWERS = {
    "Get /healthz": (200, None, '"status":"ok"'), "Get /readyz": (200, None, '"ready":true'),
    "Get /metrics": (200, None, "# TYPE bulkhead_"),
    "Get /v1/models": (200, None, '"object":"model"'), "Get /v1/models/{id}": NO_MODEL,
    "Post /v1/chat/completions": (200, None, '"object":"chat.completion"'),
    "Get /v1/chat/completions": (200, None, '"object":"list"'), "Get /v1/chat/completions/{id}": NO_CHAT,
    "Get /v1/chat/completions/{id}/messages": NO_CHAT, "Delete /v1/chat/completions/{id}": NO_CHAT,
    "Post /v1/completions": (200, None, '"object":"text_completion"'),
    "Post /v1/embeddings": (200, None, '"object":"embedding"'),
    "Post /v1/rerank": (404, "model_unknown", "no such rerank model"),
    "Post /v1/files": (400, "bad_multipart", "multipart"), "Get /v1/files": (200, None, '"object":"file"'),
    "Get /v1/files/{id}": NO_FILE, "Get /v1/files/{id}/content": NO_FILE, "Delete /v1/files/{id}": NO_FILE,
    "Put /v1/bulkhead/files/{id}/access": NO_FILE,
    "Post /v1/vector_stores": (200, None, '"name":"matrix"'), "Get /v1/vector_stores": (200, None, '"object":"vector_store"'),
    "Get /v1/vector_stores/{id}": NO_STORE, "Post /v1/vector_stores/{id}": NO_STORE, "Delete /v1/vector_stores/{id}": NO_STORE,
    "Post /v1/vector_stores/{id}/search": NO_STORE, "Post /v1/vector_stores/{id}/files": NO_STORE,
    "Get /v1/vector_stores/{id}/files": NO_STORE, "Get /v1/vector_stores/{id}/files/{id}": NO_STORE,
    "Delete /v1/vector_stores/{id}/files/{id}": NO_STORE,
    "Get /v1/bulkhead/tenant": (200, None, '"id":"st-brannoc"'),
    "Post /v1/bulkhead/api_keys": (400, "invalid_parameter", "no-such-role"),
    "Get /v1/bulkhead/api_keys": (200, None, '"object":"bulkhead.api_key"'),
    "Delete /v1/bulkhead/api_keys/{id}": (404, "not_found", "No such API key."),
    "Post /v1/bulkhead/erasures": NO_FILE, "Get /v1/bulkhead/erasures": (200, None, '"object":"list"'),
    "Get /v1/bulkhead/audit": (200, None, '"seq":'), "Delete /v1/bulkhead/session": (200, None, '"action":"session.end"'),
    "Get /v1/bulkhead/receipts/{id}": (404, "not_found", "No such burn receipt."),
    "Post /admin/tenants": (400, "invalid_parameter", "'id' must be"),
    "Get /admin/tenants": (200, None, '"object":"bulkhead.tenant"'), "Get /admin/tenants/{id}": NO_TENANT,
    "Put /admin/tenants/{id}/policy": UNKNOWN_TENANT, "Post /admin/tenants/{id}/suspend": UNKNOWN_TENANT,
    "Post /admin/tenants/{id}/resume": UNKNOWN_TENANT, "Delete /admin/tenants/{id}": UNKNOWN_TENANT,
    "Post /admin/tenants/{id}/erasures": NO_TENANT, "Get /admin/tenants/{id}/erasures": NO_TENANT,
    "Post /admin/tenants/{id}/backup": NO_TENANT, "Post /admin/tenants/{id}/move": NO_TENANT,
    "Delete /admin/tenants/{id}/move": NO_TENANT, "Get /admin/tenants/{id}/moves": NO_TENANT,
    "Post /admin/restore": (400, "backup_refused", "[backup]"),
    "Get /admin/tenants/{id}/posture": NO_TENANT, "Get /admin/posture": (200, None, '"object":"bulkhead.posture"'),
    "Post /admin/tenants/{id}/keys/rotate": UNKNOWN_TENANT,
    "Get /admin/models": (200, None, '"object":"bulkhead.model"'),
    "Post /admin/models": (400, "missing_parameter", "'id' is needed"), "Post /admin/models/{id}/replace": NO_MODEL,
    "Post /admin/models/{id}/share": NO_MODEL, "Delete /admin/models/{id}": NO_MODEL,
    "Get /admin/audit": (200, None, '"seq":'),
}


def with_ids(pattern, ids):
    """Fills each {id} by the kind that the segment before it names."""
    segments = pattern.split("/")
    return "/".join(ids[segments[i - 1]] if s == "{id}" else s for i, s in enumerate(segments))


def send(stack, credential, method, pattern, path):
    if (method, pattern) == ("Post", "/v1/files"):
        return stack.call("POST", path, credential, raw=b"", headers={"Content-Type": "multipart/form-data; boundary=B"})
    body = BODIES.get(pattern) if method in ("Post", "Put") else None
    return stack.call(method.upper(), path, credential, body)


@pytest.fixture(scope="module")
def credentials(stack, hospital):
    made = hospital.admin.call("POST", "/v1/bulkhead/api_keys", {"user": "robot", "roles": ["service"]}).json()
    return {"tenant-admin": hospital.admin.key, "member": hospital.member.key, "auditor": hospital.auditor.key,
            "service": made["key"], "operator": stack.operator_key}


def test_routes_were_read():
    assert len(ROUTES) == (ROOT / "src/gateway/routes.cc").read_text().count("Route{")
    assert len(ROUTES) > 35
    assert {f"{method} {pattern}" for method, pattern, _, _ in ROUTES} == set(ANSWERS) | {"Post /admin/keys/rotate"}


# Rotating keys is done by test_operations; everything else is sent in earnest to ids that don't exist.
MATRIX = [(m, p, a, n, role) for m, p, a, n in ROUTES for role in ROLES if p != "/admin/keys/rotate" or role != "operator"]


@pytest.mark.parametrize("method,pattern,audience,permission,role", MATRIX,
                         ids=[f"{m}-{p}-{r}" for m, p, _, _, r in MATRIX])
def test_role_matrix(stack, credentials, method, pattern, audience, permission, role):
    answer = send(stack, credentials[role], method, pattern, with_ids(pattern, MISSING))
    error = answer.json()["error"] if answer.status >= 400 and answer.body else {}
    if audience == "Public" or permission in ROLES[role]:
        status, code, words = ANSWERS[f"{method} {pattern}"]
        assert (answer.status, error.get("code")) == (status, code) and words in answer.body.decode(), answer.body
    else:
        assert answer.status == 403 and error["code"] == "forbidden", answer.body


@pytest.mark.parametrize("method,pattern,audience,permission", ROUTES, ids=[f"{m}-{p}" for m, p, _, _ in ROUTES])
def test_without_a_credential_only_health_answers(stack, method, pattern, audience, permission):
    answer = send(stack, None, method, pattern, with_ids(pattern, MISSING))
    assert (answer.status == 401) == (audience != "Public"), answer.body


@pytest.fixture(scope="module")
def owned(agency, stack):
    """One of everything that has an id, belonging to the agency."""
    body = {**BODIES["/v1/chat/completions"], "store": True}
    chat = agency.admin.call("POST", "/v1/chat/completions", body)
    return {"files": next(iter(agency.files.values())), "vector_stores": agency.store, "completions": chat.json()["id"],
            "receipts": chat.headers["x-request-id"], "api_keys": agency.member.key_id}


FOREIGN = [(m, p) for m, p, a, _ in ROUTES if a == "Tenant" and "{id}" in p and "/models/" not in p]


@pytest.mark.parametrize("method,pattern", FOREIGN, ids=[f"{m}-{p}" for m, p in FOREIGN])
def test_another_tenants_id_is_like_a_missing_one(stack, owned, hospital, agency, method, pattern):
    """Aisvs_8_1_1: status, body and headers but the request's id are the same; the owner (control) gets another answer."""
    foreign = send(stack, hospital.admin.key, method, pattern, with_ids(pattern, owned))
    missing = send(stack, hospital.admin.key, method, pattern, with_ids(pattern, {**MISSING}))
    assert foreign.status == 404 and foreign.body == missing.body
    plain = lambda a: {k.lower(): v for k, v in a.headers.items()
                       if k.lower() not in ("x-request-id", "date") and not k.lower().startswith("x-ratelimit")}
    assert plain(foreign) == plain(missing)
    if method == "Get":
        assert send(stack, agency.admin.key, method, pattern, with_ids(pattern, owned)).status == 200


def test_foreign_ids_inside_bodies(stack, owned, hospital):
    key = hospital.admin
    answers = []
    for ids in (owned, MISSING):
        answers.append([
            key.call("POST", "/v1/vector_stores", {"name": "x", "file_ids": [ids["files"]]}),
            key.call("POST", f"/v1/vector_stores/{hospital.store}/files", {"file_id": ids["files"]}),
            key.call("POST", "/v1/chat/completions", {**BODIES["/v1/chat/completions"],
                                                      "bulkhead": {"vector_store_ids": [ids["vector_stores"]]}}),
            key.call("POST", "/v1/chat/completions", {**BODIES["/v1/chat/completions"], "stream": True,
                                                      "bulkhead": {"vector_store_ids": [ids["vector_stores"]]}}),
            key.call("GET", f"/v1/files?after={ids['files']}"),
        ])
    for foreign, missing in zip(*answers):
        assert foreign.status == missing.status and foreign.body == missing.body
    assert all(answer.status == 404 for answer in answers[0][:4])


@pytest.mark.parametrize("header", ["X-Tenant", "X-Tenant-ID", "x-organization-id", "X-Customer-Id", "X-Bulkhead-Tenant"])
def test_naming_another_tenant_in_a_header_is_refused(hospital, header):
    answer = hospital.member.call("GET", "/v1/files", headers={header: "calder-rowe"})
    assert answer.status == 403 and answer.json()["error"]["code"] == "tenant_mismatch"
    assert hospital.member.call("GET", "/v1/files").status == 200


def test_naming_another_tenant_in_a_query_is_refused(hospital):
    for name in ("tenant", "tenant_id"):
        answer = hospital.member.call("GET", f"/v1/files?{name}=calder-rowe")
        assert answer.status == 403 and answer.json()["error"]["code"] == "tenant_mismatch"


@pytest.mark.parametrize("path", ["/v1/files/../files", "/v1//files", "/v1/files/%2e%2e", "/v1/files%00",
                                  "/admin/../v1/files", "/v1/vector_stores/./x"])
def test_crooked_paths_are_malformed(hospital, path):
    answer = hospital.member.call("GET", path)
    assert (answer.status, answer.json()["error"]["code"]) == (400, "malformed"), answer.body


@pytest.mark.parametrize("path", ["/V1/files", "/v1/files/"])
def test_paths_are_compared_letter_by_letter(hospital, path):
    answer = hospital.member.call("GET", path)
    assert (answer.status, answer.json()["error"]["code"]) == (404, "no_such_route"), answer.body


# --- access lists within a tenant --------------------------------------------------------------------

@pytest.fixture(scope="module", params=["st-brannoc", "calder-rowe", "brightwave"])
def walled(tenants, request):
    tenant = tenants[request.param]
    walkthrough = json.loads((ROOT / "demo/corpus/walkthrough.json").read_text())["tenants"]
    question = next(t for t in walkthrough if t["tenant"] == request.param)["restricted"]["question"]
    document, allowed, denied = tenant.restricted()
    return tenant, document, allowed, denied, question


def test_restricted_document_is_searched_for_its_readers_only(walled):
    """Aisvs_8_1_1: with the control that one on the list does find it by the same question."""
    tenant, document, allowed, denied, question = walled
    search = lambda who: [r["filename"] for r in who.call(
        "POST", f"/v1/vector_stores/{tenant.store}/search", {"query": question, "max_num_results": 50}).json()["data"]]
    assert document in search(allowed)
    assert document not in search(denied)
    found = search(denied)
    assert found, "the others are still searched"


def test_restricted_document_answers_its_readers_only(walled):
    tenant, document, allowed, denied, question = walled
    sources = lambda who: [s["filename"] for s in who.stack.chat(who.key, question, max_tokens=1).json()
                           ["bulkhead"]["retrieval"]["sources"]]
    assert document in sources(allowed)
    assert document not in sources(denied)


def test_restricted_document_shows_in_no_list_count_or_path(walled):
    tenant, document, allowed, denied, _ = walled
    file = tenant.files[document]
    listed = lambda who, path: file in who.call("GET", path).body.decode()
    for path in ("/v1/files?limit=100", f"/v1/vector_stores/{tenant.store}/files?limit=100"):
        assert listed(allowed, path) and not listed(denied, path)
    total = lambda who: who.call("GET", f"/v1/vector_stores/{tenant.store}").json()["file_counts"]["total"]
    assert total(allowed) == total(denied) + 1
    for path in ("/v1/files/{}", "/v1/files/{}/content", "/v1/vector_stores/" + tenant.store + "/files/{}"):
        assert allowed.call("GET", path.format(file)).status == 200
        hidden, missing = denied.call("GET", path.format(file)), denied.call("GET", path.format(MISSING["files"]))
        assert hidden.status == 404 and hidden.body == missing.body
    for method, path, body in (("DELETE", f"/v1/files/{file}", None),
                               ("PUT", f"/v1/bulkhead/files/{file}/access", {"shared": True}),
                               ("POST", f"/v1/vector_stores/{tenant.store}/files", {"file_id": file}),
                               ("POST", "/v1/vector_stores", {"file_ids": [file]})):
        assert denied.call(method, path, body).status == 404, path


def test_access_list_can_be_narrowed_and_widened(law):
    owner, other = law.member, next(p for p in law.people.values() if p.roles == ["member"] and p is not law.member)
    file, store = add_document(owner, "note.txt", "The gate code of Pelham Yard is heliotrope.")
    found = lambda: len(other.call("POST", f"/v1/vector_stores/{store}/search", {"query": "gate code"}).json()["data"])
    change = lambda access: owner.call("PUT", f"/v1/bulkhead/files/{file}/access", access).status
    assert found() == 0, "a file is its owner's alone at first"
    for access, expected in (({"users": [other.name]}, 1), ({"users": []}, 0), ({"groups": other.groups}, 1),
                             ({"groups": ["nobody"]}, 0), ({"roles": ["member"]}, 1), ({"shared": True}, 1), ({}, 0)):
        assert change(access) == 200
        assert found() == expected, access
    assert other.call("PUT", f"/v1/bulkhead/files/{file}/access", {"shared": True}).status == 404
    assert owner.call("DELETE", f"/v1/files/{file}").status == 200


def test_a_chat_is_its_owners(agency):
    body = {**BODIES["/v1/chat/completions"], "store": True}
    one, two = [p for p in agency.people.values() if p.roles == ["member"]][:2]
    chat = one.call("POST", "/v1/chat/completions", body).json()["id"]
    assert one.call("GET", f"/v1/chat/completions/{chat}").status == 200
    assert chat in one.call("GET", "/v1/chat/completions").body.decode()
    for method, path in (("GET", ""), ("GET", "/messages"), ("DELETE", "")):
        assert two.call(method, f"/v1/chat/completions/{chat}{path}").status == 404
    assert chat not in two.call("GET", "/v1/chat/completions").body.decode()


def test_a_receipt_is_its_owners(hospital, law):
    made = hospital.member.call("POST", "/v1/chat/completions", BODIES["/v1/chat/completions"])
    path = made.json()["bulkhead"]["burn_receipt"]
    assert hospital.member.call("GET", path).status == 200
    for other in (law.member, law.admin, hospital.admin):
        assert other.call("GET", path).status == 404


def test_operator_reads_no_content(stack, hospital):
    """I10: the operator sees states and counts; the control shows that a member does read the content."""
    name, file = next(iter(hospital.files.items()))
    assert hospital.member.call("GET", f"/v1/files/{file}/content").status == 200
    for path in (f"/v1/files/{file}", f"/v1/files/{file}/content", "/v1/files", f"/v1/vector_stores/{hospital.store}",
                 "/v1/chat/completions", "/v1/bulkhead/audit", "/v1/bulkhead/api_keys", "/v1/bulkhead/tenant"):
        assert stack.call("GET", path, stack.operator_key).status == 403, path
    for path in ("/admin/tenants", "/admin/tenants/st-brannoc", "/admin/audit?limit=1000", "/metrics"):
        seen = stack.call("GET", path, stack.operator_key)
        assert seen.status == 200
        for secret in (name, file, "lena.fischer", "Veltrane"):
            assert secret.encode() not in seen.body, (path, secret)
