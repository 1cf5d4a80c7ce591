"""Where each key of a TOML text stands, since the parser of the standard library keeps no places.

It only finds keys and never judges them, since the parser does.
"""

from typing import NamedTuple, TypeAlias

Path: TypeAlias = tuple[str | int, ...]


class Place(NamedTuple):
    line: int  # from 1; 0 where there is none
    column: int


NOWHERE = Place(0, 0)


def locate(text: str) -> dict[Path, Place]:
    """The place of each key and table header, by path; a table in an array is a number in the path, from 0.

    A table in an array is a number whether the array is written with headers or in brackets. Of a text that is no TOML, the
    places up to its first mistake are right.
    """
    return _Scan(text).run()


def last(text: str) -> Place:
    """The place of the last key or table header."""
    scan = _Scan(text)
    scan.run()
    return scan.last


def nearest(places: dict[Path, Place], path: Path) -> Place:
    """The place of a path, or of the closest table above it."""
    while path:
        if path in places:
            return places[path]
        path = path[:-1]
    return NOWHERE


class _Opened:
    """An array or inline table that the scan is in."""

    def __init__(self, path: Path, *, is_table: bool) -> None:
        self._path = path
        self.is_table = is_table
        self.index = 0
        self.key: list[str] = []

    def item(self) -> Path:
        return (*self._path, *self.key) if self.is_table else (*self._path, self.index)


class _Scan:
    def __init__(self, text: str) -> None:
        self._text = text
        self._at = 0
        self._table: Path = ()
        self._counts: dict[Path, int] = {}
        self._places: dict[Path, Place] = {}
        self._line = 1
        self._line_start = 0
        self.last = Place(1, 1)

    def run(self) -> dict[Path, Place]:
        while self._at < len(self._text):
            character = self._text[self._at]
            if character in " \t\r":
                self._at += 1
            elif character == "\n":
                self._at += 1
                self._newline()
            elif character == "#":
                self._to_line_end()
            elif character == "[":
                self._header()
            else:
                self._pair()
        return self._places

    def _newline(self) -> None:
        self._line += 1
        self._line_start = self._at

    def _place(self) -> Place:
        return Place(self._line, self._at - self._line_start + 1)

    def _note(self, path: Path, place: Place) -> None:
        self._places.setdefault(path, place)
        self.last = place

    def _to_line_end(self) -> None:
        end = self._text.find("\n", self._at)
        self._at = len(self._text) if end < 0 else end

    def _header(self) -> None:
        place = self._place()
        is_array = self._text.startswith("[[", self._at)
        self._at += 2 if is_array else 1
        path = self._resolve(self._key("]"))
        self._at += 2 if is_array else 1
        if is_array:
            self._counts[path] = self._counts.get(path, -1) + 1
            path = (*path, self._counts[path])
        self._table = path
        self._note(path, place)

    def _resolve(self, parts: list[str]) -> Path:
        """A header's full path: a name on the way that is an array of tables means its latest table."""
        path: Path = ()
        for index, part in enumerate(parts):
            path = (*path, part)
            if path in self._counts and index < len(parts) - 1:
                path = (*path, self._counts[path])
        return path

    def _pair(self) -> None:
        place = self._place()
        parts = self._key("=")
        self._at += 1
        path = (*self._table, *parts)
        self._note(path, place)
        self._value(path)

    def _key(self, end: str) -> list[str]:
        """The parts of a dotted key up to `end`, which is left unread."""
        parts: list[str] = []
        bare = ""
        while self._at < len(self._text) and self._text[self._at] not in end + "\n":
            character = self._text[self._at]
            if character in "\"'":
                start = self._at
                self._string()
                bare = self._text[start + 1 : self._at - 1]
            elif character == ".":
                parts.append(bare)
                bare = ""
                self._at += 1
            else:
                bare += "" if character in " \t" else character
                self._at += 1
        return [*parts, bare]

    def _value(self, path: Path) -> None:
        """Pass a value, which ends with its line unless brackets or a long string are open; note the keys inside."""
        opened: list[_Opened] = []
        while self._at < len(self._text):
            character = self._text[self._at]
            if character in "\"'":
                self._string()
            elif character == "#":
                self._to_line_end()
            elif character == "\n":
                if not opened:
                    return
                self._at += 1
                self._newline()
            elif character in "[{":
                inner = opened[-1].item() if opened else path
                self._places.setdefault(inner, self._place())
                opened.append(_Opened(inner, is_table=character == "{"))
                self._next_item(opened)
            elif character in "]}":
                self._at += 1
                del opened[-1:]
            elif character == "," and opened:
                opened[-1].index += 1
                self._next_item(opened)
            else:
                self._at += 1

    def _next_item(self, opened: list[_Opened]) -> None:
        """Step over `[`, `{` or `,`, and over the key that follows in a table."""
        self._at += 1
        inside = opened[-1]
        if not inside.is_table:
            return
        while self._text[self._at : self._at + 1] in (" ", "\t"):
            self._at += 1
        if self._text[self._at : self._at + 1] not in ("", "}", "#", "\n"):
            place = self._place()
            inside.key = self._key("=}")
            self._note(inside.item(), place)

    def _string(self) -> None:
        quote = self._text[self._at]
        is_long = self._text.startswith(quote * 3, self._at)
        mark = quote * 3 if is_long else quote
        self._at += len(mark)
        while self._at < len(self._text):
            if self._text.startswith(mark, self._at):
                self._at += len(mark)
                # Up to two more quotes may belong to a long string's content.
                while is_long and self._text.startswith(quote, self._at):
                    self._at += 1
                return
            if self._text[self._at] == "\\" and quote == '"':
                self._at += 1
            if self._text.startswith("\n", self._at):
                self._line += 1
                self._line_start = self._at + 1
            self._at += 1
