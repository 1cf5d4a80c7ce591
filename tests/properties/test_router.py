"""The router against a slow matcher that is obviously right: it tries every template and compares them segment by segment.

The matcher turns each template into a regular expression and shares no code with the router but the templates' texts.
"""

from __future__ import annotations

import re

from hypothesis import assume, given, settings
from hypothesis import strategies as st

from microgate.plan.paths import RouteKey, find_conflicts, parse_template
from microgate.runtime.faults import Fault
from microgate.runtime.router import Route, Router

# Few letters, so that templates and paths meet often.
WORDS = st.sampled_from(["a", "b", "ab", "ba", "aa", "a-b", "b.a", "bab"])
SEGMENTS = st.one_of(
    WORDS,
    st.just("{p}"),
    st.builds("{}{{p}}".format, WORDS),
    st.builds("{{p}}{}".format, WORDS),
    st.builds("{}{{p}}{}".format, WORDS, WORDS),
    st.builds("{{p}}{}{{q}}".format, WORDS),
    st.builds("{}{{p}}{}{{q}}".format, WORDS, WORDS),
)
BASES = st.sampled_from(["/", "/a", "/a/b", "/ab"])
METHODS = st.sampled_from(["GET", "PUT"])


def _numbered(segments):
    """Parameter names may not repeat within a template."""
    return ["".join(f"{part}{index}" if part in "pq" else part for part in text) for index, text in enumerate(segments)]


TEMPLATES = st.builds(
    lambda segments, wild: "/" + "/".join([*_numbered(segments), *(["*"] if wild else [])]),
    st.lists(SEGMENTS, max_size=3),
    st.booleans(),
)
HOSTS = st.sampled_from(["", "", "one.test", "*.test", "*.two.test"])
ROUTES = st.lists(st.tuples(HOSTS, BASES, TEMPLATES, METHODS), max_size=12)
PATHS = st.builds(
    lambda segments, end: "/" + "/".join(segments) + end,
    st.lists(st.one_of(WORDS, st.text("ab-.", max_size=6).filter(lambda text: not text.startswith("."))), max_size=5),
    st.sampled_from(["", "", "/", "//"]),
)
AUTHORITIES = st.sampled_from(["", "one.test", "ONE.test:80", "x.test", "x.two.test", "two.test", "other"])


def _segments(path):
    stripped = path.strip().rstrip("/")
    return stripped.split("/")[1:]


def _key(segment):
    """How concrete a segment of a template is: sorts the most concrete first."""
    texts = re.split(r"\{\w+\}", segment)
    if len(texts) == 1:
        return (0, 0, 0)
    if texts == ["", ""]:
        return (2, 0, 0)
    return (1, -len("".join(texts)), -len(texts[0]))


def _precedence(template):
    segments = _segments(template)
    return [(3, 0, 0) if segment == "*" else _key(segment) for segment in segments] or [(0, 0, 0)]


def _matches(template, segments):
    wanted = _segments(template)
    if wanted[-1:] == ["*"]:
        wanted = wanted[:-1]
        segments = segments[: len(wanted)]
    if len(wanted) != len(segments):
        return False
    return all(
        re.fullmatch(
            "".join("(.+)" if part.startswith("{") else re.escape(part) for part in re.split(r"(\{\w+\})", w)), s
        )
        for w, s in zip(wanted, segments, strict=True)
    )


def _host_rank(pattern, authority):
    """Lower is better, None for no match."""
    host = authority.lower().partition(":")[0]
    if not pattern:
        return 1000
    if pattern.startswith("*."):
        return 500 - len(pattern) if host.endswith(pattern[1:]) and len(host) > len(pattern) - 1 else None
    return 0 if pattern == host else None


def _owner(routes, authority, segments):
    """The host pattern and base path that answer for a request."""
    owners = [
        (_host_rank(host, authority), -len(_segments(base)), host, base)
        for host, base, _, _ in routes
        if _host_rank(host, authority) is not None and segments[: len(_segments(base))] == _segments(base)
    ]
    return min(owners)[2:] if owners else None


