"""The guide's "First start", as it stands there: a production gateway whose certificate names a host."""
import hashlib
import re
import ssl
import subprocess
import urllib.request

import pytest
from conftest import CHAT_MODEL, ROOT, eventually

NAME = "gateway.example.org"
EMBED_MODEL = ROOT / "build/models/embed.gguf"


def guide_configuration():
    """The configuration of the guide's section, without the page's indentation."""
    page = (ROOT / "docs/operator-guide.md").read_text()
    section = page.split("\n## First start\n")[1].split("\n## ")[0]
    return "\n".join(line[4:] for line in re.search(r"(?:^    .*\n|^\n)+", section.split(":\n", 1)[1], re.M)[0].splitlines())


@pytest.fixture(scope="module")
def production(new_stack):
    stack = new_stack()
    stack.folder.mkdir(parents=True, exist_ok=True)
    certificate, key = stack.folder / "cert.pem", stack.folder / "key.pem"
    subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2",
                    "-subj", f"/CN={NAME}", "-addext", f"subjectAltName=DNS:{NAME}", "-out", certificate, "-keyout", key],
                   check=True, capture_output=True)
    text = guide_configuration()
    for told, here in {"0.0.0.0:8443": f"0.0.0.0:{stack.port}", "/etc/bulkhead/cert.pem": certificate,
                       "/etc/bulkhead/key.pem": key, "/var/lib/bulkhead": stack.data_dir,
                       "/etc/bulkhead/platform.key": stack.folder / "platform.key", "/srv/models/chat.gguf": CHAT_MODEL,
                       "/srv/models/all-minilm-l6-v2.gguf": EMBED_MODEL,
                       '"…"': f'"{hashlib.sha256(CHAT_MODEL.read_bytes()).hexdigest()}"'}.items():
        assert text.count(told) == 1, f"the guide's configuration has {told} once"
        text = text.replace(told, str(here))
    stack.config.write_text(text)
    assert stack.cli("config", "check").returncode == 0
    stack.cli("init", "--operator-key-file", stack.operator_key_file)
    stack.start_gateway(wait=False)
    stack.wait_for(lambda: (stack.data_dir / "run/serve.json").exists(), "gateway")
    yield stack
    stack.stop()


def test_the_guides_commands_work_against_a_certificate_with_a_host_name(production):
    production.operator_cli("tenant", "create", "st-brannoc", "--display-name", "St Brannoc Hospital")
    assert "st-brannoc" in production.operator_cli("tenant", "list").stdout
    # Control: over the network the certificate is checked, and does not fit an address.
    context = ssl.create_default_context(cafile=production.folder / "cert.pem")
    with pytest.raises(urllib.error.URLError) as refused:
        urllib.request.urlopen(f"https://127.0.0.1:{production.port}/healthz", context=context, timeout=60)
    assert isinstance(refused.value.reason, ssl.SSLCertVerificationError)


def test_the_command_socket_is_its_users_alone_and_asks_for_a_key(production):
    socket = production.data_dir / "run/commands.sock"
    assert socket.is_socket() and socket.stat().st_mode & 0o777 == 0o600
    wrong = production.folder / "wrong.key"
    wrong.touch(mode=0o600)
    wrong.write_text(production.operator_key[:-4] + "AAAA")
    refused = production.cli("tenant", "list", "--key-file", wrong, check=False)
    assert refused.returncode == 1 and "st-brannoc" not in refused.stdout


def test_a_gateway_that_does_not_run_is_said(production):
    production.stop_process("gateway")
    refused = production.operator_cli("tenant", "list", check=False)
    assert refused.returncode == 1 and "bulkhead serve" in refused.stderr
    production.start_gateway(wait=False)
    eventually(lambda: production.operator_cli("tenant", "list", check=False).returncode == 0, "it serves again")
