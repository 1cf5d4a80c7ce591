"""The plug-in for the outside harness: microgate as a built artefact, plain and with tokens, on HTTP and TLS.

The harness loads it with `--plugins`; its own modules `fixtures` and `model` are on the path then.
"""

from __future__ import annotations

import importlib
import os
import sys
from pathlib import Path

import fixtures
from model import Gateway, Missing

sys.path.append(str(Path(__file__).resolve().parents[1]))
subject = importlib.import_module("subject")

if not subject.MICROGATE.exists():
    raise Missing("microgate")

BACKEND = f"http://127.0.0.1:{fixtures.PORTS['BACKEND']}/echo/v1"
SETTINGS = subject.SETTINGS.format(
    http="@HTTP@",
    https="@TLS@",
    admin="@ADMIN@",
    certificate="@TLS_CRT@",
    private_key="@TLS_KEY@",
    issuer="@ISSUER@",
    audience="@AUDIENCE@",
    issuer_certificate="@JWT_CRT@",
)


def entry(name: str, features: str, *, secured: bool, limited: bool = False) -> Gateway:
    """The artefact is built now, so that a start is the start of a gateway and not of a compiler."""
    artefact = subject.build(fixtures.SCRATCH / "microgate", BACKEND, secured=secured, limited=limited)
    environment = {"PATH": f"{subject.MICROGATE.parent}{os.pathsep}{os.environ['PATH']}"}
    command = [str(artefact), "--config", "@DIR@/micro-gw.conf", "--workers", "@WORKERS@"]
    return Gateway(name, command, frozenset(features.split()), files={"micro-gw.conf": SETTINGS}, env=environment)


GATEWAYS = [
    entry("microgate", "plain post tls", secured=False),
    entry("microgate-jwt", "jwt tls", secured=True),
    entry("microgate-jwt-limit", "jwt ratelimit", secured=True, limited=True),
]
