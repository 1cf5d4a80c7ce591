"""The folder where microgate keeps a user's own state between commands: development keys, the pid file and log of a gateway in
the background. Never anything that a build or an artefact depends on.
"""

from __future__ import annotations

import os
from pathlib import Path

from microgate.errors import StartError


def state_folder() -> Path:
    """The folder, which may not exist yet. Raises StartError where the user has no home."""
    state = os.environ.get("LOCALAPPDATA" if os.name == "nt" else "XDG_STATE_HOME", "")
    if state:
        return Path(state) / "microgate"
    try:
        return Path.home() / ".local" / "state" / "microgate"
    except RuntimeError as error:
        raise StartError(
            "there is no home folder to keep state in", "set XDG_STATE_HOME to a folder of yours"
        ) from error
