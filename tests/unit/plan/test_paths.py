"""Path templates: what is read, what is refused with which sentence, and which pairs clash."""

from __future__ import annotations

import time

import pytest

from microgate.plan.paths import (
    RouteKey,
    Segment,
    TemplateError,
    find_conflicts,
    parse_base_path,
    parse_template,
    path_values,
)


def test_segments_are_read_as_they_are_written():
    rows = {
        "/": ((), False),
        "/a": ((Segment(b"a"),), False),
        "/a/": ((Segment(b"a"),), False),
        "/a//": ((Segment(b"a"),), False),
        "/*": ((), True),
        "/a/*": ((Segment(b"a"),), True),
        "/a/*/": ((Segment(b"a"),), True),
        "/{id}": ((Segment(b"", ("id",)),), False),
        "/abc.{ext}": ((Segment(b"abc.", ("ext",)),), False),
        "/{name}.json": ((Segment(b"", ("name",), (), b".json"),), False),
        "/v2{p}": ((Segment(b"v2", ("p",)),), False),
        "/{name}.{ext}": ((Segment(b"", ("name", "ext"), (b".",)),), False),
        "/{a}-{b}": ((Segment(b"", ("a", "b"), (b"-",)),), False),
        "/x{a}-{b}:go": ((Segment(b"x", ("a", "b"), (b"-",), b":go"),), False),
        "/a b/é": ((Segment(b"a%20b"), Segment(b"%C3%A9")), False),
        "/a%2Fb": ((Segment(b"a%2Fb"),), False),
        "/users(id='{id}')": ((Segment(b"users(id='", ("id",), (), b"')"),), False),
        "/.well-known/x": ((Segment(b".well-known"), Segment(b"x")), False),
        "/{parameter with spaces}": ((Segment(b"", ("parameter with spaces",)),), False),
    }
    read = {path: parse_template(path) for path in rows}

    assert {path: (template.segments, template.wildcard) for path, template in read.items()} == rows
    assert all(template.source == path for path, template in read.items())


@pytest.mark.parametrize(
    ("path", "message"),
    [
        ("", "path `` does not begin with `/`"),
        ("pets", "path `pets` does not begin with `/`"),
        ("/a//b", "path `/a//b` has an empty segment"),
        ("/a?x=1", "path `/a?x=1` has a query or fragment; describe these as parameters of the operation"),
        ("/a#x", "path `/a#x` has a query or fragment; describe these as parameters of the operation"),
        ("/a/{id", "path `/a/{id` has a brace without its partner in `{id`"),
        ("/a/id}", "path `/a/id}` has a brace without its partner in `id}`"),
        ("/a/{{id}}", "path `/a/{{id}}` has a brace without its partner in `{{id}}`"),
        ("/{a/b}", "path `/{a/b}` has a brace without its partner in `{a`"),
        ("/a/{}", "path `/a/{}` has a parameter without a name"),
        ("/{a}{b}", "path `/{a}{b}` has two parameters with no text between them in `{a}{b}`"),
        ("/{a}/{a}", "path `/{a}/{a}` has the parameter `{a}` twice"),
        ("/a/*/b", "path `/a/*/b` has a `*` that is not the whole last segment; for the character write `%2A`"),
        ("/a*", "path `/a*` has a `*` that is not the whole last segment; for the character write `%2A`"),
        ("/{a}*", "path `/{a}*` has a `*` that is not the whole last segment; for the character write `%2A`"),
        ("/a/../b", "path `/a/../b` has the segment `..`, which no client sends"),
        ("/.", "path `/.` has the segment `.`, which no client sends"),
        ("/a;b", "path `/a;b` has a `;`, which begins a matrix parameter; for the character write `%3B`"),
        ("/50%", "path `/50%` has a `%` that begins no encoded byte; for the character write `%25`"),
        ("/%zz{a}", "path `/%zz{a}` has a `%` that begins no encoded byte; for the character write `%25`"),
        ("/\ud800", "path '/\\ud800' has half of a surrogate pair"),
    ],
)
def test_a_path_that_cannot_be_served_is_refused_in_one_sentence(path, message):
    with pytest.raises(TemplateError) as caught:
        parse_template(path)

    assert str(caught.value) == message


def test_base_paths_are_plain_text():
    assert parse_base_path("/") == ()
    assert parse_base_path("/a/b/") == (b"a", b"b")
    assert parse_base_path("/é/1.0") == (b"%C3%A9", b"1.0")
    for path in ("", "a", "/{a}", "/a/*", "/a//b", "/a?b", "/..", "/a;b", "/%"):
        with pytest.raises(TemplateError):
            parse_base_path(path)


