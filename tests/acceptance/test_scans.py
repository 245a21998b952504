"""Scanned pages and pictures: read, searched, asked about, and reported (AISVS C8.1).

scan.png was drawn with leptonica's own letters (bmfCreate, size 12) at 300 dots an inch: a heading and a chart of three
columns.
"""
from pathlib import Path

import pytest
from conftest import eventually, start_small

SCAN = Path(__file__).parent / "scan.png"


def add(person, path):
    """(file, attachment when it is over)"""
    file = person.stack.upload(person.key, path).json()["id"]
    store = person.call("POST", "/v1/vector_stores", {"name": "scans", "file_ids": [file]}).json()["id"]
    url = f"/v1/vector_stores/{store}/files/{file}"
    eventually(lambda: person.call("GET", url).json()["status"] != "in_progress", "the scan is indexed", 300)
    return file, store, person.call("GET", url).json()


@pytest.fixture(scope="module")
def member(new_stack):
    return start_small(new_stack(), names=("alpha",))["alpha"].member


def test_a_scan_is_read_searched_and_reported(member):
    file, store, attachment = add(member, SCAN)
    assert attachment["status"] == "completed", attachment
    extraction = attachment["bulkhead"]["extraction"]
    assert extraction["type"] == "image" and extraction["pages"] == 1 and extraction["characters"] > 80
    assert extraction["recognised"]["pages"] == 1 and extraction["recognised"]["confidence"] > 60
    assert extraction["recognised"]["by_page"] == [{"page": 1, "confidence": extraction["recognised"]["confidence"]}]
    assert extraction["left_out"] == []
    found = member.call("POST", f"/v1/vector_stores/{store}/search", {"query": "dose of metoprolol"}).json()["data"]
    text = " ".join(part["text"] for each in found for part in each["content"])
    assert "Metoprolol; 47.5 mg; oral" in text, "the row of the chart is one line"
    listed = member.call("GET", f"/v1/vector_stores/{store}/files").json()["data"]
    assert listed[0]["bulkhead"]["extraction"] == extraction
    assert member.call("GET", f"/v1/files/{file}").json()["bulkhead"]["extraction"] == extraction
    assert "status_details" not in member.call("GET", f"/v1/files/{file}").json()


def test_the_report_outlives_a_restart_and_goes_with_the_file(member):
    file, store, attachment = add(member, SCAN)
    member.stack.stop_process("gateway")
    member.stack.start_gateway()
    url = f"/v1/vector_stores/{store}/files/{file}"
    assert member.call("GET", url).json()["bulkhead"] == attachment["bulkhead"]
    assert member.call("DELETE", f"/v1/files/{file}").status == 200
    assert member.call("GET", url).status == 404


def test_a_text_is_reported_too(member, tmp_path):
    note = tmp_path / "note.txt"
    note.write_text("The lamp is green.")
    _, _, attachment = add(member, note)
    assert attachment["bulkhead"]["extraction"] == {"type": "text", "characters": 18, "pages": 0,
                                                    "recognised": {"pages": 0}, "left_out": []}


def test_control_switched_off_a_picture_is_refused_with_the_way_out(new_stack):
    stack = new_stack(extra="[extract]\nocr = false\n")
    member = start_small(stack, names=("alpha",))["alpha"].member
    _, _, attachment = add(member, SCAN)
    assert attachment["status"] == "failed"
    assert attachment["last_error"] == {"code": "unsupported_file",
                                        "message": "Pictures are not read here. Save it as a PDF with text."}
    assert "extraction" not in attachment["bulkhead"]
