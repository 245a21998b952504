"""A token issuer in the test's own hands: it signs what a test asks for, right or wrong."""
import base64
import http.server
import json
import threading
import time

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature


def b64(data):
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


class Key:
    def __init__(self, kid):
        self.kid = kid
        self.private = ec.generate_private_key(ec.SECP256R1())

    def jwk(self):
        numbers = self.private.public_key().public_numbers()
        return {"kty": "EC", "crv": "P-256", "alg": "ES256", "use": "sig", "kid": self.kid,
                "x": b64(numbers.x.to_bytes(32, "big")), "y": b64(numbers.y.to_bytes(32, "big"))}

    def sign(self, header, claims):
        """Compact serialisation; header and claims may be JSON objects or ready bytes."""
        raw = lambda part: part if isinstance(part, bytes) else json.dumps(part).encode()
        signed = f"{b64(raw(header))}.{b64(raw(claims))}"
        r, s = decode_dss_signature(self.private.sign(signed.encode(), ec.ECDSA(hashes.SHA256())))
        return f"{signed}.{b64(r.to_bytes(32, 'big') + s.to_bytes(32, 'big'))}"


class Issuer:
    def __init__(self):
        self.key = Key("test-key-1")
        self.other_keys = []  # JWKs that stand before it in the set
        keys = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self):
                body = json.dumps({"keys": [*keys.other_keys, keys.key.jwk()]}).encode()
                self.send_response(200)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_):
                pass

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=self.server.serve_forever, daemon=True).start()
        self.url = f"http://127.0.0.1:{self.server.server_port}"

    def stop(self):
        self.server.shutdown()
        self.server.server_close()

    def config_section(self, tenants=("st-brannoc", "calder-rowe")):
        return f'''[[issuer]]
issuer = "{self.url}"
jwks_uri = "{self.url}/jwks"
audiences = ["bulkhead"]
algorithms = ["ES256"]
tenants = {json.dumps(tenants)}
allow_http = true
'''

    def header(self, **changes):
        return {"alg": "ES256", "typ": "at+jwt", "kid": self.key.kid, **changes}

    def claims(self, **changes):
        now = int(time.time())
        return {"iss": self.url, "sub": "lena.fischer", "aud": "bulkhead", "iat": now, "exp": now + 600,
                "tenant": "st-brannoc", "roles": ["member"], "groups": [], "client_id": "test", "jti": "1", **changes}

    def token(self, **changes):
        return self.key.sign(self.header(), self.claims(**changes))
