"""Path templates: how they are read, which of two is the more concrete, and which two cannot live together.

The compiler proves with it that no two operations clash, the router matches with it. Nothing here looks at a request's
host or decodes a byte to match; values are decoded only for those who ask for them.
"""

from __future__ import annotations

import re
from collections import defaultdict
from dataclasses import dataclass
from typing import TYPE_CHECKING
from urllib.parse import quote, unquote

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

WILDCARD = "*"

# What a path segment may hold unencoded (RFC 3986 §3.3) without ";", which begins a matrix parameter.
_SEGMENT_CHARACTERS = "!$&'()+,=:@-._~%"

_PARAMETER = re.compile(r"\{([^{}]*)\}")
_PLAIN = re.compile(r"[A-Za-z0-9_-]*")
_BAD_PERCENT = re.compile(r"%(?![0-9A-Fa-f]{2})")


class TemplateError(ValueError):
    """A path template or base path that cannot be served; the text is for the user."""


@dataclass(frozen=True, slots=True)
class Segment:
    """One segment: `prefix {names[0]} inner[0] {names[1]} … suffix`, all of it in `prefix` where there is no parameter."""

    prefix: bytes
    names: tuple[str, ...] = ()
    inner: tuple[bytes, ...] = ()
    suffix: bytes = b""

    @property
    def is_literal(self) -> bool:
        return not self.names

    @property
    def is_parameter(self) -> bool:
        """A parameter is the whole segment."""
        return bool(self.names) and not self.prefix and not self.suffix and not self.inner

    @property
    def shape(self) -> tuple[bytes, tuple[bytes, ...], bytes, int]:
        """Equal for segments that match the same texts, whatever their parameters are called."""
        return self.prefix, self.inner, self.suffix, len(self.names)

    @property
    def rank(self) -> tuple[int, int]:
        """Among segments that are part text, part parameter the higher one is asked first."""
        return len(self.prefix) + len(self.suffix) + sum(map(len, self.inner)), len(self.prefix)

    def split(self, text: bytes) -> list[bytes] | None:
        """The parameters' values, each at least one byte and as short as can be, or None where `text` does not match.

        Linear in the text: taking the first place of each inner text leaves the most for those that follow.
        """
        if not self.names:
            return [] if text == self.prefix else None
        start, end = len(self.prefix), len(text) - len(self.suffix)
        if end <= start or not text.startswith(self.prefix) or not text.endswith(self.suffix):
            return None
        values = []
        for piece in self.inner:
            place = text.find(piece, start + 1, end)
            if place < 0:
                return None
            values.append(text[start:place])
            start = place + len(piece)
        if end <= start:
            return None
        values.append(text[start:end])
        return values


@dataclass(frozen=True, slots=True)
class Template:
    """A path below a base path. `wildcard` means that any further segments, or none, may follow."""

    source: str
    segments: tuple[Segment, ...]
    wildcard: bool = False

    @property
    def is_literal(self) -> bool:
        """One path alone matches: there is no parameter and no wildcard."""
        return not self.wildcard and all(segment.is_literal for segment in self.segments)

    @property
    def shape(self) -> tuple[object, ...]:
        """Equal for templates that match the same paths."""
        return (*(segment.shape for segment in self.segments), self.wildcard)


@dataclass(frozen=True, slots=True)
class RouteKey:
    """Everything that decides which requests an operation may match."""

    hosts: tuple[str, ...]
    base_path: str
    template: Template
    method: str


def parse_template(path: str) -> Template:
    """Read a path of an OpenAPI description: text, `{parameter}`, both in one segment, and `/*` at the end.

    A trailing slash has no meaning. Text is compared with requests as bytes, so characters that a URL cannot hold are
    percent-encoded here. Raises TemplateError.
    """
    _check_path(path, "path")
    texts = path.rstrip("/").split("/")[1:]
    wildcard = bool(texts) and texts[-1] == WILDCARD
    segments = tuple(_parse_segment(text, path) for text in (texts[:-1] if wildcard else texts))
    names = [name for segment in segments for name in segment.names]
    for name in names:
        if names.count(name) > 1:
            raise TemplateError(f"path `{path}` has the parameter `{{{name}}}` twice")
    return Template(path, segments, wildcard)


def parse_base_path(base_path: str) -> tuple[bytes, ...]:
    """The segments of a base path, as a request must spell them; none for "/". Raises TemplateError."""
    _check_path(base_path, "base path")
    if "{" in base_path or "}" in base_path or WILDCARD in base_path:
        raise TemplateError(f"base path `{base_path}` has a parameter or wildcard; only operations' paths may")
    return tuple(_whole(text, base_path) for text in base_path.rstrip("/").split("/")[1:])


def path_values(template: Template, path: bytes) -> dict[str, str]:
    """The decoded parameters of a request's path below its base path, without matrix parameters (WSO2 §14.4).

    `path` must match the template. Bytes that are no UTF-8 become U+FFFD.
    """
    values: dict[str, str] = {}
    for segment, text in zip(template.segments, without_matrix(path.rstrip(b"/").split(b"/")[1:]), strict=False):
        for name, value in zip(segment.names, segment.split(text) or (), strict=False):
            values[name] = unquote(value.decode("latin-1"), errors="replace")
    return values


def without_matrix(segments: list[bytes]) -> list[bytes]:
    """Segments without their `;name=value` parameters. One that is nothing else stays: OpenAPI's `style: matrix`."""
    return [segment.partition(b";")[0] or segment for segment in segments]


def _check_path(path: str, noun: str) -> None:
    if not path.startswith("/"):
        raise TemplateError(f"{noun} `{path}` does not begin with `/`")
    if "?" in path or "#" in path:
        raise TemplateError(f"{noun} `{path}` has a query or fragment; describe these as parameters of the operation")
    if "//" in path.rstrip("/"):
        raise TemplateError(f"{noun} `{path}` has an empty segment")


