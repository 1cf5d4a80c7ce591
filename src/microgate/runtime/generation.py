"""What the command line hands the supervisor: one plan with its settings, and how a successor is made while developing.

A generation is served by one crew of processes all its life; a reload makes the next generation.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from microgate.plan.model import Plan
    from microgate.settings.model import Settings


@dataclass(frozen=True, slots=True)
class Generation:
    """One plan to serve.

    `reload` is called when something under `watch` (files, or folders with all below them) has changed; it answers the next
    plan and settings, or None when there is none, having told the user why. Listeners and the number of workers stay as
    they are for the life of the supervisor.
    """

    plan: Plan
    settings: Settings
    ready_file: Path | None = None
    dev: bool = False
    reload: Callable[[], tuple[Plan, Settings] | None] | None = None
    watch: tuple[Path, ...] = ()
