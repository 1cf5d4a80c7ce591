"""Every case of every `<noun>/*.yaml` file, one test each, against the real gateway and a recording backend."""

from __future__ import annotations

from pathlib import Path

import pytest

from harness import wire_cases

HERE = Path(__file__).parent


def _collect():
    for path in sorted(HERE.glob("*/*.yaml")):
        file = wire_cases.load(path)
        for case in file.cases:
            number = f"case_{case['case']}_" if "case" in case else ""
            yield pytest.param(file, case, id=f"{path.parent.name}/{path.stem}::{number}{case['name']}")


@pytest.mark.parametrize(("file", "case"), list(_collect()))
def test_wire(file, case, shared_pair):
    pair = shared_pair(file.descriptions, file.settings)
    with pair.gateway.connect() as client:
        wire_cases.run(case, client, pair.backend)
