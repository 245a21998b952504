"""A neighbour's short chats beside attacks on the shared engine, as ratios of p50 and p99 in one run.

    build/venv/bin/python bench/engine_neighbour.py
    BULKHEAD_PROGRAMS=/path/to/other/build build/venv/bin/python bench/engine_neighbour.py

The engine is shared on purpose, so a neighbour's chat takes longer beside anybody's: grammars are set against as many
ordinary chats of the same length, which is what the attacker could ask for anyway. Megabyte prompts, which are refused,
are set against nothing. The floods come from a process of their own (flood.py).
"""
import contextlib
import sys
import tempfile
import time
from pathlib import Path

from flood import Flood, Wire, quantiles

ROOT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(ROOT / "demo"), str(ROOT / "tests" / "acceptance")]
from conftest import CHAT_MODEL, start_small  # noqa: E402
from stack import Stack  # noqa: E402

REQUESTS = 200  # of the neighbour, each time
CONNECTIONS = 3
ANSWER_TOKENS = 48


def chat(content, **more):
    return {"model": CHAT_MODEL.stem, "max_tokens": ANSWER_TOKENS, "temperature": 0,
            "messages": [{"role": "user", "content": content}]} | more


def large_schema():
    """Accepted, and near what a schema may cost: many members, each a choice or a bounded text."""
    members = {f"member_{n}": {"enum": [f"choice {n} {i}" for i in range(12)]} for n in range(24)}
    members |= {f"text_{n}": {"type": "string", "pattern": "^[a-z]{3,12}-[0-9]{2,4}$"} for n in range(12)}
    schema = {"type": "object", "properties": members, "required": list(members), "additionalProperties": False}
    return {"type": "json_schema", "json_schema": {"name": "large", "strict": True, "schema": schema}}


def latencies(stack, key, count=REQUESTS):
    """(p50, p99) in milliseconds of a short chat."""
    wire, taken = Wire(stack, key), []
    for number in range(count):
        body = chat(f"Say yes. {number}", max_tokens=4)
        began = time.perf_counter()
        status, answer = wire.send("POST", "/v1/chat/completions", body)
        taken.append((time.perf_counter() - began) * 1000)
        assert status == 200, answer
    return quantiles(taken)


def main():
    with tempfile.TemporaryDirectory() as folder:
        stack = Stack(folder, CHAT_MODEL)
        tenants = start_small(stack)
        attacker, neighbour = tenants["alpha"].member.key, tenants["beta"].member.key
        try:
            status, answer = Wire(stack, attacker).send(
                "POST", "/v1/chat/completions", chat("Fill the form.", response_format=large_schema()))
            assert status == 200, answer

            def beside(body):
                flood = Flood(stack, attacker, "POST", "/v1/chat/completions", body, CONNECTIONS) if body else None
                with flood or contextlib.nullcontext():
                    time.sleep(2)
                    found = latencies(stack, neighbour)
                    return found, flood.sent if flood else 0

            latencies(stack, neighbour, 10)  # warm
            rows = {"alone": None, "ordinary chats": chat("Tell a long story of a lighthouse."),
                    "grammars": chat("Fill the form.", response_format=large_schema()),
                    "megabyte prompts": chat("lamp " * 400_000)}
            seen = {name: beside(body) for name, body in rows.items()}
        finally:
            stack.stop()
    peers = {"ordinary chats": "alone", "grammars": "ordinary chats", "megabyte prompts": "alone"}
    for name, ((p50, p99), sent) in seen.items():
        text = f"{name:17} p50 {p50:7.1f} ms  p99 {p99:7.1f} ms  {sent:6} answers to the attacker"
        if name in peers:
            base = seen[peers[name]][0]
            text += f"   {p50 / base[0]:5.2f} / {p99 / base[1]:5.2f} of {peers[name]}"
        print(text, flush=True)


if __name__ == "__main__":
    main()
