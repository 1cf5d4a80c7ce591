"""Which route a request finds. Rows are method, path and what is expected: a payload, a status, or a status and Allow."""

from __future__ import annotations

import time

import pytest

from microgate.plan.paths import parse_template
from microgate.runtime.faults import Fault
from microgate.runtime.router import Route, Router

MAX_PATH = 4096


def route(method, path, *, base="/", hosts=(), protection=None, payload=None):
    return Route(
        hosts=tuple(hosts),
        base_path=base,
        template=parse_template(path),
        method=method,
        payload=payload or f"{method} {'' if base == '/' else base}{path}",
        protection=protection,
    )


def gets(*paths, base="/"):
    return [route("GET", path, base=base) for path in paths]


def ask(router, path, method="GET", host=""):
    """A payload, or the fault's status, or for 405 the status and Allow."""
    found = router.find(host.encode(), path.encode() if isinstance(path, str) else path, method)
    if not isinstance(found, Fault):
        return found
    if found.kind.status == 405:
        return "405 " + dict(found.headers)[b"Allow"].decode()
    return found.kind.status


# Case 13: no alias around a protected path.

ALIASES = [
    "/x/../admin",
    "/%61dmin",
    "/x/%2e%2e/admin",
    "//admin",
    "/admin%2F",
    "/x/..%2Fadmin",
    "/admin%3F",
    "/admin%23x",
    "/admin%00",
    "/admin%5C",
    "/x%5C..%5Cadmin",
    "/x\\..\\admin",
    "\\admin",
    "/.%2fadmin",
    "/./admin",
    "/admin/.",
    "/admin/%2e",
    "/x%2f..%2fadmin",
    "/x/..;a=1/admin",
    "/x/..%3Ba/admin",
    "/admin;a=1",
    "/admin%3Ba=1",
    "/;a/admin",
    "/admin/;a",
    "/%2Fadmin",
    "/..%2f..%2fadmin",
    "/x//../../admin",
    "/x//../admin",
    "/%61%64%6D%69%6E",
]


@pytest.mark.parametrize("opened", [("/{any}",), ("/*",), ("/{a}", "/{a}/{b}", "/{a}/{b}/{c}", "/{a}/{b}/{c}/{d}")])
@pytest.mark.parametrize("path", ALIASES)
def test_case_13_no_alias_around_a_protected_path(path, opened):
    router = Router(
        [
            route("GET", "/admin", protection="closed", payload="admin"),
            *(route("GET", path, protection="open", payload="open") for path in opened),
        ]
    )

    assert ask(router, path) in {"admin", 400, 404}


@pytest.mark.parametrize(
    ("path", "read"),
    [
        ("/x//../admin", "/admin"),
        ("/x//../admin", "/x/admin"),
        ("/x//..//admin", "/admin"),
        ("/x//..//admin", "/x/admin"),
        ("/x/..//admin", "/admin"),
        ("/x/%2F..%2Fadmin", "/x/admin"),
    ],
)
def test_case_13_holds_for_both_orders_of_merging_slashes_and_resolving_dots(path, read):
    router = Router([route("GET", "/*", protection="open"), route("GET", read, protection="closed")])

    assert ask(router, path) == 400


@pytest.mark.parametrize("path", ["/caf%C3%A9/", "/%63af%C3%A9", "/caf%c3%a9"])
def test_case_13_holds_for_names_that_are_encoded_themselves(path):
    router = Router([route("GET", "/café", protection="closed", payload="café"), route("GET", "/{any}")])

    assert ask(router, path) in {"café", 400}
    assert ask(router, "/caf%C3%A9") == "café"


def test_an_alias_of_a_resource_with_the_same_protection_is_passed_on_as_it_came():
    router = Router([route("GET", "/admin", payload="admin"), route("GET", "/{any}", payload="any")])

    assert ask(router, "/%61dmin") == "any"


def test_an_alias_of_a_resource_without_that_method_is_refused():
    router = Router([route("POST", "/pet/{id}"), route("GET", "/admin")])

    assert ask(router, "/pet/..%2F..%2Fadmin", "POST") == 400
    assert ask(Router([route("POST", "/{id}"), route("GET", "/a/b")]), "/a%2Fb", "POST") == 400


@pytest.mark.parametrize(
    "path",
    [
        "/api/files/../../secret",
        "/api/files/%2e%2e/%2e%2e/api/files/x",
        "/api/files/..%2f..%2f..%2fapi%2ffiles",
        "/api/files/../..",
        "/api/files/..%5c..%5cx",
    ],
)
def test_dots_do_not_lead_out_of_the_base_path(path):
    assert ask(Router([route("GET", "/files/*", base="/api")]), path) == 400


