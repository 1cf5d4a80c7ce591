"""Reads microgate.yaml: what a project says once for all its APIs. How an API says otherwise is an extension of OpenAPI; how
the gateway runs is in micro-gw.conf.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from microgate.toolkit import catalogue
from microgate.toolkit.nearest import did_you_mean
from microgate.toolkit.openapi.cursor import Cursor
from microgate.toolkit.openapi.document import whole_file
from microgate.toolkit.openapi.security import READINGS, WSO2
from microgate.toolkit.openapi.tree import shown
from microgate.toolkit.openapi.values import Reader
from microgate.toolkit.project import layout

if TYPE_CHECKING:
    from microgate.diagnostics import Report
    from microgate.toolkit.openapi.folder import Folder

KEYS = ("security",)
NEARLY = ("microgate.yml", "microgate.json")


@dataclass(frozen=True)
class ProjectSettings:
    """All settings of a project; the defaults are those of a project without the file."""

    reading: str = WSO2  # of `security`


def read(folder: Folder, report: Report) -> ProjectSettings:
    """The settings of a project."""
    for name in NEARLY:
        if (folder.root / name).exists():
            message = f"is not read: the settings of a project are in `{layout.PROJECT_SETTINGS}`"
            report.add(whole_file(catalogue.PROJECT_SETTING, message, name, "rename the file"))
    path = folder.root / layout.PROJECT_SETTINGS
    if not path.exists() and not path.is_symlink():
        return ProjectSettings()
    if not folder.contains(path):
        message = "is a link that leads out of the project"
        report.add(whole_file(catalogue.REFERENCE_OUTSIDE, message, layout.PROJECT_SETTINGS, "copy the file"))
        return ProjectSettings()
    document = folder.read(path, report, may_be_empty=True)
    if document is None or document.root is None:
        return ProjectSettings()
    root = Cursor(document, document.root)
    if root.kind == "null":
        return ProjectSettings()
    if not root.is_mapping:
        message = f"`{layout.PROJECT_SETTINGS}` must be a mapping, not {root.kind}"
        report.add(root.spot.diagnostic(catalogue.PROJECT_SETTING, message, f"write `security: {WSO2}`"))
        return ProjectSettings()
    for key, member in root.members():
        if key not in KEYS:
            hint = did_you_mean(key, KEYS, f"known keys: {', '.join(KEYS)}")
            report.add(member.key_spot.diagnostic(catalogue.PROJECT_SETTING, f"unknown key `{shown(key)}`", hint))
    security = root.get("security")
    reading = None if security is None else Reader(report, catalogue.PROJECT_SETTING).choice(security, READINGS)
    return ProjectSettings(reading or WSO2)
