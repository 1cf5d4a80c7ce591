"""Which pages of other origins may read answers, and the answers to preflights (Fetch standard, WSO2 §3.5 and §6.12).

Only APIs with `x-wso2-cors` come here: their answers, faults included, have the gateway's fields in place of the backend's. A
preflight goes to a path without an OPTIONS operation, so routing misses it; assembly then asks `Sites`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, cast

from msgspec.structs import replace

from microgate.plan.model import Cors
from microgate.plan.paths import parse_template
from microgate.runtime.faults import Answer, Fault
from microgate.runtime.router import Route, Router

if TYPE_CHECKING:
    from collections.abc import Callable

    from microgate.plan.model import Api, Plan
    from microgate.runtime.exchange import Exchange, Lines
    from microgate.runtime.pipeline import AnswerStage, Operation, Stage
    from microgate.settings.model import Settings

    Find = Callable[[bytes, bytes, str], object]
    Headers = list[tuple[bytes, bytes]]

_PREFIX = b"access-control-"
_ANY = "*"
_A, _O, _V = b"Aa", b"Oo", b"Vv"  # most lines are told apart by their first letter, which costs least
_NO_METHOD = "ANY"  # the one method of the routes that tell which API owns a path


class _Rules:
    """One API's rules as bytes."""

    def __init__(self, cors: Cors) -> None:
        self._any_origin = _ANY in cors.origins
        self._origins = frozenset(origin.encode() for origin in cors.origins)
        self._methods = frozenset(cors.methods)
        self._headers = frozenset(name.lower().encode() for name in cors.headers)
        self._any_header = _ANY in cors.headers
        self.fixed: Headers = [(b"Access-Control-Allow-Credentials", b"true")] if cors.credentials else []

    def origin(self, exchange: Exchange) -> bytes:
        """The request's origin where it may call, else b"". Browsers send one; more than one is nobody's."""
        origin = b""
        for line in exchange.lines:
            if line[0] in _O and line[:7].lower() == b"origin:":
                if origin:
                    return b""
                origin = line[7:].strip(b" \t")
        return origin if origin and (self._any_origin or origin.lower() in self._origins) else b""

    def takes_method(self, method: str) -> bool:
        return method in self._methods or _ANY in self._methods

    def takes_headers(self, names: list[bytes]) -> bool:
        return self._any_header or all(name.lower() in self._headers for name in names)


def answer_stage(cors: Cors, shown: tuple[str, ...] = ()) -> AnswerStage:
    """The stage for all answers of an API to requests that are no preflights. `shown` are fields of our own for pages to read."""
    rules = _Rules(cors)
    extra = [b"%b: %b" % pair for pair in rules.fixed]
    listed = {name.lower() for name in cors.expose_headers}
    exposed = (*cors.expose_headers, *(name for name in shown if name.lower() not in listed))
    if exposed:
        extra.append(b"Access-Control-Expose-Headers: " + ", ".join(exposed).encode())

    def admit_page(exchange: Exchange, lines: Lines) -> None:
        varies = False
        for line in tuple(lines):
            first = line[0]
            if first in _A and line[: len(_PREFIX)].lower() == _PREFIX:
                lines.remove(line)
            elif first in _V and _varies(line):
                varies = True
        if not varies:
            lines.append(b"Vary: Origin")
        origin = rules.origin(exchange)
        if origin:
            lines.append(b"Access-Control-Allow-Origin: " + origin)
            lines.extend(extra)

    return admit_page


