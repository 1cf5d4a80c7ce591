"""Every error that microgate raises on purpose. The command line turns each into one line and an exit code.

MicrogateError
├── UsageError        the command line asks for something that cannot be      exit 2
├── Findings          a project has errors; carries the diagnostics           exit 1
├── ProjectError      a folder cannot be made, read or written                exit 1
├── ArtefactError     a file is no artefact, is corrupt, tampered or newer    exit 1
├── SettingsError     a setting is unknown, mistyped or contradictory         exit 1
├── KeyMaterialError  a key, certificate or store is missing or unreadable    exit 1
└── StartError        the gateway cannot start: a port is taken, no fork …    exit 1
"""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

    from microgate.diagnostics import Diagnostic


class MicrogateError(Exception):
    """One line for the user in `str(error)`, and optionally one line that says what to do."""

    exit_code = 1

    def __init__(self, message: str, hint: str = "") -> None:
        super().__init__(message)
        self.hint = hint
        self.settings: tuple[str, ...] = ()  # the keys or tables that it is about, by full path


@contextmanager
def about(*settings: str) -> Iterator[None]:
    """What goes wrong inside is the fault of one of these settings, unless more is known where it is raised."""
    try:
        yield
    except MicrogateError as error:
        error.settings = error.settings or settings
        raise


class UsageError(MicrogateError):
    exit_code = 2


class Findings(MicrogateError):  # noqa: N818 - the word users know from linters
    """A project that does not compile; `diagnostics` holds all of what is wrong."""

    def __init__(self, diagnostics: list[Diagnostic]) -> None:
        super().__init__("the project has errors")
        self.diagnostics = diagnostics


class ProjectError(MicrogateError):
    pass


class ArtefactError(MicrogateError):
    pass


class SettingsError(MicrogateError):
    pass


class KeyMaterialError(MicrogateError):
    pass


class StartError(MicrogateError):
    pass
