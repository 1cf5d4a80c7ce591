"""The verdict cache: bounded in bytes that are really taken, exact about the end, and unmoved by forged tokens."""

from __future__ import annotations

import gc
import resource
import tracemalloc
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from harness.minting import NOW, Clock, as_json, b64, good_claims
from microgate.runtime.security.context import VERDICT_BYTES
from microgate.runtime.security.tokens import claims
from microgate.runtime.security.tokens.compact import parse
from microgate.runtime.security.verdicts import Verdict, Verdicts

if TYPE_CHECKING:
    from collections.abc import Callable


class Counts(Counter[str]):
    """What a cache says of itself, by name."""

    def of(self, name: str) -> Callable[[int], None]:
        return lambda count: self.update({name: count})


def verdict(until: float = NOW + 60, name: str = "alice") -> Verdict:
    return Verdict(until, claims.consumer_of(good_claims(sub=name), "aud"))


def test_a_verdict_ends_at_its_moment() -> None:
    clock = Clock()
    verdicts = Verdicts(1 << 20, 100, clock)
    verdicts.keep(b"token", verdict(NOW + 10))
    clock.now = NOW + 9.999
    assert verdicts.find(b"token") is not None
    clock.now = NOW + 10
    assert verdicts.find(b"token") is None
    assert len(verdicts) == 0
    assert verdicts.size_bytes == 0


def test_one_changed_byte_is_another_token() -> None:
    verdicts = Verdicts(1 << 20, 100, Clock())
    verdicts.keep(b"Bearer a.b.c", verdict())
    assert verdicts.find(b"Bearer a.b.d") is None
    assert verdicts.find(b"Bearer a.b.c ") is None


def test_the_least_recently_used_leaves_first() -> None:
    verdicts = Verdicts(5_000, 100, Clock())
    for value in (b"a", b"b", b"c"):
        verdicts.keep(value, verdict(name=value.decode()))
    assert verdicts.find(b"a") is not None
    verdicts.keep(b"d", verdict())
    assert verdicts.find(b"b") is None
    assert [verdicts.find(value) is not None for value in (b"a", b"c", b"d")] == [True] * 3


def test_entries_are_bounded_too() -> None:
    counts = Counts()
    verdicts = Verdicts(1 << 20, 3, Clock(), counts.of)
    for index in range(10):
        verdicts.keep(b"%d" % index, verdict())
    assert [index for index in range(10) if verdicts.find(b"%d" % index)] == [7, 8, 9]
    assert counts["token_verdicts_evicted"] == 7


def test_its_gauges_are_its_size_whatever_happens_to_it() -> None:
    counts = Counts()
    clock = Clock()
    verdicts = Verdicts(20_000, 5, clock, gauge=counts.of)

    def assert_true() -> None:
        assert (counts["token_verdicts"], counts["token_verdict_bytes"]) == (len(verdicts), verdicts.size_bytes)

    for size in (1, 2, 3, 4, 5, 6, 7, 3, 3, 1_000, 30_000):
        verdicts.keep(b"x" * size, verdict(NOW + size))
        assert_true()
    verdicts.keep(b"short", verdict(NOW + 1))
    clock.now = NOW + 2
    assert verdicts.find(b"short") is None
    assert_true()
    verdicts.keep(b"again", verdict())
    verdicts.clear()
    assert len(verdicts) == 0
    assert_true()


def test_keeping_one_value_twice_counts_once() -> None:
    verdicts = Verdicts(1 << 20, 100, Clock())
    verdicts.keep(b"a", verdict())
    size = verdicts.size_bytes
    verdicts.keep(b"a", verdict(name="bob"))
    assert verdicts.size_bytes == size
    consumer = verdicts.find(b"a")
    assert consumer is not None
    assert consumer.name == "bob"


def test_what_is_larger_than_the_cache_is_not_kept() -> None:
    verdicts = Verdicts(10_000, 100, Clock())
    verdicts.keep(b"x" * 10_000, verdict())
    assert len(verdicts) == 0
    assert verdicts.size_bytes == 0


def test_memory_stays_within_the_stated_bound() -> None:
    """The stated sum is at least what the allocator gave, for small tokens, large ones and many small claims."""
    shapes = [
        lambda index: good_claims(sub=f"user-{index}"),
        lambda index: good_claims(sub=f"user-{index}", roles=[f"role-{index}-{part}" for part in range(60)]),
        lambda index: good_claims(sub=f"user-{index}", **{f"c{index}{part}": part for part in range(100)}),
    ]
    header = b64(b'{"alg":"RS256"}')
    for shape in shapes:
        verdicts = Verdicts(1 << 19, 1_000_000, Clock())
        gc.collect()
        tracemalloc.start()
        before = tracemalloc.get_traced_memory()[0]
        for index in range(300):
            token = header + b"." + b64(as_json(shape(index))) + b"." + b64(bytes(256))
            consumer = claims.consumer_of(parse(token).claims, "aud")
            verdicts.keep(b"Bearer " + token, Verdict(NOW + 60, consumer))
        gc.collect()
        taken = tracemalloc.get_traced_memory()[0] - before
        tracemalloc.stop()
        assert verdicts.size_bytes <= 1 << 19
        assert len(verdicts) > 20
        assert taken <= 1.1 * verdicts.size_bytes, (taken, verdicts.size_bytes, len(verdicts))


# The short form fills the cache several times over, which says the same in seconds.
@pytest.mark.parametrize("count", [30_000, pytest.param(1_000_000, marks=[pytest.mark.long, pytest.mark.timeout(300)])])
def test_a_million_distinct_tokens_take_no_more_than_the_stated_bound(count: int) -> None:
    """What the process takes from the system, with the bound of a worker; and what is kept is a part of what came."""
    verdicts = Verdicts(VERDICT_BYTES, count, Clock())
    padding = b"." + b64(bytes(256))
    body = b64(b"x" * 500)

    def flood(numbers: range) -> None:
        for number in numbers:
            consumer = claims.consumer_of(good_claims(sub=f"user-{number}", jti=f"{number:032}"), "aud")
            verdicts.keep(b"Bearer %d.%b%b" % (number, body, padding), Verdict(NOW + 60, consumer))

    before = resident_bytes()
    flood(range(count // 2))
    assert len(verdicts) < count // 3
    filled = resident_bytes()
    assert filled - before <= 1.2 * VERDICT_BYTES
    flood(range(count // 2, count))
    assert resident_bytes() - filled <= 0.1 * VERDICT_BYTES


def resident_bytes() -> int:
    gc.collect()
    return int(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize()
