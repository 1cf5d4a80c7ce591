"""The deployment configuration: what is said about each thing that it asks for."""

from __future__ import annotations

import pytest

from microgate.diagnostics import Report
from microgate.toolkit.project import deployment
from microgate.toolkit.project.stubs import STUBS


def _findings(text, tmp_path):
    file = tmp_path / "deployment-config.toml"
    file.write_bytes(text if isinstance(text, bytes) else text.encode())
    report = Report()
    deployment.check(file, "conf/deployment-config.toml", report)
    return [(d.code, d.line, d.column) for d in report.diagnostics]


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("", []),
        (STUBS["conf/deployment-config.toml"], []),
        ("[docker]\n[docker.dockerConfig]\nenable = false\n", []),
        ("\n[docker.dockerConfig]\nenable = true\n", [("MG173", 2, 1)]),
        ("[docker]\ndockerConfig = {enable = true}\n", [("MG173", 2, 1)]),
        (
            "[kubernetes.kubernetesService]\nenable = true\n[kubernetes.kubernetesHpa]\nenable = true\n",
            [("MG173", 1, 1), ("MG173", 3, 1)],
        ),
        ('[[filters]]\nname = "x"\n', [("MG110", 1, 1)]),
        ("filters = []\n", []),
        ("[dokcer]\n", [("MG172", 1, 1)]),
        ("docker = 1\n", []),
        ("x\n", [("MG172", 1, 2)]),
        ("a = 1\na = 2\n", [("MG172", 2, 6)]),
        (b"\xff", [("MG002", 0, 0)]),
        ("a = " + "[" * 5000, [("MG172", 0, 0)]),
    ],
)
def test_findings(text, found, tmp_path):
    assert _findings(text, tmp_path) == found


def test_a_missing_file_is_a_finding(tmp_path):
    report = Report()
    deployment.check(tmp_path / "missing.toml", "missing.toml", report)
    assert [(d.code, d.file) for d in report.diagnostics] == [("MG001", "missing.toml")]
