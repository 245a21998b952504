"""Tokens per second, time to the first token and between tokens, beside the stock llama.cpp server built from the same
source; what the gateway adds to the worker alone; and the share of time that burning takes."""
import json
import os
import re
import socket
import subprocess
import sys

from rig import (CHAT_MODEL, CORES, NO_LIMITS, PROGRAMS, ROOT, Gateway, free_port, median, quiet_machine, row, section,
                 wait_for_port)

STOCK = ROOT / "build/deps/llama-server/bin/llama-server"
CLIENTS = [int(n) for n in os.environ.get("BENCH_CLIENTS", "1 4 8 16 32").split()]
MODEL = os.environ.get("BENCH_MODEL") or CHAT_MODEL
SECONDS = float(os.environ.get("BENCH_ENGINE_SECONDS", "12"))
ROUNDS = int(os.environ.get("BENCH_ENGINE_ROUNDS", "3"))
SLOTS = max(CLIENTS)
CONTEXT = 1024
THREADS = len(CORES)


class EngineGateway(Gateway):
    """A gateway with an engine worker of its own, all walls on."""

    def __init__(self, folder, slots, lookahead=True):
        super().__init__(folder, 0, core=None)
        self.engine_slots, self.lookahead = slots, lookahead

    def write_config(self):
        super().write_config()
        text = self.config.read_text()
        engine = (f'[engine]\nslots = {self.engine_slots}\ncontext = {CONTEXT}\nthreads = {THREADS}\n'
                  f'batch_threads = {THREADS}\nlookahead = {str(self.lookahead).lower()}\nconcurrent = 2000\nwaiting_per_tenant = 2000\n'
                  f'[engine.chat]\nid = "bench"\npath = "{MODEL}"\n')
        self.config.write_text(re.sub(r"\[engine\]\n(?:[^\[].*\n)*", engine, text))


def start_ours(folder, slots=SLOTS, tenants=("bench", "turns"), **options):
    """A gateway, and for each tenant the file with a member's token."""
    gateway = EngineGateway(folder, slots, **options)
    members = {}
    for name in tenants:
        gateway.add_client(name, "boss", ["tenant-admin"])
        members[name] = gateway.add_client(name, "mia", ["member"])
    gateway.start()
    tokens = {}
    for name in tenants:
        engine = {"prefix_cache": "session"} if name == "turns" else {}
        gateway.create_tenant(name, policy={"retrieval": "off", "limits": NO_LIMITS, "engine": engine})
        tokens[name] = folder / f"token-{name}"
        tokens[name].write_text(gateway.token(members[name]) + "\n")
    return gateway, tokens


def at_ours(gateway, token):
    return ["--url", gateway.base_url, "--authorization-file", token]


def start_stock(children, log, slots=SLOTS, cache=()):
    """The peer at its best for this work: the same model, threads and context a sequence; continuous batching; flash
    attention; for distinct prompts no host cache or reuse of prompts, which they could not profit from."""
    port = free_port()
    with open(log, "ab") as out:
        children.start([STOCK, "--model", MODEL, "--host", "127.0.0.1", "--port", port, "--threads", THREADS,
                        "--threads-batch", THREADS, "--ctx-size", CONTEXT * slots, "--parallel", slots, "--cont-batching",
                        "--flash-attn", "on", "--no-kv-unified", *(cache or ("--cache-ram", 0, "--no-cache-prompt")), "--no-webui",
                        "--alias", "bench"], stdout=out, stderr=out)
    wait_for_port(port, "llama-server")
    return port


def times(clients):
    """Seconds to warm up and to measure: each client's chats have left the common start, and several end."""
    return 2 + clients / 4, max(SECONDS, 1.5 * clients)


def begin_chat(clients, seed, *target, seconds=None):
    """Short answers fit the context of every model."""
    warm_up, measured = seconds or times(clients)
    command = [PROGRAMS / "bench_chat", "--model", "bench", "--clients", clients, "--warm-up", warm_up, "--seconds",
               measured, "--seed", seed]
    return subprocess.Popen([str(part) for part in [*command, *target]], stdout=subprocess.PIPE, text=True)


