"""JSON text to a tree (RFC 8259), with the place of every value. JSON that a YAML reader would refuse is read: tabs,
surrogate pairs, keys of any length; a key that stands twice is refused.
"""

from __future__ import annotations

import re
from json import JSONDecodeError
from json.decoder import scanstring  # type: ignore[attr-defined]  # the C string scanner, unlisted in the stubs
from typing import TYPE_CHECKING, Any

from microgate.toolkit import catalogue
from microgate.toolkit.openapi.flaw import MAX_DEPTH, MAX_VALUES, Flaw, too_deep, too_large
from microgate.toolkit.openapi.scalars import number
from microgate.toolkit.openapi.tree import COLUMN_BITS, Mapping, Scalar, Sequence, duplicate_key

if TYPE_CHECKING:
    from microgate.toolkit.openapi.tree import Node

_VALUE = r"""(?:
      "(?P<text>[^"\\\x00-\x1f]*+)"
    | (?P<open>[{\[])
    | (?P<number>-?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?(?:[eE][-+]?[0-9]+)?)(?![0-9.eE+-])
    | (?P<word>true|false|null)\b
    | (?P<quote>")
    )"""
# What comes next inside a collection, up to the value it begins with, in one match: that is what makes this fast. The
# possessive `*+` keeps a text without an end from costing memory for each of its characters.
_MEMBER = re.compile(
    rf'[ \t\r\n]*(?P<comma>,)?[ \t\r\n]*(?P<key>"(?:[^"\\\x00-\x1f]|\\.)*+")[ \t\r\n]*:[ \t\r\n]*{_VALUE}', re.VERBOSE
)
_ITEM = re.compile(rf"[ \t\r\n]*(?P<comma>,)?[ \t\r\n]*{_VALUE}", re.VERBOSE)
_BLANKS = re.compile(r"[ \t\r\n]*")
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
        self._located = 0

    def read(self) -> Node:
        """Fills the collections from the outside in; the innermost that is open is the last of `stack`."""
        stream = Sequence(0)
        stack: list[Mapping | Sequence] = [stream]
        count = 0
        while True:
            node = stack[-1]
            mapping = node if isinstance(node, Mapping) else None
            match = (_ITEM if mapping is None else _MEMBER).match(self._text, self._position)
            fresh = not (node.items if isinstance(node, Sequence) else node.entries)
            if match is None or fresh is not (match["comma"] is None) or (node is stream and not fresh):
                if self._closes(node, stack):
                    return stream.items[0]
                continue
            key = "" if mapping is None else self._key(match, mapping)
            value = self._value(match)
            count += 1
            if count > MAX_VALUES:
                raise too_large(value.place)
            if isinstance(node, Sequence):
                node.items.append(value)
            else:
                node.entries[key] = value
            if not isinstance(value, Scalar):
                if len(stack) > MAX_DEPTH:
                    raise too_deep(value.place)
                stack.append(value)

    def _key(self, match: re.Match[str], mapping: Mapping) -> str:
        start = match.start("key")
        at = self._locate(start)
        quoted = match["key"]
        key = quoted[1:-1] if "\\" not in quoted else self._escaped(start + 1)[0]
        if key in mapping.entries:
            raise duplicate_key(mapping, key, at)
        mapping.key_places.append(at)
        return key

    def _value(self, match: re.Match[str]) -> Node:
        kind = match.lastgroup
        assert kind is not None
        start = match.start(kind) - (kind == "text")
        at = self._locate(start)
        self._position = match.end()
        found: Any = match[kind]
        if kind == "open":
            return Mapping(at) if found == "{" else Sequence(at)
        if kind == "number":
            found = number(found, at)
        elif kind == "word":
            found = _WORDS[found]
        elif kind == "quote":
            found, self._position = self._escaped(start + 1)
        return Scalar(found, at)

    def _closes(self, node: Mapping | Sequence, stack: list[Mapping | Sequence]) -> bool:
        """No member follows: the collection ends here, or the text is wrong. True at the end of the document."""
        match = _BLANKS.match(self._text, self._position)
        assert match is not None
        start = match.end()
        found = self._text[start : start + 1]
        self._position = start
        at = self._locate(start)
        if len(stack) == 1:
            assert isinstance(node, Sequence)
            if not found:
                if not node.items:
                    raise Flaw(catalogue.FILE_EMPTY, "the file is empty", 0)
                return True
            raise _flaw("expected a value" if not node.items else "there is text after the end of the document", at)
        if found == ("}" if isinstance(node, Mapping) else "]"):
            self._position = start + 1
            stack.pop()
            return False
        raise self._explain(node, found, start, at)

    def _explain(self, node: Mapping | Sequence, found: str, start: int, at: int) -> Flaw:
        """What is wrong where neither a member nor the end of a collection follows."""
        if not found:
            return _flaw("the text ends too early", at)
        close = "}" if isinstance(node, Mapping) else "]"
        if found == ",":
            blanks = _BLANKS.match(self._text, start + 1)
            assert blanks is not None
            if self._text[blanks.end() : blanks.end() + 1] == close:
                return _flaw(f"a `,` stands before `{close}`", at)
            start, found = blanks.end(), self._text[blanks.end() : blanks.end() + 1]
            at = self._locate(start)
        elif node.items if isinstance(node, Sequence) else node.entries:
            return _flaw(f"expected `,` or `{close}`", at)
        if found == '"':
            self._escaped(start + 1)  # raises, if it is the text that is wrong
            return _flaw("expected `:` and a value after this key", at)
        if isinstance(node, Mapping):
            return _flaw("expected a key in double quotes", at)
        return _flaw("expected a value", at, "JSON knows no comments, single quotes or bare words")

    def _locate(self, start: int) -> int:
        """The place of an index that is not before the one asked for last."""
        newlines = self._text.count("\n", self._located, start)
        if newlines:
            self._line += newlines
            self._line_start = self._text.rfind("\n", 0, start) + 1
        self._located = start
        return self._line << COLUMN_BITS | (start - self._line_start)

    def _escaped(self, start: int) -> tuple[str, int]:
        """A text from behind its quote, and the index behind its end."""
        try:
            value, end = scanstring(self._text, start, True)
        except JSONDecodeError as error:
            at = self._locate(max(start, min(error.pos, len(self._text))))
            endless = error.msg.startswith("Unterminated")
            message = "a text has no end" if endless else "a text has a bad escape or character"
            hint = "in a text a line break is written `\\n` and a backslash `\\\\`"
            raise _flaw(message, at, hint) from error
        assert isinstance(value, str)
        try:
            value.encode()
        except UnicodeEncodeError as error:
            raise _flaw("a text holds half of a surrogate pair", self._locate(start)) from error
        return value, end


def _flaw(message: str, at: int, hint: str = "") -> Flaw:
    return Flaw(catalogue.JSON_SYNTAX, f"not well-formed JSON: {message}", at, hint)
