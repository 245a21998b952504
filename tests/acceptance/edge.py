"""Raw connections to a gateway, for clients that no library would be: half a request, a body that trickles, another
source address."""
import select
import socket
import ssl


def connect(stack, source="127.0.0.1", timeout=30):
    """A TLS connection from an address of 127.0.0.0/8; the gateway may close it at once."""
    context = ssl.create_default_context(cafile=stack.ca_file)
    raw = socket.create_connection(("127.0.0.1", stack.port), timeout=timeout, source_address=(source, 0))
    return context.wrap_socket(raw, server_hostname="127.0.0.1")


def head(method, path, key, length, *more):
    lines = [f"{method} {path} HTTP/1.1", "Host: x", f"Authorization: Bearer {key}", f"Content-Length: {length}", *more]
    return ("\r\n".join(lines) + "\r\n\r\n").encode()


def form(content, name="raw.txt"):
    """(Content-Type header, body) of an upload to /v1/files."""
    body = (b'--x\r\nContent-Disposition: form-data; name="purpose"\r\n\r\nassistants\r\n'
            b'--x\r\nContent-Disposition: form-data; name="file"; filename="' + name.encode() + b'"\r\n\r\n' +
            content + b"\r\n--x--\r\n")
    return "Content-Type: multipart/form-data; boundary=x", body


class Upload:
    """An upload whose body is sent in parts."""

    def __init__(self, stack, key, content, source="127.0.0.1"):
        kind, self.body = form(content)
        self.connection = connect(stack, source)
        self.connection.sendall(head("POST", "/v1/files", key, len(self.body), kind))
        self.sent = 0

    def send(self, size):
        self.connection.sendall(self.body[self.sent:self.sent + size])
        self.sent += size

    def silent_for(self, seconds):
        """True when no answer came meanwhile."""
        return not self.connection.pending() and not select.select([self.connection], [], [], seconds)[0]

    def finish(self):
        self.connection.sendall(self.body[self.sent:])
        return self.answer()

    def answer(self):
        status, headers, body = read_answer(self.connection)
        self.connection.close()
        return status, headers, body


def read_answer(connection):
    """(status, lower-case head, body); status 0 when the connection was closed without an answer."""
    received = b""
    try:
        while b"\r\n\r\n" not in received and (more := connection.recv(65536)):
            received += more
        top, _, body = received.partition(b"\r\n\r\n")
        fields = top.decode().lower()
        length = next((int(line.split(":")[1]) for line in fields.split("\r\n") if line.startswith("content-length:")), 0)
        while len(body) < length and (more := connection.recv(65536)):
            body += more
    except (ConnectionError, ssl.SSLError):
        return 0, "", b""
    return (int(fields.split()[1]) if fields.startswith("http/1.1 ") else 0), fields, body


def get(stack, path, key, timeout=10, source="127.0.0.1"):
    """The status of a GET on a connection of its own; 0 when no answer came within `timeout` seconds."""
    try:
        with connect(stack, source, timeout) as connection:
            connection.sendall(head("GET", path, key, 0))
            return read_answer(connection)[0]
    except OSError:
        return 0


def memory(pid, line="VmRSS"):
    """Mebibytes; "VmHWM" for the most since `forget_peak`."""
    for text in open(f"/proc/{pid}/status"):
        if text.startswith(line + ":"):
            return int(text.split()[1]) / 1024
    return 0.0


def forget_peak(pid):
    with open(f"/proc/{pid}/clear_refs", "w") as refs:
        refs.write("5")
