"""SoftHSM tokens in a folder of the tests' own, used as a tenant would use theirs: by other programs than the gateway."""
import fcntl
import os
import subprocess
import tempfile
from pathlib import Path

MODULE = "/usr/lib/softhsm/libsofthsm2.so"


class SoftHsm:
    PIN = "77881122"

    def __init__(self):
        self.home = tempfile.TemporaryDirectory(prefix="bulkhead-softhsm-")
        self.folder = Path(self.home.name)
        self.tokens = self.folder / "tokens"
        self.tokens.mkdir()
        self.places = {}
        conf = self.folder / "softhsm2.conf"
        conf.write_text(f"directories.tokendir = {self.tokens}\nobjectstore.backend = file\nlog.level = ERROR\n")
        self.environment = {"SOFTHSM2_CONF": str(conf)}

    def remove(self):
        self.home.cleanup()

    def in_use(self):
        """From now on the programs that are started use these tokens."""
        os.environ.update(self.environment)

    def run(self, *command):
        done = subprocess.run(command, capture_output=True, text=True, env={**os.environ, **self.environment})
        assert done.returncode == 0, (command, done.stdout, done.stderr)
        return done.stdout

    def make_token(self, label):
        before = set(self.tokens.iterdir())
        self.run("softhsm2-util", "--init-token", "--free", "--label", label, "--so-pin", "1122334455", "--pin", self.PIN)
        (self.places[label],) = set(self.tokens.iterdir()) - before

    def tool(self, label, *arguments, pin=None):
        return self.run("pkcs11-tool", "--module", MODULE, "--token-label", label, "--login", "--pin", pin or self.PIN,
                        *arguments)

    def make_key(self, token, key, *traits):
        self.tool(token, "--keygen", "--label", key, *(traits or ("--key-type", "AES:32", "--sensitive")))

    def delete_key(self, token, key):
        self.tool(token, "--delete-object", "--type", "secrkey", "--label", key)

    def pin_file(self, name, pin=None):
        file = self.folder / name
        fresh = self.folder / f"{name}.new"
        fresh.touch(mode=0o600)
        fresh.write_text((pin or self.PIN) + "\n")
        fresh.replace(file)
        return file

    def take_away(self, token):
        self.places[token].rename(self.folder / f"{token}.away")

    def put_back(self, token):
        (self.folder / f"{token}.away").rename(self.places[token])


class Hanging:
    """Calls into a token do not return meanwhile: the library waits, without end, for the locks of its files."""

    def __init__(self, hsm, token):
        self.files = [file for file in hsm.places[token].iterdir()]

    def __enter__(self):
        self.held = [open(file, "r+b") for file in self.files]
        for file in self.held:
            fcntl.lockf(file, fcntl.LOCK_EX)

    def __exit__(self, *_):
        for file in self.held:
            file.close()