def reference(routes, authority, path, method):
    """The index of the route, or the sorted methods that would do."""
    segments = _segments(path)
    owner = _owner(routes, authority, segments)
    if owner is None:
        return []
    below = segments[len(_segments(owner[1])) :]
    matching = [
        (_precedence(template), index)
        for index, (host, base, template, _) in enumerate(routes)
        if (host, base) == owner and _matches(template, below)
    ]
    best = [found for found in matching if routes[found[1]][3] == method]
    if best:
        return min(best)[1]
    return sorted({routes[index][3] for _, index in matching})


@settings(max_examples=600, deadline=None)
@given(routes=ROUTES, authority=AUTHORITIES, path=PATHS, method=METHODS)
def test_the_router_agrees_with_the_reference(routes, authority, path, method):
    keys = [RouteKey((host,) if host else (), base, parse_template(path), verb) for host, base, path, verb in routes]
    assume(not find_conflicts(keys))
    router = Router(
        Route(key.hosts, key.base_path, key.template, key.method, payload=index) for index, key in enumerate(keys)
    )

    found = router.find(authority.encode(), path.encode(), method)

    if isinstance(found, Fault):
        allow = dict(found.headers).get(b"Allow", b"").decode()
        found = allow.split(", ") if allow else []
    assert found == reference(routes, authority, path, method)


@settings(max_examples=250, deadline=None)
@given(routes=ROUTES, path=PATHS, method=METHODS)
def test_a_clash_is_reported_where_two_routes_match_with_equal_precedence(routes, path, method):
    keys = [RouteKey((), base, parse_template(path), verb) for _, base, path, verb in routes]
    segments = _segments(path)
    matching = [
        (base, verb, tuple(_precedence(template)))
        for _, base, template, verb in routes
        if segments[: len(_segments(base))] == _segments(base) and _matches(template, segments[len(_segments(base)) :])
    ]

    if len(set(matching)) < len(matching):
        assert find_conflicts(keys)


ENCODED = st.lists(
    st.sampled_from(
        ["/", "/", "a", "b", "%61", "%62", ".", "..", "%2e", "%2E", "%2F", "%5c", "\\", ";x", "%3B", "%3F", "%"]
    ),
    max_size=12,
).map(lambda parts: "/" + "".join(parts))


@settings(max_examples=1000, deadline=None)
@given(path=ENCODED)
def test_case_13_no_spelling_reaches_a_closed_path_through_an_open_one(path):
    """Whatever a backend makes of the path by decoding it and then reading it as a URL, it is not /a/b."""
    router = Router(
        [
            Route((), "/", parse_template("/a/b"), "GET", payload="closed", protection="closed"),
            Route((), "/", parse_template("/*"), "GET", payload="open", protection="open"),
        ]
    )

    found = router.find(b"", path.encode(), "GET")

    if found == "open":
        assert _read_by_a_backend(path) != ["a", "b"]


def _read_by_a_backend(path):
    decoded = re.sub("%([0-9a-fA-F]{2})", lambda match: chr(int(match[1], 16)), path)
    out = []
    for segment in re.split(r"[?#]", decoded)[0].replace("\\", "/").split("/"):
        name = segment.split(";")[0]
        if name == "..":
            out = out[:-1]
        elif name not in {"", "."}:
            out.append(name)
    return out


@settings(max_examples=150, deadline=None)
@given(path=st.binary(max_size=200), authority=st.binary(max_size=60), method=st.text(max_size=8))
def test_any_bytes_get_an_answer(path, authority, method):
    routes = [
        Route(hosts, base, parse_template(template), "GET", payload=1, protection=template)
        for hosts in ((), ("*.test",))
        for base in ("/", "/a")
        for template in ("/{a}", "/a.{b}", "/*", "/é/%2F")
    ]
    router = Router(routes)

    for start in (b"", b"/", b"/a/"):
        found = router.find(authority, start + path, method)
        assert found == 1 or isinstance(found, Fault)
