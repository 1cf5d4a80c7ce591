"""Wire cases: the small data files `tests/wire/<noun>/*.yaml`, read, checked for misspelt keys, and run.

tests/wire/README.md describes their form. `test_wire.py` collects them.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import yaml

from harness import backend as scripts
from harness.credentials import mint
from harness.descriptions import describe
from harness.waiting import wait_until

if TYPE_CHECKING:
    from pathlib import Path

    from harness.backend import Backend, Script
    from harness.client import Client
    from harness.messages import Answer, Message

_CASE_KEYS = {
    "name",
    "case",
    "in_turn",
    "send",
    "raw",
    "half_close",
    "backend",
    "answer",
    "answers",
    "seen",
    "log",
    "closed",
}
_ANSWER_KEYS = {
    "status",
    "reason",
    "headers",
    "body",
    "size",
    "fault",
    "problem",
    "complete",
    "reset",
    "informational",
    "trailers",
    "method",
}
_SEEN_KEYS = {"count", "bytes", "line", "lines", "headers", "body", "order", "head", "trailers", "connections"}
_BACKEND_KEYS = {"raw", "then", "read", "echo", "status", "headers", "body"}


@dataclass
class WireFile:
    """A file of cases: which gateway they need, and the cases."""

    path: Path
    descriptions: tuple[str, ...]
    settings: str
    cases: list[dict[str, Any]] = field(default_factory=list)


def load(path: Path) -> WireFile:
    """Read a file; an unknown key is an error, because a misspelt expectation would hold for ever."""
    document = yaml.safe_load(path.read_text(encoding="utf-8"))
    _known(path.name, document, {"about", "apis", "settings", "each", "cases"})
    file = WireFile(path, tuple(_api(api) for api in document["apis"]), document.get("settings", ""))
    for given in document["cases"]:
        case = {**document.get("each", {}), **given}
        place = f"{path.name}: {case.get('name')}"
        _known(place, case, _CASE_KEYS)
        for answer in _answers(case):
            _known(place, answer, _ANSWER_KEYS)
        _known(place, case.get("seen") or {}, _SEEN_KEYS)
        _known(place, case.get("backend") or {}, _BACKEND_KEYS)
        file.cases.append(case)
    return file


def _known(place: str, given: dict[str, Any], keys: set[str]) -> None:
    unknown = set(given) - keys
    assert not unknown, f"{place}: unknown keys {sorted(unknown)}"


def _api(api: dict[str, Any]) -> str:
    extensions = {key: value for key, value in api.items() if key not in {"base", "paths", "secured", "title"}}
    return describe(
        api["paths"],
        base=api.get("base", "/"),
        secured=api.get("secured", False),
        title=api.get("title", "api"),
        **{key.replace("-", "_"): value for key, value in extensions.items()},
    )


def _answers(case: dict[str, Any]) -> list[dict[str, Any]]:
    if "answers" in case:
        return list(case["answers"])
    return [case["answer"]] if "answer" in case else []


def request_bytes(case: dict[str, Any]) -> bytes:
    """What a case sends. In `send`, lines end as HTTP wants, Host and Content-Length are added; `raw` is sent as it is."""
    if "raw" in case:
        return _tokens(case["raw"]).encode("latin-1")
    texts = case["send"] if isinstance(case["send"], list) else [case["send"]]
    return b"".join(_compose(_tokens(text)) for text in texts)


def _compose(text: str) -> bytes:
    head, _, body = text.partition("\n\n")
    start, *lines = head.rstrip("\n").split("\n")
    body = body.removesuffix("\n")
    names = {line.partition(":")[0].lower() for line in lines}
    if not start.endswith(("HTTP/1.0", "HTTP/1.1")):
        start += " HTTP/1.1"
    if "host" not in names:
        lines.insert(0, "Host: gateway.test")
    if body and not names & {"content-length", "transfer-encoding"}:
        lines.append(f"Content-Length: {len(body.encode())}")
    if "transfer-encoding" in names:
        body = body.replace("\n", "\r\n")
    return "\r\n".join([start, *lines, "", ""]).encode("latin-1") + body.encode()


def _tokens(text: str) -> str:
    """`{token}` is a good token; `{token scope=read key=value}` one with those claims."""

    def claims(match: re.Match[str]) -> str:
        pairs = dict(word.split("=", 1) for word in match[1].split())
        return mint(**{name: value.replace("+", " ") for name, value in pairs.items()})

    return re.sub(r"\{token((?: [^}]*)?)\}", claims, text)


def backend_script(given: dict[str, Any] | None) -> Script:
    """The script that a case's `backend` describes; none is a plain 200 with `ok`."""
    if not given:
        return scripts.respond()
    if given.get("echo"):
        return scripts.echo
    if "raw" in given:
        data = given["raw"].encode("latin-1")
        return scripts.raw(data, then=given.get("then", "keep"), read=given.get("read", "all"))
    headers = tuple((name, str(value)) for name, value in (given.get("headers") or {}).items())
    return scripts.respond(given.get("body", "ok").encode(), status=str(given.get("status", "200 OK")), headers=headers)