def test_values_are_decoded_and_freed_of_matrix_parameters():
    rows = [
        ("/pet/{id}", b"/pet/1%2F1", {"id": "1/1"}),
        ("/pet/{id}", b"/pet/%C3%A9;a=1/", {"id": "é"}),
        ("/pet/{id}", b"/pet/;id=1", {"id": ";id=1"}),
        ("/pet/{id}", b"/pet/%ff%", {"id": "\ufffd%"}),
        ("/{a}/b/{c}", b"/1/b/a+b", {"a": "1", "c": "a+b"}),
        ("/x{a}-{b}.json", b"/x1-2-3.json", {"a": "1", "b": "2-3"}),
        ("/files/{area}/*", b"/files/docs/a/b", {"area": "docs"}),
        ("/a", b"/a", {}),
    ]
    for path, asked, values in rows:
        assert path_values(parse_template(path), asked) == values


def key(method, path, base="/", hosts=()):
    return RouteKey(tuple(hosts), base, parse_template(path), method)


CLASH = [
    [("GET", "/a"), ("GET", "/a")],
    [("GET", "/a"), ("GET", "/a/")],
    [("GET", "/{a}"), ("GET", "/{b}")],
    [("GET", "/x/{a}/y"), ("GET", "/x/{b}/y")],
    [("GET", "/*"), ("GET", "/*")],
    [("GET", "/a.{b}"), ("GET", "/a.{c}")],
    [("GET", "/{a}-{b}"), ("GET", "/{c}-{d}")],
    [("GET", "/{a}ab{b}"), ("GET", "/{a}cd{b}")],
    [("GET", "/{a}ab{b}/x"), ("GET", "/{a}cd{b}/x")],
    [("GET", "/{a}ab{b}/x"), ("GET", "/{a}cd{b}/{c}")],
    [("GET", "/{a}ab{b}/*"), ("GET", "/{a}cd{b}/c/d")],
    [("GET", "/{a}ab{b}"), ("GET", "/{a}b{b}b")],
    [("GET", "/a b"), ("GET", "/a%20b")],
    [("GET", "/a", "/x"), ("GET", "/a", "/x/")],
    [("GET", "/a", "/", ["one", "two"]), ("GET", "/a", "/", ["two"])],
    [("GET", "/a", "/", ["One"]), ("GET", "/a", "/", ["one"])],
    [("GET", "/a", "/", ["*.one"]), ("GET", "/a", "/", ["*.one"])],
]

NO_CLASH = [
    [("GET", "/a"), ("POST", "/a")],
    [("GET", "/a"), ("GET", "/{a}"), ("GET", "/*"), ("GET", "/a{b}"), ("GET", "/a/*")],
    [("GET", "/s/{a}"), ("GET", "/s/new"), ("GET", "/s/{b}/x"), ("GET", "/{c}/{d}/y")],
    [("GET", "/{a}"), ("GET", "/{a}/b")],
    [("GET", "/{a}.json"), ("GET", "/{a}.yaml")],
    [("GET", "/a{x}"), ("GET", "/b{x}")],
    [("GET", "/a{x}"), ("GET", "/{x}a")],
    [("GET", "/{a}ab{b}/x"), ("GET", "/{a}cd{b}/y")],
    [("GET", "/{a}ab{b}/x"), ("GET", "/{a}cd{b}")],
    [("GET", "/{a}ab{b}/p{c}"), ("GET", "/{a}cd{b}/q{c}")],
    [("GET", "/{a}ab{b}/p{c}"), ("GET", "/{a}cd{b}/q")],
    [("GET", "/b", "/a"), ("GET", "/a/b")],
    [("GET", "/b", "/a"), ("GET", "/b", "/c")],
    [("GET", "/a", "/", ["one"]), ("GET", "/a", "/", ["two"]), ("GET", "/a"), ("GET", "/a", "/", ["*.one"])],
    [("GET", "/a", "/", ["*.one"]), ("GET", "/a", "/", ["*.two.one"])],
    [("GET", "/a", "/", ["one", "ONE"])],
]


@pytest.mark.parametrize("rows", CLASH)
def test_two_that_can_match_one_request_with_equal_precedence_clash(rows):
    assert find_conflicts([key(*row) for row in rows]) == [(0, 1)]


@pytest.mark.parametrize("rows", NO_CLASH)
def test_precedence_or_difference_keeps_the_peace(rows):
    assert find_conflicts([key(*row) for row in rows]) == []


def test_each_that_clashes_is_paired_once():
    assert find_conflicts([key("GET", "/{a}"), key("GET", "/x"), key("GET", "/{b}"), key("GET", "/{c}")]) == [
        (0, 2),
        (0, 3),
    ]


def test_ten_thousand_routes_are_compared_in_moments():
    routes = [key("GET", f"/{{name}}:verb{n}/{{id}}") for n in range(5000)]
    routes += [key("GET", f"/things{n}/{{id}}", f"/v{n % 100}") for n in range(5000)]
    routes.append(key("GET", "/{other}:verb17/{key}"))

    started = time.process_time()

    assert find_conflicts(routes) == [(17, 10_000)]
    assert time.process_time() - started < 5


def test_a_path_may_have_any_number_of_segments():
    deep = "/a{x}" * 3
    long = "/a" * 5000

    assert find_conflicts([key("GET", long), key("GET", long + "/{b}"), key("GET", long + "/{c}")]) == [(1, 2)]
    with pytest.raises(TemplateError):
        parse_template(deep)
