"""What a library prints to standard error, which may be a user's text, reaches no log."""
import json
import re

from conftest import eventually

TEXT = "the patient of ward seven"
LINE = json.dumps({"level": "warning", "event": "said_by_the_worker", "component": "gateway", "status": 7, "text": "a\u0007b"})


def print_to_stderr(pid, text):
    """As code inside of that process would."""
    with open(f"/proc/{pid}/fd/2", "wb", buffering=0) as stderr:
        stderr.write(text.encode())


def dropped(stack):
    text = stack.call("GET", "/metrics", stack.operator_key).body.decode()
    return float(re.search(r"^bulkhead_foreign_output_bytes_total (\S+)$", text, re.M)[1])


def lines_of(stack, event):
    lines = [json.loads(line) for line in stack.logs["gateway"].read_text().splitlines() if line.startswith("{")]
    return [line for line in lines if line["event"] == event]


def test_what_libraries_print_is_dropped_and_counted(new_stack):
    stack = new_stack()
    stack.start()
    before = dropped(stack)
    for process in ("gateway", "engine"):
        print_to_stderr(stack.pids()[process], TEXT + "\n")
    eventually(lambda: dropped(stack) - before >= 2 * len(TEXT), "both were counted")
    print_to_stderr(stack.pids()["engine"], LINE + "\n")
    said = eventually(lambda: lines_of(stack, "said_by_the_worker"), "the worker's own log comes through")
    assert said[0]["component"] == "engine" and said[0]["status"] == 7 and said[0]["text"] == "a?b"
    assert lines_of(stack, "listening"), "control: and the gateway's own"
    assert TEXT not in stack.logs["gateway"].read_text()


def test_control_in_development_it_can_be_shown(new_stack):
    stack = new_stack()
    stack.start()
    stack.stop_process("gateway")
    stack.config.write_text("show_foreign_output = true\n" + stack.config.read_text())
    stack.start_gateway()
    print_to_stderr(stack.pids()["gateway"], TEXT + "\x1b[31m\n")
    shown = eventually(lambda: lines_of(stack, "foreign_output"), "it is logged")
    assert shown[0]["text"].startswith(TEXT + "?[31m")
