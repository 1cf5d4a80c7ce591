"""TLS of the listeners: R8, certificates by server name, resumption over workers, and rotation without a restart."""

from __future__ import annotations

import copy
import os
import shutil
import signal
import socket
import ssl
import subprocess
from typing import TYPE_CHECKING, Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import BestAvailableEncryption, load_pem_private_key, pkcs12

from behaviour.processes.running import Running, unchecked
from harness.client import Client
from harness.credentials import ServerIdentity
from harness.waiting import holds_for, wait_until

if TYPE_CHECKING:
    from pathlib import Path


def with_identity(identity: ServerIdentity, **more: Any) -> dict[str, Any]:
    return {
        "httpsPort": 0,
        "certificateFile": str(identity.certificate_file),
        "privateKeyFile": str(identity.private_key_file),
        **more,
    }


def install(identity: ServerIdentity, place: ServerIdentity) -> None:
    """Put certificate and key where another identity's are, as a tool that renews certificates does."""
    for source, target in (
        (identity.certificate_file, place.certificate_file),
        (identity.private_key_file, place.private_key_file),
    ):
        draft = target.with_suffix(".new")
        shutil.copy(source, draft)
        draft.replace(target)


def served_certificate(port: int, name: str = "localhost") -> bytes:
    with Client(port, tls=unchecked(), server_name=name) as client:
        assert isinstance(client.socket, ssl.SSLSocket)
        found = client.socket.getpeercert(binary_form=True)
        assert found is not None
        return found


def der(identity: ServerIdentity) -> bytes:
    return ssl.PEM_cert_to_DER_cert(identity.certificate_file.read_text())


@pytest.fixture(scope="module")
def three_made(tmp_path_factory: pytest.TempPathFactory) -> list[ServerIdentity]:
    return [ServerIdentity(tmp_path_factory.mktemp("identity")) for _ in range(3)]


@pytest.fixture
def identities(tmp_path: Path, three_made: list[ServerIdentity]) -> list[ServerIdentity]:
    """Three different certificates for localhost, in files that the test may change."""
    copies = []
    for number, made in enumerate(three_made):
        one = copy.copy(made)
        one.certificate_file = shutil.copy(made.certificate_file, tmp_path / f"{number}.crt")
        one.private_key_file = shutil.copy(made.private_key_file, tmp_path / f"{number}.key")
        copies.append(one)
    return copies


def handshake(port: int, version: ssl.TLSVersion, ciphers: str = "ALL:@SECLEVEL=0") -> tuple[str, str]:
    context = unchecked()
    context.set_ciphers(ciphers)
    context.minimum_version = context.maximum_version = version
    with socket.create_connection(("127.0.0.1", port), 5) as raw, context.wrap_socket(raw) as secured:
        cipher = secured.cipher()
        assert cipher is not None
        return str(secured.version()), cipher[0]


def test_r8_only_modern_protocols_and_suites_are_spoken(tmp_path: Path, identity: ServerIdentity):
    with Running(tmp_path, workers=1, listenerConfig=with_identity(identity)) as gateway:
        port = gateway.https
        assert handshake(port, ssl.TLSVersion.TLSv1_3)[0] == "TLSv1.3"
        assert handshake(port, ssl.TLSVersion.TLSv1_2)[0] == "TLSv1.2"
        for suite in ("ECDHE-RSA-AES128-GCM-SHA256", "ECDHE-RSA-AES256-GCM-SHA384", "ECDHE-RSA-CHACHA20-POLY1305"):
            assert handshake(port, ssl.TLSVersion.TLSv1_2, suite)[1] == suite
        for suite in ("AES128-GCM-SHA256", "ECDHE-RSA-AES128-SHA256", "DHE-RSA-AES128-GCM-SHA256", "AES256-SHA"):
            with pytest.raises((ssl.SSLError, ConnectionError)):
                handshake(port, ssl.TLSVersion.TLSv1_2, f"{suite}:@SECLEVEL=0")
        with pytest.warns(DeprecationWarning, match="TLSv1_1"), pytest.raises((ssl.SSLError, ConnectionError)):
            handshake(port, ssl.TLSVersion.TLSv1_1)


