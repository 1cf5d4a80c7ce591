"""Fetching the first OpenAPI files: names, redirects, headers and what is refused, against a real server."""

from __future__ import annotations

import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from microgate.errors import ProjectError
from microgate.toolkit.project import definitions
from microgate.toolkit.project.definitions import Access, fetch

YAML = b"openapi: 3.0.0\n"
JSON = b'\xef\xbb\xbf {"openapi": "3.0.0"}'


class _Server(ThreadingHTTPServer):
    def __init__(self):
        super().__init__(("127.0.0.1", 0), _Handler)
        self.answers = {}
        self.seen = []

    def address(self, path):
        return f"http://127.0.0.1:{self.server_address[1]}{path}"


class _Handler(BaseHTTPRequestHandler):
    def do_GET(self):
        self.server.seen.append((self.path, dict(self.headers)))
        status, headers, body = self.server.answers[self.path]
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass


@pytest.fixture
def server():
    with _Server() as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield server
        server.shutdown()
        thread.join()


@pytest.mark.parametrize(
    ("path", "disposition", "body", "name"),
    [
        ("/pets.yaml", None, YAML, "pets.yaml"),
        ("/v1/pets.yml?x=1", None, YAML, "pets.yml"),
        ("/v1/pets", None, YAML, "pets.yaml"),
        ("/v1/pets/", None, JSON, "pets.json"),
        ("/", None, YAML, "api.yaml"),
        ("/export", 'attachment; filename="my pets.json"', JSON, "my pets.json"),
        ("/export", "attachment; filename=pets.yaml; size=3", YAML, "pets.yaml"),
        ("/export", "attachment; filename*=UTF-8''p%C3%A9ts.yaml", YAML, "péts.yaml"),
        ("/export", 'attachment; filename="../../etc/passwd"', YAML, "passwd.yaml"),
        ("/export", 'attachment; filename="..\\\\..\\\\x.yaml"', YAML, "x.yaml"),
        ("/a%2F..%2Fb.yaml", None, YAML, "b.yaml"),
        ("/...hidden.yaml", None, YAML, "hidden.yaml"),
        ("/my%20p%C3%A9ts.yaml", None, YAML, "my péts.yaml"),
    ],
)
def test_names(server, path, disposition, body, name):
    server.answers[path] = (200, {"Content-Disposition": disposition} if disposition else {}, body)
    assert fetch(server.address(path), Access()) == (name, body)


def test_an_address_may_be_pasted_as_people_write_it(server):
    server.answers["/my%20p%C3%A9ts.yaml?q=a%2Fb"] = (200, {}, YAML)
    assert fetch(server.address("/my péts.yaml?q=a%2Fb"), Access()) == ("my péts.yaml", YAML)


def test_headers_go_to_the_server_that_was_named_and_to_no_other(server):
    with _Server() as other:
        thread = threading.Thread(target=other.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        server.answers["/a"] = (302, {"Location": "/b"}, b"")
        server.answers["/b"] = (302, {"Location": other.address("/c")}, b"")
        other.answers["/c"] = (200, {}, YAML)
        assert fetch(server.address("/a"), Access(headers=(("X-Key", "hush"),)))[0] == "a.yaml"
        other.shutdown()
        thread.join()
    assert [headers.get("X-Key") for _, headers in server.seen] == ["hush", "hush"]
    assert [headers.get("X-Key") for _, headers in other.seen] == [None]


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        ((404, {}, b"no"), "the server answers 404"),
        ((302, {"Location": "file:///etc/passwd"}, b""), "is not allowed"),
        ((302, {"Location": "ftp://127.0.0.1:1/x"}, b""), "and redirects to ftp"),
        ((200, {}, b""), "is empty"),
        ((200, {}, b"<!doctype html>"), "is HTML or XML"),
        ((200, {"Content-Length": "100"}, b"openapi:"), "cannot be downloaded"),
        ((302, {"Location": "/x"}, b""), "cannot be downloaded"),
    ],
)
def test_what_is_no_description(server, answer, said):
    server.answers["/x"] = answer
    with pytest.raises(ProjectError, match=said) as caught:
        fetch(server.address("/x"), Access())
    assert server.address("/x") in str(caught.value)


@pytest.mark.parametrize(
    "source",
    [
        "ftp://127.0.0.1/x",
        "file:///etc/passwd",
        "http://",
        "http://[::1",
        "http://127.0.0.1:0/x",
        "http://127.0.0.1:99999/x",
        "http://127.0.0.1:1/a b\r\nX: y",
        "http://user:hush@127.0.0.1:1/x",
        "missing.yaml",
        "nul\0.yaml",
        "",
        ".",
    ],
)
def test_sources_that_lead_nowhere(source):
    with pytest.raises(ProjectError) as caught:
        fetch(source, Access())
    assert "hush" not in str(caught.value)


def test_a_file_is_bounded(tmp_path, monkeypatch):
    monkeypatch.setattr(definitions, "MAX_BYTES", 1_048_576)
    file = tmp_path / "big.yaml"
    file.write_bytes(b"#" * 1_048_577)
    with pytest.raises(ProjectError, match="is larger than 1 MB"):
        fetch(str(file), Access())