@pytest.mark.parametrize("path", ["/files/../secret", "/files/..%2Fsecret", "/files/%2e%2e", "/files/a/../../.."])
def test_dots_do_not_lead_to_where_there_is_no_resource(path):
    assert ask(Router([route("GET", "/files/*")]), path) == 400


@pytest.mark.parametrize("path", ["/files/../../files/x", "/..%2ffiles", "/files/%2e%2e/%2e%2e/%2e%2e/files"])
def test_dots_do_not_lead_above_the_root(path):
    """An endpoint may have a path of its own, out of which they would lead the backend."""
    assert ask(Router([route("GET", "/*"), route("GET", "/files/*")]), path) == 400


def test_dots_are_counted():
    router = Router([route("GET", "/files/*", payload="files")])

    assert ask(router, "/files" + "/a/.." * 32) == "files"
    assert ask(router, "/files" + "/a/.." * 33) == 400


def test_dots_within_a_resource_are_its_own_affair():
    router = Router([route("GET", "/files/*", base="/api", payload="files")])

    assert ask(router, "/api/files/a/../b") == "files"
    assert ask(router, "/api/files/.hidden") == "files"


# Case 20: path bytes arrive unchanged.


@pytest.mark.parametrize(
    "value",
    [
        "1%2F1",
        "(a,b)",
        "a~b",
        "%3Cn%3E",
        "%C3%A9",
        "a%0Ab",
        "git%40h%3Aorg%2Frepo",
        "%",
        "%zz",
        "%2",
        "a%3Fb",
        "a%23b",
        "a%25b",
        "%ff%fe",
        ".hidden",
        "a..b",
        "...",
        "a;b=1",
        "a%00",
    ],
)
def test_case_20_every_value_of_a_parameter_matches(value):
    routes = [
        route("GET", "/pet/{id}", protection="keyed", payload="pet"),
        route("GET", "/pet/findByStatus", protection="scoped"),
        route("POST", "/pet", protection="scoped"),
        route("POST", "/pet/{id}/uploadImage", protection="scoped"),
    ]

    assert ask(Router(routes), f"/pet/{value}") == "pet"


# Case 22: literal beats template, per method; siblings never clash.


def test_case_22_the_most_concrete_wins_and_siblings_never_clash():
    router = Router(
        [
            *gets("/s/{a}", "/s/new", "/s/{b}/x", "/{c}/{d}/y", "/bar", "/baz", "/{any}", "/v2", "/v2{p}"),
            route("GET", "/abc.{ext}"),
            route("POST", "/s/new"),
            route("PUT", "/bar"),
        ]
    )
    rows = {
        "/s/1": "GET /s/{a}",
        "/s/new": "GET /s/new",
        "/s/newer": "GET /s/{a}",
        "/s/1/x": "GET /s/{b}/x",
        "/s/new/x": "GET /s/{b}/x",
        "/s/1/y": "GET /{c}/{d}/y",
        "/t/1/y": "GET /{c}/{d}/y",
        "/bar": "GET /bar",
        "/baz": "GET /baz",
        "/basomething": "GET /{any}",
        "/ba": "GET /{any}",
        "/v2": "GET /v2",
        "/v2x": "GET /v2{p}",
        "/v3": "GET /{any}",
        "/abc.json": "GET /abc.{ext}",
        "/abc.": "GET /{any}",
        "/abc": "GET /{any}",
        "/s/1/z": 404,
        "/t/1": 404,
        "/": 404,
        "": 404,
        "*": 404,
        "bar": 404,
    }
    assert {path: ask(router, path) for path in rows} == rows
    assert ask(router, "/bar", "PUT") == "PUT /bar"
    assert ask(router, "/bar", "DELETE") == "405 GET, PUT"
    assert ask(router, "/s/new", "PATCH") == "405 GET, POST"
    assert ask(router, "/s/1", "POST") == "405 GET"
    assert ask(router, "/bar", "HEAD") == "405 GET, PUT"
    assert ask(router, "/nowhere/at/all", "DELETE") == 404


