"""What an issuer's entry changes about claims before they are believed: other names, and the project's own function (WSO2 §6.9).

It happens once for each token, after its signature was found good; the verdict keeps the outcome. Registered claims
(RFC 7519 §4.1) stay as the issuer has signed them.
"""

from __future__ import annotations

import inspect
import logging
from typing import TYPE_CHECKING, Any

from microgate.errors import SettingsError
from microgate.runtime.security.refusals import Reason, TokenError

if TYPE_CHECKING:
    from collections.abc import Callable

    from microgate.runtime.extensions import Extensions
    from microgate.settings.model import JwtIssuer

REGISTERED = frozenset({"iss", "sub", "aud", "exp", "nbf", "iat", "jti"})
MAPPER = Reason("auth.jwt.mapper", "a claim of the access token cannot be used")
KEY = "jwtTokenConfig.claimMapper"

log = logging.getLogger("microgate.security")


class ClaimMapping:
    """The changes of one entry. `transform` gets the claims that are not registered and returns those that take their place."""

    def __init__(
        self, issuer: str, names: tuple[tuple[str, str], ...], transform: Callable[[dict[str, Any]], Any] | None
    ) -> None:
        self._issuer = issuer
        self._names = names
        self._transform = transform

    def apply(self, claims: dict[str, Any]) -> dict[str, Any]:
        """The claims as they are to be judged, which may be the same object; raises TokenError where the function fails."""
        if not self._names and self._transform is None:
            return claims
        own = {name: value for name, value in claims.items() if name not in REGISTERED}
        for remote, local in self._names:
            if remote in own:
                own[local] = own.pop(remote)
        if self._transform is not None:
            own = self._call(self._transform, own)
        return {**own, **{name: value for name, value in claims.items() if name in REGISTERED}}

    def _call(self, transform: Callable[[dict[str, Any]], Any], own: dict[str, Any]) -> dict[str, Any]:
        try:
            found = transform(own)
        except Exception as error:  # noqa: BLE001 - whatever a user's code raises, the token is refused
            # What it raised may quote claims, and those are no business of a log.
            log.warning("the claim mapper of issuer %s failed: %s", self._issuer, _where(error))
            raise TokenError(MAPPER) from None
        if type(found) is not dict or not all(isinstance(name, str) for name in found):
            log.warning("the claim mapper of issuer %s returned no dict of claims", self._issuer)
            raise TokenError(MAPPER)
        return found


def load(entry: JwtIssuer, extensions: Extensions | None) -> ClaimMapping:
    """The mapping of an entry; raises SettingsError. Without `extensions` the function is neither loaded nor called."""
    transform = None
    if entry.claim_mapper and extensions is not None:
        transform = extensions.find(entry.claim_mapper, KEY)
        if inspect.iscoroutinefunction(transform):
            raise SettingsError(
                f"`{KEY}`: `{entry.claim_mapper}` must not be async, since a token's verdict waits for it"
            )
    names = tuple((one.remote_claim, one.local_claim) for one in entry.claims)
    return ClaimMapping(entry.issuer, names, transform)


def _where(error: Exception) -> str:
    """The kind of an error and the line of the project that raised it, without its text."""
    import traceback

    lines = [frame for frame in traceback.extract_tb(error.__traceback__) if frame.filename.startswith("extensions/")]
    at = f" at {lines[-1].filename}:{lines[-1].lineno}" if lines else ""
    return f"{type(error).__name__}{at}"
