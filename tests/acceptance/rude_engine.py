"""An engine on a loopback port that speaks OpenAI's protocol and means no good: it tells no usage or a false one, gives
words of its own where the protocol has a set, and stops where it likes."""
import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from stack import write_private


class RudeEngine:
    """`usage`, `finish_reason`, `events` and `dies` are read at each request."""

    def __init__(self, folder):
        self.usage, self.finish_reason, self.events, self.dies, self.status = None, "stop", 5, False, 200
        self.key_file = folder / "rude.key"
        folder.mkdir(parents=True, exist_ok=True)
        write_private(self.key_file, "rude\n")
        engine = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def log_message(self, *_):
                pass

            def whole(self, body, status=200):
                text = json.dumps(body).encode()
                self.send_response(status)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(text)))
                self.send_header("X-Note", "zzheader")
                self.end_headers()
                self.wfile.write(text)

            def do_GET(self):
                self.whole({"data": []})

            def do_POST(self):
                asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                if engine.status != 200:
                    self.whole({"error": {"code": "zzcode", "message": "zzmessage"}}, engine.status)
                elif asked.get("stream"):
                    self.streamed()
                elif engine.dies:
                    self.close_connection = True
                    self.connection.close()
                else:
                    choice = {"index": 0, "message": {"content": "word " * engine.events},
                              "finish_reason": engine.finish_reason}
                    self.whole({"choices": [choice], **({"usage": engine.usage} if engine.usage else {})})

            def streamed(self):
                self.send_response(200)
                self.send_header("Content-Type", "text/event-stream")
                self.send_header("Connection", "close")
                self.end_headers()
                self.close_connection = True
                for _ in range(engine.events):
                    self.event({"choices": [{"index": 0, "delta": {"content": "word "}}]})
                if engine.dies:
                    return
                self.event({"choices": [{"index": 0, "delta": {}, "finish_reason": engine.finish_reason}]})
                if engine.usage:
                    self.event({"choices": [], "usage": engine.usage})
                self.wfile.write(b"data: [DONE]\n\n")

            def event(self, body):
                self.wfile.write(b"data: " + json.dumps(body).encode() + b"\n\n")

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        self.port = self.server.server_address[1]
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def stop(self):
        self.server.shutdown()
        self.server.server_close()

    @property
    def url(self):
        return f"http://127.0.0.1:{self.port}"
