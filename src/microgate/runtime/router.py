"""From host, path and method to a route, in a time that does not depend on how many routes there are.

Paths are matched as the bytes that came, segment by segment, and nothing is remembered between requests. The rules are
those of `plan/paths.py`; assembly makes the one router of a worker. How a path might look to others is `normal_form.py`.
"""

from __future__ import annotations

import functools
from dataclasses import dataclass
from typing import TYPE_CHECKING, Generic, TypeVar
from urllib.parse import unquote_to_bytes

from microgate.plan.paths import Template, parse_base_path, without_matrix
from microgate.runtime import faults
from microgate.runtime.faults import Fault
from microgate.runtime.normal_form import is_plain, normal_forms
from microgate.runtime.route_tree import End, Node, walk

if TYPE_CHECKING:
    from collections.abc import Hashable, Iterable, Iterator

T = TypeVar("T")

SEMICOLON = ord(";")
MAX_HOST_BYTES = 255  # of a domain name (RFC 1035 §2.3.4); a longer authority matches no host


@dataclass(frozen=True, slots=True)
class Route(Generic[T]):
    """One way to a payload. Routes with equal `protection` may stand for each other where a path is ambiguous."""

    hosts: tuple[str, ...]  # empty for any; "*.example.com" for one or more labels before the rest
    base_path: str
    template: Template
    method: str
    payload: T
    protection: Hashable = None


class Router(Generic[T]):
    """Finds routes. Of two that clash (`find_conflicts`) the first one given wins."""

    def __init__(self, routes: Iterable[Route[T]]) -> None:
        base = functools.cache(parse_base_path)  # thousands of routes share a few
        ways = [(route, End(route.payload, route.protection, base(route.base_path))) for route in routes]
        self._table = _Table(ways, decoded=False)
        self._literals = self._table.everywhere.literals
        self._has_hosts = self._table.has_hosts
        # Normal forms are decoded, so they are looked up among decoded templates; seldom is there a difference.
        has_encoded = any(b"%" in text for route, end in ways for text in (*end.base, *_texts(route.template)))
        self._decoded = _Table(ways, decoded=True) if has_encoded else self._table

    def find(self, authority: bytes, path: bytes, method: str) -> T | Fault:
        """The payload for a request, or NOT_FOUND, METHOD_NOT_ALLOWED with Allow, or AMBIGUOUS_PATH.

        `authority` is the Host field's value, `path` the target before "?".
        """
        if not self._has_hosts:
            methods = self._literals.get(path)
            if methods is not None:
                end = methods.get(method)
                if end is not None:
                    return end.payload
        found = self._table.match(authority, path, method)
        if isinstance(found, End):
            if not is_plain(path) and self._is_ambiguous(authority, path, method, found):
                return Fault(faults.AMBIGUOUS_PATH)
            return found.payload
        return _miss(found)

    def _is_ambiguous(self, authority: bytes, path: bytes, method: str, found: End[T]) -> bool:
        """Whether a backend could read the path as another resource, which is protected otherwise or not offered."""
        forms = normal_forms(path)
        if forms is None:
            return True
        for form in forms:
            if form.lowest is not None and form.lowest < len(found.base):
                return True
            other = self._decoded.match(authority, form.path, method)
            if not isinstance(other, End):
                # A slash or a letter in an encoded value may lead nowhere; dots that do are an attempt to get out.
                if other or form.lowest is not None:
                    return True
            elif other is not found and other.protection != found.protection:
                return True
        return False


def _miss(allowed: set[str]) -> Fault:
    if not allowed:
        return Fault(faults.NOT_FOUND)
    return Fault(faults.METHOD_NOT_ALLOWED, headers=((b"Allow", ", ".join(sorted(allowed)).encode()),))


def _texts(template: Template) -> Iterator[bytes]:
    for segment in template.segments:
        yield from (segment.prefix, *segment.inner, segment.suffix)