def run(case: dict[str, Any], client: Client, backend: Backend) -> None:
    """Send, and hold what came back and what the backend saw against the case."""
    backend.script = backend_script(case.get("backend"))
    data = request_bytes(case)
    if not case.get("in_turn"):
        client.send(data)
    if case.get("half_close"):
        client.finish_sending()
    for position, expected in enumerate(_answers(case)):
        if case.get("in_turn"):
            client.send(_compose(_tokens(case["send"][position])))
        method = expected.get("method", data.partition(b" ")[0].decode("latin-1"))
        check_answer(client.answer(method), expected)
    if "closed" in case:
        assert client.is_closed(within=5.0 if case["closed"] else 0.1) == case["closed"], "closed"
    if "seen" in case:
        check_seen(backend, case["seen"] or {})


def check_answer(answer: Answer, expected: dict[str, Any]) -> None:
    wanted = expected.get("status", answer.status)
    assert answer.status in (wanted if isinstance(wanted, list) else [wanted]), f"{answer.start}\n{answer.body!r}"
    if "reason" in expected:
        assert answer.start.split(" ", 2)[2] == expected["reason"]
    if "fault" in expected:
        assert answer.fault == expected["fault"], answer.body
        assert answer.header("content-type") == "application/json"
        assert set(answer.json["fault"]) == {"code", "message", "description"}
    if "problem" in expected:
        assert answer.header("content-type") == "application/problem+json"
        assert answer.json["status"] == answer.status
        assert answer.json["code"] == expected["problem"]
    _check_body(answer, expected)
    _check_headers(answer.headers, expected.get("headers") or {})
    _check_headers(answer.trailers, expected.get("trailers") or {})
    assert answer.complete == expected.get("complete", True), f"complete: {answer.complete}"
    if "reset" in expected:
        assert answer.reset == expected["reset"], "reset"
    if expected.get("informational") != "any":
        assert answer.informational == expected.get("informational", []), answer.informational


def check_seen(backend: Backend, expected: dict[str, Any]) -> None:
    count = expected.get("count", 1)
    if count:
        wait_until(lambda: len(backend.requests) >= count, f"{count} requests at the backend: {backend.requests}")
    assert len(backend.requests) == count, backend.requests
    if count == 0:
        # Not even half a request may have gone out.
        assert backend.bytes == 0, "bytes at the backend"
        return
    request = backend.requests[0]
    if "lines" in expected:
        assert [request.start for request in backend.requests] == expected["lines"]
    if "line" in expected:
        assert request.start == expected["line"]
    if "head" in expected:
        assert expected["head"].encode("latin-1") in request.head
    if "body" in expected:
        wait_until(lambda: request.complete, "the whole request at the backend")
    _check_body(request, expected)
    _check_headers(request.headers, expected.get("headers") or {})
    _check_headers(request.trailers, expected.get("trailers") or {})
    if "order" in expected:
        wanted = [name.lower() for name in expected["order"]]
        assert [name for name, _ in request.headers if name.lower() in wanted] == expected["order"]
    if "connections" in expected:
        assert len({request.connection for request in backend.requests}) == expected["connections"]


def _check_body(message: Message, expected: dict[str, Any]) -> None:
    if "body" in expected:
        body = message.body.decode("latin-1")
        assert _matches(body, expected["body"]), body
    if "size" in expected:
        assert message.size == expected["size"]


def _check_headers(fields: list[tuple[str, str]], expected: dict[str, Any]) -> None:
    """A value is exact, a list is all values in order, null means absent, /…/ is a pattern for the whole value."""
    for name, wanted in expected.items():
        found = [value for key, value in fields if key.lower() == name.lower()]
        if wanted is None:
            assert not found, f"{name}: {found}"
        elif isinstance(wanted, list):
            assert found == wanted, f"{name}: {found}"
        else:
            assert len(found) == 1, f"{name}: {found} in {fields}"
            assert _matches(found[0], str(wanted)), f"{name}: {found[0]!r}"


def _matches(found: str, wanted: str) -> bool:
    if len(wanted) > 1 and wanted[0] == wanted[-1] == "/":
        return re.fullmatch(wanted[1:-1], found, re.DOTALL) is not None
    return found == wanted
