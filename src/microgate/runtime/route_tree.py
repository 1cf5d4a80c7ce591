"""The tree of path templates below one base path, and the walk through it that finds the most concrete match.

A node is visited at most once in a walk, as only one way leads to it, so no path can make a walk long. `router.py` alone
uses it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Generic, TypeVar
from urllib.parse import unquote_to_bytes

from microgate.plan.paths import Segment

if TYPE_CHECKING:
    from collections.abc import Hashable

    from microgate.plan.paths import Template

T = TypeVar("T")


class End(Generic[T]):
    """Where a route leads: what `Router.find` returns, and what it compares."""

    __slots__ = ("base", "payload", "protection")

    def __init__(self, payload: T, protection: Hashable, base: tuple[bytes, ...]) -> None:
        self.payload = payload
        self.protection = protection
        self.base = base


class Node(Generic[T]):
    """What may follow after some segments. `ends` are the routes that end here, by method."""

    __slots__ = ("ends", "has_choice", "has_parameter_only", "literals", "parameter", "partials", "wildcard")

    def __init__(self) -> None:
        self.ends: dict[str, End[T]] = {}
        self.literals: dict[bytes, Node[T]] = {}
        self.partials: _Partials[T] | None = None
        self.parameter: Node[T] | None = None
        self.wildcard: Node[T] | None = None  # has ends only
        self.has_choice = False  # there is more than literals
        self.has_parameter_only = False  # and that is a parameter

    def add(self, template: Template, method: str, end: End[T], *, decoded: bool) -> None:
        """Enter a template; of two with one shape and method the first stays."""
        node = self
        for segment in template.segments:
            node = node._follow(_decode(segment) if decoded else segment)
        if template.wildcard:
            if node.wildcard is None:
                node.wildcard = Node()
                node.note_choice()
            node = node.wildcard
        node.ends.setdefault(method, end)

    def _follow(self, segment: Segment) -> Node[T]:
        if segment.is_literal:
            node = self.literals.get(segment.prefix)
            if node is None:
                node = self.literals[segment.prefix] = Node()
            return node
        if segment.is_parameter:
            self.parameter = self.parameter or Node()
            self.note_choice()
            return self.parameter
        self.partials = self.partials or _Partials()
        self.note_choice()
        return self.partials.add(segment)

    def note_choice(self) -> None:
        self.has_choice = True
        self.has_parameter_only = self.partials is None and self.wildcard is None

    def put_aside(self, waiting: list[tuple[Node[T], int]], segment: bytes, depth: int, count: int) -> None:
        """Put every way but the literal one on the stack, the most concrete last; `depth` is the next segment's."""
        if self.wildcard is not None:
            waiting.append((self.wildcard, count))
        if self.parameter is not None and segment:
            waiting.append((self.parameter, depth))
        if self.partials is not None:
            waiting.extend((partial, depth) for partial in self.partials.match(segment))


class _Partials(Generic[T]):
    """Segments that mix text and parameters, found by the texts at their two ends."""

    __slots__ = ("_by_ends", "_by_shape", "_lengths")

    def __init__(self) -> None:
        self._by_shape: dict[object, Node[T]] = {}
        self._by_ends: dict[tuple[bytes, bytes], list[tuple[Segment, Node[T]]]] = {}
        self._lengths: set[tuple[int, int]] = set()

    def add(self, segment: Segment) -> Node[T]:
        node = self._by_shape.get(segment.shape)
        if node is None:
            node = self._by_shape[segment.shape] = Node()
            self._by_ends.setdefault((segment.prefix, segment.suffix), []).append((segment, node))
            self._lengths.add((len(segment.prefix), len(segment.suffix)))
        return node

    def match(self, text: bytes) -> list[Node[T]]:
        """All that match, the most concrete last."""
        found: list[tuple[tuple[int, int], Node[T]]] = []
        size = len(text)
        for before, after in self._lengths:
            if before + after < size:
                for segment, node in self._by_ends.get((text[:before], text[size - after :]), ()):
                    if segment.split(text) is not None:
                        found.append((segment.rank, node))
        if len(found) > 1:
            found.sort(key=_rank)
        return [node for _, node in found]


def _rank(found: tuple[tuple[int, int], object]) -> tuple[int, int]:
    return found[0]


def _decode(segment: Segment) -> Segment:
    return Segment(
        unquote_to_bytes(segment.prefix),
        segment.names,
        tuple(unquote_to_bytes(text) for text in segment.inner),
        unquote_to_bytes(segment.suffix),
    )


def walk(root: Node[T], segments: list[bytes], depth: int, method: str) -> End[T] | set[str]:
    """The most concrete route for the segments from `depth` on and the method, or the methods that would do.

    At each segment, from the left: literal, then part literal, then parameter, then wildcard. What was passed over
    waits on a stack and is taken up where the more concrete way ends without the method.
    """
    count = len(segments)
    node = root
    waiting: list[tuple[Node[T], int]] = []
    allowed: set[str] | None = None
    while True:
        following = None
        if depth == count:
            end = node.ends.get(method)
            if end is not None:
                return end
            allowed = allowed.union(node.ends) if allowed else set(node.ends)
            if node.wildcard is not None:
                waiting.append((node.wildcard, count))
        else:
            segment = segments[depth]
            depth += 1
            following = node.literals.get(segment)
            if node.has_choice:
                if following is None and segment and node.has_parameter_only:
                    following = node.parameter
                else:
                    node.put_aside(waiting, segment, depth, count)
        if following is not None:
            node = following
        elif waiting:
            node, depth = waiting.pop()
        else:
            return allowed or set()
