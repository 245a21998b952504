"""The stock llama.cpp server of the pinned source, as the set-up builds it, on a loopback port."""
import json
import os
import secrets
import subprocess
import urllib.error
import urllib.request

from conftest import CHAT_MODEL, ROOT, eventually
from stack import Answer, die_with_parent, free_port, write_private

BINARY = ROOT / "build/deps/llama-server/bin/llama-server"
# What docs/engines.md asks for beside the key.
SAFE = ("--no-slots", "--cache-ram", "0", "--no-kv-unified", "--slot-save-path", "/proc/self")


class LlamaServer:
    def __init__(self, folder, *flags, slots=2, context=2048, key=True, port=0):
        self.folder, self.port = folder, port or free_port()
        self.key, self.key_file = secrets.token_urlsafe(24), folder / "engine.key"
        folder.mkdir(parents=True, exist_ok=True)
        if self.key_file.exists():
            self.key = self.key_file.read_text().strip()
        write_private(self.key_file, self.key + "\n")
        self.command = [BINARY, "--model", CHAT_MODEL, "--host", "127.0.0.1", "--port", str(self.port), "--threads", "1",
                        "--parallel", str(slots), "--ctx-size", str(slots * context), *flags]
        if key:
            self.command += ["--api-key-file", str(self.key_file)]
        self.start()

    def start(self):
        assert BINARY.exists(), "the stock llama.cpp server is not built: run `make setup`"
        with open(self.folder / f"llama-{self.port}.log", "ab") as log:
            self.process = subprocess.Popen(list(map(str, self.command)), stdout=log, stderr=log, cwd=self.folder,
                                            preexec_fn=die_with_parent, env={**os.environ, "LLAMA_LOG_COLORS": "off"})
        eventually(self.is_up, "the llama.cpp server", 60)

    def is_up(self):
        assert self.process.poll() is None, (self.folder / f"llama-{self.port}.log").read_text()[-2000:]
        try:
            return self.call("GET", "/health").status == 200
        except OSError:
            return False

    def stop(self):
        self.process.kill()
        self.process.wait()

    @property
    def url(self):
        return f"http://127.0.0.1:{self.port}"

    def call(self, method, path, body=None):
        request = urllib.request.Request(self.url + path, method=method,
                                         data=None if body is None else json.dumps(body).encode(),
                                         headers={"Authorization": f"Bearer {self.key}",
                                                  "Content-Type": "application/json"})
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        try:
            with opener.open(request, timeout=120) as answer:
                return Answer(answer.status, answer.headers, answer.read())
        except urllib.error.HTTPError as error:
            return Answer(error.code, error.headers, error.read())

    def erased(self, slot):
        """Tokens that were in the slot until now."""
        answer = self.call("POST", f"/slots/{slot}?action=erase", {})
        assert answer.status == 200, answer.body
        return answer.json()["n_erased"]