def test_case_22_a_more_concrete_path_without_the_method_hides_nothing():
    router = Router([route("POST", "/s/new"), route("DELETE", "/s/{a}"), route("PUT", "/s/n{b}"), route("GET", "/*")])

    assert ask(router, "/s/new", "POST") == "POST /s/new"
    assert ask(router, "/s/new", "PUT") == "PUT /s/n{b}"
    assert ask(router, "/s/new", "DELETE") == "DELETE /s/{a}"
    assert ask(router, "/s/new", "GET") == "GET /*"
    assert ask(router, "/s/new", "PATCH") == "405 DELETE, GET, POST, PUT"


def test_more_text_in_a_segment_beats_less_and_a_longer_beginning_beats_an_end():
    router = Router(gets("/{a}", "/{a}.json", "/r{a}", "/re{a}", "/re{a}.json", "/{a}-{b}", "/{a}-to-{b}"))

    rows = {
        "/x": "/{a}",
        "/x.json": "/{a}.json",
        "/rx": "/r{a}",
        "/rex": "/re{a}",
        "/rex.json": "/re{a}.json",
        "/re.json": "/{a}.json",
        "/1-2": "/{a}-{b}",
        "/1-to-2": "/{a}-to-{b}",
        "/r1-2": "/r{a}",
        "/-": "/{a}",
        "/a-": "/{a}",
        "/-b": "/{a}",
    }
    assert {path: ask(router, path) for path in rows} == {path: f"GET {want}" for path, want in rows.items()}


def test_the_leftmost_difference_decides():
    router = Router(gets("/a/{x}/{y}", "/{x}/b/c", "/a{z}/b/c", "/*"))

    assert ask(router, "/a/b/c") == "GET /a/{x}/{y}"
    assert ask(router, "/ab/b/c") == "GET /a{z}/b/c"
    assert ask(router, "/x/b/c") == "GET /{x}/b/c"
    assert ask(router, "/a/b") == "GET /*"


# Case 23: trailing and double slashes.


@pytest.mark.parametrize("base", ["/", "/shop", "/shop/"])
def test_case_23_a_final_slash_means_nothing(base):
    router = Router([route("POST", "/x", base=base), route("POST", "/y/", base=base), route("GET", "/", base=base)])
    start = base.rstrip("/")

    for path in ("/x", "/x/", "/x//", "/x////"):
        assert ask(router, start + path, "POST") == f"POST {'' if base == '/' else base}/x"
    for path in ("/y", "/y/"):
        assert ask(router, start + path, "POST").endswith("/y/")
    for path in (start + "/", start, start + "//"):
        if path:
            assert ask(router, path).endswith("/")


@pytest.mark.parametrize("base", ["/", "/shop"])
def test_case_23_a_wildcard_takes_the_rest_and_nothing_too(base):
    router = Router([route("GET", "/*", base=base), route("GET", "/docs/*", base=base)])
    start = base.rstrip("/")
    prefix = "" if base == "/" else base

    for path in ("/", "/a", "/a/", "/a/b/c", "//", "/docsx"):
        assert ask(router, start + path) == f"GET {prefix}/*"
    for path in ("/docs", "/docs/", "/docs//", "/docs/a/b"):
        assert ask(router, start + path) == f"GET {prefix}/docs/*"


def test_a_parameter_is_never_empty():
    router = Router(gets("/pet/{id}", "/{a}/{b}/end"))

    assert ask(router, "/pet/") == 404
    assert ask(router, "//x/end") == 404


# Case 24: the prefix is cut once, on segment borders.


def test_case_24_a_base_path_ends_with_its_segment():
    router = Router(
        [
            route("GET", "/foo-bar", base="/foo"),
            route("GET", "/weather", base="/weatherAPI"),
            route("GET", "/a/{id}/b", base="/myapi"),
            route("GET", "/a/myapi/b", base="/myapi", payload="literal"),
        ]
    )

    assert ask(router, "/foo/foo-bar") == "GET /foo/foo-bar"
    assert ask(router, "/foo-bar") == 404
    assert ask(router, "/foo/foo/foo-bar") == 404
    assert ask(router, "/weatherAPI/weather") == "GET /weatherAPI/weather"
    assert ask(router, "/weatherAPIweather") == 404
    assert ask(router, "/weather") == 404
    assert ask(router, "/myapi/a/myapi/b") == "literal"
    assert ask(router, "/myapi/a/other/b") == "GET /myapi/a/{id}/b"
    assert ask(router, "/myapi/a/myapi/b") == "literal"


