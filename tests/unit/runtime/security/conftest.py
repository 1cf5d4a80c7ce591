"""The worlds of the security tests: key files on disk, and a gate that trusts them at a known time."""

from __future__ import annotations

import subprocess
import sys
import textwrap
from typing import TYPE_CHECKING

import pytest

from harness.minting import ALGORITHMS, ISSUER, Clock, Gate, Signer, key_set, settings_of
from microgate.runtime.security.context import SecurityContext
from microgate.settings.model import JwtIssuer

if TYPE_CHECKING:
    from collections.abc import Callable


@pytest.fixture(scope="session")
def signers() -> dict[str, Signer]:
    """One key pair for each algorithm, with the algorithm as its key id."""
    return {name: Signer(name, key_id=name) for name in ALGORITHMS}


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def key_set_file(tmp_path, signers) -> str:
    file = tmp_path / "keys.json"
    file.write_bytes(key_set(*(signer.jwk() for signer in signers.values())))
    return str(file)


@pytest.fixture
def context(key_set_file, clock) -> SecurityContext:
    """Trusts one issuer with all keys of `signers`."""
    return SecurityContext(settings_of(JwtIssuer(issuer=ISSUER, jwks_file=key_set_file)), None, clock=clock)


@pytest.fixture
def gate(context) -> Gate:
    return Gate(context)


@pytest.fixture
def run_python() -> Callable[[str], None]:
    """Run a script in a fresh interpreter; it must end well."""

    def run(script: str) -> None:
        done = subprocess.run(
            [sys.executable, "-c", textwrap.dedent(script)], capture_output=True, text=True, timeout=30, check=False
        )
        assert done.returncode == 0, done.stderr

    return run
