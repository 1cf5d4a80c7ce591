"""Where things are in a project folder (WSO2 §2.2): the names, and nothing about what the files hold. The scaffold makes
them, the compiler and the command line find them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

DEFINITIONS = "api_definitions"
IMPORTED_DEFINITIONS = "gen/api_definitions"
CONFIGURATION = "conf"
DEPLOYMENT = "conf/deployment-config.toml"
EXTENSIONS = "extensions"
GRPC_DEFINITIONS = "grpc_definitions"
INTERCEPTORS = "interceptors"
LIBRARIES = "lib"
POLICIES = "policies.yaml"
SUBSCRIPTIONS = "subscriptions.yaml"
PROJECT_SETTINGS = "microgate.yaml"
TARGET = "target"
KEEP = ".keep"  # holds an otherwise empty folder in version control

# What a build reads; a change to anything else changes no artefact.
INPUTS = (
    DEFINITIONS,
    IMPORTED_DEFINITIONS,
    CONFIGURATION,
    EXTENSIONS,
    GRPC_DEFINITIONS,
    INTERCEPTORS,
    LIBRARIES,
    POLICIES,
    SUBSCRIPTIONS,
    PROJECT_SETTINGS,
)


def is_project(folder: Path) -> bool:
    """Whether the folder is a project: it has what only a project has."""
    return any((folder / name).is_dir() for name in (DEFINITIONS, IMPORTED_DEFINITIONS, GRPC_DEFINITIONS))


def project_name(folder: Path) -> str:
    """The project's name: that of its folder, also where the folder was given as `.`."""
    return folder.resolve().name


def artefact_file(folder: Path) -> Path:
    """Where a build puts the artefact, as the user would type it."""
    return folder / TARGET / project_name(folder)
