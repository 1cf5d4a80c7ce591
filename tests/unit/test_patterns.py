"""Patterns: what they find, what they refuse and why, and that no value makes them slow."""

from __future__ import annotations

import time
import tracemalloc

import pytest

from microgate import patterns

CATASTROPHIC = [
    "(a+)+$",
    "(a|a)*b",
    "(.*)*x",
    "(x+x+)+y",
    "([a-z]+)*[0-9]",
    "(a?){300}a{300}",
    "([ab]{0,50}){0,5}c",
    "[ab]*a[ab]{60}c",
    r"(\w+\s?)+$",
    r"(\pL+)*[0-9]",
    "^(([a-z])+.)+[A-Z]([a-z])+$",
]


@pytest.mark.parametrize(
    ("pattern", "found", "not_found"),
    [
        ("bot", [b"robot", b"bot", b"a bot b"], [b"", b"b o t", b"Bot"]),
        ("(?i)bot", [b"Robot", b"BOT"], [b"bo"]),
        ("^curl/", [b"curl/8.1"], [b" curl/8", b"libcurl/8"]),
        ("^$", [b""], [b" "]),
        ("", [b"", b"anything", b"\xff"], []),
        (r"^\d{3}$", [b"123"], [b"1234", b"12a", b"123\n"]),
        ("^é.$", ["éa".encode(), "éü".encode()], [b"\xc3a", b"\xe9a"]),
        ("[éü]", ["grün".encode()], [b"gr\xfcn"]),
        ("^a.*b$", [b"ab", b"a--b"], [b"a\xff\xfeb", b"a\nb"]),
        ("a\x00b", [b"-a\x00b-"], [b"ab"]),
    ],
)
def test_a_pattern_is_found_anywhere_in_a_value(pattern, found, not_found):
    find = patterns.compile(pattern)
    for _ in range(2):  # and once more out of what is remembered
        assert [value for value in found if not find(value)] == []
        assert [value for value in not_found if find(value)] == []


@pytest.mark.parametrize(
    ("pattern", "why"),
    [
        ("(", "missing )"),
        ("[a", "missing ]"),
        ("*a", "no argument for repetition operator"),
        ("a(?=b)", "lookahead"),
        ("(?<!a)b", "lookbehind"),
        ("(?>a+)b", "atomic"),
        (r"(a)\1", "references to groups are not supported"),
        ("a++", "possessive"),
        ("a{2000}", "invalid repetition size"),
        ("((a{100}){100}){100}", "invalid repetition size"),
        (".{900}.{900}", "repeats too much"),
        ("a" * 4_097, "longer than 4096 bytes"),
        ("\ud800", "half of a character"),
    ],
)
def test_what_is_no_pattern_is_refused_in_one_line(pattern, why):
    text = patterns.problem(pattern)
    assert why in text
    assert "\n" not in text
    with pytest.raises(patterns.PatternError, match=r"\S"):
        patterns.compile(pattern)


def test_a_good_pattern_has_no_problem():
    assert patterns.problem(r"^Mozilla/\d+") == ""


@pytest.mark.parametrize("size", [65_536, 10_000_000])
@pytest.mark.parametrize("pattern", CATASTROPHIC)
def test_r22_no_value_makes_a_pattern_slow(pattern, size):
    """The best of three, of the processor, because the machine may be busy; each time a pattern that remembers nothing."""
    for unit in (b"a", b"ab", b"ba", b"x", b"a ", "é".encode()):
        value = (unit * (size // len(unit) + 1))[:size]
        assert min(_seconds(pattern, value) for _ in range(3)) < 0.05
        longest = value[: patterns.longest_value(pattern)]
        assert min(_seconds(pattern, longest) for _ in range(3)) < 0.05


def _seconds(pattern: str, value: bytes) -> float:
    find = patterns.compile(pattern)
    began = time.process_time()
    find(value)
    return time.process_time() - began


def test_nothing_is_found_in_a_value_that_is_too_long_to_be_searched():
    find = patterns.compile("ab")
    longest = patterns.longest_value("ab")
    assert longest == 65_536
    assert find(b"ab" + b"x" * (longest - 2))
    assert not find(b"ab" + b"x" * (longest - 1))


def test_a_header_of_usual_size_is_searched_whole_by_a_usual_pattern():
    assert patterns.longest_value(r"(?i)(bot|crawler|spider|curl|wget|python-requests)/?[0-9.]*") >= 8_192


def test_what_is_remembered_of_values_is_bounded():
    find = patterns.compile("x$")
    tracemalloc.start()
    for number in range(20_000):
        find(b"%0200d" % number)
    size, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert size < 500_000