def _parse_segment(text: str, path: str) -> Segment:
    literals, names = _split(text)
    if any("{" in literal or "}" in literal for literal in literals):
        raise TemplateError(f"path `{path}` has a brace without its partner in `{text}`")
    if WILDCARD in "".join(literals):
        raise TemplateError(
            f"path `{path}` has a `*` that is not the whole last segment; for the character write `%2A`"
        )
    if not all(names):
        raise TemplateError(f"path `{path}` has a parameter without a name")
    if not all(literals[1:-1]):
        raise TemplateError(f"path `{path}` has two parameters with no text between them in `{text}`")
    if not names:
        return Segment(_whole(text, path))
    encoded = [_literal(literal, path) for literal in literals]
    return Segment(encoded[0], tuple(names), tuple(encoded[1:-1]), encoded[-1])


def _split(text: str) -> tuple[list[str], list[str]]:
    """Texts and parameter names in turn; there is one text more than there are names."""
    parts = _PARAMETER.split(text)
    return parts[0::2], parts[1::2]


def _whole(text: str, path: str) -> bytes:
    """A segment without a parameter."""
    if text in {".", ".."}:
        raise TemplateError(f"path `{path}` has the segment `{text}`, which no client sends")
    return _literal(text, path)


def _literal(text: str, path: str) -> bytes:
    if _PLAIN.fullmatch(text):
        return text.encode()
    if ";" in text:
        raise TemplateError(f"path `{path}` has a `;`, which begins a matrix parameter; for the character write `%3B`")
    if _BAD_PERCENT.search(text):
        raise TemplateError(f"path `{path}` has a `%` that begins no encoded byte; for the character write `%25`")
    try:
        return quote(text, safe=_SEGMENT_CHARACTERS).encode("ascii")
    except UnicodeEncodeError as error:
        raise TemplateError(f"path {path!a} has half of a surrogate pair") from error


def find_conflicts(entries: Sequence[RouteKey]) -> list[tuple[int, int]]:
    """Pairs of entries, by index, that can match the same request with equal precedence; sorted, earlier entry first.

    Where many clash with one, each is paired with one other, so that time and answer stay near linear. Different base
    paths never clash (the longer one owns its paths), nor do an exact host, a wildcard and no host.
    """
    groups: dict[tuple[object, ...], list[int]] = defaultdict(list)
    for index, entry in enumerate(entries):
        base = parse_base_path(entry.base_path)
        for host in {host.lower() for host in entry.hosts} or {""}:
            groups[entry.method, base, host].append(index)
    found: set[tuple[int, int]] = set()
    for group in groups.values():
        found.update((min(pair), max(pair)) for pair in _clashes(entries, group))
    return sorted(found)


def _clashes(entries: Sequence[RouteKey], group: list[int]) -> Iterator[tuple[int, int]]:
    """Clashes among entries that differ in their templates alone, one segment after the other."""
    pending = [(group, 0)]
    while pending:
        group, depth = pending.pop()
        ends: dict[bool, int] = {}
        branches: dict[object, list[int]] = defaultdict(list)
        for index in group:
            template = entries[index].template
            if depth < len(template.segments):
                branches[template.segments[depth].shape].append(index)
            elif template.wildcard in ends:
                yield ends[template.wildcard], index
            else:
                ends[template.wildcard] = index
        yield from _partial_clashes(entries, list(branches.values()), depth)
        pending.extend((branch, depth + 1) for branch in branches.values() if len(branch) > 1)


def _partial_clashes(entries: Sequence[RouteKey], branches: list[list[int]], depth: int) -> Iterator[tuple[int, int]]:
    """Clashes through segments of equal rank that are spelt differently and yet can match one text.

    With equal prefixes and one suffix at the end of the other there always is such a text: put all inner texts into it.
    """
    ranked: dict[object, list[tuple[bytes, list[int]]]] = defaultdict(list)
    for branch in branches:
        segment = entries[branch[0]].template.segments[depth]
        if segment.names and not segment.is_parameter:
            ranked[segment.rank, segment.prefix].append((segment.suffix[::-1], branch))
    for siblings in ranked.values():
        above: list[tuple[bytes, list[int]]] = []
        for backwards, branch in sorted(siblings):
            while above and not backwards.startswith(above[-1][0]):
                above.pop()
            for _, other in above[-1:]:
                yield from _meetings(entries, other, branch, depth + 1)
            above.append((backwards, branch))


def _meetings(entries: Sequence[RouteKey], ones: list[int], others: list[int], depth: int) -> Iterator[tuple[int, int]]:
    for one in ones:
        for other in others:
            if _can_meet(entries[one].template, entries[other].template, depth):
                yield one, other
                break


def _can_meet(one: Template, other: Template, depth: int) -> bool:
    """Whether some path matches both from `depth` on. Errs towards yes for two segments that mix text and parameter."""
    pairs = list(zip(one.segments[depth:], other.segments[depth:], strict=False))
    if len(one.segments) > len(other.segments) and not other.wildcard:
        return False
    if len(other.segments) > len(one.segments) and not one.wildcard:
        return False
    return all(_may_overlap(first, second) for first, second in pairs)


def _may_overlap(first: Segment, second: Segment) -> bool:
    if first.is_literal:
        return second.split(first.prefix) is not None
    if second.is_literal:
        return first.split(second.prefix) is not None
    starts = first.prefix.startswith(second.prefix) or second.prefix.startswith(first.prefix)
    return starts and (first.suffix.endswith(second.suffix) or second.suffix.endswith(first.suffix))
