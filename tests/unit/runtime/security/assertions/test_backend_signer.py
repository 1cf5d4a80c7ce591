"""The key that signs tokens for backends: where it is found, and what is said where it is not."""

from __future__ import annotations

import base64
import json

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import BestAvailableEncryption, NoEncryption, pkcs12

from harness.credentials import other_key, private_pem, self_signed, signing_key
from harness.minting import settings_of
from microgate.errors import KeyMaterialError
from microgate.runtime.security.assertions import backend_signer
from microgate.settings.model import BackendJwt, Listener


def _file(folder, name, data):
    (folder / name).write_bytes(data)
    return str(folder / name)


def _settings(tmp_path, *, listener=None, **own):
    return settings_of(backend_jwt=BackendJwt(jwt_generator_enabled=True, **own), listener=listener or Listener())


def _store(tmp_path, name, password=b"secret", key=None):
    key = key or signing_key()
    certificate = (
        x509.load_pem_x509_certificate(self_signed(key, "gateway")) if isinstance(key, rsa.RSAPrivateKey) else None
    )
    hidden = BestAvailableEncryption(password) if password else NoEncryption()
    data = pkcs12.serialize_key_and_certificates(name, key, certificate, None, hidden)
    return Listener(key_store_path=_file(tmp_path, "store.p12", data), key_store_password=password.decode())


def _head(signer):
    text = signer.seal(b"{}").split(b".")[0].decode()
    return json.loads(base64.urlsafe_b64decode(text + "=" * (-len(text) % 4)))


def test_the_sections_own_key_comes_first(tmp_path):
    own = _file(tmp_path, "own.key", private_pem(signing_key()))
    signer = backend_signer.load(_settings(tmp_path, private_key_file=own, listener=_store(tmp_path, b"x")))
    assert set(_head(signer)) == {"typ", "alg", "kid"}


def test_the_listeners_files_are_next(tmp_path):
    listener = Listener(
        certificate_file=_file(tmp_path, "l.crt", self_signed(signing_key(), "gateway")),
        private_key_file=_file(tmp_path, "l.key", private_pem(signing_key())),
    )
    assert "x5t#S256" in _head(backend_signer.load(_settings(tmp_path, listener=listener)))


@pytest.mark.parametrize("name", [b"ballerina", b"Ballerina", None])
def test_the_key_store_is_last(tmp_path, name):
    signer = backend_signer.load(_settings(tmp_path, listener=_store(tmp_path, name)))
    assert "x5t" in _head(signer)
    assert len(json.loads(signer.key_set)["keys"]) == 1


def test_another_alias_is_not_taken_for_the_one_that_is_named(tmp_path):
    with pytest.raises(KeyMaterialError, match="has no `ballerina`") as failure:
        backend_signer.load(_settings(tmp_path, listener=_store(tmp_path, b"mine")))
    assert "`mine`" in failure.value.hint


def test_what_cannot_sign_is_said_in_one_line(tmp_path):
    curve = ec.generate_private_key(ec.SECP256R1())
    weak = rsa.generate_private_key(public_exponent=65537, key_size=1024)
    crt = _file(tmp_path, "other.crt", self_signed(other_key(), "gateway"))
    good = _file(tmp_path, "good.key", private_pem(signing_key()))
    rows = [
        ({"private_key_file": _file(tmp_path, "curve.key", private_pem(curve))}, "RS256 needs an RSA key"),
        ({"private_key_file": _file(tmp_path, "weak.key", private_pem(weak))}, "RS256 needs an RSA key"),
        ({"private_key_file": _file(tmp_path, "text.key", b"hello")}, "no PEM private key"),
        ({"private_key_file": str(tmp_path / "missing")}, "no such file"),
        ({"private_key_file": good, "certificate_file": crt}, "is not that of the key"),
        ({"private_key_file": good, "certificate_file": good}, "its certificate is none"),
        ({}, "needs a key to sign with"),
    ]
    for own, message in rows:
        with pytest.raises(KeyMaterialError, match=message) as failure:
            backend_signer.load(_settings(tmp_path, **own))
        assert "\n" not in str(failure.value)
