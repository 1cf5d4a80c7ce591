"""YAML text to a tree, from libyaml's parser events: no library object per value, so a 10 MB document stays small.

Aliases share the node they name, and what they stand for is counted, so a small text cannot become a huge tree. Tags run
nothing: only those of the core schema are known.
"""

from __future__ import annotations

from array import array
from typing import TYPE_CHECKING, Any

import yaml

from microgate.toolkit import catalogue
from microgate.toolkit.openapi.flaw import MAX_DEPTH, MAX_VALUES, Flaw, too_deep, too_large
from microgate.toolkit.openapi.scalars import PLAIN_STARTS, plain
from microgate.toolkit.openapi.tree import COLUMN_BITS, Mapping, Scalar, Sequence, duplicate_key, place, shown

if TYPE_CHECKING:
    from collections.abc import Callable

    from microgate.toolkit.openapi.tree import Node, Value

MAX_ALIASED_VALUES = 1_000_000  # values that aliases stand for, in one document

_CORE = "tag:yaml.org,2002:"
_COLLECTION_TAGS = (None, "!", _CORE + "map", _CORE + "seq")
_TYPED_TAGS = tuple(_CORE + name for name in ("int", "float", "bool", "null"))
_TEXT_TAGS = ("!", _CORE + "str")


def read(text: str) -> Node:
    """The tree of a text; raises Flaw."""
    try:
        # CParser is the parser half of CLoader; the loader half would also construct objects.
        parser: Any = yaml.CLoader(text)
        documents = _Builder().build(parser.get_event)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        at = place(mark.line, mark.column) if mark else 0
        message = error.problem or error.context or "the text is not YAML"
        if "nesting depth" in message:
            raise too_deep(at) from error
        raise Flaw(catalogue.YAML_SYNTAX, f"not well-formed YAML: {message}", at, _hint(message)) from error
    except yaml.reader.ReaderError as error:
        raise _unclean(text) from error
    except yaml.YAMLError as error:
        raise Flaw(catalogue.YAML_SYNTAX, f"not well-formed YAML: {error}", 0) from error

    if not documents:
        raise Flaw(catalogue.FILE_EMPTY, "the file is empty", 0)
    return documents[0]


def _hint(message: str) -> str:
    if "cannot start any token" in message:
        return "a tab cannot indent, and a text that starts with `@`, `` ` `` or `%` needs quotes"
    if "mapping values are not allowed" in message:
        return "a text that contains `: ` needs quotes; also check the indentation"
    if "expected <block end>" in message or "could not find expected ':'" in message:
        return "check the indentation of this line against the lines above it"
    return ""


def _unclean(text: str) -> Flaw:
    """The first character that YAML does not allow (YAML 1.2 §5.1)."""
    for number, line in enumerate(text.split("\n")):
        for column, character in enumerate(line):
            code = ord(character)
            allowed = code in (0x9, 0xA, 0xD, 0x85) or 0x20 <= code <= 0x7E or 0xA0 <= code <= 0xD7FF
            if not (allowed or 0xE000 <= code <= 0xFFFD or code >= 0x10000):
                at = place(number, column)
                return Flaw(catalogue.FILE_ENCODING, f"character U+{code:04X} is not allowed in YAML", at)
    return Flaw(catalogue.FILE_ENCODING, "a character is not allowed in YAML", 0)


