"""Keys that open tokens, certificates of a trust store and of API keys, changed while the gateway runs."""

from __future__ import annotations

import os
import signal

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import BestAvailableEncryption, pkcs12

from harness.credentials import ISSUER, mint, other_key, private_pem, public_pem, self_signed, signing_key
from harness.descriptions import describe
from harness.sealing import Sealer
from harness.sealing import private_pem as ec_pem
from harness.waiting import wait_until

WORKERS = "[runtimeConfig]\nworkers = 2\n"
TOKENS = describe(["/a"], secured=True)
KEYS = describe(
    ["/a"],
    secured=True,
    components={"securitySchemes": {"key": {"type": "apiKey", "in": "header", "name": "X-API-Key"}}},
    security=[{"key": []}],
)


def trust_store(key):
    certificate = x509.load_pem_x509_certificate(self_signed(key, "issuer.test"))
    entries = [pkcs12.PKCS12Certificate(certificate, b"issuer")]
    return pkcs12.serialize_java_truststore(entries, BestAvailableEncryption(b"secret"))


class Following:
    """A gateway of two workers that follows one file, which has one key now and gets another one."""

    def __init__(self, running, file, ask):
        self.running = running
        self.file = file
        self._ask = ask

    def statuses(self, credential):
        found = set()
        for _ in range(8):
            with self.running.connect() as client:
                found.add(client.get("/a", self._ask(credential)).status)
        return found

    def becomes(self, credential, status):
        wait_until(lambda: self.statuses(credential) == {status}, f"all workers answer {status}", seconds=10)

    def changes(self, content, old, new):
        """The new key counts, a broken file leaves it, and the old one is good no more."""
        assert (self.statuses(old), self.statuses(new)) == ({200}, {401})
        self.file.write_bytes(content)
        self.becomes(new, 200)
        self.becomes(old, 401)
        for bad in (b"nothing of use", content[: len(content) // 2]):
            before = self.running.output.count("stays in use")
            self.file.write_bytes(bad)
            self._complains(before + 2)
            assert (self.statuses(old), self.statuses(new)) == ({401}, {200})
        assert "Traceback" not in self.running.output

    def _complains(self, times):
        wait_until(lambda: self.running.output.count("stays in use") == times, "each worker says so", seconds=10)


def _bearer(token):
    return ("Authorization", f"Bearer {token}")


def test_keys_that_open_tokens(gateway, tmp_path):
    keys = [ec.generate_private_key(ec.SECP256R1()) for _ in range(2)]
    file = tmp_path / "tokens.key"
    file.write_bytes(ec_pem(keys[0]))
    (tmp_path / "issuer.pem").write_bytes(public_pem())
    issuer = f'[[jwtTokenConfig]]\nissuer = "{ISSUER}"\ncertificateFile = "{tmp_path}/issuer.pem"\n'
    running = gateway(TOKENS, settings=f'{WORKERS}{issuer}[encryptedTokenConfig]\nprivateKeyFiles = ["{file}"]\n')
    old, new = (Sealer(key).token(mint().encode()).decode() for key in keys)
    Following(running, file, _bearer).changes(ec_pem(keys[1]), old, new)


def test_certificates_of_the_trust_store(gateway, tmp_path):
    file = tmp_path / "trust.p12"
    file.write_bytes(trust_store(signing_key()))
    store = f'[listenerConfig]\ntrustStorePath = "{file}"\ntrustStorePassword = "secret"\n'
    issuer = f'[[jwtTokenConfig]]\nissuer = "{ISSUER}"\ncertificateAlias = "issuer"\n'
    running = gateway(TOKENS, settings=f"{WORKERS}{store}{issuer}")
    Following(running, file, _bearer).changes(trust_store(other_key()), mint(), mint(other_key()))


@pytest.mark.parametrize("kind", ["file", "store"])
def test_certificates_of_signed_api_keys(gateway, tmp_path, kind):
    file = tmp_path / "keys"
    content = public_pem if kind == "file" else trust_store
    file.write_bytes(content(signing_key()))
    settings = f'[apikey.tokenConfigs]\ncertificateFile = "{file}"\n'
    if kind == "store":
        settings = f'[listenerConfig]\ntrustStorePath = "{file}"\ntrustStorePassword = "secret"\n'
        settings += '[apikey.tokenConfigs]\ncertificateAlias = "issuer"\n'
    running = gateway(KEYS, settings=WORKERS + settings)
    old, new = (mint(key, iss="https://localhost:9095/apikey") for key in (signing_key(), other_key()))
    Following(running, file, lambda key: ("X-API-Key", key)).changes(content(other_key()), old, new)


def test_a_worker_that_begins_anew_while_the_file_is_broken_has_the_last_good_key(gateway, tmp_path):
    key = ec.generate_private_key(ec.SECP256R1())
    file = tmp_path / "tokens.key"
    file.write_bytes(ec_pem(key))
    (tmp_path / "issuer.pem").write_bytes(public_pem())
    issuer = f'[[jwtTokenConfig]]\nissuer = "{ISSUER}"\ncertificateFile = "{tmp_path}/issuer.pem"\n'
    running = gateway(TOKENS, settings=f'{WORKERS}{issuer}[encryptedTokenConfig]\nprivateKeyFiles = ["{file}"]\n')
    following = Following(running, file, _bearer)
    token = Sealer(key).token(mint().encode()).decode()
    file.write_bytes(private_pem(signing_key())[:100])
    wait_until(lambda: running.output.count("stays in use") == 2, "each worker says so", seconds=10)
    children = {pid for pid in running.processes() if pid != running.pid}
    for pid in children:
        os.kill(pid, signal.SIGKILL)
    wait_until(lambda: "what was good last is in use" in running.output, "successors begin with it", seconds=10)
    following.becomes(token, 200)
