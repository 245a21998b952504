"""Tokens per second, time to the first token and between tokens, beside the stock llama.cpp server built from the same
source; what the gateway adds to the worker alone; and the share of time that burning takes."""
import json
import os
import re
import socket
import subprocess

from rig import (CHAT_MODEL, CORES, NO_LIMITS, PROGRAMS, ROOT, Gateway, free_port, median, quiet_machine, row, section,
                 wait_for_port)

STOCK = ROOT / "build/deps/llama-server/bin/llama-server"
CLIENTS = [int(n) for n in os.environ.get("BENCH_CLIENTS", "1 8").split()]
MODEL = os.environ.get("BENCH_MODEL") or CHAT_MODEL
SECONDS = float(os.environ.get("BENCH_ENGINE_SECONDS", "12"))
ROUNDS = int(os.environ.get("BENCH_ENGINE_ROUNDS", "3"))
SLOTS = max(CLIENTS)
CONTEXT = 1024
THREADS = len(CORES)


class EngineGateway(Gateway):
    """A gateway with an engine worker of its own, all walls on."""

    def write_config(self):
        super().write_config()
        text = self.config.read_text()
        engine = (f'[engine]\nslots = {SLOTS}\ncontext = {CONTEXT}\nthreads = {THREADS}\nbatch_threads = {THREADS}\n'
                  f'[engine.chat]\nid = "bench"\npath = "{MODEL}"\n')
        self.config.write_text(re.sub(r"\[engine\]\n(?:[^\[].*\n)*", engine, text))


def start_ours(folder):
    gateway = EngineGateway(folder, 0, core=None)
    gateway.add_client("bench", "boss", ["tenant-admin"])
    member = gateway.add_client("bench", "mia", ["member"])
    gateway.start()
    gateway.create_tenant("bench", policy={"retrieval": "off", "limits": NO_LIMITS})
    token = folder / "token"
    token.write_text(gateway.token(member) + "\n")
    return gateway, token


def start_stock(children, log):
    """The peer at its best for this work: the same model, threads and context a sequence; continuous batching; flash
    attention; no host cache or reuse of prompts, which distinct prompts could not profit from."""
    port = free_port()
    with open(log, "ab") as out:
        children.start([STOCK, "--model", MODEL, "--host", "127.0.0.1", "--port", port, "--threads", THREADS,
                        "--threads-batch", THREADS, "--ctx-size", CONTEXT * SLOTS, "--parallel", SLOTS, "--cont-batching",
                        "--flash-attn", "on", "--no-kv-unified", "--cache-ram", 0, "--no-cache-prompt", "--no-webui",
                        "--alias", "bench"], stdout=out, stderr=out)
    wait_for_port(port, "llama-server")
    return port


def chat(clients, seed, *target):
    """What bench_chat saw. Short answers fit the context of every model."""
    command = [PROGRAMS / "bench_chat", "--model", "bench", "--clients", clients, "--seconds", SECONDS, "--seed", seed]
    done = subprocess.run([str(part) for part in [*command, *target]], capture_output=True, text=True)
    if done.returncode != 0:
        raise SystemExit(f"bench_chat {' '.join(map(str, target))} failed:\n{done.stdout}{done.stderr}")
    return json.loads(done.stdout)


def worker_metrics(path):
    """The worker's own counters, from its socket."""
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
                ">= 0.9 x", ratio >= 0.9, ratio)]
    for text, name in (("first token p50", "first_p50_ms"), ("first token p99", "first_p99_ms"),
                       ("between tokens p50", "between_p50_ms"), ("between tokens p99", "between_p99_ms")):
        rows.append(row(label + text, mid(ours, name), mid(stock, name), "ms"))
    rows.append(row(label + "tokens a second (peer: the worker without the gateway)", rate,
                    alone["tokens_per_second"], "1/s"))
    rows.append(row(label + "share of time spent burning", burn_share * 100, unit="%"))
    return rows


def run():
    rows = []
    with section() as (folder, children):
        gateway, token = start_ours(folder / "gateway")
        stock_port = start_stock(children, folder / "stock.log")
        try:
            wait_for_stock(stock_port)
            for clients in CLIENTS:
                ours, stock = [], []
                before = worker_metrics(gateway.data_dir / "run/engine.sock")
                for seed in range(1, ROUNDS + 1):
                    with quiet_machine():
                        ours.append(chat(clients, seed, "--url", gateway.base_url, "--authorization-file", token))
                        stock.append(chat(clients, seed, "--url", f"http://127.0.0.1:{stock_port}"))
                after = worker_metrics(gateway.data_dir / "run/engine.sock")
                burned = next(after[name] - before[name] for name in after if "burn_micro" in name)
                with quiet_machine():
                    alone = worker_alone(folder, clients, ROUNDS)
                rows += rows_for(clients, ours, stock, alone, burned / 1e6 / (ROUNDS * (SECONDS + 2)))
        finally:
            gateway.stop()
    return rows
