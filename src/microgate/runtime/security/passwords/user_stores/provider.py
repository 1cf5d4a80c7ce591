"""Users that a function of the project knows: `provider(user, password)` gives None for an unknown user, False for a wrong
password, and True, scopes, or a mapping with `scopes` and `name` for a right one. A class is made once, and its method
`authenticate` is called.
"""

from __future__ import annotations

import asyncio
import inspect
import traceback
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

from microgate.errors import SettingsError
from microgate.runtime.security.passwords.hash_bench import HashBench
from microgate.runtime.security.passwords.turns import Turns
from microgate.runtime.security.passwords.user_stores.store import (
    Answer,
    Attempt,
    Found,
    Refused,
    RemoteStore,
    StoreDownError,
    split_scopes,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    from microgate.runtime.extensions import Extensions
    from microgate.settings.user_stores import UserStore as StoreSettings

WIDTH = 4  # calls of a worker at once, each in a thread where the function is a plain one


class Provider(RemoteStore):
    """Raises SettingsError where there is no such function, or the class cannot be made."""

    def __init__(self, settings: StoreSettings, extensions: Extensions) -> None:
        super().__init__(settings)
        self._call = _callable(settings.provider, extensions)
        self._is_async = inspect.iscoroutinefunction(self._call)
        self._timeout_s = settings.timeout / 1000
        self._scopes = split_scopes(settings.scopes)
        self._bench = HashBench(WIDTH)
        self._turns = Turns(WIDTH)

    async def check(self, attempt: Attempt) -> Answer:
        password = attempt.password.decode()
        try:
            async with asyncio.timeout(self._timeout_s):
                if self._is_async:
                    async with self._turns.turn(attempt.address):
                        said = await self._ask(attempt, password)
                else:
                    said = await self._bench.run(attempt, lambda: self._guarded(attempt.user, password))
        except TimeoutError:
            raise StoreDownError(f"gave no answer within {self._timeout_s:g} s") from None
        return self._answer(said, attempt.user)

    async def _ask(self, attempt: Attempt, password: str) -> Any:
        attempt.welcome()
        try:
            return await self._call(attempt.user, password)
        except (Exception, SystemExit) as error:  # noqa: BLE001 - the user's code may raise anything
            raise StoreDownError(_failure(error)) from None

    def _guarded(self, user: str, password: str) -> Any:
        try:
            return self._call(user, password)
        except BaseException as error:  # noqa: BLE001 - the user's code may raise anything, and the thread has to answer
            raise StoreDownError(_failure(error)) from None

    def close(self) -> None:
        self._bench.close()

    def _answer(self, said: Any, user: str) -> Answer:
        if said is None:
            return Refused.UNKNOWN
        if said is False:
            return Refused.WRONG
        if said is True:
            return Found(user, self._scopes)
        name = user
        if isinstance(said, Mapping):
            name, said = said.get("name", user), said.get("scopes", ())
        scopes = split_scopes(said) if isinstance(said, str) else said
        if not isinstance(scopes, Iterable) or not isinstance(name, str):
            raise StoreDownError("gave neither None, True, False, scopes nor a mapping")
        return Found(name, self._scopes | {scope for scope in scopes if isinstance(scope, str)})


def _callable(reference: str, extensions: Extensions) -> Callable[[str, str], Any]:
    found = extensions.find(reference, "userStore.provider")
    if not inspect.isclass(found):
        return found
    try:
        instance = found()
    except Exception as error:  # noqa: BLE001 - the user's code may raise anything
        raise SettingsError(f"`userStore.provider`: `{reference}` {_failure(error)}") from None
    method = getattr(instance, "authenticate", None)
    if not callable(method):
        raise SettingsError(f"`userStore.provider`: `{reference}` has no method `authenticate`")
    return method  # type: ignore[no-any-return] # whatever the user has written


def _failure(error: BaseException) -> str:
    """What is known of a failure without its message, which may hold the password."""
    frames = traceback.extract_tb(error.__traceback__)
    at = f" at {frames[-1].filename}:{frames[-1].lineno}" if frames else ""
    return f"failed with {type(error).__name__}{at}"
