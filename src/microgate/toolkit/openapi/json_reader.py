"""JSON text to a tree (RFC 8259), with the place of every value. JSON that a YAML reader would refuse is read: tabs,
surrogate pairs, keys of any length; a key that stands twice is refused.
"""

from __future__ import annotations

import re
from json import JSONDecodeError
from json.decoder import scanstring  # type: ignore[attr-defined]  # the C string scanner, unlisted in the stubs
from typing import Any

from microgate.toolkit import catalogue
from microgate.toolkit.openapi.flaw import MAX_DEPTH, Flaw
from microgate.toolkit.openapi.scalars import number
from microgate.toolkit.openapi.tree import Mapping, Node, Scalar, Sequence, place

_TOKEN = re.compile(
    r"""[ \t\r\n]*(?:
      (?P<mark>[{}\[\],:])
    | "(?P<text>[^"\\\x00-\x1f]*)"
    | (?P<quote>")
    | (?P<number>-?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?(?:[eE][-+]?[0-9]+)?)(?![0-9.eE+-])
    | (?P<word>true|false|null)\b
    | (?P<end>\Z)
    )""",
    re.VERBOSE,
)
_WORDS = {"true": True, "false": False, "null": None}


def read(text: str) -> Node:
    """The tree of a text; raises Flaw."""
    return _Reader(text).read()


class _Reader:
    def __init__(self, text: str) -> None:
        self._text = text
        self._position = 0
        self._line = 0
        self._line_start = 0
        self._at = 0  # the place of the current token
        self._stack: list[Mapping | Sequence] = []

    def read(self) -> Node:
        kind, value = self._token()
        if kind == "end":
            raise Flaw(catalogue.FILE_EMPTY, "the file is empty", 0)
        root = self._value(kind, value)
        stack = self._stack
        while stack:
            collection = stack[-1]
            if isinstance(collection, Mapping):
                self._member(collection)
            else:
                self._item(collection)
        if self._token()[0] != "end":
            raise self._flaw("there is text after the end of the document")
        return root

    def _member(self, mapping: Mapping) -> None:
        kind, value = self._token()
        if value == "}" and kind == "mark":
            self._stack.pop()
            return
        if mapping.entries:
            self._expect(kind, value, ",", "`,` or `}`")
            kind, value = self._token()
            if kind == "mark" and value == "}":
                raise self._flaw("a `,` stands before `}`")
        if kind != "text":
            raise self._flaw("expected a key in double quotes")
        if value in mapping.entries:
            first = (mapping.key_place(value) >> 26) + 1
            shown = value[:80].encode("ascii", "backslashreplace").decode()
            raise Flaw(catalogue.DUPLICATE_KEY, f"the key `{shown}` stands twice; first in line {first}", self._at)
        mapping.key_places.append(self._at)
        key: str = value
        kind, value = self._token()
        self._expect(kind, value, ":", "`:`")
        mapping.entries[key] = self._value(*self._token())

    def _item(self, sequence: Sequence) -> None:
        kind, value = self._token()
        if value == "]" and kind == "mark":
            self._stack.pop()
            return
        if sequence.items:
            self._expect(kind, value, ",", "`,` or `]`")
            kind, value = self._token()
            if kind == "mark" and value == "]":
                raise self._flaw("a `,` stands before `]`")
        sequence.items.append(self._value(kind, value))

    def _value(self, kind: str, value: Any) -> Node:
        """The node that a token begins; a collection is filled by `read`."""
        if kind in ("text", "number", "word"):
            return Scalar(value, self._at)
        if kind == "mark" and value in "{[":
            if len(self._stack) >= MAX_DEPTH:
                raise Flaw(catalogue.TOO_DEEP, f"values are nested more than {MAX_DEPTH} deep", self._at)
            node: Mapping | Sequence = Mapping(self._at) if value == "{" else Sequence(self._at)
            self._stack.append(node)
            return node
        raise self._flaw("the text ends too early" if kind == "end" else "expected a value")

    def _expect(self, kind: str, value: Any, mark: str, words: str) -> None:
        if kind != "mark" or value != mark:
            raise self._flaw("the text ends too early" if kind == "end" else f"expected {words}")

    def _token(self) -> tuple[str, Any]:
        text, position = self._text, self._position
        match = _TOKEN.match(text, position)
        if match is None:
            start = _skip_blanks(text, position)
            self._locate(position, start)
            raise self._flaw("unexpected character", "JSON knows no comments, single quotes or bare words")
        kind = match.lastgroup
        assert kind is not None
        start = match.start(kind) - (kind == "text")
        self._locate(position, start)
        self._position = match.end()
        value = match[kind]
        if kind == "number":
            return kind, number(value, self._at)
        if kind == "word":
            return kind, _WORDS[value]
        if kind == "quote":
            return "text", self._escaped(start + 1)
        return kind, value

    def _locate(self, position: int, start: int) -> None:
        newlines = self._text.count("\n", position, start)
        if newlines:
            self._line += newlines
            self._line_start = self._text.rfind("\n", position, start) + 1
        self._at = place(self._line, start - self._line_start)

    def _escaped(self, start: int) -> str:
        try:
            value, self._position = scanstring(self._text, start, True)
        except JSONDecodeError as error:
            self._locate(start, min(error.pos, len(self._text)))
            raise self._flaw(error.msg[0].lower() + error.msg[1:].removesuffix(" at")) from error
        assert isinstance(value, str)
        try:
            value.encode()
        except UnicodeEncodeError as error:
            raise self._flaw("a text holds half of a surrogate pair") from error
        return value

    def _flaw(self, message: str, hint: str = "") -> Flaw:
        return Flaw(catalogue.JSON_SYNTAX, f"not well-formed JSON: {message}", self._at, hint)


def _skip_blanks(text: str, position: int) -> int:
    while position < len(text) and text[position] in " \t\r\n":
        position += 1
    return position
