"""A value on its way from a source to a setting: what was written, where, and the names it may have.

The sources (`file.py`, `outside.py`) make entries, the reader turns them into typed sections.
"""

from typing import Any, NamedTuple

from microgate.diagnostics import Diagnostic, Report
from microgate.settings.catalogue import CATALOGUE

MAX_MESSAGE = 400  # characters
BROKEN: Any = object()  # stands for a value that has been reported already


class Origin(NamedTuple):
    """Where a value was written. `place` is a file, `environment variable NAME`, `command line` or `default`."""

    place: str
    line: int = 0
    column: int = 0

    def __str__(self) -> str:
        return f"{self.place}:{self.line}" if self.line else self.place


DEFAULT = Origin("default")


class Entry(NamedTuple):
    """One value. Text from outside the file, or with a placeholder in it, stands for whatever type its key has."""

    value: Any
    origin: Origin
    is_text: bool = False
    is_hidden: bool = False  # read from a file of its own, as secrets are
    is_negated: bool = False  # written under an old name of the opposite meaning
    name: str = ""  # as written, where it is an old name


# Old name -> present name (WSO2 §5.3, §5.5, §5.7 and the keys that 3.x documented in one place and read in another).
OLD_NAMES = {
    "keyManager.username": "keyManager.security.basic.username",
    "keyManager.password": "keyManager.security.basic.password",
    "keyManager.external": "keyManager.enableLegacyMode",
    "keyManager.timestampSkew": "server.timestampSkew",
    "keyManager.security.oauth2.clientCredential.client_id": "keyManager.security.oauth2.clientCredential.clientId",
    "keyManager.security.oauth2.password.client_id": "keyManager.security.oauth2.password.clientId",
    "keyManager.security.oauth2.refresh.client_id": "keyManager.security.oauth2.refresh.clientId",
    "tokenRevocationConfig.persistent.hostname": "tokenRevocationConfig.persistent.endpointURL",
    "httpClients.trustStorePassword": "httpClients.sslConfig.trustStorePassword",
    "httpClients.sslConfig.verifyHostname": "httpClients.verifyHostname",
    "apim.eventHub.service_url": "apim.eventHub.serviceUrl",
    "analytics.enable": "analytics.fileUpload.enable",
    "analytics.uploadingTimeSpanInMillis": "analytics.fileUpload.uploadingTimeSpanInMillis",
    "analytics.initialDelayInMillis": "analytics.fileUpload.initialDelayInMillis",
    "analytics.uploadingEndpoint": "analytics.fileUpload.uploadingEndpoint",
    "analytics.rotatingPeriod": "analytics.fileUpload.rotatingPeriod",
    "analytics.taskUploadFiles": "analytics.fileUpload.taskUploadFiles",
    "analytics.username": "analytics.fileUpload.username",
    "analytics.password": "analytics.fileUpload.password",
}
_NEGATED = {"keyManager.external"}


def present_name(name: str) -> str:
    """The name that a key has today."""
    if name.startswith("keymanager."):
        name = "keyManager" + name[len("keymanager") :]
    return OLD_NAMES.get(name, name)


def with_present_names(entries: dict[str, Entry]) -> dict[str, Entry]:
    """One source's entries under today's names; where a key is there under both, today's counts."""
    renamed = {}
    for name, entry in entries.items():
        today = present_name(name)
        if today == name:
            renamed[name] = entry
        elif today not in entries:
            renamed[today] = entry._replace(is_negated=name in _NEGATED, name=name)
    return renamed


def add(report: Report, code: str, message: str, origin: Origin, hint: str = "") -> None:
    """Report a finding at its place. The line's text is left out on purpose: it may hold a secret."""
    severity, _ = CATALOGUE[code]
    report.add(
        Diagnostic(
            code=code,
            severity=severity,
            message=_one_line(message),
            file="" if origin == DEFAULT else _one_line(origin.place),
            line=origin.line,
            column=origin.column,
            hint=_one_line(hint),
        )
    )


def _one_line(text: str) -> str:
    """Names and values are users' text: of any length, with any character."""
    if len(text) > MAX_MESSAGE:
        text = text[:MAX_MESSAGE] + "…"
    return text if text.isprintable() else "".join(one if one.isprintable() else f"\\u{ord(one):04x}" for one in text)
