"""From settings to a store: where it is, how it is trusted, and what is said of it while it cannot be had.

The processes of a gateway tell of a change once between them: a word in the memory of limits says whether it was told.
"""

from __future__ import annotations

import logging
import os
import ssl
from typing import TYPE_CHECKING

from microgate.errors import KeyMaterialError, SettingsError, about
from microgate.runtime.stores.addresses import read_place
from microgate.runtime.stores.store import Store
from microgate.runtime.throttling.counting.table import STORE_AWAY

if TYPE_CHECKING:
    from collections.abc import Callable

    from microgate.plan.model import Plan
    from microgate.runtime.stores.addresses import Place
    from microgate.runtime.throttling.counting.table import Table
    from microgate.settings.throttling import LimitStore

log = logging.getLogger("microgate.throttling")

NODE, FAST, STRICT = "node", "fast", "strict"
OPEN, CLOSED, LOCAL = "open", "closed", "local"

_MEANWHILE = {
    OPEN: "requests pass uncounted meanwhile",
    CLOSED: "requests that it would count are refused meanwhile",
    LOCAL: "this gateway counts alone meanwhile",
}


def uses(plan: Plan, *stores: str) -> bool:
    """Whether a policy of the project keeps its counts there."""
    return any(policy.store in stores for policy in plan.policies)


def prove(plan: Plan, configured: LimitStore) -> None:
    """Raise SettingsError or KeyMaterialError where the project shares counts and the settings do not say where."""
    shared = next((policy for policy in plan.policies if policy.store != NODE), None)
    if shared is None:
        return
    with about("throttlingConfig.store"):
        if not configured.urls:
            message = (
                f"the policy `{shared.name}` has `store: {shared.store}`, and `throttlingConfig.store` names no store"
            )
            raise SettingsError(message, "set `throttlingConfig.store.urls`")
        with about("throttlingConfig.store.urls"):
            _place(configured)
        _context(configured)


def open_store(configured: LimitStore, on_change: Callable[[bool, str], None]) -> Store:
    place = _place(configured)
    context = _context(configured) if place.secure else None
    return Store(place, configured.wait_millis / 1000, context, on_change)


def _place(configured: LimitStore) -> Place:
    return read_place(configured.urls, configured.username, configured.password, cluster=configured.cluster)


def _context(configured: LimitStore) -> ssl.SSLContext:
    file = configured.ca_file
    try:
        context = ssl.create_default_context(cafile=file or None)
    except OSError as error:
        cause = (
            "no certificate in PEM form" if isinstance(error, ssl.SSLError) else os.strerror(error.errno or 0).lower()
        )
        raise KeyMaterialError(f"`throttlingConfig.store.caFile`: cannot use `{file}`: {cause}") from error
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.check_hostname = configured.verify_hostname
    return context


class Teller:
    """Says once for all processes that the store is away, or back; `show` is a gauge of the processes that miss it."""

    def __init__(self, table: Table, when_down: str, show: Callable[[int], None]) -> None:
        self._table = table
        self._meanwhile = _MEANWHILE[when_down]
        self._show = show
        self._missing = 0

    def tell(self, is_there: bool, why: str) -> None:
        missing = 0 if is_there else 1
        self._show(missing - self._missing)
        self._missing = missing
        cells = self._table.cells
        with self._table.locked():
            told = bool(cells[STORE_AWAY])
            cells[STORE_AWAY] = missing
        if told == bool(missing):
            return
        if missing:
            log.warning("the store of limits cannot be had: %s; %s", why, self._meanwhile)
        else:
            log.info("the store of limits is back")