def preflight_stage(cors: Cors, find: Find) -> Stage:
    """The stage that answers OPTIONS for paths that have no such operation. `find` is the router's.

    What may not be done is answered without the fields that would allow it (WSO2 §6.12), so that the browser refuses it.
    """
    rules = _Rules(cors)

    def answer_preflight(exchange: Exchange) -> Answer:
        headers: Headers = [
            (b"Vary", b"Origin, Access-Control-Request-Method, Access-Control-Request-Headers"),
        ]
        origin = rules.origin(exchange)
        methods = exchange.values(b"access-control-request-method")
        wanted = [
            name
            for value in exchange.values(b"access-control-request-headers")
            for part in value.split(b",")
            if (name := part.strip(b" \t"))
        ]
        method = methods[0].decode("latin-1") if len(methods) == 1 else ""
        if (
            not origin
            or not rules.takes_method(method)
            or not rules.takes_headers(wanted)
            or isinstance(find(exchange.authority, exchange.path, method), Fault)
        ):
            headers.extend(_allowed(find(exchange.authority, exchange.path, "OPTIONS")))
            return Answer(200, headers)
        headers.append((b"Access-Control-Allow-Origin", origin))
        headers.append((b"Access-Control-Allow-Methods", methods[0]))
        if wanted:
            headers.append((b"Access-Control-Allow-Headers", b", ".join(wanted)))
        if cors.max_age_s >= 0:
            headers.append((b"Access-Control-Max-Age", b"%d" % cors.max_age_s))
        headers.extend(rules.fixed)
        return Answer(200, headers)

    return answer_preflight


def own_preflight_stage(cors: Cors) -> Stage:
    """The stage for what the gateway itself serves: with any method, OPTIONS too, so routing never misses it."""
    answer = preflight_stage(cors, _always)

    def answer_pages(exchange: Exchange) -> Answer | None:
        return cast("Answer", answer(exchange)) if _is_preflight(exchange) else None

    return answer_pages


def own_answer_stage(cors: Cors) -> AnswerStage:
    """The stage for all that the gateway itself serves, which leaves the answers to preflights as they are."""
    admit = answer_stage(cors)

    def admit_page(exchange: Exchange, lines: Lines) -> None:
        if not _is_preflight(exchange):
            admit(exchange, lines)

    return admit_page


def _is_preflight(exchange: Exchange) -> bool:
    return exchange.method == "OPTIONS" and bool(exchange.values(b"access-control-request-method"))


def _always(authority: bytes, path: bytes, method: str) -> None:
    """Stands for a router that has everything."""


def of_settings(settings: Settings) -> Cors:
    """The rules for APIs that have none, and for the gateway's own services (WSO2 §6.12)."""
    said = settings.pages
    return Cors(
        origins=tuple(origin.lower() for origin in said.access_control_allow_origins),
        methods=tuple(method.upper() for method in said.access_control_allow_methods),
        headers=said.access_control_allow_headers,
        credentials=said.access_control_allow_credentials,
    )


def settled(plan: Plan, rules: Cors) -> Plan:
    """The plan with these rules for each API that has none."""
    apis = tuple(replace(api, cors=rules) if api.cors is None else api for api in plan.apis)
    return replace(plan, apis=apis)


def _allowed(miss: object) -> Headers:
    """The field that names a path's methods, with the one that the gateway answers itself."""
    found = miss.headers if isinstance(miss, Fault) else ()
    return [(name, value + b", OPTIONS") for name, value in found if name == b"Allow"]


def _varies(line: bytes) -> bool:
    """Whether caches learn from this field that the answer depends on the origin."""
    name, _, value = line.lower().partition(b":")
    names = [part.strip(b" \t") for part in value.split(b",")]
    return name == b"vary" and (b"origin" in names or b"*" in names)


@dataclass(frozen=True, slots=True)
class Site:
    """What stands for the operation of an API where a request has none."""

    preflight: Operation
    other: Operation


class Sites:
    """The APIs of a plan with rules, found by path where no operation was. Made where there is one at least."""

    def __init__(self, plan: Plan, make: Callable[[Api, Cors], Site]) -> None:
        self._make = make
        self._made: dict[str, Site] = {}
        # All APIs are here: a longer base path without rules keeps those of a shorter one off its paths.
        template = parse_template("/*")
        self._owners = Router([Route(api.hosts, api.base_path, template, _NO_METHOD, api) for api in plan.apis])

    def find(self, exchange: Exchange) -> Site | None:
        """What the API that owns the path has; None for a path of nobody, or of an API without rules."""
        api = self._owners.find(exchange.authority, exchange.path, _NO_METHOD)
        if isinstance(api, Fault) or api.cors is None:
            return None
        if api.id not in self._made:
            self._made[api.id] = self._make(api, api.cors)
        return self._made[api.id]
