"""Python of the project that the settings name as `module:function`: loaded from the plan, each module in a namespace of its own.

Claim transformers, generators of backend tokens and user providers come from here; what they are called with is their
caller's. A module runs once per worker, at the start, so that a mistake stops it there and not at a request.
"""

from __future__ import annotations

import sys
import traceback
from types import ModuleType
from typing import TYPE_CHECKING, Any

from microgate.errors import SettingsError

if TYPE_CHECKING:
    from collections.abc import Callable

    from microgate.plan.model import Plan

PREFIX = "microgate_project."


class Extensions:
    """The modules of a plan, loaded when the first function of each is asked for."""

    def __init__(self, plan: Plan) -> None:
        self._sources = {module.name: module.source for module in plan.extensions}
        self._loaded: dict[str, ModuleType] = {}

    def find(self, reference: str, key: str) -> Callable[..., Any]:
        """The function or class that the setting `key` names as `module:function`; raises SettingsError."""
        name, colon, attribute = reference.partition(":")
        if not colon or not attribute:
            raise SettingsError(f"`{key}`: `{reference}` names no function", "write `module:function`")
        found = getattr(self._module(name, key), attribute, None)
        if not callable(found):
            raise SettingsError(f"`{key}`: extensions/{name}.py has no function `{attribute}`")
        return found  # type: ignore[no-any-return] # whatever the user has written

    def _module(self, name: str, key: str) -> ModuleType:
        if name not in self._loaded:
            if name not in self._sources:
                known = ", ".join(f"`{each}`" for each in sorted(self._sources)) or "none"
                raise SettingsError(f"`{key}`: the artefact has no extensions/{name}.py", f"its modules are: {known}")
            self._loaded[name] = _run(name, self._sources[name], key)
        return self._loaded[name]


def _run(name: str, source: str, key: str) -> ModuleType:
    module = ModuleType(PREFIX + name)
    file = f"extensions/{name}.py"
    module.__file__ = file
    sys.modules[module.__name__] = module  # dataclasses and pickles look their module up
    try:
        exec(compile(source, file, "exec"), module.__dict__)  # noqa: S102 - running it is what it is there for
    except Exception as error:  # noqa: BLE001 - users' code may raise anything
        del sys.modules[module.__name__]
        lines = [frame.lineno for frame in traceback.extract_tb(error.__traceback__) if frame.filename == file]
        at = f":{lines[-1]}" if lines else ""
        raise SettingsError(f"`{key}`: {file}{at}: {type(error).__name__}: {error}") from None
    return module
