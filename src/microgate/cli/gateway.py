"""`gateway`: the launcher's command line as users of WSO2 API Microgateway 3.x type it (§2.5 of its behaviour): a path, perhaps
a word, and `--key=value` settings. An artefact of ours is found where their `.jar` was named; background.py keeps the process.
"""

from __future__ import annotations

import os
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from microgate import __version__
from microgate.cli.console import Console
from microgate.cli.guard import guard
from microgate.errors import ArtefactError, SettingsError, UsageError
from microgate.plan.artefact import is_artefact

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

PROGRAM = "gateway"
WORDS = ("start", "stop", "restart", "version", "help")
USAGE = "usage: gateway PATH [start|stop|restart|version] [--key=value ...]"
CONFIGURATION = "micro-gw.conf"
# Where a Kubernetes configuration map is mounted in their image; it replaces the other file.
MOUNTED_CONFIGURATION = Path("/home/ballerina/conf/ballerina.conf")
CONFIGURATION_KEY = "b7a.config.file"
READY_FILE_KEY = "ready-file"


@dataclass(slots=True)
class Line:
    """The command line, taken apart."""

    path: str = ""
    word: str = ""
    settings: list[tuple[str, str]] = field(default_factory=list)
    debug: bool = False


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line and give the exit code: 0, or 1 on any failure."""
    console = Console(PROGRAM)
    words = list(sys.argv[1:] if arguments is None else arguments)
    return 1 if guard(console, lambda: _dispatch(words, console)) else 0


def take_apart(words: Sequence[str]) -> Line:
    """Path, word and settings, in any order, as the old script took them. Raises UsageError."""
    line = Line()
    rest = iter(words)
    for text in rest:
        bare = text.lstrip("-")
        dashes = len(text) - len(bare)
        key, equals, value = bare.partition("=")
        if dashes and equals and key:
            line.settings.append((key, value))
        elif dashes <= 2 and bare in WORDS:
            line.word = bare
        elif dashes and bare == "debug":
            line.debug = True
            next(rest, None)
        elif dashes or bare == "test":
            raise UsageError(f"unknown option `{text}`" if dashes else "`test` is not supported yet", USAGE)
        elif line.path:
            raise UsageError(f"unexpected argument `{text}`", USAGE)
        else:
            line.path = text
    return line


def _dispatch(words: list[str], console: Console) -> int:
    from microgate.cli.main import without_verbose

    words, console.verbose = without_verbose(words)
    line = take_apart(words)
    if line.word == "version":
        console.data(f"microgate {__version__}")
        return 0
    if line.word == "help" or words in (["-h"], ["?"]):
        console.data(USAGE)
        return 0
    if line.debug or os.environ.get("BAL_JAVA_DEBUG"):
        console.warning("a debug port has no effect: there is no Java in this gateway")
    if line.word == "stop":
        from microgate.cli import background

        return background.stop(console)
    return _begin(line, console)


def _begin(line: Line, console: Console) -> int:
    if not line.path:
        raise UsageError("Path to executable is missing", USAGE)
    artefact = find_artefact(line.path)
    config = configuration_file(dict(line.settings), os.environ)
    if line.word in ("start", "restart"):
        from microgate.cli import background

        settings = [f"--{key}={value}" for key, value in line.settings]
        if line.word == "restart" and (code := background.stop(console)):
            return code
        return background.start([str(artefact), *settings], console)
    from microgate.cli import serving

    ready_file = dict(line.settings).get(READY_FILE_KEY)
    wish = serving.Wish(
        target=str(artefact),
        config=config,
        overrides=tuple((k, v) for k, v in line.settings if k not in (CONFIGURATION_KEY, READY_FILE_KEY)),
        ready_file=Path(ready_file) if ready_file else None,
        strict=False,
    )
    return serving.serve(wish, console)


def find_artefact(text: str) -> Path:
    """The artefact at the path, or where a build put it if the path names their `.jar`. Raises ArtefactError."""
    named = Path(text)
    beside = [named.with_suffix("")] if named.suffix == ".jar" else []
    for path in (named, *beside):
        if path.is_file() and is_artefact(path):
            return path
    if named.is_file() and named.suffix == ".jar":
        raise ArtefactError(
            f"Path to executable jar file is invalid: `{text}` is not ours",
            "build the project anew with `microgate build PROJECT`",
        )
    hint = "give the file that `micro-gw build` names as its target"
    raise ArtefactError(f"Path to executable jar file is invalid: {text}", hint)


def configuration_file(settings: Mapping[str, str], environ: Mapping[str, str]) -> Path | None:
    """The configuration file in force; None where there is none. Raises SettingsError where MGW_CONF_DIR has none."""
    if CONFIGURATION_KEY in settings:
        return Path(settings[CONFIGURATION_KEY])
    if MOUNTED_CONFIGURATION.is_file():
        return MOUNTED_CONFIGURATION
    folder = environ.get("MGW_CONF_DIR")
    if folder:
        file = Path(folder) / CONFIGURATION
        if not file.is_file():
            raise SettingsError(f"MGW_CONF_DIR: there is no {CONFIGURATION} in `{folder}`")
        return file
    home = environ.get("MGW_HOME")
    file = Path(home or "") / "conf" / CONFIGURATION
    return file if home and file.is_file() else None


if __name__ == "__main__":
    sys.exit(main())