def end_chat(process):
    """What bench_chat saw."""
    text = process.communicate()[0]
    if process.returncode != 0:
        raise SystemExit(f"bench_chat failed: {' '.join(process.args)}\n{text}")
    return json.loads(text)


def chat(clients, seed, *target, seconds=None):
    return end_chat(begin_chat(clients, seed, *target, seconds=seconds))


def worker_metrics(gateway):
    """The worker's own counters, from its socket."""
    (path,) = (gateway.data_dir / "run").glob("engine-*.sock")
    with socket.socket(socket.AF_UNIX) as connection:
        connection.connect(str(path))
        connection.sendall(b"GET /metrics HTTP/1.1\r\nHost: engine\r\nConnection: close\r\n\r\n")
        text = b"".join(iter(lambda: connection.recv(65536), b"")).decode()
    return {name: float(value) for name, value in re.findall(r"^(\w+) ([\d.]+)\s*$", text, re.M)}


def worker_alone(folder, clients, seed):
    socket_folder = folder / f"alone-{clients}-{seed}"
    socket_folder.mkdir(mode=0o700)
    return chat(clients, seed, "--worker", ROOT / "build/bulkhead-engine", "--socket", socket_folder / "s", "--",
                "--chat-model", f"bench={MODEL}", "--context", CONTEXT, "--slots", SLOTS, "--threads", THREADS,
                "--batch-threads", THREADS)


def wait_for_stock(port):
    for _ in range(600):
        done = subprocess.run([PROGRAMS / "bench_chat", "--model", "bench", "--url", f"http://127.0.0.1:{port}",
                               "--seconds", "0.1", "--warm-up", "0", "--max-tokens", "2"], capture_output=True)
        if done.returncode == 0:
            return
    raise SystemExit("llama-server did not become ready")


def mid(values, name):
    return median([value[name] for value in values])


def rows_for(clients, ours, stock, alone, burn_share):
    rate = mid(ours, "tokens_per_second")
    label = f"engine, {clients} client{'s' if clients > 1 else ''}: "
    ratio = median([a["tokens_per_second"] / b["tokens_per_second"] for a, b in zip(ours, stock)])
    rows = [row(label + "tokens a second (peer: llama.cpp server)", rate, mid(stock, "tokens_per_second"), "1/s",
                ">= 1 x", ratio >= 1, ratio)]
    for text, name in (("first token p50", "first_p50_ms"), ("first token p99", "first_p99_ms"),
                       ("between tokens p50", "between_p50_ms"), ("between tokens p99", "between_p99_ms")):
        target = ("<= 1 x", mid(ours, name) <= mid(stock, name)) if "p99" in text else (None, None)
        rows.append(row(label + text, mid(ours, name), mid(stock, name), "ms", *target))
    rows.append(row(label + "tokens a second (peer: the worker without the gateway)", rate,
                    alone["tokens_per_second"], "1/s"))
    rows.append(row(label + "share of time spent burning", burn_share * 100, unit="%", target="< 1",
                    met=burn_share < 0.01))
    return rows


def side_by_side(folder, children):
    rows = []
    gateway, tokens = start_ours(folder / "gateway")
    stock_port = start_stock(children, folder / "stock.log")
    try:
        wait_for_stock(stock_port)
        for clients in CLIENTS:
            ours, stock = [], []
            before = worker_metrics(gateway)
            for seed in range(1, ROUNDS + 1):
                with quiet_machine():
                    ours.append(chat(clients, seed, *at_ours(gateway, tokens["bench"])))
                    stock.append(chat(clients, seed, "--url", f"http://127.0.0.1:{stock_port}"))
            after = worker_metrics(gateway)
            burned = after["bulkhead_engine_burn_microseconds_total"] - before["bulkhead_engine_burn_microseconds_total"]
            with quiet_machine():
                alone = worker_alone(folder, clients, ROUNDS)
            measured = rows_for(clients, ours, stock, alone, burned / 1e6 / (ROUNDS * sum(times(clients))))
            # As they come: a run that is cut off later has not measured for nothing.
            for one in measured:
                print(f"  {one['what']}: {one['ours']:.4g}, peer {one['peer'] or 0:.4g} {one['unit']}", file=sys.stderr)
            rows += measured
        rows += second_turn(folder, children, gateway, tokens["turns"])
    finally:
        gateway.stop()
    return rows