class _Builder:
    """Turns events into a tree; there may be one document."""

    def __init__(self) -> None:
        self._anchors: dict[str, Node | None] = {}
        self._sizes: dict[int, tuple[int, int]] = {}  # id of an anchored node -> values in it, levels of it
        self._aliased = 0

    def build(self, get: Callable[[], Any]) -> list[Node]:  # noqa: C901, PLR0912, PLR0915 - a call per event costs a third more
        """The trees of the events that `get` gives, until it gives None. Events come by the million."""
        stream = Sequence(0)
        node: Mapping | Sequence = stream
        entries: dict[str, Node] | None = None  # of `node`, where it is a mapping
        items: list[Node] = stream.items  # of `node`, where it is a list
        key: str | None = None
        anchor: str | None = None
        frames: list[tuple[Mapping | Sequence, dict[str, Node] | None, list[Node], str | None]] = []
        count = 0
        new: Node
        while (event := get()) is not None:
            kind = event.__class__
            if kind is yaml.ScalarEvent:
                mark = event.start_mark
                at = mark.line << COLUMN_BITS | mark.column
                text: str = event.value
                if entries is not None and key is None:
                    if text in entries or event.tag or event.anchor:
                        self._check_key(event, node)
                    key = text
                    node.key_places.append(at)  # type: ignore[union-attr]  # it is a mapping: it has entries
                    continue
                if event.tag or event.anchor or (event.implicit[0] and text[:1] in PLAIN_STARTS):
                    new = self._scalar(event, at)
                else:
                    new = Scalar(text, at)
            elif kind is yaml.MappingEndEvent or kind is yaml.SequenceEndEvent:
                self._close(node, anchor)
                node, entries, items, anchor = frames.pop()
                key = None
                continue
            elif kind is yaml.MappingStartEvent or kind is yaml.SequenceStartEvent:
                new = self._open(event, len(frames))
            elif kind is yaml.AliasEvent:
                new = self._alias(event, len(frames))
                if entries is not None and key is None:
                    key = self._alias_key(event, new, node)
                    continue
            else:
                self._check_stream(event, stream)
                continue
            count += 1
            if count > MAX_VALUES:
                raise too_large(_at(event))
            if entries is None:
                items.append(new)
            elif key is None:
                raise Flaw(catalogue.KEY_NOT_TEXT, "a key must be a text, not a mapping or a list", _at(event))
            else:
                entries[key] = new
                key = None
            if kind is not yaml.ScalarEvent and kind is not yaml.AliasEvent:
                frames.append((node, entries, items, anchor))
                anchor = event.anchor
                if isinstance(new, Mapping):
                    node, entries = new, new.entries
                elif isinstance(new, Sequence):
                    node, entries, items = new, None, new.items
        return stream.items

    def _check_stream(self, event: Any, stream: Sequence) -> None:
        if isinstance(event, yaml.DocumentStartEvent) and stream.items:
            hint = "put each description in its own file"
            raise Flaw(catalogue.SEVERAL_DOCUMENTS, "a second document begins", _at(event), hint)

    def _scalar(self, event: Any, at: int) -> Scalar:
        text: str = event.value
        tag = event.tag
        if tag is None:
            value: Value = plain(text, at) if event.implicit[0] and text[:1] in PLAIN_STARTS else text
        elif tag in _TEXT_TAGS:
            value = text
        elif tag in _TYPED_TAGS:
            value = plain(text, at)
        else:
            raise _unknown_tag(tag, at)
        node = Scalar(value, at)
        if event.anchor:
            self._remember(event.anchor, node)
        return node

    def _check_key(self, event: Any, node: Mapping | Sequence) -> None:
        assert isinstance(node, Mapping)
        text, at = event.value, _at(event)
        if event.tag is not None and event.tag not in _TEXT_TAGS + _TYPED_TAGS:
            raise _unknown_tag(event.tag, at)
        if text in node.entries:
            raise duplicate_key(node, text, at)
        if event.anchor:
            self._remember(event.anchor, Scalar(text, at))

    def _open(self, event: Any, depth: int) -> Mapping | Sequence:
        at = _at(event)
        if event.tag not in _COLLECTION_TAGS:
            raise _unknown_tag(event.tag, at)
        if depth >= MAX_DEPTH:
            raise too_deep(at)
        if event.anchor:
            self._anchors[event.anchor] = None  # an alias before the end would make a cycle
        return Mapping(at) if isinstance(event, yaml.MappingStartEvent) else Sequence(at)

    def _close(self, node: Mapping | Sequence, anchor: str | None) -> None:
        if isinstance(node, Mapping) and "<<" in node.entries:
            _merge(node)
        if anchor:
            self._remember(anchor, node)

    def _remember(self, anchor: str, node: Node) -> None:
        self._anchors[anchor] = node
        self._sizes[id(node)] = self._measure(node)

    def _measure(self, node: Node) -> tuple[int, int]:
        """How many values a node stands for and how many levels it has; parts that have an anchor are known."""
        count = height = depth = 0
        level: list[Node] = [node]
        while level:
            depth += 1
            height = max(height, depth)
            below: list[Node] = []
            for member in level:
                known = self._sizes.get(id(member))
                if known is not None:
                    count += known[0]
                    height = max(height, depth - 1 + known[1])
                    continue
                count += 1
                if isinstance(member, Mapping):
                    below.extend(member.entries.values())
                elif isinstance(member, Sequence):
                    below.extend(member.items)
            level = below
        return count, height

    def _alias(self, event: Any, depth: int) -> Node:
        at = _at(event)
        if event.anchor not in self._anchors:
            hint = "an anchor (`&name`) must stand before its alias (`*name`)"
            raise Flaw(catalogue.ALIAS, f"the alias `*{shown(event.anchor)}` has no anchor", at, hint)
        node = self._anchors[event.anchor]
        if node is None:
            raise Flaw(catalogue.ALIAS, f"the alias `*{shown(event.anchor)}` stands inside what it names", at)
        count, height = self._sizes[id(node)]
        self._aliased += count
        if self._aliased > MAX_ALIASED_VALUES:
            raise Flaw(catalogue.ALIAS, f"aliases stand for more than {MAX_ALIASED_VALUES:,} values", at)
        if depth + height > MAX_DEPTH:
            raise too_deep(at)
        return node

    def _alias_key(self, event: Any, found: Node, node: Mapping | Sequence) -> str:
        assert isinstance(node, Mapping)
        at = _at(event)
        if not isinstance(found, Scalar) or not isinstance(found.value, str):
            raise Flaw(catalogue.KEY_NOT_TEXT, "a key must be a text, not an alias of something else", at)
        if found.value in node.entries:
            raise duplicate_key(node, found.value, at)
        node.key_places.append(at)
        return found.value


def _at(event: Any) -> int:
    return place(event.start_mark.line, event.start_mark.column)


def _merge(mapping: Mapping) -> None:
    """YAML 1.1's merge key, which many descriptions use: the mapping's own keys win, then the first that is named."""
    at = mapping.key_place("<<")
    places = dict(zip(mapping.entries, mapping.key_places, strict=True))
    merged = mapping.entries.pop("<<")
    for source in merged.items if isinstance(merged, Sequence) else [merged]:
        if not isinstance(source, Mapping):
            raise Flaw(catalogue.ALIAS, "a merge key (`<<`) takes a mapping or a list of mappings", at)
        for (key, value), place_of_key in zip(source.entries.items(), source.key_places, strict=True):
            if key not in mapping.entries:
                mapping.entries[key] = value
                places[key] = place_of_key
    mapping.key_places = array("Q", (places[key] for key in mapping.entries))


def _unknown_tag(tag: str, at: int) -> Flaw:
    name = tag.replace(_CORE, "!!")
    return Flaw(catalogue.TAG, f"the tag `{shown(name)}` is not supported", at, "remove it, or quote the value")
