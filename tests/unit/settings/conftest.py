"""What tests of settings share: a file from text, and findings in short form."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import pytest

from microgate.errors import Findings
from microgate.settings.load import Configuration, Sources, load

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from microgate.diagnostics import Diagnostic


class Outcome(NamedTuple):
    """A configuration, None where there were errors, and all findings."""

    configuration: Configuration | None
    findings: list[Diagnostic]

    @property
    def codes(self) -> list[str]:
        return [one.code for one in self.findings]

    @property
    def errors(self) -> list[Diagnostic]:
        return [one for one in self.findings if one.severity.value == "error"]

    def __getattr__(self, name: str) -> Any:
        """A section of the settings."""
        assert self.configuration is not None, self.findings
        return getattr(self.configuration.settings, name)

    def row(self, key: str) -> tuple[str, str]:
        assert self.configuration is not None, self.findings
        return next((one.text, one.origin) for one in self.configuration.values if one.key == key)


@pytest.fixture
def configure(tmp_path: Path) -> Callable[..., Outcome]:
    """Loads a file of that text, with more sources: `configure("[listenerConfig]", environ={...}, overrides={...})`."""

    def run(text: str | bytes | None = None, **options: Any) -> Outcome:
        file = None
        if text is not None:
            file = tmp_path / "micro-gw.conf"
            file.write_bytes(text.encode() if isinstance(text, str) else text)
        options["overrides"] = tuple(options.get("overrides", {}).items())
        options["names"] = frozenset(options.get("names", ()))
        try:
            configuration = load(Sources(file=file, **options))
        except Findings as findings:
            return Outcome(None, findings.diagnostics)
        return Outcome(configuration, configuration.warnings)

    return run