def second_turn(folder, children, gateway, token):
    """A chat that goes on: the first turn's prompt and answer are in the cache, ours keyed by session."""
    port = start_stock(children, folder / "stock-cached.log", cache=("--cache-prompt", "--cache-ram", 1024))
    wait_for_stock(port)
    ours, stock = [], []
    for seed in range(1, ROUNDS + 1):
        with quiet_machine():
            ours.append(chat(4, seed, "--turns", 2, *at_ours(gateway, token)))
            stock.append(chat(4, seed, "--turns", 2, "--url", f"http://127.0.0.1:{port}"))
    rows = []
    for text, name in (("p50", "later_first_p50_ms"), ("p99", "later_first_p99_ms")):
        rows.append(row(f"engine, 4 clients: first token of a chat's second turn {text} (peer: llama.cpp server with cache)",
                        mid(ours, name), mid(stock, name), "ms", "<= 1 x", mid(ours, name) <= mid(stock, name)))
    return rows


FLOOD_SLOTS = 8
SHORT = ("--max-tokens", 32, "--prompt-words", 16)  # so that many a request of the flood has its turn
SHARE = FLOOD_SLOTS // 2
FLOOD_SECONDS = (6, 24)


def flood(folder):
    """One tenant keeps to its share of the slots; the other does so too, and then sends 100 times as much. Without guesses:
    they are made for one tenant alone, so that the peer, which is one, would have them and two would not."""
    gateway, tokens = start_ours(folder / "flood", FLOOD_SLOTS, ("quiet", "loud"), lookahead=False)
    fair, flooded, loud, in_turn = [], [], [], []
    try:
        for seed in range(1, ROUNDS + 1):
            for others, quiet_seen, loud_seen in ((SHARE, fair, []), (100 * SHARE, flooded, loud)):
                with quiet_machine():
                    other = begin_chat(others, seed + 50, *SHORT, *at_ours(gateway, tokens["loud"]), seconds=FLOOD_SECONDS)
                    quiet_seen.append(chat(SHARE, seed, *SHORT, *at_ours(gateway, tokens["quiet"]), seconds=FLOOD_SECONDS))
                    loud_seen.append(end_chat(other))
            with quiet_machine():
                in_turn.append(chat(101 * SHARE, seed, *SHORT, *at_ours(gateway, tokens["loud"]), seconds=FLOOD_SECONDS))
    finally:
        gateway.stop()
    name = "first_p99_ms"
    ratio = mid(flooded, name) / mid(fair, name)
    total = median([a["tokens_per_second"] + b["tokens_per_second"] for a, b in zip(flooded, loud)])
    first_come = mid(in_turn, "tokens_per_second")
    return [row("flood: first token p99 of the other tenant (peer: both at their share)", mid(flooded, name),
                mid(fair, name), "ms", "<= 1.2 x", ratio <= 1.2),
            row("flood: first token p50 of the other tenant (peer: both at their share)", mid(flooded, "first_p50_ms"),
                mid(fair, "first_p50_ms"), "ms"),
            row("flood: tokens a second of both (peer: as many clients of one tenant, first come first served)", total,
                first_come, "1/s", ">= 0.98 x", total >= 0.98 * first_come)]


def run():
    with section() as (folder, children):
        rows = side_by_side(folder, children)
    with section() as (folder, children):
        return rows + flood(folder)