def test_http_1_1_is_agreed_on_by_alpn(tmp_path: Path, identity: ServerIdentity):
    with Running(tmp_path, workers=1, listenerConfig=with_identity(identity)) as gateway:
        context = unchecked()
        context.set_alpn_protocols(["h2", "http/1.1"])
        with Client(gateway.https, tls=context) as client:
            assert client.socket.selected_alpn_protocol() == "http/1.1"
            assert client.get("/").status == 200


def test_a_session_resumes_on_any_worker(tmp_path: Path, identity: ServerIdentity):
    with Running(tmp_path, listenerConfig=with_identity(identity)) as gateway:
        context = identity.client_context()
        context.maximum_version = ssl.TLSVersion.TLSv1_2
        session = None
        resumed, slots = 0, set()
        for _ in range(20):
            with socket.create_connection(("127.0.0.1", gateway.https), 5) as raw:
                secured = context.wrap_socket(raw, server_hostname="localhost", session=session)
                secured.sendall(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
                slots.add(b'"slot": 0' in secured.recv(4096))
                resumed += bool(secured.session_reused)
                session = session or secured.session
                secured.close()
    assert slots == {True, False}
    assert resumed == 19


def test_several_certificates_are_chosen_by_server_name(tmp_path: Path, identity: ServerIdentity):
    one = ServerIdentity(tmp_path, "one.example.com")
    wild = ServerIdentity(tmp_path, "*.example.org")
    more = [
        {"certificateFile": str(extra.certificate_file), "privateKeyFile": str(extra.private_key_file)}
        for extra in (one, wild)
    ]
    with Running(tmp_path, workers=1, listenerConfig=with_identity(identity, certificates=more)) as gateway:
        for name, expected in {
            "one.example.com": one,
            "ONE.example.com": one,
            "two.example.com": identity,
            "any.example.org": wild,
            "deep.any.example.org": identity,
            "example.org": identity,
            "localhost": identity,
        }.items():
            assert served_certificate(gateway.https, name) == der(expected), name
        assert gateway.ask_https(one, server_name="one.example.com")["scheme"] == "https"


def test_case_50_a_new_certificate_is_served_without_a_restart_and_a_bad_one_never(
    tmp_path: Path, identities: list[ServerIdentity]
):
    """What is served stays right through every step, and connections that are open do not notice."""
    place, second, third = identities
    first = der(place)
    with Running(tmp_path, listenerConfig=with_identity(place)) as gateway:
        workers = gateway.worker_pids()
        with Client(gateway.https, tls=place.client_context()) as open_before:
            place.certificate_file.write_text("this is no certificate")
            wait_until(lambda: "last good certificate stays" in gateway.output, "the bad one is reported", seconds=10)
            assert served_certificate(gateway.https) == first
            install(second, place)
            wait_until(lambda: served_certificate(gateway.https) == der(second), "the new one is served", seconds=10)
            # Half of a renewal is not a certificate either.
            shutil.copy(third.certificate_file, place.certificate_file)
            gateway.process.send_signal(signal.SIGHUP)
            holds_for(lambda: served_certificate(gateway.https) == der(second), "the last good one stays", seconds=0.3)
            shutil.copy(third.private_key_file, place.private_key_file)
            wait_until(lambda: served_certificate(gateway.https) == der(third), "the pair is served", seconds=10)
            assert open_before.get("/").status == 200
        assert workers == gateway.worker_pids()


def test_one_process_follows_its_certificate_too(tmp_path: Path, identities: list[ServerIdentity]):
    place, second, _ = identities
    with Running(tmp_path, listenerConfig=with_identity(place), fork=False) as gateway:
        install(second, place)
        wait_until(lambda: served_certificate(gateway.https) == der(second), "the new one is served", seconds=10)


def test_sighup_loads_a_new_certificate_at_once(tmp_path: Path, identities: list[ServerIdentity]):
    place, second, _ = identities
    with Running(tmp_path, workers=1, listenerConfig=with_identity(place)) as gateway:
        install(second, place)
        gateway.process.send_signal(signal.SIGHUP)
        wait_until(lambda: served_certificate(gateway.https) == der(second), "the new one is served", seconds=1.0)


def test_a_successor_of_a_dead_worker_serves_the_new_certificate(tmp_path: Path, identities: list[ServerIdentity]):
    place, second, _ = identities
    with Running(tmp_path, workers=1, listenerConfig=with_identity(place)) as gateway:
        before = gateway.worker_pids()[0]
        install(second, place)
        os.kill(before, signal.SIGKILL)
        wait_until(lambda: gateway.ask()["pid"] != before, "a successor")
        assert served_certificate(gateway.https) == der(second)


def key_store(identity: ServerIdentity, path: Path, password: str) -> Path:
    key: Any = load_pem_private_key(identity.private_key_file.read_bytes(), None)
    certificate = x509.load_pem_x509_certificate(identity.certificate_file.read_bytes())
    encryption = BestAvailableEncryption(password.encode())
    path.write_bytes(pkcs12.serialize_key_and_certificates(b"server", key, certificate, None, encryption))
    return path


def test_a_pkcs12_store_is_served_and_rotates(tmp_path: Path, identities: list[ServerIdentity]):
    store = key_store(identities[0], tmp_path / "server.p12", "secret")
    listener = {"httpsPort": 0, "keyStorePath": str(store), "keyStorePassword": "secret"}
    with Running(tmp_path, workers=1, listenerConfig=listener) as gateway:
        assert served_certificate(gateway.https) == der(identities[0])
        key_store(identities[1], store, "secret")
        gateway.process.send_signal(signal.SIGHUP)
        wait_until(lambda: served_certificate(gateway.https) == der(identities[1]), "the new one is served")


def test_without_the_key_store_that_wso2_ships_there_is_a_development_certificate_and_a_warning(tmp_path: Path):
    with Running(tmp_path, workers=1, listenerConfig={"httpsPort": 0}) as gateway:
        assert gateway.ask_https()["scheme"] == "https"
        assert "self-signed development certificate" in gateway.output


@pytest.mark.parametrize(
    ("listener", "says"),
    [
        ({"keyStorePath": "/nowhere/store.p12"}, "/nowhere/store.p12"),
        ({"certificateFile": "/nowhere/a.crt", "privateKeyFile": "/nowhere/a.key"}, "/nowhere/a.crt"),
    ],
)
def test_any_other_missing_key_stops_the_start(tmp_path: Path, listener: dict[str, Any], says: str):
    gateway = Running(tmp_path, listenerConfig={"httpsPort": 0, **listener})
    done = subprocess.run(gateway.command, capture_output=True, text=True, timeout=20, check=False)
    assert done.returncode == 1
    assert done.stderr.startswith("error: ")
    assert says in done.stderr.splitlines()[0]
    assert "Traceback" not in done.stderr


def test_a_wrong_password_of_the_store_stops_the_start(tmp_path: Path, identity: ServerIdentity):
    store = key_store(identity, tmp_path / "server.p12", "secret")
    listener = {"httpsPort": 0, "keyStorePath": str(store), "keyStorePassword": "guess"}
    gateway = Running(tmp_path, listenerConfig=listener)
    done = subprocess.run(gateway.command, capture_output=True, text=True, timeout=20, check=False)
    assert done.returncode == 1
    assert "the password is wrong" in done.stderr
    assert f"keytool -importkeystore -srckeystore {store} " in done.stderr
    assert "guess" not in done.stderr


def test_a_client_that_stalls_in_the_handshake_is_let_go(tmp_path: Path, identity: ServerIdentity):
    listener = with_identity(identity, headerTimeoutInMillis=300)
    with Running(tmp_path, workers=1, listenerConfig=listener) as gateway:
        with Client(gateway.https) as silent:
            assert silent.is_closed(within=3)
        assert "Traceback" not in gateway.output
