"""Who may import whom: the walls that the linter's contract does not see, on import statements as they are written."""

from __future__ import annotations

import ast
import subprocess
import sys

from harness.sources import ROOT, name_of, python_files, tree

PUBLIC = "microgate.interceptors"


def _imports(path):
    for node in ast.walk(tree(path)):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield node.module


def _breaches(room, forbidden):
    return [
        f"{name_of(path)} imports {name}"
        for path in python_files("src")
        if name_of(path).startswith(f"src/microgate/{room}")
        for name in _imports(path)
        if name.startswith(tuple(forbidden))
    ]


def test_toolkit_and_runtime_do_not_know_each_other():
    assert not _breaches("toolkit", ["microgate.runtime"])
    assert not _breaches("runtime", ["microgate.toolkit"])


def test_the_seam_knows_neither_wing():
    for room in ("plan", "settings"):
        assert not _breaches(room, ["microgate.toolkit", "microgate.runtime", "microgate.cli"])


def test_policy_rooms_do_not_know_each_other():
    rooms = ["security", "observability", "upstreams"]
    for room in rooms:
        assert not _breaches(f"runtime/{room}", [f"microgate.runtime.{other}" for other in rooms if other != room])


def test_protocols_know_no_policy_and_the_exchange_knows_neither():
    policies = [
        f"microgate.runtime.{room}" for room in ("security", "throttling", "observability", "upstreams", "router")
    ]
    assert not _breaches("runtime/protocols", policies)
    assert not _breaches("runtime/exchange.py", [*policies, "microgate.runtime.protocols"])
    assert not _breaches("runtime/faults.py", ["microgate."])


def test_the_sdk_knows_nobody():
    assert not _breaches("interceptors", ["microgate.cli", "microgate.toolkit", "microgate.runtime", "microgate.plan"])


def test_serving_an_artefact_imports_neither_toolkit_nor_its_libraries():
    """Memory and start-up: the runtime is complete without the compiler, YAML and the completion of the shell."""
    code = (
        "import sys, microgate.runtime.supervisor, microgate.runtime.assembly, microgate.runtime.worker, "
        "microgate.runtime.steward, microgate.plan.artefact, microgate.settings.load; "
        "print(sorted(n for n in sys.modules if n.split('.')[0] in {'yaml', 'shtab'} or "
        "n.startswith('microgate.toolkit')))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=30, cwd=ROOT, check=True
    )
    assert done.stdout.strip() == "[]"
