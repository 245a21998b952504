"""What a tenant keeps is counted whole, refused beyond its policy with what is used, and can be read."""
import pytest
from conftest import WIDE_LIMITS, start_small

QUOTA = 1 << 20
FILES_MAX = 40


@pytest.fixture(scope="module")
def small(new_stack):
    stack = new_stack()
    limits = {**WIDE_LIMITS, "storage_bytes_max": QUOTA, "files_max": FILES_MAX}
    return stack, start_small(stack, policy={"limits": limits})


def upload(person, name):
    source = person.stack.folder / "upload.tmp"
    source.write_text("A short note.\n")
    return person.stack.upload(person.key, source, None, name=name)


def usage(person):
    answer = person.call("GET", "/v1/bulkhead/tenant")
    assert answer.status == 200, answer.body
    return answer.json()["usage"]


def on_disk(stack, name):
    return sum(path.stat().st_size for path in stack.folder.rglob(f"tenants/{name}/*") if path.is_file())


def test_access_lists_count_against_the_quota(small):
    stack, tenants = small
    boss = tenants["alpha"].admin
    names = [f"{i:03}-" + "u" * 200 for i in range(256)]
    files, refused = [], None
    while refused is None and len(files) < FILES_MAX:
        made = upload(boss, f"{len(files)}.txt")
        if made.status == 200:
            files.append(made.json()["id"])
            made = boss.call("PUT", f"/v1/bulkhead/files/{files[-1]}/access", {"users": names})
        refused = made if made.status != 200 else None
    assert refused is not None and refused.status == 403, "the lists did not fit, though the originals are tiny"
    assert refused.json()["error"]["code"] == "quota_exceeded"
    assert str(QUOTA) in refused.json()["error"]["message"]
    used = usage(boss)
    assert QUOTA / 2 < used["storage_bytes"] <= QUOTA and used["files"] == len(files)
    assert on_disk(stack, "alpha") < 8 * QUOTA
    # What is deleted makes room, and the neighbour was never concerned.
    assert boss.call("DELETE", f"/v1/files/{files[0]}").status == 200
    assert usage(boss)["storage_bytes"] < used["storage_bytes"]
    assert upload(boss, "again.txt").status == 200
    assert upload(tenants["beta"].admin, "other.txt").status == 200


def test_an_access_list_is_bounded(small):
    boss = small[1]["beta"].admin
    file = upload(boss, "bounded.txt").json()["id"]
    # Twice 256 names of 204 bytes are more than all names may have together; a user's has its issuer beside it.
    names = [f"{i:03}-" + "u" * 200 for i in range(256)]
    refused = boss.call("PUT", f"/v1/bulkhead/files/{file}/access", {"users": names, "groups": names})
    assert refused.status == 400 and "bytes together" in refused.json()["error"]["message"], refused.body
    assert boss.call("PUT", f"/v1/bulkhead/files/{file}/access", {"users": names}).status == 200, "control"


def test_numbers_of_objects_are_bounded(small):
    _, tenants = small
    boss = tenants["beta"].admin
    there = usage(boss)["files"]
    made = [upload(boss, f"{i}.txt") for i in range(FILES_MAX - there)]
    assert {each.status for each in made} == {200}
    refused = upload(boss, "one-more.txt")
    assert refused.status == 403 and f"its most files, {FILES_MAX}" in refused.json()["error"]["message"], refused.body
    assert boss.call("DELETE", f"/v1/files/{made[0].json()['id']}").status == 200
    assert upload(boss, "one-more.txt").status == 200, "control"