def test_the_longest_base_path_owns_its_paths():
    router = Router(
        [
            route("GET", "/*", base="/"),
            route("GET", "/users", base="/admin"),
            route("GET", "/admin/users", base="/", payload="hidden"),
            route("GET", "/v2/x", base="/admin", payload="hidden"),
            route("POST", "/{x}", base="/admin/v2"),
        ]
    )

    assert ask(router, "/admin/users") == "GET /admin/users"
    assert ask(router, "/admin/other") == 404
    assert ask(router, "/admin/users", "POST") == "405 GET"
    assert ask(router, "/administrator") == "GET /*"
    assert ask(router, "/admin/v2/x") == "405 POST"


# Matrix parameters (WSO2 §14.4).


def test_matrix_parameters_take_no_part_in_matching():
    router = Router(gets("/pet/{id}", "/pet/list", "/x.{ext}", base="/v1"))

    assert ask(router, "/v1;k=1/pet/7;a=1;b") == "GET /v1/pet/{id}"
    assert ask(router, "/v1/pet;a/list;b=2/") == "GET /v1/pet/list"
    assert ask(router, "/v1/x.json;q=1") == "GET /v1/x.{ext}"
    assert ask(router, "/v1/pet/;id=7") == "GET /v1/pet/{id}"


# Hosts.


def test_an_exact_host_beats_a_wildcard_beats_no_host():
    router = Router(
        [
            route("GET", "/a", payload="any"),
            route("GET", "/b", payload="any b"),
            route("GET", "/x", base="/only", payload="only any"),
            route("GET", "/a", hosts=["a.example.com", "[::1]"], payload="exact"),
            route("GET", "/{x}", hosts=["*.example.com"], payload="wild"),
            route("GET", "/a", hosts=["*.deep.example.com"], payload="deeper"),
            route("GET", "/y", hosts=["b.other"], base="/other", payload="based"),
        ]
    )
    rows = {
        ("a.example.com", "/a"): "exact",
        ("A.Example.COM:8443", "/a"): "exact",
        ("a.example.com.", "/a"): "exact",
        ("[::1]:9090", "/a"): "exact",
        ("[::1]", "/a"): "exact",
        ("a.example.com", "/b"): 404,
        ("b.example.com", "/a"): "wild",
        ("c.b.example.com", "/b"): "wild",
        ("x.deep.example.com", "/a"): "deeper",
        ("x.deep.example.com:1", "/b"): 404,
        ("example.com", "/a"): "any",
        (".example.com", "/a"): "any",
        ("other", "/a"): "any",
        ("", "/b"): "any b",
        ("b.other", "/other/y"): "based",
        ("b.other", "/other/z"): 404,
        ("b.other", "/b"): "any b",
        ("." * 5000, "/b"): "any b",
        ("a." * 5000 + "example.com", "/a"): "any",
        (":", "/a"): "any",
    }
    assert {row: ask(router, row[1], host=row[0]) for row in rows} == rows


def test_case_13_holds_for_each_host():
    router = Router(
        [
            route("GET", "/admin", hosts=["a.example"], protection="closed", payload="admin"),
            route("GET", "/{any}", hosts=["a.example"], payload="open"),
            route("GET", "/{any}", payload="elsewhere"),
        ]
    )

    assert ask(router, "/%61dmin", host="a.example") == 400
    assert ask(router, "/%61dmin", host="b.example") == "elsewhere"


# Cost.


@pytest.mark.parametrize(
    "path",
    [
        b"/" * MAX_PATH,
        b"/a" * (MAX_PATH // 2),
        b"/.." * (MAX_PATH // 3),
        b"/a/.." * (MAX_PATH // 5),
        b"/%2e%2e" * (MAX_PATH // 7),
        b"/" + b"%41" * (MAX_PATH // 3),
        b"/" + b";" * (MAX_PATH - 1),
        b"/" + b"-" * (MAX_PATH - 1),
        b"/a" + b"-a" * (MAX_PATH // 2 - 1),
        b"/" + b"%" * (MAX_PATH - 1),
        bytes(range(256)) * 16,
    ],
)
def test_a_hostile_path_is_cheap(path):
    deep = ["/" + "/".join("a" if bit == "0" else f"{{p{i}}}" for i, bit in enumerate(f"{n:06b}")) for n in range(64)]
    router = Router([*gets("/{a}-{b}-{c}-{d}-{e}-z", "/*", *deep), route("GET", "/a", protection=1)])
    router.find(b"", path, "GET")

    started = time.process_time()
    for _ in range(10):
        router.find(b"", path, "GET")

    assert (time.process_time() - started) / 10 < 0.01


def test_no_routes_at_all():
    assert ask(Router([]), "/x") == 404
