"""The memory that the table of revocations stands in, made before any fork and kept over all generations."""

from __future__ import annotations

from typing import TYPE_CHECKING

from microgate.errors import StartError
from microgate.runtime.security.revocation import table
from microgate.runtime.shared_memory import make_region

if TYPE_CHECKING:
    from mmap import mmap

    from microgate.settings.model import Settings


def make_memory(settings: Settings) -> mmap:
    """Room for `tokenRevocationConfig.capacity`; with `closed` nobody is let in before the sources were read.

    Raises StartError.
    """
    try:
        region = make_region("revocations", table.region_size(settings.revocation.capacity))
    except (OSError, ValueError) as error:
        raise StartError("cannot get memory for revocations", "lower `tokenRevocationConfig.capacity`") from error
    if settings.revocation.in_use and settings.revocation.when_unavailable == "closed":
        with table.Table(region).cells as cells:
            cells[table.CLOSED] = 1
    return region
