"""R31: whatever stands in a file or the environment, loading ends in settings or findings, never in a traceback."""

from __future__ import annotations

import random
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from microgate.errors import Findings
from microgate.settings.load import Sources, load
from microgate.settings.schema import KEYS
from unit.settings.test_compatibility import EVERY_KEY, SHIPPED

if TYPE_CHECKING:
    from microgate.diagnostics import Diagnostic


def attempt(data: bytes, **sources: object) -> None:
    with tempfile.NamedTemporaryFile(suffix=".conf") as file:
        file.write(data)
        file.flush()
        found = findings(Sources(file=Path(file.name), **sources))
        assert all(one.message.isprintable() and len(one.message) < 500 for one in found)


def findings(sources: Sources) -> list[Diagnostic]:
    try:
        return load(sources).warnings
    except Findings as error:
        return error.diagnostics


_NAMES = st.one_of(st.sampled_from(sorted(KEYS)), st.text(max_size=12), st.sampled_from(["", "b7a.users..password"]))
_VALUES = st.one_of(
    st.sampled_from(
        ["1", "-1", "true", "''", "'x'", "[]", "{}", "[{}]", "[[]]", "[1]", "['a']", "nan", "1e9", "12:00:00"]
    ),
    st.integers().map(str),
    st.text(max_size=10).map(repr),
)


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.lists(st.tuples(_NAMES, _VALUES), max_size=6), st.booleans())
def test_any_value_under_any_key(pairs, strict):
    text = "".join(f"{name} = {value}\n" for name, value in dict(pairs).items())
    attempt(text.encode("utf-8", "surrogatepass"), strict=strict, names=frozenset({"store"}))


@settings(max_examples=150, deadline=None)
@given(st.dictionaries(_NAMES.map(lambda name: name.replace(".", "_")), st.text(max_size=12), max_size=5))
def test_any_environment(environ):
    attempt(b"", environ=environ, overrides=tuple(environ.items()))


@settings(max_examples=100, deadline=None)
@given(st.binary(max_size=200))
def test_any_bytes(data):
    attempt(data)


def test_500_mutated_files():
    chance = random.Random(1)
    original = (EVERY_KEY + SHIPPED.partition("[[jwtTokenConfig]]")[0].replace("[", "[z")).encode()
    for _ in range(500):
        data = bytearray(original)
        for _ in range(chance.randint(1, 4)):
            start = chance.randrange(len(data))
            kind = chance.randrange(3)
            if kind == 0:
                data[start] = chance.randrange(256)
            elif kind == 1:
                del data[start : start + chance.randint(1, 40)]
            else:
                data[start:start] = data[start : start + 30]
        attempt(bytes(data))


def test_files_made_to_be_dear_are_read_in_time_or_refused():
    began = time.process_time()
    for data in (
        b"[" * 100_000,
        b"a." * 30_000 + b"b = 1",
        b"a = " + b"[[" * 50_000,
        b"[a]\n" * 60_000,
        b"x = '" + b"\\" * 200_000,
    ):
        attempt(data)
    attempt(b"".join(b"[[a%d]]\nb=1\n" % index for index in range(9_000)))
    # Processor time, since the machine may be busy; seconds where the naive way took a minute.
    assert time.process_time() - began < 10
