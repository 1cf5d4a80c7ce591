"""The gateway under test: the description it is built from, its settings, and how an artefact is made of them.

Everything is at its default except addresses, issuer and certificates. Used by the plug-in for the outside harness and by the
small runner.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

MICROGATE = Path(sys.executable).with_name("microgate")

PATHS = {"s50": "get", "s1k": "get", "s10k": "get", "post": "post"}

# One limit for the whole API, which nothing reaches.
POLICIES = "resourcePolicies:\n  - Much: {count: 1000000000, unitTime: 1, timeUnit: min}\n"

SETTINGS = """
[listenerConfig]
host = "127.0.0.1"
httpPort = {http}
httpsPort = {https}
certificateFile = "{certificate}"
privateKeyFile = "{private_key}"

[adminConfig]
port = {admin}

[[jwtTokenConfig]]
issuer = "{issuer}"
audience = "{audience}"
certificateFile = "{issuer_certificate}"
"""


def description(backend: str, *, secured: bool) -> str:
    """The OpenAPI description of the measured API."""
    lines = [
        "openapi: 3.0.3",
        "info: {title: Echo, version: v1}",
        "x-wso2-basePath: /echo/v1",
        f'x-wso2-production-endpoints: {{urls: ["{backend}"]}}',
        *([] if secured else ["x-wso2-disable-security: true"]),
        "paths:",
    ]
    for path, method in PATHS.items():
        lines += [f"  /{path}:", f"    {method}:", '      responses: {"200": {description: ok}}']
    return "\n".join(lines) + "\n"


def build(folder: Path, backend: str, *, secured: bool, limited: bool = False) -> Path:
    """An artefact in `folder`, made with the commands that a user would type; raises RuntimeError."""
    folder.mkdir(parents=True, exist_ok=True)
    name = ("echo-jwt" if secured else "echo") + ("-limit" if limited else "")
    definition = folder / f"{name}.yaml"
    text = description(backend, secured=secured)
    if limited:
        text = text.replace("paths:", "x-wso2-throttling-tier: Much\npaths:")
    definition.write_text(text, encoding="utf-8")
    artefact = folder / f"{name}.artefact"
    _type("init", name, "-f", "-a", definition.name, folder=folder)
    # The scaffold's policies would limit the one caller of a benchmark.
    (folder / name / "policies.yaml").write_text(POLICIES if limited else "", encoding="utf-8")
    _type("build", name, "-o", artefact.name, folder=folder)
    return artefact


def _type(*words: str, folder: Path) -> None:
    done = subprocess.run([str(MICROGATE), *words], cwd=folder, check=False, capture_output=True, text=True)
    if done.returncode:
        raise RuntimeError(f"microgate {words[0]} failed:\n{done.stderr}")
