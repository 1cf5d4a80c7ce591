"""The configuration file as entries: reads TOML, notes each key's place, flattens tables to dotted names."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from microgate.diagnostics import Report
from microgate.settings import catalogue, positions
from microgate.settings.entries import BROKEN, Entry, Origin, add
from microgate.settings.interpolation import PlaceholderError, fill

MAX_BYTES = 262_144
MAX_DOTS = 1_000  # in a line: the parser takes the square of a dotted key's length


class ConfigurationFile:
    """A file that was read: its tree, and where each key stands. A file that could not be read is reported and empty."""

    def __init__(self, file: Path, environ: Mapping[str, str], report: Report) -> None:
        self._name = str(file)
        self._environ = environ
        self._report = report
        self._places: dict[positions.Path, positions.Place] = {}
        self.tree: dict[str, Any] = {}
        text = self._text(file)
        if text is not None:
            self._parse(text)

    def _text(self, file: Path) -> str | None:
        try:
            with file.open("rb") as stream:
                data = stream.read(MAX_BYTES + 1)
            text = data.decode("utf-8-sig")
        except (FileNotFoundError, NotADirectoryError):
            self._unreadable("no such file")
        except UnicodeDecodeError as error:
            line = data.count(b"\n", 0, error.start) + 1
            self._unreadable("not UTF-8 text", line)
        except (OSError, ValueError) as error:
            self._unreadable(str(getattr(error, "strerror", "") or "not a usable path").lower())
        else:
            if len(data) <= MAX_BYTES:
                return text.replace("\r\n", "\n")
            self._unreadable(f"larger than {MAX_BYTES} bytes")
        return None

    def _parse(self, text: str) -> None:
        import tomllib

        for number, content in enumerate(text.split("\n"), 1):
            if content.count(".") > MAX_DOTS:
                self._unreadable("a line with too many dots", number)
                return
        try:
            self.tree = tomllib.loads(text)
        except tomllib.TOMLDecodeError as error:
            from microgate.settings.toml_errors import explain

            flaw = explain(error, text)
            self._unreadable(flaw.message, flaw.line, flaw.column, flaw.hint)
        except RecursionError:
            self._unreadable("nested too deeply")
        except ValueError:
            self._unreadable("a number or date that cannot be")
        else:
            self._places = positions.locate(text)

    def _unreadable(self, reason: str, line: int = 0, column: int = 0, hint: str = "") -> None:
        message = f"cannot read the configuration: {reason}"
        add(self._report, catalogue.UNREADABLE, message, self._origin(line, column), hint)

    def _origin(self, line: int, column: int) -> Origin:
        return Origin(self._name, line, column)

    def origin(self, path: positions.Path) -> Origin:
        """Where a path stands; an array of tables under headers stands where its first table does."""
        place = self._places.get(path) or self._places.get((*path, 0)) or positions.nearest(self._places, path)
        return self._origin(*place)

    def entries(self, table: dict[str, Any], path: positions.Path = (), prefix: str = "") -> dict[str, Entry]:
        """All values below a table by dotted name; an array of tables is one value, an empty table too."""
        found: dict[str, Entry] = {}
        stack = [(table, path, prefix)]
        while stack:
            current, at, above = stack.pop()
            for key, value in current.items():
                name = f"{above}.{key}" if above else key
                here = (*at, key)
                if isinstance(value, dict) and value:
                    stack.append((value, here, name))
                else:
                    found[name] = self._entry(name, value, here)
        return found

    def _entry(self, name: str, value: Any, path: positions.Path) -> Entry:
        origin = self.origin(path)
        texts = [value] if isinstance(value, str) else value if isinstance(value, list) else []
        try:
            filled = [fill(text, self._environ) if isinstance(text, str) else text for text in texts]
        except PlaceholderError as error:
            add(self._report, catalogue.INTERPOLATION, f"`{name}`: {error}", origin, hint=error.hint)
            return Entry(BROKEN, origin)
        hidden = any(getattr(one, "from_file", False) for one in filled)
        plain = [getattr(one, "text", one) for one in filled]
        if isinstance(value, str):
            return Entry(plain[0], origin, is_text=filled[0].changed, is_hidden=hidden)
        return Entry(plain if isinstance(value, list) else value, origin, is_hidden=hidden)
