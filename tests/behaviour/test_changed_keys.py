"""Key files of issuers that change while the gateway runs: a new key is trusted within seconds, a broken file changes nothing."""

from __future__ import annotations

import json
import os
import signal
from typing import TYPE_CHECKING

import pytest

from harness.credentials import mint, other_key, public_pem, signing_key
from harness.descriptions import describe
from harness.minting import number
from harness.waiting import holds_for, wait_until

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey

    from harness.process import GatewayProcess

API = describe(["/a"], secured=True)


def status(gateway: GatewayProcess, token: str) -> int:
    with gateway.connect() as client:
        return client.get("/a", ("Authorization", f"Bearer {token}")).status


def key_set(key: RSAPrivateKey) -> bytes:
    """Without a key id: any token may ask for it."""
    numbers = key.public_key().public_numbers()
    return json.dumps({"keys": [{"kty": "RSA", "n": number(numbers.n), "e": number(numbers.e)}]}).encode()


CONTENT = {"certificateFile": public_pem, "jwksFile": key_set}


@pytest.fixture
def trusting(tmp_path: Path, gateway: Callable[..., GatewayProcess]) -> Callable[[str], tuple[GatewayProcess, Path]]:
    """Starts a gateway of two workers whose issuer has its key in a file of this kind."""

    def start(kind: str) -> tuple[GatewayProcess, Path]:
        file = tmp_path / "keys"
        file.write_bytes(CONTENT[kind](signing_key()))
        issuer = f'[[jwtTokenConfig]]\nissuer = "https://issuer.test"\n{kind} = "{file}"\n'
        return gateway(API, settings=f"[runtimeConfig]\nworkers = 2\n{issuer}"), file

    return start


@pytest.mark.parametrize("kind", CONTENT)
def test_a_replaced_file_is_trusted_by_all_workers_and_the_old_key_no_more(trusting, kind: str):
    running, file = trusting(kind)
    old, new = mint(), mint(other_key())
    assert (status(running, old), status(running, new)) == (200, 401)
    file.write_bytes(CONTENT[kind](other_key()))
    wait_until(lambda: all(status(running, new) == 200 for _ in range(8)), "the new key is trusted", seconds=10)
    wait_until(lambda: all(status(running, old) == 401 for _ in range(8)), "the old one is not", seconds=5)


@pytest.mark.parametrize("kind", CONTENT)
def test_a_broken_file_is_one_line_and_every_worker_keeps_the_key(trusting, kind: str):
    running, file = trusting(kind)
    token = mint()
    children = {pid for pid in running.processes() if pid != running.pid}
    file.write_bytes(b"nothing of use")
    wait_until(lambda: "stay" in running.output, "it says so", seconds=10)
    assert status(running, token) == 200
    for pid in children:
        os.kill(pid, signal.SIGKILL)
    wait_until(lambda: running.output.count("it is started anew") == len(children))
    wait_until(lambda: all(status(running, token) == 200 for _ in range(8)), "successors have it too", seconds=10)
    holds_for(lambda: status(running, token) == 200)
    assert running.output.count("it is started anew") == len(children)
    file.write_bytes(CONTENT[kind](other_key()))
    wait_until(lambda: all(status(running, mint(other_key())) == 200 for _ in range(8)), "the mended one", seconds=10)


def test_a_broken_certificate_is_reported_once(trusting):
    running, file = trusting("certificateFile")
    file.write_bytes(b"nothing of use")
    wait_until(lambda: f"cannot use `{file}`" in running.output, "it says so", seconds=10)
    file.unlink()
    wait_until(lambda: "no such file or directory" in running.output, "so it does of its absence", seconds=10)
    assert running.output.count("the last good key stays in use") == 2