class _Table(Generic[T]):
    """All routes by host: an exact host beats a wildcard, a longer wildcard a shorter one, and any of them no host."""

    def __init__(self, ways: list[tuple[Route[T], End[T]]], *, decoded: bool) -> None:
        sites: dict[str, _Site[T]] = {}
        for route, end in ways:
            for host in route.hosts or ("",):
                sites.setdefault(host.lower(), _Site()).add(route, end, decoded=decoded)
        if not decoded:
            for route, end in ways:
                for host in route.hosts or ("",):
                    sites[host.lower()].index(route, end)
        self._max_splits = max((site.max_segments for site in sites.values()), default=0) + 1
        self.everywhere: _Site[T] = sites.pop("") if "" in sites else _Site()
        self._anywhere = (self.everywhere,)
        self.has_hosts = bool(sites)
        self._exact = {host.encode(): site for host, site in sites.items() if not host.startswith("*.")}
        self._below = {host[1:].encode(): site for host, site in sites.items() if host.startswith("*.")}

    def match(self, authority: bytes, path: bytes, method: str) -> End[T] | set[str]:
        """A route's end, or the methods that the path would have; none for a path that nobody has."""
        segments = path.rstrip(b"/").split(b"/", self._max_splits)
        if SEMICOLON in path:
            segments = without_matrix(segments)
        for site in self._sites(authority) if self.has_hosts else self._anywhere:
            owner = site.owner(segments)
            if owner is not None and owner.tree is not None:
                return walk(owner.tree, segments, owner.depth, method)
        return set()

    def _sites(self, authority: bytes) -> Iterator[_Site[T]]:
        """The sites that may answer for a host, best first. The first that has a base path for the request does."""
        host = _host(authority)
        if host in self._exact:
            yield self._exact[host]
        if self._below and len(host) <= MAX_HOST_BYTES:
            dot = host.find(b".", 1)
            while dot > 0:
                site = self._below.get(host[dot:])
                if site is not None:
                    yield site
                dot = host.find(b".", dot + 1)
        yield self.everywhere


def _host(authority: bytes) -> bytes:
    """The authority's host in lower case: without port, and without the dot that ends an absolute name."""
    host, colon, port = authority.rpartition(b":")
    if not colon or b"]" in port:
        host = authority
    return host.lower().removesuffix(b".")


class _Base(Generic[T]):
    """A node of a site's base paths. One with a tree is an API's base path, `depth` segments below the root."""

    __slots__ = ("below", "depth", "tree")

    def __init__(self, depth: int) -> None:
        self.depth = depth
        self.below: dict[bytes, _Base[T]] = {}
        self.tree: Node[T] | None = None


class _Site(Generic[T]):
    """The routes of one host. `literals` finds those without a parameter by the whole path, then by method."""

    __slots__ = ("_below", "literals", "max_segments")

    def __init__(self) -> None:
        self._below: dict[bytes, _Base[T]] = {b"": _Base(1)}  # a path's first segment is what stands before its "/"
        self.literals: dict[bytes, dict[str, End[T]]] = {}
        self.max_segments = 0

    def add(self, route: Route[T], end: End[T], *, decoded: bool) -> None:
        base = self._below[b""]
        for text in end.base:
            name = unquote_to_bytes(text) if decoded else text
            if name not in base.below:
                base.below[name] = _Base(base.depth + 1)
            base = base.below[name]
        if base.tree is None:
            base.tree = Node()
        base.tree.add(route.template, route.method, end, decoded=decoded)
        self.max_segments = max(self.max_segments, base.depth + len(route.template.segments))

    def index(self, route: Route[T], end: End[T]) -> None:
        """Note a route without parameters under its path, once all are added: a longer base path may own that path."""
        if not route.template.is_literal:
            return
        path = b"/" + b"/".join((*end.base, *(segment.prefix for segment in route.template.segments)))
        owner = self.owner(path.rstrip(b"/").split(b"/"))
        if is_plain(path) and owner is not None and owner.depth == len(end.base) + 1:
            self.literals.setdefault(path, {}).setdefault(route.method, end)

    def owner(self, segments: list[bytes]) -> _Base[T] | None:
        """The longest base path that begins a path. No shorter one is asked, even where it has no such resource."""
        owner = None
        below = self._below
        for segment in segments:
            base = below.get(segment)
            if base is None:
                break
            if base.tree is not None:
                owner = base
            below = base.below
        return owner
