"""YAML text to a tree, from libyaml's parser events: no library object per value, so a 10 MB document stays small.

Aliases share the node they name, and what they stand for is counted, so a small text cannot become a huge tree. Tags run
nothing: only those of the core schema are known.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import yaml

from microgate.toolkit import catalogue
from microgate.toolkit.openapi.flaw import MAX_DEPTH, Flaw
from microgate.toolkit.openapi.scalars import FIRST_CHARACTERS, plain
from microgate.toolkit.openapi.tree import Mapping, Node, Scalar, Sequence, place

if TYPE_CHECKING:
    from collections.abc import Iterator

MAX_ALIASED_VALUES = 1_000_000  # values that aliases stand for, in one document

_CORE = "tag:yaml.org,2002:"
_COLLECTION_TAGS = (None, "!", _CORE + "map", _CORE + "seq")
_TYPED_TAGS = tuple(_CORE + name for name in ("int", "float", "bool", "null"))
_TEXT_TAGS = ("!", _CORE + "str")


def read(text: str) -> Node:
    """The tree of a text; raises Flaw."""
    try:
        return _Builder().build(_events(text))
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        at = place(mark.line, mark.column) if mark else 0
        message = error.problem or error.context or "the text is not YAML"
        if "nesting depth" in message:
            raise _too_deep(at) from error
        raise Flaw(catalogue.YAML_SYNTAX, f"not well-formed YAML: {message}", at, _hint(message)) from error
    except yaml.reader.ReaderError as error:
        raise _unclean(text) from error
    except yaml.YAMLError as error:
        raise Flaw(catalogue.YAML_SYNTAX, f"not well-formed YAML: {error}", 0) from error


def _events(text: str) -> Iterator[Any]:
    # CParser is the parser half of CLoader; the loader half would also prepare to construct objects.
    parser: Any = yaml.CLoader(text)
    get = parser.get_event
    event = get()
    while event is not None:
        yield event
        event = get()


def _hint(message: str) -> str:
    if "cannot start any token" in message:
        return "a tab cannot indent, and a text that starts with `@`, `` ` `` or `%` needs quotes"
    if "mapping values are not allowed" in message:
        return "a text that contains `: ` needs quotes; also check the indentation"
    if "undefined alias" in message:
        return "an anchor (`&name`) must stand before its alias (`*name`)"
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


class _Open:
    """A collection that is being read."""

    __slots__ = ("anchor", "before", "key", "key_place", "merges", "node")

    def __init__(self, node: Mapping | Sequence, anchor: str | None, before: int) -> None:
        self.node = node
        self.anchor = anchor
        self.before = before  # values read before it
        self.key: str | None = None
        self.key_place = 0
        self.merges: list[tuple[Node, int]] | None = None


class _Builder:
    def __init__(self) -> None:
        self._root: Node | None = None
        self._stack: list[_Open] = []
        self._anchors: dict[str, tuple[Node, int] | None] = {}
        self._count = 0
        self._aliased = 0

    def build(self, events: Iterator[Any]) -> Node:
        # The events come in great numbers, so this loop does the common ones itself.
        scalar, mapping_start, sequence_start = yaml.ScalarEvent, yaml.MappingStartEvent, yaml.SequenceStartEvent
        documents = 0
        for event in events:
            kind = type(event)
            if kind is scalar:
                self._scalar(event)
            elif kind is mapping_start:
                self._start(event, Mapping(_at(event)))
            elif kind is sequence_start:
                self._start(event, Sequence(_at(event)))
            elif kind is yaml.MappingEndEvent or kind is yaml.SequenceEndEvent:
                self._end()
            elif kind is yaml.AliasEvent:
                self._alias(event)
            elif kind is yaml.DocumentStartEvent:
                documents += 1
                if documents > 1:
                    hint = "put each description in its own file"
                    raise Flaw(catalogue.SEVERAL_DOCUMENTS, "a second document begins", _at(event), hint)
        if self._root is None:
            raise Flaw(catalogue.FILE_EMPTY, "the file is empty", 0)
        return self._root

    def _scalar(self, event: Any) -> None:
        text: str = event.value
        mark = event.start_mark
        at = mark.line << 26 | mark.column
        stack = self._stack
        if stack:
            top = stack[-1]
            if top.key is None and type(top.node) is Mapping:
                if event.tag is not None and event.tag not in _TEXT_TAGS + _TYPED_TAGS:
                    raise _unknown_tag(event.tag, at)
                self._key(top, text, at)
                if event.anchor:
                    self._anchors[event.anchor] = (Scalar(text, at), 1)
                return
        value: Any = text
        if event.tag is not None:
            value = _tagged(event.tag, text, at)
        elif event.implicit[0] and (not text or text[0] in FIRST_CHARACTERS):
            value = plain(text, at)
        self._count += 1
        node = Scalar(value, at)
        if event.anchor:
            self._anchors[event.anchor] = (node, 1)
        self._add(node)

    def _key(self, top: _Open, key: str, at: int) -> None:
        mapping = top.node
        assert isinstance(mapping, Mapping)
        if key in mapping.entries:
            first = (mapping.key_place(key) >> 26) + 1
            raise Flaw(catalogue.DUPLICATE_KEY, f"the key `{shown(key)}` stands twice; first in line {first}", at)
        top.key = key
        top.key_place = at

    def _add(self, node: Node) -> None:
        if not self._stack:
            self._root = node
            return
        top = self._stack[-1]
        collection = top.node
        if type(collection) is Sequence:
            collection.items.append(node)
            return
        assert isinstance(collection, Mapping)
        key = top.key
        if key is None:
            raise Flaw(catalogue.KEY_NOT_TEXT, "a key must be a text, not a mapping or a list", node.place)
        top.key = None
        if key == "<<":
            if top.merges is None:
                top.merges = []
            top.merges.append((node, top.key_place))
            return
        collection.entries[key] = node
        collection.key_places.append(top.key_place)

    def _start(self, event: Any, node: Mapping | Sequence) -> None:
        if event.tag not in _COLLECTION_TAGS:
            raise _unknown_tag(event.tag, node.place)
        if len(self._stack) >= MAX_DEPTH:
            raise _too_deep(node.place)
        self._count += 1
        self._add(node)
        if event.anchor:
            self._anchors[event.anchor] = None  # an alias before its end would make a cycle
        self._stack.append(_Open(node, event.anchor, self._count))

    def _end(self) -> None:
        top = self._stack.pop()
        if top.merges:
            assert isinstance(top.node, Mapping)
            _merge(top.node, top.merges)
        if top.anchor:
            self._anchors[top.anchor] = (top.node, self._count - top.before + 1)

    def _alias(self, event: Any) -> None:
        at = _at(event)
        if event.anchor not in self._anchors:
            hint = "an anchor (`&name`) must stand before its alias (`*name`)"
            raise Flaw(catalogue.ALIAS, f"the alias `*{shown(event.anchor)}` has no anchor", at, hint)
        found = self._anchors[event.anchor]
        if found is None:
            raise Flaw(catalogue.ALIAS, f"the alias `*{shown(event.anchor)}` stands inside what it names", at)
        node, weight = found
        self._aliased += weight
        self._count += weight
        if self._aliased > MAX_ALIASED_VALUES:
            raise Flaw(catalogue.ALIAS, f"aliases stand for more than {MAX_ALIASED_VALUES:,} values", at)
        top = self._stack[-1] if self._stack else None
        if top is not None and top.key is None and type(top.node) is Mapping:
            if not isinstance(node, Scalar) or not isinstance(node.value, str):
                raise Flaw(catalogue.KEY_NOT_TEXT, "a key must be a text, not an alias of something else", at)
            self._key(top, node.value, at)
            return
        self._add(node)


def _at(event: Any) -> int:
    return place(event.start_mark.line, event.start_mark.column)


def _merge(mapping: Mapping, merges: list[tuple[Node, int]]) -> None:
    """YAML 1.1's merge key, which many descriptions use: the mapping's own keys win, then the first that is named."""
    for node, at in merges:
        for source in node.items if isinstance(node, Sequence) else [node]:
            if not isinstance(source, Mapping):
                raise Flaw(catalogue.ALIAS, "a merge key (`<<`) takes a mapping or a list of mappings", at)
            for index, (key, value) in enumerate(source.entries.items()):
                if key not in mapping.entries:
                    mapping.entries[key] = value
                    mapping.key_places.append(source.key_places[index])


def _tagged(tag: str, text: str, at: int) -> Any:
    if tag in _TEXT_TAGS:
        return text
    if tag in _TYPED_TAGS:
        return plain(text, at)
    raise _unknown_tag(tag, at)


def _unknown_tag(tag: str, at: int) -> Flaw:
    name = tag.replace(_CORE, "!!")
    return Flaw(catalogue.TAG, f"the tag `{shown(name)}` is not supported", at, "remove it, or quote the value")


def _too_deep(at: int) -> Flaw:
    return Flaw(catalogue.TOO_DEEP, f"values are nested more than {MAX_DEPTH} deep", at)


def shown(text: str) -> str:
    """A user's text in a message: one line, not too long."""
    clean = "".join(character if character.isprintable() else "?" for character in text[:80])
    return clean + "…" if len(text) > 80 else clean
